"""Reading a streamed answer while it passes: usage, finish reason and text, without holding anything back."""

from __future__ import annotations

from typing import Final

from tiergate.gateway.chat import UNREADABLE, Usage, decode_answer

LONGEST_EVENT: Final = 4 << 20
DONE: Final = b"[DONE]"


class AnswerReader:
    """Fed the bytes of a `text/event-stream` (WHATWG HTML, server-sent events) in whatever pieces they come."""

    def __init__(self, *, keep_text: bool) -> None:
        self.model: str | None = None
        self.usage: Usage | None = None
        self.finish_reason: str | None = None
        self.done = False
        self.pieces = 0
        """Events that told a part of a choice: of its answer's tokens, about as many at least."""
        self._texts: list[str] | None = [] if keep_text else None
        self._rest = b""

    def feed(self, piece: bytes) -> None:
        """Take the next bytes. Events that are no JSON, and lines too long to be one, are passed over."""
        *lines, self._rest = (self._rest + piece).split(b"\n")
        if len(self._rest) > LONGEST_EVENT:
            self._rest = b""
        for line in lines:
            if line.startswith(b"data:"):
                self._event(line[5:].strip())

    @property
    def text(self) -> str | None:
        """The answer's text, where it is kept."""
        return "".join(self._texts) if self._texts else None

    def _event(self, data: bytes) -> None:
        if data == DONE:
            self.done = True
            return
        try:
            event = decode_answer(data)
        except UNREADABLE:
            return
        self.model = event.model or self.model
        self.usage = event.usage or self.usage
        for choice in event.choices:
            self.finish_reason = choice.finish_reason or self.finish_reason
            self.pieces += choice.finish_reason is None
            if self._texts is not None and choice.delta and choice.delta.content:
                self._texts.append(choice.delta.content)
