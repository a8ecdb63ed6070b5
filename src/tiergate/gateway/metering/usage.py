"""How many tokens a request may use, and how many it did use: counted upstream, or estimated and marked as such."""

from __future__ import annotations

from typing import Final

import msgspec

OUTPUT_TOKENS: Final = 4_096
"""Tokens of an answer to set aside for, where neither the request nor the model sets a limit."""

IMAGE_TOKENS: Final = 3_072
"""Tokens to set aside for an image at least. Assumed; what it costs is what the upstream says."""

LIKELY_IMAGE_TOKENS: Final = 1_600
"""Tokens of an image that nobody counted: the most that Claude Opus 4 and GPT-4o count for one that they shrink (1,600
and 1,105; their vendors' guides to vision)."""

MOST_TOKENS: Final = 10**8
"""No exchange has so many: an upstream that says so is not believed."""


class Usage(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """Tokens of an exchange, each 0 or more.

    ``input_tokens`` has cached and cache-written ones in it, ``output_tokens`` has reasoning in it. ``estimated``: one
    of the two was not counted by the upstream.
    """

    input_tokens: int
    output_tokens: int
    cached_input_tokens: int = 0
    cache_write_tokens: int = 0
    reasoning_tokens: int = 0
    estimated: bool = False


class Demand(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """What a request may need.

    :ivar input_bytes: bytes of the body without its images; no text has more tokens than bytes.
    :ivar input_chars: characters of it, where that is fewer; it tells scripts apart. 0: as many as bytes.
    :ivar images: how many images there are, in results of tools too.
    :ivar image_bytes: bytes that they take in the body, much where they travel in it.
    :ivar max_output_tokens: limit of one answer, by the request or the model.
    :ivar choices: answers asked for, 0 where no tokens are written.
    """

    input_bytes: int
    input_chars: int = 0
    images: int = 0
    image_bytes: int = 0
    max_output_tokens: int | None = None
    choices: int = 1

    @property
    def most_input(self) -> int:
        """Tokens at most."""
        return self.input_bytes + max(self.image_bytes, self.images * IMAGE_TOKENS)

    @property
    def most_output(self) -> int:
        """Tokens at most of all answers together."""
        limit = OUTPUT_TOKENS if self.max_output_tokens is None else self.max_output_tokens
        return min(max(0, limit), MOST_TOKENS) * max(0, self.choices)


class Seen(msgspec.Struct, kw_only=True, gc=False):
    """What passed of an answer: counts as the upstream gave them, None where it did not, and how much text.

    ``complete``: it ended by itself, so that its counts are its last. ``events``: pieces with text in them, of a
    stream; ``text_bytes`` and ``text_chars`` count text and arguments of tools.
    """

    input_tokens: int | None = None
    output_tokens: int | None = None
    cached_input_tokens: int | None = None
    cache_write_tokens: int | None = None
    reasoning_tokens: int | None = None
    text_bytes: int = 0
    text_chars: int = 0
    events: int = 0
    complete: bool = True


def counted(number: int | None) -> int | None:
    """A count of tokens as it is, or None where it cannot be one."""
    return number if number is not None and 0 <= number <= MOST_TOKENS else None
