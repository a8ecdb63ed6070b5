"""An upstream's answer while it comes in."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Final

from tiergate.errors import UpstreamError

BUFFERED: Final = 256 << 10
"""Bytes that may wait for a caller who is slower than the upstream, before the upstream is made to wait."""


class Answer:
    """Status, headers and body. The body can be read once: whole, or piece by piece as it comes.

    Its reader meets `UpstreamError` where it breaks off, after all that came before.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop, transport: asyncio.Transport, largest: int) -> None:
        self.status = 0
        self.headers: Sequence[tuple[bytes, bytes]] = ()
        """Names in lower case, in the order they came in."""
        self.paused = False
        """Whether the upstream is made to wait."""
        self._loop, self._transport, self._largest = loop, transport, largest
        self._pieces: list[bytes] = []
        self._size = 0
        self._ended = False
        self._error: Exception | None = None
        self._take: Callable[[bytes], bool] | None = None
        """What gets each piece as it comes (`relay`)."""
        self._waiter: asyncio.Future[None] | None = None

    def header(self, name: bytes) -> bytes | None:
        """The first header field called ``name``, which is in lower case."""
        for known, value in self.headers:
            if known == name:
                return value
        return None

    @property
    def content_type(self) -> str:
        """The media type without its parameters, in lower case; empty when there is none."""
        return (self.header(b"content-type") or b"").partition(b";")[0].strip().lower().decode("latin-1")

    async def head(self) -> None:
        """Returns when status and headers are there."""
        while not self.status:
            await self._news()

    async def readany(self) -> bytes:
        """What has come since the last call, waiting for something; nothing at the end."""
        while not self._pieces and not self._ended:
            await self._news()
        return self._taken()

    async def relay(self, take: Callable[[bytes], bool]) -> bool:
        """Give each piece to ``take`` as soon as it is there, until that returns False; whether it did, or the body
        has ended. What the connection or ``take`` failed with is raised after what came before it.

        No task is woken for a piece: that would double what an event of a stream costs.
        """
        if self._pieces and not take(self._taken()):
            return True
        self._take = take
        try:
            while self._take is not None and not self._ended:
                await self._news()
        finally:
            stopped, self._take = self._take is None, None
        return stopped

    async def read(self) -> bytes:
        """The whole body. Raises `UpstreamError` when it is larger than answers may be."""
        while not self._ended and self._size <= self._largest:
            self.resume()
            await self._news()
        if self._size > self._largest:
            raise UpstreamError(f"the upstream model's answer is larger than {self._largest} bytes", status=502)
        return self._taken()

    # what the connection does with it

    def begin(self, status: int, headers: Sequence[tuple[bytes, bytes]]) -> None:
        self.status, self.headers = status, headers
        self._wake()

    def feed(self, piece: bytes) -> None:
        if self._error is not None:
            return  # what is left of an answer whose reader failed
        if self._take is not None:
            try:
                if self._take(piece):
                    return
            except Exception as error:
                self._error = error
            self._take = None
            self._wake()
            return
        self._pieces.append(piece)
        self._size += len(piece)
        if self._size > BUFFERED and not self.paused:
            self.paused = True
            self._transport.pause_reading()
        self._wake()

    def end(self) -> None:
        # The end of what could not be read to its end is no end of it.
        self._ended = self._error is None
        self._wake()

    def fail(self, error: UpstreamError) -> None:
        self._error = error
        self._wake()

    def _taken(self) -> bytes:
        pieces, self._pieces, self._size = self._pieces, [], 0
        self.resume()
        return pieces[0] if len(pieces) == 1 else b"".join(pieces)

    def resume(self) -> None:
        """Let the upstream go on."""
        if self.paused:
            self.paused = False
            if not self._transport.is_closing():
                self._transport.resume_reading()

    async def _news(self) -> None:
        """Returns when anything has changed. Raises what the connection failed with."""
        if self._error is not None:
            raise self._error
        self._waiter = self._loop.create_future()
        try:
            await self._waiter
        finally:
            self._waiter = None

    def _wake(self) -> None:
        waiter = self._waiter
        if waiter is not None and not waiter.done():
            waiter.set_result(None)
