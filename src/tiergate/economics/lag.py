"""How far one group of models is behind another, by four definitions, because they differ by a factor of two.

============  ========================================================================================================
definition    what is averaged
============  ========================================================================================================
horizontal    over 100 evenly spaced scores that both reached: months from the leader's first model at the score to the
              follower's first that reaches it or is not significantly lower than that model (two-sided z-test, 5%)
strict        the same, where the follower must reach the score
vertical      over days: the leader's best score less the follower's, in points of ECI
staleness     over days: months since the leader first reached the follower's best score of that day; 0 where the
              follower leads
============  ========================================================================================================

``horizontal`` and ``vertical`` are Epoch AI's (epoch.ai/data-insights/open-closed-eci-gap), ``staleness`` is how Epoch
compares countries (epoch.ai/data-insights/us-vs-china-eci). ``horizontal`` and ``strict`` leave out the scores that the
follower has not reached yet, so they are too small while a gap widens; staleness leaves out none.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, Literal, TypeAlias, get_args

import numpy as np

from tiergate.catalog.scores import Vintage
from tiergate.economics.frontiers import Days, Group, Numbers, day, group
from tiergate.errors import InputError

Definition: TypeAlias = Literal["horizontal", "strict", "vertical", "staleness"]
DEFINITIONS: Final[tuple[Definition, ...]] = get_args(Definition)
UNITS: Final[dict[Definition, str]] = {
    "horizontal": "months",
    "strict": "months",
    "vertical": "ECI points",
    "staleness": "months",
}
DAYS_A_MONTH: Final = 365.25 / 12
LEVELS: Final = 100
_Z95: Final = 1.959963984540054


@dataclass(frozen=True)
class Lag:
    """One definition's answer. ``low`` and ``high``: 90% over scores drawn from their published intervals, none where
    a vintage has no intervals. ``least`` and ``most``: 5% and 95% quantiles of what is averaged, no error bar."""

    definition: Definition
    follower: str
    leader: str
    vintage: str
    from_day: dt.date
    as_of: dt.date
    value: float
    unit: str
    low: float | None
    high: float | None
    least: float
    most: float


def lags(
    vintage: Vintage,
    follower: str,
    leader: str,
    *,
    since: dt.date | None = None,
    as_of: dt.date | None = None,
    resamples: int = 1000,
    seed: int = 1,
) -> list[Lag]:
    """The lag of ``follower`` behind ``leader`` by each definition that the vintage permits: ties need intervals.

    ``since`` and ``as_of`` bound the days that are averaged over; models that came out after ``as_of`` are not seen.
    Raises `InputError` where a group has no models by then, or the two have no score in common."""
    behind, ahead, days = compared(vintage, follower, leader, since, as_of)
    definitions = [name for name in DEFINITIONS if name != "horizontal" or vintage.has_intervals]
    measured = {name: _MEASURES[name](behind.frontier(), ahead.frontier(), days) for name in definitions}
    if not all(len(values) for values in measured.values()):
        raise InputError(f"`{follower}` and `{leader}` have no score in common in vintage `{vintage.name}`")
    drawn: dict[Definition, list[float]] = {name: [] for name in definitions}
    rng = np.random.default_rng(seed)
    for _ in range(resamples if vintage.has_intervals else 0):
        one, other = behind.drawn(rng).frontier(), ahead.drawn(rng).frontier()
        for name in definitions:
            values = _MEASURES[name](one, other, days)
            if len(values):
                drawn[name].append(float(values.mean()))
    found = []
    for name in definitions:
        low, high = np.quantile(drawn[name], [0.05, 0.95]) if drawn[name] else (None, None)
        least, most = np.quantile(measured[name], [0.05, 0.95])
        found.append(
            Lag(
                definition=name,
                follower=follower,
                leader=leader,
                vintage=vintage.name,
                from_day=day(days[0]),
                as_of=day(days[-1]),
                value=float(measured[name].mean()),
                unit=UNITS[name],
                low=None if low is None else float(low),
                high=None if high is None else float(high),
                least=float(least),
                most=float(most),
            )
        )
    return found


@dataclass(frozen=True)
class Gap:
    """What the gap was over a span of days, on average: points of ECI, and months of staleness."""

    from_day: dt.date
    to_day: dt.date
    points: float
    months: float


def gaps(
    vintage: Vintage,
    follower: str,
    leader: str,
    *,
    months: int = 6,
    since: dt.date | None = None,
    as_of: dt.date | None = None,
) -> list[Gap]:
    """The vertical gap and the staleness by spans of ``months`` calendar months (a divisor of 12). Raises as `lags`."""
    behind, ahead, days = compared(vintage, follower, leader, since, as_of)
    one, other = behind.frontier(), ahead.frontier()
    points, stale = vertical(one, other, days), staleness(one, other, days)
    spans = np.array([_span(day(ordinal), months) for ordinal in days])
    found = []
    for span in np.unique(spans):
        held = spans == span
        inside = days[held]
        found.append(Gap(day(inside[0]), day(inside[-1]), float(points[held].mean()), float(stale[held].mean())))
    return found


def _span(one: dt.date, months: int) -> int:
    return (one.year * 12 + one.month - 1) // months


def compared(
    vintage: Vintage, follower: str, leader: str, since: dt.date | None, as_of: dt.date | None
) -> tuple[Group, Group, Days]:
    """Both groups as of a day, and the days from when both had a model (or ``since``) to then. Raises `InputError`."""
    if follower == leader:
        raise InputError(f"`{follower}` is not behind itself: name two groups")
    if as_of is not None:
        vintage = vintage.until(as_of)
    behind, ahead = group(vintage, follower), group(vintage, leader)
    start = max(int(behind.days[0]), int(ahead.days[0]))
    if since is not None:
        start = max(start, since.toordinal())
    end = (as_of or vintage.last).toordinal()
    if start > end:
        raise InputError(f"`--since {day(start)}` is after {day(end)}, the last day of vintage `{vintage.name}`")
    return behind, ahead, np.arange(start, end + 1, dtype=np.int64)


def staleness(behind: Group, ahead: Group, days: Days) -> Numbers:
    """Months since ``ahead`` first reached what ``behind`` had at best on each of ``days``; both are frontiers."""
    first = ahead.first_at(behind.best_on(days))
    reached = np.concatenate((ahead.days, [days[-1] + 1]))[first]
    return np.maximum(days - reached, 0) / DAYS_A_MONTH


def vertical(behind: Group, ahead: Group, days: Days) -> Numbers:
    """Points of ECI by which ``ahead`` led on each of ``days``; both are frontiers."""
    return ahead.best_on(days) - behind.best_on(days)


def horizontal(behind: Group, ahead: Group, *, ties: bool) -> Numbers:
    """Months from the leader's first model at a score to the follower's, for evenly spaced scores that both reached."""
    low = max(behind.scores[0], ahead.scores[0])
    high = min(behind.scores[-1], ahead.scores[-1])
    if low > high:
        return np.empty(0)
    levels = np.linspace(low, high, LEVELS)
    first = ahead.first_at(levels)
    then = behind.first_at(levels)
    if ties:
        short = ahead.scores[first][:, None] - behind.scores
        allowed = _Z95 * np.hypot(ahead.errors[first][:, None], behind.errors)
        then = np.minimum(then, np.where((np.abs(short) <= allowed).any(1), (np.abs(short) <= allowed).argmax(1), then))
    return (behind.days[then] - ahead.days[first]) / DAYS_A_MONTH


_MEASURES: Final[dict[Definition, Callable[[Group, Group, Days], Numbers]]] = {
    "horizontal": lambda behind, ahead, _: horizontal(behind, ahead, ties=True),
    "strict": lambda behind, ahead, _: horizontal(behind, ahead, ties=False),
    "vertical": vertical,
    "staleness": staleness,
}
