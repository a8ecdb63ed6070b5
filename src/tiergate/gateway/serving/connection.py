"""A caller's connection: HTTP/1.1 as a server (RFC 9112), requests answered one after the other.

Framing is as strict as towards upstreams: a request that two readers could cut at different places is refused and its
connection closed. Callers who are slow are bounded in time, those who send more than was asked for in memory.
"""

from __future__ import annotations

import asyncio
import logging
import socket
import struct
from collections import deque
from collections.abc import Awaitable, Callable
from typing import Any, Final, NamedTuple, Protocol, cast
from urllib.parse import unquote

import httptools
import msgspec

from tiergate.gateway.replies import Receive, Scope, Send
from tiergate.gateway.serving.request import REASONS, Request

Application = Callable[[Scope, Receive, Send], Awaitable[None]]

HEAD_BYTES: Final = 64 << 10
HEADERS: Final = 100
URL_BYTES: Final = 8 << 10
OVERHEAD: Final = 16
"""Bytes of framing for each byte of a body, beyond which a caller only keeps us busy."""

BUFFERED: Final = 256 << 10
"""Bytes of bodies that may wait for the application before the caller has to."""

PIPELINED: Final = 16
"""Requests that may wait for the answers of those before them."""

LINGER_S: Final = 5.0
"""How long a caller who is still sending is listened to after a refusal, so that the refusal is not lost (RFC 9112,
section 9.6)."""

_TOLD: Final = {
    400: "the request cannot be read",
    408: "the request did not come in time",
    414: "the address is too long",
    431: "the header is too long",
    501: "bodies may be chunked, and coded in no other way",
    503: "too many connections are open; try again shortly",
    505: "HTTP/1.1 is spoken here",
}
FIRST_WORD_S: Final = 1.0
"""How long a caller who got through to a server that ends has for a request."""

GONE: Final = 499
"""What is counted for a caller who hung up before the end (nginx's number; no standard has one)."""

_RESET: Final = struct.pack("ii", 1, 0)
_log = logging.getLogger(__name__)


class Patience(NamedTuple):
    """Seconds that callers have: ``head_s`` for the head of a request, ``body_s`` between two pieces of its body,
    ``keep_s`` between two requests, ``write_s`` to take what was sent to them."""

    head_s: float = 10.0
    body_s: float = 30.0
    keep_s: float = 75.0
    write_s: float = 60.0


class House(Protocol):
    """What all connections share."""

    application: Application
    connections: set[ClientConnection]
    patience: Patience
    date: bytes
    most: int
    closing: bool

    leaving: bool

    def left(self, connection: ClientConnection) -> None: ...

    def answered(self, path: str, status: int) -> None:
        """A request was answered, or cut off."""


class _RefusedError(Exception):
    """A request is refused before the application sees it, or sees all of it."""

    def __init__(self, status: int) -> None:
        super().__init__(status)
        self.status = status


class ClientConnection(asyncio.Protocol):
    """Reads requests, runs the application for each, writes its answers."""

    def __init__(self, house: House) -> None:
        self._house = house
        self._loop = asyncio.get_running_loop()
        self._parser = httptools.HttpRequestParser(self)
        self._url = b""
        self._headers: list[tuple[bytes, bytes]] = []
        self._received = self._body_bytes = 0
        """Of the request that is being read: bytes of its head or, once that is read, of the rest; of its body."""
        self._reading: Request | None = None
        """The request whose body comes in."""
        self._queue: deque[Request] = deque()
        """The request that is being answered, and those behind it."""
        self.task: asyncio.Task[None] | None = None
        """What answers the first in the queue."""
        self._buffered = 0
        self._paused = self._deaf = False
        self._full: asyncio.Future[None] | None = None
        self._since = self._loop.time()
        """Since when the caller is waited for."""
        self._head_since: float | None = None
        self._asked = False
        """Whether there was a request."""

    # what the server does with it

    def leave(self) -> None:
        """End after the requests that have come."""
        if self._queue:
            self._queue[-1].keep = False

    def drain(self) -> None:
        """End after the request that is being answered, or the first one of a caller who has only just come."""
        if self._queue:
            self._queue[0].keep = False
        elif self._asked or self._loop.time() - self._since > FIRST_WORD_S:
            self._transport.close()

    def abort(self) -> None:
        self._transport.abort()

    def look(self, now: float) -> None:
        """Close the connection if its caller let it wait for too long."""
        waited, patience = now - self._since, self._house.patience
        if self._deaf:
            if waited > LINGER_S and not self._queue:
                self._transport.abort()
        elif self._full is not None:
            if waited > patience.write_s:
                self._transport.abort()
        elif self._queue:
            if self._queue[0].wants_more and waited > patience.body_s:
                self._refuse(408)
        elif self._head_since is not None:
            if now - self._head_since > patience.head_s:
                self._refuse(408)
        elif waited > (FIRST_WORD_S if self._house.closing else patience.keep_s):
            self._transport.close()

    # what its requests do with it (`tiergate.gateway.serving.request.Wire`)

    @property
    def keeps_up(self) -> bool:
        return self._full is None

    async def writable(self) -> None:
        while self._full is not None:
            await self._full

    def wait_for_body(self) -> None:
        self._since = self._loop.time()

    def take(self, size: int) -> None:
        self._buffered -= size
        if self._paused:
            self._regulate()

    def finish(self, request: Request, *, whole: bool) -> None:
        self._queue.popleft()
        self._house.answered(request.scope["path"], request.status)
        self.task = None
        self._since = self._loop.time()
        if not whole:
            # An answer without a length ends with the connection: only a reset tells that it was cut.
            self._transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
            self._transport.abort()
        elif request.keep and not self._house.closing:
            self._proceed()
        elif request.complete:
            self._queue.clear()
            self._transport.close()
        else:
            self._linger()

    def date(self) -> bytes:
        return self._house.date

    # asyncio.Protocol

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        self.write = self._transport.write
        self._house.connections.add(self)
        peer = transport.get_extra_info("peername")
        self._scope: dict[str, Any] = {
            "type": "http",
            "asgi": {"version": "3.0", "spec_version": "2.4"},
            "scheme": "http",
            "root_path": "",
            "client": peer[:2] if isinstance(peer, tuple) else None,
        }
        if len(self._house.connections) > 2 * self._house.most:
            self._transport.abort()
        elif len(self._house.connections) > self._house.most:
            self._refuse(503)

    def connection_lost(self, _error: Exception | None) -> None:
        self._house.left(self)
        for request in self._queue:
            self._house.answered(request.scope["path"], GONE)
            request.hang_up()
        full, self._full = self._full, None
        if full is not None and not full.done():
            full.set_result(None)

    def data_received(self, data: bytes) -> None:
        if self._deaf:
            return
        self._since = self._loop.time()
        if self._head_since is None and self._reading is None:
            self._head_since = self._since
        self._received += len(data)
        try:
            self._parser.feed_data(data)
            if self._received - self._body_bytes > 2 * HEAD_BYTES + OVERHEAD * self._body_bytes:
                self._refuse(400 if self._reading else 431)
        except httptools.HttpParserUpgrade:
            # Not taken up (RFC 9110, section 7.8). What follows the request would be in the other protocol.
            self._stop_listening()
        except httptools.HttpParserCallbackError as error:
            cause = error.__context__
            self._refuse(cause.status if isinstance(cause, _RefusedError) else 400)
        except httptools.HttpParserError:
            self._refuse(400)

    def pause_writing(self) -> None:
        self._full = self._loop.create_future()
        self._since = self._loop.time()

    def resume_writing(self) -> None:
        full, self._full = self._full, None
        if full is not None and not full.done():
            full.set_result(None)
        self._proceed()

    # httptools.HttpRequestParser

    def on_message_begin(self) -> None:
        self._url, self._headers = b"", []

    def on_url(self, piece: bytes) -> None:
        self._url += piece
        if len(self._url) > URL_BYTES:
            raise _RefusedError(414)

    def on_header(self, name: bytes, value: bytes) -> None:
        self._headers.append((name.lower(), value))

    def on_headers_complete(self) -> None:
        parser, headers = self._parser, self._headers
        # What comes later is a trailer, which must not pass for what was said before the body.
        self._headers = []
        version = parser.get_http_version()
        if version not in ("1.1", "1.0"):
            raise _RefusedError(505)
        hosts, size, expects = 0, 0, False
        for name, value in headers:
            size += len(name) + len(value) + 4
            if name == b"host":
                hosts += 1
            elif name == b"transfer-encoding" and (value.strip().lower() != b"chunked" or version == "1.0"):
                raise _RefusedError(501)
            elif name == b"expect":
                expects = value.lower() == b"100-continue" and version == "1.1"
        if size > HEAD_BYTES or len(headers) > HEADERS:
            raise _RefusedError(431)
        if hosts > 1 or (not hosts and version == "1.1") or len(self._queue) >= PIPELINED:
            raise _RefusedError(400)
        path, _, query = self._target().partition(b"?")
        scope = self._scope | {
            "http_version": version,
            "method": parser.get_method().decode("ascii"),
            "path": unquote(path.decode("ascii")) if b"%" in path else path.decode("ascii"),
            "raw_path": path,
            "query_string": query,
            "headers": headers,
        }
        keep = parser.should_keep_alive() and not parser.should_upgrade() and not self._house.leaving
        request = self._reading = Request(self, scope, self._loop, keep=keep, expects=expects)
        self._head_since = None
        self._received = self._body_bytes = 0
        self._asked = True
        self._queue.append(request)
        self._proceed()

    def on_body(self, piece: bytes) -> None:
        if self._reading is not None:
            self._body_bytes += len(piece)
            self._buffered += len(piece)
            self._reading.feed(piece)
            if self._buffered > BUFFERED:
                self._regulate()

    def on_message_complete(self) -> None:
        if self._reading is not None:
            self._reading.end()
            self._reading = None
            self._received = self._body_bytes = 0

    def _target(self) -> bytes:
        """Path and query of the request's target in origin, absolute or asterisk form."""
        url = self._url.partition(b"#")[0]
        if url.startswith(b"/") or url == b"*":
            return url
        scheme, separator, rest = url.partition(b"://")
        if not separator or scheme.lower() not in (b"http", b"https"):
            raise _RefusedError(400)
        _, slash, path = rest.partition(b"/")
        return slash + path if slash else b"/"

    def _proceed(self) -> None:
        """Answer the next request, unless the caller has yet to take the answer before."""
        if self.task is None and self._queue and self._full is None:
            self.task = self._loop.create_task(self._run(self._queue[0]))
        self._regulate()

    async def _run(self, request: Request) -> None:
        try:
            await self._house.application(request.scope, request.receive, request.send)
        except Exception:
            _log.exception("a request could not be answered")
        finally:
            request.give_up()

    def _regulate(self) -> None:
        """Let the caller wait while it is ahead of the application."""
        ahead = not self._deaf and (self._buffered > BUFFERED or len(self._queue) > 1 or self._full is not None)
        if ahead != self._paused and not self._transport.is_closing():
            self._paused = ahead
            if ahead:
                self._transport.pause_reading()
            else:
                self._transport.resume_reading()

    def _refuse(self, status: int) -> None:
        """Answer what cannot be read, after the requests before it, and close."""
        broken, self._reading = self._reading, None
        if broken is not None:
            broken.hang_up()
        if self._queue and self._queue[0] is not broken:
            self._stop_listening()
            return
        if broken is None or not broken.started:
            error = {"message": _TOLD[status], "type": "invalid_request_error", "param": None, "code": None}
            body = msgspec.json.encode({"error": error})
            head = b"HTTP/1.1 %d %b\r\ncontent-type: application/json\r\n" % (status, REASONS[status])
            head += b"content-length: %d\r\nconnection: close\r\n" % len(body)
            self._transport.write(head + self._house.date + body)
            self._house.answered("", status)
        self._queue.clear()
        self._linger()

    def _stop_listening(self) -> None:
        """Close after the answers to what has been read whole."""
        self._deaf = True
        if self._queue and not self._queue[-1].complete:
            self._queue.pop()
        if self._queue:
            self._queue[-1].keep = False
        self._regulate()

    def _linger(self) -> None:
        """Close, but not before the caller has had time to stop sending and read."""
        self._deaf = True
        self._queue.clear()
        self._since = self._loop.time()
        self._regulate()
        if not self._transport.is_closing():
            self._transport.write_eof()
