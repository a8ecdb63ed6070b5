"""Whether the best models of several developers get closer: the spread of their best scores at the end of each month.

The spread is the best developer's score less the worst's, in points of ECI, each by its best model so far.
"""

from __future__ import annotations

import calendar
import datetime as dt
from dataclasses import dataclass
from typing import Final

import numpy as np

from tiergate.catalog.scores import Vintage
from tiergate.economics.frontiers import Group, group
from tiergate.errors import InputError

FRONTIER_LABS: Final = ("OpenAI", "Anthropic", "Google")


@dataclass(frozen=True)
class Spread:
    """The spread on a day in points of ECI, with 90% over scores drawn from their intervals where there are any.
    ``best``: each group's best score by then, and ``models``: whose it is."""

    on: dt.date
    spread: float
    low: float | None
    high: float | None
    best: dict[str, float]
    models: dict[str, str]


def spreads(
    vintage: Vintage,
    names: tuple[str, ...] = FRONTIER_LABS,
    *,
    since: dt.date | None = None,
    as_of: dt.date | None = None,
    resamples: int = 1000,
    seed: int = 1,
) -> list[Spread]:
    """The spread among ``names`` (see `group`) at the end of each month in which all have a model, and on the last day.

    Raises `InputError` for fewer than two names, or a name that stands for no model by then."""
    if len(set(names)) < 2:
        raise InputError(f"a spread is among two groups or more: give names such as {', '.join(FRONTIER_LABS)}")
    if as_of is not None:
        vintage = vintage.until(as_of)
    groups = [group(vintage, name) for name in names]
    start = max(dt.date.fromordinal(int(one.days[0])) for one in groups)
    ends = month_ends(max(start, since or start), as_of or vintage.last)
    days = np.array([end.toordinal() for end in ends], dtype=np.int64)
    best = np.array([one.frontier().best_on(days) for one in groups])
    drawn = np.empty((resamples, len(days)))
    rng = np.random.default_rng(seed)
    for row in drawn:
        scores = np.array([one.drawn(rng).frontier().best_on(days) for one in groups])
        row[:] = scores.max(0) - scores.min(0)
    known = vintage.has_intervals and resamples > 0
    bounds = np.quantile(drawn, [0.05, 0.95], axis=0) if known else None
    return [
        Spread(
            on=end,
            spread=float(best[:, at].max() - best[:, at].min()),
            low=None if bounds is None else float(bounds[0, at]),
            high=None if bounds is None else float(bounds[1, at]),
            best={name: float(score) for name, score in zip(names, best[:, at], strict=True)},
            models={name: _holder(one, end) for name, one in zip(names, groups, strict=True)},
        )
        for at, end in enumerate(ends)
    ]


def month_ends(start: dt.date, end: dt.date) -> list[dt.date]:
    """The last days of the months from ``start`` on, and ``end`` itself. Raises `InputError` when there is none."""
    if start > end:
        raise InputError(f"the first day, {start}, is after the last, {end}: both groups must have a model by then")
    found = []
    year, month = start.year, start.month
    while (last := dt.date(year, month, calendar.monthrange(year, month)[1])) < end:
        found.append(last)
        year, month = (year, month + 1) if month < 12 else (year + 1, 1)
    return [*found, end]


def _holder(one: Group, end: dt.date) -> str:
    return one.until(end.toordinal()).frontier().models[-1]
