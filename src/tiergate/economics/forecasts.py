"""Methods that forecast how many months a follower needs, each with a distribution made of its own past errors.

============  ========================================================================================================
method        months from the day of the question
============  ========================================================================================================
median lag    as long after the leader's model as the median of the lags that have ended so far
staleness     as long after the leader's model as the follower was stale on average over 18 months
trend         a line through the follower's best scores of 18 months, continued to the score
pace          the gap over a pace in points a month; the gap is counted from halfway between the follower's best model
              and the mean of its past best scores carried forward at that pace
combined      the mean of the four
============  ========================================================================================================

Only ``pace`` has parameters, tuned on questions between developers (`tuned`, `PACES`). A distribution is the method's
answer times the factors by which it fell short on other questions; those of open questions are known from below only
and enter by Kaplan and Meier's estimate (doi 10.1080/01621459.1958.10501452).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product
from typing import Final

import numpy as np

from tiergate.economics.catching_up import Asked
from tiergate.economics.frontiers import Days, Flags, Numbers
from tiergate.economics.lag import DAYS_A_MONTH, staleness

LONGEST: Final = 60.0
"""Months; no method says more."""
SHORTEST: Final = 0.5
_WINDOW: Final = 18.0
_STEP: Final = 7
DRAWS: Final = 199


@dataclass(frozen=True)
class Pace:
    """``points`` a month; past best scores of ``window`` months count, by the share that is not ``latest``'s."""

    points: float
    window: int
    latest: float


PACES: Final = tuple(
    Pace(points / 10, window, latest) for points, window, latest in product(range(6, 21), (12, 24, 36), (0.0, 0.5, 1.0))
)
"""What is tried when the pace is tuned."""

METHODS: Final = ("median lag", "staleness", "trend", "pace", "combined")


@dataclass(frozen=True)
class Answers:
    """Months that the methods answer to n questions, nan where one has no answer.

    ``plain``: by the methods without parameters. ``paced``: by every pace of `PACES`, of shape (paces, n)."""

    plain: dict[str, Numbers]
    paced: Numbers

    def of(self, method: str, pace: int) -> Numbers:
        """The answers of a method under the pace of that number."""
        if method == "pace":
            return np.asarray(self.paced[pace], dtype=np.float64)
        if method == "combined":
            return np.asarray(np.nanmean([*self.plain.values(), self.paced[pace]], axis=0), dtype=np.float64)
        return self.plain[method]


def answers(asked: Sequence[Asked]) -> Answers:
    """What every method says to every question, from what was out on the question's day alone."""
    plain = {
        "median lag": _bounded([_since_leader(one, _median_lag(one)) for one in asked]),
        "staleness": _bounded([_since_leader(one, _mean_staleness(one)) for one in asked]),
        "trend": _bounded([_trend(one) for one in asked]),
    }
    levels = {window: _levels(asked, window) for window in {one.window for one in PACES}}
    return Answers(plain, np.array([_by_pace(*levels[one.window], one) for one in PACES]))


def tuned(paced: Numbers, months: Numbers, reached: Flags) -> int:
    """The number of the pace with the least mean absolute error; of open questions counts what is known of them."""
    return int(errors(paced, months, reached).mean(axis=1).argmin())


def errors(said: Numbers, months: Numbers, reached: Flags) -> Numbers:
    """Absolute errors in months; of an open question, by how much it is known to have taken longer."""
    return np.where(reached, np.abs(said - months), np.maximum(months - said, 0.0))


def factors(said: Numbers, months: Numbers, reached: Flags) -> Numbers:
    """By which factors (months + 1) / (answer + 1) a method fell short: `DRAWS` equally likely ones. Beyond the largest
    that is known of an open question, nothing is known, and that one stands."""
    kept = ~np.isnan(said)
    ratios, ended = ((months + 1.0) / (said + 1.0))[kept], reached[kept]
    order = np.lexsort((~ended, ratios))
    ratios, ended = ratios[order], ended[order]
    at_risk = len(ratios) - np.arange(len(ratios))
    below = 1.0 - np.cumprod(np.where(ended, 1.0 - 1.0 / at_risk, 1.0))
    wanted = (np.arange(DRAWS) + 0.5) / DRAWS
    return np.asarray(ratios[np.minimum(np.searchsorted(below, wanted), len(ratios) - 1)], dtype=np.float64)


def drawn(said: float, around: Numbers) -> Numbers:
    """The distribution of months around an answer, as equally likely draws in rising order, none before the day."""
    return np.asarray(np.maximum((said + 1.0) * around - 1.0, 0.0), dtype=np.float64)


def crps(draws: Numbers, months: float, reached: bool) -> float:
    """Continuous ranked probability score in months (doi 10.1198/016214506000001437), of an open question up to the
    time that is known: the integral of the squared difference of distribution and outcome to there."""
    if not reached:
        draws = np.minimum(draws, months)
    n = len(draws)
    between = float(np.sum(np.sort(draws) * (2 * np.arange(n) - n + 1))) / (n * n)
    return float(np.abs(draws - months).mean()) - between


def _bounded(answers: Sequence[float | None]) -> Numbers:
    months = np.array([np.nan if one is None else one for one in answers])
    return np.asarray(np.clip(months, SHORTEST, LONGEST), dtype=np.float64)


def _since_leader(one: Asked, lag: float | None) -> float | None:
    return None if lag is None else lag - (one.on - one.leader_day) / DAYS_A_MONTH


def _median_lag(one: Asked) -> float | None:
    first = one.behind.first_at(one.ahead.scores)
    ended = first < len(one.behind.days)
    lags = one.behind.days[first[ended]] - one.ahead.days[ended]
    return float(np.median(lags)) / DAYS_A_MONTH if len(lags) else None


def _mean_staleness(one: Asked) -> float:
    start = max(int(one.behind.days[0]), int(one.ahead.days[0]))
    return float(staleness(one.behind, one.ahead, _days(one, start, _WINDOW)).mean())


def _trend(one: Asked) -> float | None:
    days = _days(one, int(one.behind.days[0]), _WINDOW)
    if len(days) < 5:
        return None
    slope, level = np.polyfit((days - one.on) / DAYS_A_MONTH, one.behind.best_on(days), 1)
    return (one.score - float(level)) / float(slope) if slope > 0 else LONGEST


def _days(one: Asked, start: int, window: float) -> Days:
    """Every seventh day of the window before the question, back to ``start`` at most."""
    start = max(start, one.on - int(window * DAYS_A_MONTH))
    return np.arange(one.on, start - 1, -_STEP, dtype=np.int64)[::-1]


def _levels(asked: Sequence[Asked], window: int) -> tuple[Numbers, Numbers, Numbers]:
    """For each question: points from the follower's best and from its mean best over a window, and that mean's age."""
    now, mean, age = np.empty(len(asked)), np.empty(len(asked)), np.empty(len(asked))
    for at, one in enumerate(asked):
        days = _days(one, int(one.behind.days[0]), window)
        now[at] = one.score - one.behind.scores[-1]
        mean[at] = one.score - one.behind.best_on(days).mean()
        age[at] = float((one.on - days).mean()) / DAYS_A_MONTH
    return now, mean, age


def _by_pace(now: Numbers, mean: Numbers, age: Numbers, one: Pace) -> Numbers:
    points = one.latest * now + (1.0 - one.latest) * (mean - one.points * age)
    return np.clip(points / one.points, SHORTEST, LONGEST)
