"""Dated prices of a candidate, and what a request may be expected to cost there.

A price is whole micro-dollars for a million tokens, which is pico-dollars for one: a cost in pico-dollars is exact.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import msgspec

TYPICAL_OUTPUT: Final = 256
"""Tokens that an answer is expected to have, for comparing candidates.

Published traces have means of 28 (Azure 2023, code), 211 (Azure 2023, conversation) and 440 (Claude Code sessions).
A request's own limit only ever lowers it: most limits are set far above what comes.
"""


class Price(msgspec.Struct, frozen=True, kw_only=True):
    """Prices from a moment on (microseconds since the epoch, UTC), until the next one's. What is None costs what input
    costs, or output for ``reasoning``."""

    from_us: int
    input: int
    output: int
    cached_input: int | None = None
    cache_write: int | None = None
    reasoning: int | None = None


FREE: Final = Price(from_us=0, input=0, output=0)
"""What costs nothing, because somebody said so."""


def price_at(prices: Sequence[Price], now_us: int) -> Price | None:
    """The price in force; ``prices`` ascend by `from_us`. None before the first."""
    for price in reversed(prices):
        if price.from_us <= now_us:
            return price
    return None


def expected_output(max_tokens: int | None, choices: int) -> int:
    """Tokens that all answers to a request may be expected to have together."""
    one = TYPICAL_OUTPUT if max_tokens is None else min(TYPICAL_OUTPUT, max_tokens)
    return max(0, one) * max(1, choices)


def expected_cost(price: Price, input_tokens: int, output_tokens: int) -> int:
    """Pico-dollars, without what a cache may save."""
    return price.input * input_tokens + price.output * output_tokens
