"""Dated prices of a candidate, and what a request may be expected to cost there.

A price is whole micro-dollars for a million tokens, which is pico-dollars for one: a cost in pico-dollars is exact.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, date, datetime, time
from typing import Final

import msgspec

from tiergate.catalog.prices import shipped_prices
from tiergate.errors import InputError

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


def start_us(day: date) -> int:
    """The first microsecond of a day, UTC."""
    return int(datetime.combine(day, time(), UTC).timestamp()) * 1_000_000


def listed(catalog_id: str) -> tuple[Price, ...]:
    """The list prices of a model in the catalog, by the name that its provider has for it. Raises `InputError` where
    none is on file, or where it is listed no more: what a provider does not sell has no list price."""
    periods = shipped_prices().periods(catalog_id)
    if periods[-1][0].input is None:
        last = periods[-1][0].first_seen
        raise InputError(f"`{catalog_id}` was no longer listed on {last}: give `prices`")
    return tuple(
        Price(
            from_us=start_us(since),
            input=_micro_usd(one.input),
            output=_micro_usd(one.output),
            cached_input=None if one.cached_input is None else _micro_usd(one.cached_input),
        )
        for one, since in periods
        if one.input is not None and one.output is not None
    )


def _micro_usd(usd: float) -> int:
    return round(usd * 1_000_000)


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
