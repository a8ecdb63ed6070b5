"""One request and its answer, as an ASGI application sees them (ASGI 3.0, HTTP)."""

from __future__ import annotations

import asyncio
from http import HTTPStatus
from typing import Any, Final, Protocol

from tiergate.gateway.replies import RawHeaders, Scope

REASONS: Final = {status.value: status.phrase.encode("ascii") for status in HTTPStatus}


class Wire(Protocol):
    """What a request needs of the connection that it came over."""

    def write(self, data: bytes) -> None: ...

    @property
    def keeps_up(self) -> bool:
        """Whether the caller has taken enough of what was written."""

    async def writable(self) -> None:
        """Returns when it has."""

    def wait_for_body(self) -> None:
        """The application waits for more of the body from now on."""

    def take(self, size: int) -> None:
        """The application took ``size`` bytes of a body."""

    def finish(self, request: Request, *, whole: bool) -> None:
        """Nothing more is sent; ``whole``: the answer is as long as it says."""

    def date(self) -> bytes:
        """The last line of a header."""


class Request:
    """``keep``: the connection may go on afterwards. ``expects``: the caller waits for `100 Continue`."""

    def __init__(self, wire: Wire, scope: Scope, loop: asyncio.AbstractEventLoop, *, keep: bool, expects: bool) -> None:
        self._loop = loop
        self.gone: asyncio.Future[None] = self._loop.create_future()
        """Done when the caller has hung up. It is in the scope, so that no application needs a task to wait for it."""
        self.scope, self.keep = scope, keep
        scope["gone"], scope["pass_on"] = self.gone, self.pass_on
        self.complete = False
        """Whether the whole body has come."""
        self.status = 0
        """Of the answer, once that has begun."""
        self.started = self.answered = False
        """Whether the answer has begun, and has ended."""
        self._wire, self._expects = wire, expects
        self._pieces: list[bytes] = []
        self._taken = False
        """Whether the application has the whole body."""
        self._waiter: asyncio.Future[None] | None = None
        self._head = b""
        self._bodiless = scope["method"] == "HEAD"
        self._chunked = False
        self._missing: int | None = None
        """Bytes that are to come of an answer that said its length."""

    @property
    def wants_more(self) -> bool:
        """Whether the application waits for more of the body."""
        return self._waiter is not None

    def feed(self, piece: bytes) -> None:
        self._pieces.append(piece)
        self._wake()

    def end(self) -> None:
        """The body is complete."""
        self.complete = True
        self._wake()

    def hang_up(self) -> None:
        """The caller is gone."""
        if not self.gone.done():
            self.gone.set_result(None)
        self._wake()

    async def receive(self) -> dict[str, Any]:
        """The next piece of the body; `http.disconnect` when the caller has hung up or has the answer."""
        if self._expects and not (self.started or self._pieces or self.complete):
            self._wire.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        self._expects = False
        while not (self._pieces or self.complete or self.gone.done()):
            self._wire.wait_for_body()
            await self._news()
        if self._taken:
            await asyncio.wait((self.gone,))
        if self.gone.done() or self.answered:
            return {"type": "http.disconnect"}
        self._taken = self.complete
        pieces, self._pieces = self._pieces, []
        body = pieces[0] if len(pieces) == 1 else b"".join(pieces)
        self._wire.take(len(body))
        return {"type": "http.request", "body": body, "more_body": not self.complete}

    async def send(self, message: dict[str, Any]) -> None:
        """Send the next part of the answer. Waits while the caller is slow; nothing is sent to one who is gone."""
        if self.gone.done() or self.answered:
            return
        if message["type"] == "http.response.start":
            self._start(message["status"], message["headers"])
            return
        more = message.get("more_body", False)
        data = self._head + self._framed(message.get("body", b""), more=more)
        self._head = b""
        if data:
            self._wire.write(data)
        if more:
            await self._wire.writable()
        else:
            self.answered = True
            self._wire.finish(self, whole=True)

    def pass_on(self, piece: bytes) -> bool:
        """Send a piece of a streamed answer without waiting; whether there may be more at once, or `send` is to wait
        for the caller."""
        if not (self.gone.done() or self.answered):
            self._wire.write(self._head + self._framed(piece, more=True))
            self._head = b""
        return self._wire.keeps_up

    def give_up(self) -> None:
        """End an answer that the application did not end."""
        if self.answered or self.gone.done():
            return
        self.keep = False
        if not self.started:
            self._start(500, [(b"content-length", b"0")])
            self._wire.write(self._head)
        # An answer that ends with the connection must not look whole.
        whole = self._chunked or self._missing is not None
        self.answered = True
        self._wire.finish(self, whole=whole)

    def _start(self, status: int, headers: RawHeaders) -> None:
        self.started, self.status = True, status
        version = self.scope["http_version"]
        lines = [b"HTTP/1.1 %d %b\r\n" % (status, REASONS.get(status, b""))]
        for name, value in headers:
            if name == b"connection":
                self.keep = self.keep and value.lower() != b"close"
                continue
            if name == b"content-length":
                self._missing = int(value)
            lines += name, b": ", value, b"\r\n"
        if status in (204, 304):
            self._bodiless = True
        elif self._missing is None and version == "1.1":
            self._chunked = True
            lines.append(b"transfer-encoding: chunked\r\n")
        elif self._missing is None:
            self.keep = False
        if not (self.keep and self.complete):
            # What is left of a body that nobody read could be taken for the next request.
            self.keep = False
            lines.append(b"connection: close\r\n")
        elif version == "1.0":
            lines.append(b"connection: keep-alive\r\n")
        lines.append(self._wire.date())
        self._head = b"".join(lines)

    def _framed(self, body: bytes, *, more: bool) -> bytes:
        if self._bodiless:
            return b""
        if self._missing is not None:
            self._missing -= len(body)
            if self._missing < 0 or (self._missing and not more):
                raise RuntimeError("the answer is not as long as its header says")
            return body
        if not self._chunked:
            return body
        chunk = b"%x\r\n%b\r\n" % (len(body), body) if body else b""
        return chunk if more else chunk + b"0\r\n\r\n"

    async def _news(self) -> None:
        self._waiter = self._loop.create_future()
        try:
            await self._waiter
        finally:
            self._waiter = None

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)
