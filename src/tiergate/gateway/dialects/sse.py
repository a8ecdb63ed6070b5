"""Event streams (WHATWG HTML, server-sent events) as they pass: read, and changed only where they must be."""

from __future__ import annotations

from typing import Final

from tiergate.gateway.dialects.common import Usage

LONGEST_EVENT: Final = 4 << 20
LATER: Final = 64
LATER_BYTES: Final = 4 << 10
"""So many pieces, each of fewer bytes, are read at once: one at a time they cost several times as much."""

KNOWN: Final = (b"\r", b":", b"event", b"id", b"retry")
"""What lines begin with that tell nothing of an answer."""


class EventStream:
    """A streamed answer, fed in whatever pieces it comes. What it said so far stands in the attributes, after
    `catch_up`: events between its first content and its end are read many at once.

    This class passes every byte on as it comes and reads nothing; those of the dialects read the events.
    """

    ENDS: tuple[bytes, ...] = ()
    """What is in an event that ends the stream. Where there is none, every event is read as it comes."""

    def __init__(self, *, keep_text: bool) -> None:
        self.model: str | None = None
        self.usage: Usage | None = None
        self.finish_reason: str | None = None
        self.done = False
        self.pieces = 0
        """Events that told a part of the answer: it has about as many tokens at least."""
        self.text_bytes = 0
        self.text_chars = 0
        """Of the text that it told, and of the arguments of its calls."""
        self.unread = 0
        """Bytes of lines that are none of an event stream's, as where the upstream compresses unasked."""
        self._texts: list[str] | None = [] if keep_text else None
        self._later: list[bytes] = []
        self._begun: list[bytes] = []
        self._size = 0
        """Of a line that is not whole: what has come of it, and how many bytes that is."""

    def feed(self, piece: bytes) -> bytes:
        """Take the next bytes from the upstream; returns those that the caller gets for them.

        Events that are no JSON, and lines too long to be one, are passed over.
        """
        if (
            not (self.pieces and piece.endswith(b"\n") and len(piece) < LATER_BYTES)
            or self._size
            or self._may_end(piece)
        ):
            self.catch_up()
            self._read(piece)
            return piece
        self._later.append(piece)
        if len(self._later) == LATER:
            self.catch_up()
        return piece

    def catch_up(self) -> None:
        """Read what was put off."""
        if self._later:
            later, self._later = self._later, []
            self._read(b"".join(later))

    def _may_end(self, piece: bytes) -> bool:
        for end in self.ENDS:
            if end in piece:
                return True
        return not self.ENDS

    def end(self) -> bytes:
        """What the caller still gets when the upstream has ended its answer."""
        return b""

    @property
    def text(self) -> str | None:
        """The answer's text, where it is kept."""
        return "".join(self._texts) if self._texts else None

    def _read(self, piece: bytes) -> None:
        for line in self._lines(piece):
            if line.startswith(b"data:"):
                self._event(line[5:].strip())
            elif line and not line.startswith(KNOWN):
                self.unread += len(line)
        if self._size > LONGEST_EVENT:
            self._rest()

    def _measure(self, text: object) -> None:
        """Count what the answer costs as text does, where it is text: arguments of a call too."""
        if isinstance(text, str):
            self.text_chars += len(text)
            self.text_bytes += len(text) if text.isascii() else len(text.encode("utf-8", "replace"))

    def _tell(self, text: str) -> None:
        """Count a part of the answer's text, and keep it where it is kept."""
        self._measure(text)
        if self._texts is not None:
            self._texts.append(text)

    def _lines(self, piece: bytes) -> list[bytes]:
        """The lines that ``piece`` completes."""
        if self._size:
            self._begun.append(piece)
            self._size += len(piece)
            if b"\n" not in piece:
                return []  # not put together yet: for a line of many small pieces that would take as long as its square
            piece = self._rest()
        *lines, rest = piece.split(b"\n")
        if rest:
            self._begun, self._size = [rest], len(rest)
        return lines

    def _rest(self) -> bytes:
        """What has come of a line that is not whole; it is begun anew."""
        rest = b"".join(self._begun)
        self._begun, self._size = [], 0
        return rest

    def _event(self, data: bytes) -> None:
        """One event's data."""
