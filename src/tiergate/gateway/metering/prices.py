"""What a model costs on a day, and what an answer cost: exact, in whole numbers.

A price is whole micro-dollars for a million tokens, so that one token costs that many pico-dollars. Pico-dollars are
summed, and rounded up to micro-dollars once an exchange. A price holds from its day until the next one's: whoever
changes prices adds a row and leaves the old ones, so that an old exchange costs today what it cost then.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Final

import msgspec

from tiergate.admission.known_facts import ModelFact
from tiergate.gateway.metering.usage import Demand, Usage
from tiergate.gateway.routing.candidates import Candidate
from tiergate.gateway.routing.prices import Price

PICO: Final = 1_000_000
"""Pico-dollars in a micro-dollar."""


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


class PriceTable:
    """Tariffs of a deployment's models, by the names that callers or groups know them by.

    :param prices: a model's prices by the moment from which each holds, in any order.
    """

    def __init__(self, prices: Mapping[str, Sequence[Price]]) -> None:
        self._tariffs = {
            model: tuple(_tariff(row) for row in sorted(rows, key=lambda row: -row.from_us))
            for model, rows in prices.items()
        }
        self.in_force = bool(self._tariffs)
        """Whether anything is priced at all. Where nothing is, costs are unknown rather than 0."""

    def at(self, model: str, at_us: int) -> Tariff | None:
        """What ``model`` costs at a moment (microseconds, UTC); None where nobody said."""
        for tariff in self._tariffs.get(model, ()):  # the newest first
            if tariff.from_us <= at_us:
                return tariff
        return None


def price_table(models: Iterable[ModelFact], candidates: Iterable[Candidate] = ()) -> PriceTable:
    """The prices of a deployment: those of `models.toml` that state both input and output, which hold always, and in
    their place those of candidates."""
    prices: dict[str, Sequence[Price]] = {
        model.model: [Price(from_us=0, input=model.input_price, output=model.output_price)]
        for model in models
        if model.input_price is not None and model.output_price is not None
    }
    return PriceTable(prices | {one.name: one.prices for one in candidates})


def _tariff(row: Price) -> Tariff:
    return Tariff(
        input=row.input,
        cached_input=row.input if row.cached_input is None else row.cached_input,
        cache_write=row.input if row.cache_write is None else row.cache_write,
        output=row.output,
        reasoning=row.output if row.reasoning is None else row.reasoning,
        from_us=row.from_us,
    )
