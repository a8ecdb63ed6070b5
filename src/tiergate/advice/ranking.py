"""Who comes first under which weights: never one score, but the share of all weights under which each model wins.

Stochastic multicriteria acceptability analysis, SMAA-2 (Lahdelma and Salminen, Operations Research 49(3), 2001):
weights are drawn evenly from all there can be (a flat Dirichlet distribution), or from those that respect an order of
priorities; figures that are uncertain are drawn from their intervals, and unknown ones from the whole range of a
criterion. A rank's acceptability is the share of draws in which a model has it; its central weights are the mean of
those under which it wins.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from tiergate.errors import InputError

MOST_DRAWS: Final = 1_000_000
INTERVAL_Z: Final = 1.6448536269514722
"""Standard deviations from the mean to either end of a 90% interval of a normal distribution."""
F64 = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Figure:
    """A figure of an alternative under a criterion; ``low`` and ``high``: its 90% interval. ``value`` None: unknown."""

    value: float | None
    low: float | None = None
    high: float | None = None


@dataclass(frozen=True, slots=True)
class Criterion:
    """``figures``: one an alternative. ``rising``: whether more is better; ``ratio``: whether figures compare by how
    many times one is the other, as costs do, rather than by their difference."""

    name: str
    figures: tuple[Figure, ...]
    rising: bool
    ratio: bool = False


@dataclass(frozen=True, slots=True)
class Ranked:
    """``acceptability``: share of draws in which it has the first rank, the second, and so on; ``central``: its central
    weights by criterion, empty where it never wins."""

    name: str
    acceptability: tuple[float, ...]
    central: Mapping[str, float]

    @property
    def wins(self) -> float:
        return self.acceptability[0]


def rank(
    names: Sequence[str], criteria: Sequence[Criterion], *, priorities: Sequence[str] = (), draws: int, seed: int
) -> list[Ranked]:
    """Alternatives ``names`` (n,) under ``criteria``, who wins most first.

    :param priorities: criteria whose weights do not rise in this order, and of which none weighs less than one that is
        not named.
    Raises `InputError` for fewer than one draw, or more than `MOST_DRAWS`.
    """
    if not 1 <= draws <= MOST_DRAWS:
        raise InputError(f"{draws:,} draws are none that can be made: give 1 to {MOST_DRAWS:,}")
    if not names:
        return []
    rng = np.random.default_rng(seed)
    weights = _weights(rng, [one.name for one in criteria], priorities, draws)
    total = np.zeros((draws, len(names)))
    for place, criterion in enumerate(criteria):
        total += weights[:, place : place + 1] * _values(rng, criterion, draws)
    # Equal totals share a rank by the order of names: the same data give the same ranks.
    order = np.argsort(-total, axis=1, kind="stable")
    ranks = np.empty_like(order)
    np.put_along_axis(ranks, order, np.arange(len(names))[None, :], axis=1)
    found = []
    for place, name in enumerate(names):
        counts = np.bincount(ranks[:, place], minlength=len(names))
        won = weights[ranks[:, place] == 0]
        central = dict(zip((one.name for one in criteria), won.mean(axis=0).tolist(), strict=True)) if len(won) else {}
        found.append(Ranked(name, tuple((counts / draws).tolist()), central))
    return sorted(found, key=lambda one: (tuple(-share for share in one.acceptability), one.name))


def _weights(rng: np.random.Generator, names: Sequence[str], priorities: Sequence[str], draws: int) -> F64:
    """Weights (draws, criteria), each row adding up to 1."""
    weights = rng.dirichlet(np.ones(len(names)), draws)
    named = [names.index(one) for one in priorities if one in names]
    if named:
        # Sorted, an even draw is an even draw from those that are in order.
        others = [place for place in range(len(names)) if place not in named]
        falling = -np.sort(-weights, axis=1)
        weights[:, named] = falling[:, : len(named)]
        weights[:, others] = rng.permuted(falling[:, len(named) :], axis=1)
    return weights


def _values(rng: np.random.Generator, criterion: Criterion, draws: int) -> F64:
    """Partial values (draws, alternatives), 0 for the worst and 1 for the best of the known figures."""
    known = np.array([np.nan if one.value is None else one.value for one in criterion.figures])
    spread = np.array(
        [0.0 if None in (one.low, one.high) else (one.high - one.low) / (2 * INTERVAL_Z) for one in criterion.figures]  # type: ignore[operator]
    )
    drawn = known + spread * rng.standard_normal((draws, len(known)))
    if criterion.ratio:
        drawn = np.log(np.maximum(drawn, 1e-9))
        known = np.log(np.maximum(known, 1e-9))
    values = np.full_like(drawn, 0.5)
    if not np.isnan(known).all():
        worst, best = float(np.nanmin(known)), float(np.nanmax(known))
        if best > worst:
            values = (drawn - worst) / (best - worst)
    if not criterion.rising:
        values = 1 - values
    unknown = np.isnan(known)
    values[:, unknown] = rng.random((draws, int(unknown.sum())))
    return np.clip(values, 0.0, 1.0)
