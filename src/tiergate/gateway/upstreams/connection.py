"""One connection to an upstream: HTTP/1.1 (RFC 9112), one request at a time, its answer read as it comes.

What frames a message is checked strictly, because two readers that disagree about where an answer ends can be made to
give one caller another's: an answer with both `Content-Length` and `Transfer-Encoding`, with a coding other than
`chunked`, chunk sizes that are no hexadecimal number, folded header lines or bytes after its end is an error, and the
connection is not used again. llhttp refuses most of these, `_check_framing` the rest.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Final, cast

import httptools

from tiergate.errors import UpstreamError
from tiergate.gateway.upstreams.answer import Answer

HEAD_BYTES: Final = 64 << 10
"""Most bytes of an answer's header fields, and of its trailer."""

HEADERS: Final = 200
OVERHEAD: Final = 16
"""Bytes of framing for each byte of an answer's body, beyond which an upstream only keeps us busy."""


class Connection(asyncio.Protocol):
    """Sends requests and fills their answers. ``lost`` is called once, when the connection is gone."""

    def __init__(self, lost: Callable[[Connection], None], largest_answer: int) -> None:
        self._loop = asyncio.get_running_loop()
        self._lost = lost
        self._largest_answer = largest_answer
        self._parser = httptools.HttpResponseParser(self)
        self._answer: Answer | None = None
        self._told: list[tuple[bytes, bytes]] = []
        self._received = 0
        self._body_bytes = 0
        self._pieces: list[bytes] = []
        """Of the body, what the last bytes that came have of it: handed on together."""
        self._framed = False
        self._ended = False
        self._keep = True
        self.used = False
        """Whether it has carried a request before."""
        self.sent_at = 0.0
        self.heard_at = 0.0
        """When the request under way was sent and when the upstream was last heard, by the loop's clock."""

    # what the pool does with it

    @property
    def reusable(self) -> bool:
        """Whether the last answer is whole and nothing speaks against a further request."""
        answer = self._answer
        idle = answer is None or self._ended
        return idle and self._keep and not self._transport.is_closing() and not self._transport.get_write_buffer_size()

    @property
    def untouched(self) -> bool:
        """Whether nothing of an answer to the request under way has come."""
        return not self._received

    @property
    def waits(self) -> bool:
        """Whether the upstream waits for the caller to take what it sent."""
        return self._answer is not None and (self._ended or self._answer.paused)

    def send(self, head: bytes, body: bytes | None) -> Answer:
        """Send a request; its answer fills as it comes."""
        self._told, self._pieces, self._received, self._body_bytes, self._ended = [], [], 0, 0, False
        self.sent_at = self.heard_at = self._loop.time()
        self._answer = answer = Answer(self._loop, self._transport, self._largest_answer)
        if body and len(body) > HEAD_BYTES:
            self._transport.writelines([head, body])
        else:
            self._transport.write(head + body if body else head)
        return answer

    def idle(self) -> None:
        """Forget the answer that was read, and be ready for the next request."""
        if self._answer is not None:
            self._answer.resume()
        self._answer = None
        self.used = True
        self.heard_at = self._loop.time()

    def abort(self, error: UpstreamError | None = None) -> None:
        """Close at once; an answer under way fails with ``error``."""
        self._fail(error or UpstreamError("the request was called off", status=502))

    # asyncio.Protocol

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)

    def connection_lost(self, error: Exception | None) -> None:
        answer = self._answer
        if answer is not None and not self._ended:
            # Without a length and without chunks an answer ends with the connection, if that ends in an orderly way.
            if answer.status and error is None and not self._framed:
                self._ended = True
                answer.end()
            else:
                answer.fail(UpstreamError("the upstream model broke off", status=502))
        self._lost(self)

    def data_received(self, data: bytes) -> None:
        if self._answer is None:
            # Nothing was asked: what comes now could be taken for the answer to the next request.
            self._fail(UpstreamError("the upstream model spoke unasked", status=502))
            return
        self.heard_at = self._loop.time()
        self._received += len(data)
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade:
            self._fail(UpstreamError("the upstream model wants another protocol", status=502))
        except httptools.HttpParserError as error:
            self._keep = False
            cause = error.__context__ if isinstance(error, httptools.HttpParserCallbackError) else error
            self._fail(UpstreamError(f"the upstream model's answer cannot be read: {cause}", status=502))
        else:
            self._hand_on()
            if self._received - self._body_bytes > 2 * HEAD_BYTES + OVERHEAD * self._body_bytes:
                self._fail(UpstreamError("the upstream model sends framing without an answer", status=502))

    # httptools.HttpResponseParser

    def on_message_begin(self) -> None:
        if self._ended:
            self._keep = False

    def on_header(self, name: bytes, value: bytes) -> None:
        self._told.append((name.lower(), value))

    def on_headers_complete(self) -> None:
        told, self._told = self._told, []  # what comes later is another head, or a trailer
        answer, status = self._answer, self._parser.get_status_code()
        if answer is None or self._ended:
            return
        if status >= 200:
            self._framed = self._check_framing(status, told)
            answer.begin(status, told)

    def on_body(self, piece: bytes) -> None:
        if self._answer is not None and not self._ended:
            self._body_bytes += len(piece)
            self._pieces.append(piece)

    def on_message_complete(self) -> None:
        answer = self._answer
        if answer is None or not answer.status or self._ended:
            return
        self._hand_on()
        self._ended = True
        self._keep = self._parser.should_keep_alive()
        answer.end()

    def _check_framing(self, status: int, told: list[tuple[bytes, bytes]]) -> bool:
        """Whether the answer says where it ends."""
        version = self._parser.get_http_version()
        if version not in ("1.1", "1.0"):
            raise ValueError(f"HTTP/{version} is not spoken here")
        framed, codings, size = status in (204, 304), 0, 0
        for name, value in told:
            size += len(name) + len(value) + 4
            if name == b"content-length":
                framed = True
            elif name == b"transfer-encoding":
                framed, codings = True, codings + 1
                if codings > 1 or value.strip().lower() != b"chunked" or version == "1.0":
                    raise ValueError("its transfer coding is not `chunked` alone")
        if size > HEAD_BYTES or len(told) > HEADERS:
            raise ValueError("its header is too long")
        return framed

    def _hand_on(self) -> None:
        pieces = self._pieces
        if pieces and self._answer is not None:
            piece = pieces[0] if len(pieces) == 1 else b"".join(pieces)
            pieces.clear()
            self._answer.feed(piece)

    def _fail(self, error: UpstreamError) -> None:
        self._hand_on()
        self._keep = False
        if self._answer is not None and not self._ended:
            self._answer.fail(error)
        self._transport.abort()
