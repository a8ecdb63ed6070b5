"""Bodies of requests, read within limits: of each, and of all that are held at once."""

from __future__ import annotations

from contextlib import suppress
from typing import Final

from tiergate.gateway.replies import ClientGoneError, RawHeaders, Receive

SMALL: Final = 1 << 20
"""Bytes of a body that always find room: what a few callers send must not keep out all others."""


class BodyRefusedError(Exception):
    """A body is not read to its end. It holds what its caller is told."""

    def __init__(self, status: int, code: str, message: str, *headers: tuple[bytes, bytes]) -> None:
        super().__init__(message)
        self.status, self.code, self.message = status, code, message
        self.headers: RawHeaders = [*headers, (b"connection", b"close")]


class Bodies:
    """``each``: bytes of the largest body; ``together``: of all at once, their first `SMALL` bytes left out."""

    def __init__(self, each: int, together: int) -> None:
        self.each, self.together = each, together
        self.held = 0
        """Bytes beyond `SMALL` that are held now."""


class Room:
    """Room for one request's body, until its request has ended."""

    __slots__ = ("_bodies", "_held")

    def __init__(self, bodies: Bodies) -> None:
        self._bodies, self._held = bodies, 0

    async def read(self, receive: Receive, headers: dict[bytes, bytes]) -> bytes:
        """The whole body. Raises `BodyRefusedError`, and `ClientGoneError` where its caller hung up."""
        bodies, size, pieces = self._bodies, 0, []
        with suppress(ValueError):
            self._check(int(headers.get(b"content-length", b"0")))
        while True:
            message = await receive()
            if message["type"] == "http.disconnect":
                raise ClientGoneError
            pieces.append(message.get("body", b""))
            size += len(pieces[-1])
            self._check(size)
            if size - SMALL > self._held:
                bodies.held += size - SMALL - self._held
                self._held = size - SMALL
                if bodies.held > bodies.together:
                    told = "too many large requests are under way; try again shortly"
                    raise BodyRefusedError(503, "overloaded", told, (b"retry-after", b"1"))
            if not message.get("more_body"):
                return b"".join(pieces)

    def leave(self) -> None:
        """Its request has ended."""
        self._bodies.held -= self._held
        self._held = 0

    def _check(self, size: int) -> None:
        if size > self._bodies.each:
            message = f"the request body is larger than {self._bodies.each} bytes"
            raise BodyRefusedError(413, "request_too_large", message)
