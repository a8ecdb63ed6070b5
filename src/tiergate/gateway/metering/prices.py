"""What a model costs on a day, and what an answer cost: exact, in whole numbers.

A price is whole micro-dollars for a million tokens, so that one token costs that many pico-dollars. Pico-dollars are
summed, and rounded up to micro-dollars once an exchange. A price holds from its day until the next one's: whoever
changes prices adds a row and leaves the old ones, so that an old exchange costs today what it cost then.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, date, datetime
from typing import Annotated, Final

import msgspec

from tiergate.admission.known_facts import ModelFact
from tiergate.clock import SECOND
from tiergate.errors import InputError
from tiergate.gateway.metering.usage import Demand, Usage

PICO: Final = 1_000_000
"""Pico-dollars in a micro-dollar."""

_Amount = Annotated[int, msgspec.Meta(ge=0, le=10**12)]


class Price(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A price as an operator states it: micro-dollars for a million tokens, from 00:00 UTC of a day.

    ``cached_input`` and ``cache_write`` cost what input costs, and ``reasoning`` what output costs, where they have no
    price of their own.
    """

    input: _Amount
    output: _Amount
    cached_input: _Amount | None = None
    cache_write: _Amount | None = None
    reasoning: _Amount | None = None
    valid_from: date = date(1970, 1, 1)


class Tariff(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """What a token costs in pico-dollars, from ``from_us`` on (microseconds, UTC)."""

    input: int
    cached_input: int
    cache_write: int
    output: int
    reasoning: int
    from_us: int

    def pico_usd(self, usage: Usage) -> int:
        """Pico-dollars. Counts that contradict one another are read so that no token counts twice or less than none."""
        cached = min(usage.cached_input_tokens, usage.input_tokens)
        written = min(usage.cache_write_tokens, usage.input_tokens - cached)
        thought = min(usage.reasoning_tokens, usage.output_tokens)
        return (
            (usage.input_tokens - cached - written) * self.input
            + cached * self.cached_input
            + written * self.cache_write
            + (usage.output_tokens - thought) * self.output
            + thought * self.reasoning
        )

    def cost(self, usage: Usage) -> int:
        """Micro-dollars, rounded up."""
        return -(-self.pico_usd(usage) // PICO)

    def bound(self, demand: Demand) -> int:
        """The most that a request may cost, in micro-dollars: as if every token were of the dearest kind."""
        into = max(self.input, self.cached_input, self.cache_write)
        return -(-(demand.most_input * into + demand.most_output * max(self.output, self.reasoning)) // PICO)


_FREE: Final = Tariff(input=0, cached_input=0, cache_write=0, output=0, reasoning=0, from_us=0)


class PriceTable:
    """Tariffs of a deployment's models.

    :param prices: rows by model, in any order.
    :param free: models that cost nothing because the operator says so.
    Raises `InputError` for two prices of one day, and for a model that is free and has a price.
    """

    def __init__(self, prices: Mapping[str, Sequence[Price]], free: Sequence[str] = ()) -> None:
        both = set(free) & {model for model, rows in prices.items() if rows}
        if both:
            raise InputError(f"the model `{min(both)}` is free and has a price: leave one of them out")
        self._tariffs = {model: _dated(model, rows) for model, rows in prices.items()}
        self._tariffs |= dict.fromkeys(free, (_FREE,))
        self.in_force = bool(self._tariffs)
        """Whether anything is priced at all. Where nothing is, costs are unknown rather than 0."""

    def at(self, model: str, at_us: int) -> Tariff | None:
        """What ``model`` costs at a moment (microseconds, UTC); None where nobody said."""
        for tariff in self._tariffs.get(model, ()):  # the newest first
            if tariff.from_us <= at_us:
                return tariff
        return None


def price_table(
    models: Iterable[ModelFact], prices: Mapping[str, Sequence[Price]] | None = None, free: Sequence[str] = ()
) -> PriceTable:
    """The prices of a deployment: dated ones, and those of `models.toml` that state both input and output, which hold
    always. Raises `InputError` as `PriceTable` does, and for a model that both price."""
    known = dict(prices or {})
    for model in models:
        if model.input_price is not None and model.output_price is not None:
            if model.model in known:
                raise InputError(f"the model `{model.model}` has a price in `models.toml` and another: keep one")
            known[model.model] = [Price(input=model.input_price, output=model.output_price)]
    return PriceTable(known, free)


def _dated(model: str, rows: Sequence[Price]) -> tuple[Tariff, ...]:
    tariffs = []
    for row in sorted(rows, key=lambda row: row.valid_from, reverse=True):
        if row.valid_from in {one.valid_from for one in rows if one is not row}:
            raise InputError(f"the model `{model}` has two prices from {row.valid_from}: keep one")
        begin = datetime(row.valid_from.year, row.valid_from.month, row.valid_from.day, tzinfo=UTC)
        tariffs.append(
            Tariff(
                input=row.input,
                cached_input=row.input if row.cached_input is None else row.cached_input,
                cache_write=row.input if row.cache_write is None else row.cache_write,
                output=row.output,
                reasoning=row.output if row.reasoning is None else row.reasoning,
                from_us=int(begin.timestamp()) * SECOND,
            )
        )
    return tuple(tariffs)
