"""Groups of models, and the frontier of each: the models that were the group's best when they came out."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from tiergate.catalog.scores import Score, Vintage
from tiergate.errors import InputError

Numbers = NDArray[np.float64]
Days = NDArray[np.int64]
Flags = NDArray[np.bool_]

_Z90: Final = 1.6448536269514722
_COUNTRY_WORDS: Final = {"china": "CN", "usa": "US", "us": "US", "uk": "GB", "france": "FR"}


@dataclass(frozen=True)
class Group:
    """Models of a vintage that a name stands for, by day of release, the best of a day first.

    ``days``: proleptic ordinals. ``below``, ``above``: standard deviations of a score towards either side, 0 where no
    interval was published."""

    name: str
    models: tuple[str, ...]
    days: Days
    scores: Numbers
    below: Numbers
    above: Numbers

    @property
    def errors(self) -> Numbers:
        """Standard errors: half of the 90% interval's width over its z."""
        return (self.below + self.above) / 2

    def drawn(self, rng: np.random.Generator) -> Group:
        """The same models with scores drawn from their intervals, independently; the median is the published score."""
        z = rng.standard_normal(len(self.scores))
        scores = self.scores + z * np.where(z < 0, self.below, self.above)
        return Group(self.name, self.models, self.days, scores, self.below, self.above)

    def frontier(self) -> Group:
        """Its record holders: each scores higher than all before it, one a day."""
        best_before = np.concatenate(([-np.inf], np.maximum.accumulate(self.scores)[:-1]))
        held = self.scores > best_before
        return self._where(held & ~_beaten_the_same_day(self.days, held))

    def until(self, day: int) -> Group:
        return self._where(self.days <= day)

    def best_on(self, days: Days) -> Numbers:
        """The frontier's score on each of ``days``; -inf before the first model. For frontiers alone."""
        before = np.concatenate(([-np.inf], self.scores))
        return np.asarray(before[np.searchsorted(self.days, days, side="right")], dtype=np.float64)

    def first_at(self, levels: Numbers) -> NDArray[np.int64]:
        """Which model first reached each of ``levels``; ``len(scores)`` where none did. For frontiers alone."""
        return np.searchsorted(self.scores, levels, side="left")

    def _where(self, chosen: Flags) -> Group:
        models = tuple(name for name, wanted in zip(self.models, chosen, strict=True) if wanted)
        return Group(self.name, models, self.days[chosen], self.scores[chosen], self.below[chosen], self.above[chosen])


def group(vintage: Vintage, name: str) -> Group:
    """The models that ``name`` stands for: ``open``, ``closed``, ``unknown`` (whether there are weights), a country
    (``US``, ``China``), a developer (``OpenAI``), words that narrow each other (``US:open``), or several groups
    together (``closed+unknown``).

    Raises `InputError` for a name that stands for no model of the vintage."""
    chosen = [one for one in vintage.scores if any(_is(one, part) for part in name.split("+"))]
    if not chosen:
        raise InputError(
            f"`{name}` stands for no model of vintage `{vintage.name}`: give open, closed, unknown, a country "
            f"({', '.join(vintage.countries)}) or a developer ({', '.join(vintage.developers)}); `US:open` narrows, "
            "`closed+unknown` joins"
        )
    return Group(
        name,
        tuple(one.model for one in chosen),
        np.array([one.released.toordinal() for one in chosen], dtype=np.int64),
        np.array([one.score for one in chosen]),
        _deviations([one.score - (one.score if one.low is None else one.low) for one in chosen]),
        _deviations([(one.score if one.high is None else one.high) - one.score for one in chosen]),
    )


def day(ordinal: int) -> dt.date:
    return dt.date.fromordinal(int(ordinal))


def _is(one: Score, part: str) -> bool:
    return all(_has(one, word.strip().casefold()) for word in part.split(":"))


def _has(one: Score, word: str) -> bool:
    if word in {"open", "closed", "unknown"}:
        return one.access == word
    country = _COUNTRY_WORDS.get(word, word.upper())
    return country in one.countries or any(word == name.casefold() for name in one.developers)


def _deviations(halves: Sequence[float]) -> Numbers:
    # Published intervals are quantiles of a bootstrap and need not hold the score.
    return np.asarray(np.maximum(halves, 0.0) / _Z90, dtype=np.float64)


def _beaten_the_same_day(days: Days, held: Flags) -> Flags:
    """Record holders that a later row of the same day beats: drawn scores need not fall within a day."""
    beaten = np.zeros(len(days), dtype=bool)
    rows = np.flatnonzero(held)
    beaten[rows[:-1]] = days[rows[:-1]] == days[rows[1:]]
    return beaten
