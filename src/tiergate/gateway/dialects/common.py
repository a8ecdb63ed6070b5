"""What is asked and what is answered, in whatever dialect: all that admission, charging and the record know of it."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated, Final, Literal

import msgspec

Operation = Literal["chat", "responses", "messages", "embeddings"]
"""As in the exchange log's column of this name."""

Count = Annotated[int, msgspec.Meta(ge=-(2**63), le=2**63 - 1)]
"""A whole number that a column of the exchange log can hold."""

UNREADABLE: Final = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)
"""What decoding raises for bytes that are no such message."""


class Asked(msgspec.Struct, kw_only=True, gc=False):
    """What we want to know of a request.

    ``limits``: of the tokens of an answer, all that are given, as upstreams differ in which they obey. ``answers``: how
    many are asked for, 0 where no tokens are written. ``prompt_text``: the last words of the user's
    own, then the results of tools since the model last spoke. ``show_usage``: the caller wants a stream's usage.
    ``tool_models``: models that tools are to ask. ``cache_key``: the caller's own name for a beginning that an
    upstream may have cached; ``continues``: the answer that this goes on from. ``images``: of each, the bytes that it
    takes in the body.
    """

    model: str
    stream: bool = False
    show_usage: bool = True
    end_user: str | None = None
    temperature: float | None = None
    limits: list[int] = []
    answers: int = 1
    message_count: int | None = None
    system_text: str | None = None
    prompt_text: str | None = None
    tool_names: list[str] | None = None
    tool_models: list[str] = []
    cache_key: str | None = None
    continues: str | None = None
    needs_tools: bool = False
    images: list[int] = []
    needs_structure: bool = False

    @property
    def max_tokens(self) -> int | None:
        """The limit on the tokens of an answer, the largest that is given."""
        return max(self.limits, default=None)

    @property
    def needs_vision(self) -> bool:
        """Whether there are images."""
        return bool(self.images)


class Usage(msgspec.Struct, kw_only=True, gc=False):
    """Tokens as the upstream counted them.

    Input counts all that was read, cached and written to the cache included; output counts reasoning (as
    `gen_ai.usage` of the OpenTelemetry GenAI conventions and OpenAI's usage do).
    """

    input_tokens: int | None = None
    output_tokens: int | None = None
    cached_input_tokens: int | None = None
    cache_write_tokens: int | None = None
    reasoning_tokens: int | None = None


class Answered(msgspec.Struct, kw_only=True, gc=False):
    """What we want to know of an answer; ``text`` is that of its first choice."""

    model: str | None = None
    usage: Usage | None = None
    finish_reason: str | None = None
    text: str | None = None


UPSTREAM_ERROR: Final = "upstream_error"
"""Finish reason of an answer that its upstream ended with an error, and the code of ours where there is none."""


def joined(texts: Iterable[str | None]) -> str | None:
    """The texts that are there, a line break between them."""
    there = [text for text in texts if text]
    return "\n".join(there) if there else None


def newest(turns: Iterable[tuple[str, str | None, str | None]]) -> str | None:
    """The prompt of a conversation: see `Asked`.

    :param turns: role, the user's own words and tool results of each message, the last one first.
    """
    words: str | None = None
    results: list[str | None] = []
    unanswered = True
    for role, own, told in turns:
        if role == "assistant":
            unanswered = False
        elif told and unanswered:
            results.append(told)
        words = words or own
        if words and not unanswered:
            break
    return joined([words, *reversed(results)]) if results else words
