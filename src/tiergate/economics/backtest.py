"""How well the methods of `forecasts` would have done, under two protocols and over real vintages, whatever that shows.

``other groups``
    Parameters and distributions come from questions between developers over the same years. The groups that are
    reported were never tuned on, but the pace of the whole field is known with hindsight.
``known then``
    On each day, parameters and distributions come from what was known that day of questions between developers. Scores
    are still those of one later vintage.
``vintages``
    The same with the scores of an older vintage: nothing of the question was published later (`over_vintages`).

Questions of successive months are about the same models, so n origins are fewer than n independent trials. The methods
were thought of by people who had seen the headline groups' history.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Literal, TypeAlias

import numpy as np

from tiergate.catalog.scores import Score, Vintage
from tiergate.economics.catching_up import (
    HEADLINES,
    Asked,
    ask,
    ask_often,
    between_developers,
    first_of_months,
)
from tiergate.economics.forecasts import (
    METHODS,
    PACES,
    Answers,
    Pace,
    answers,
    crps,
    drawn,
    errors,
    factors,
    tuned,
)
from tiergate.economics.frontiers import Flags, Numbers, group
from tiergate.economics.lag import DAYS_A_MONTH

Protocol: TypeAlias = Literal["other groups", "known then"]
PROTOCOLS: Final[tuple[Protocol, ...]] = ("other groups", "known then")
FIRST: Final = dt.date(2024, 1, 1)
"""The first origin; of ``known then``, half a year later, when some questions have ended."""
_TUNING_SINCE: Final = dt.date(2023, 7, 1)
_FEWEST: Final = 12
"""Answered questions without which nothing is tuned."""


@dataclass(frozen=True)
class Record:
    """A method's record for one pair of groups, in months.

    ``resolved`` of ``origins`` have an answer. Over those: ``mae_plain`` is the mean absolute error of what the method
    says as it stands, ``mae`` that of the median of its distribution, which is what is published, and ``bias`` its
    mean error, below 0 where it was too early. Over all: ``mae_open`` counts an open question by how much it is known
    to have taken longer; ``crps``; ``coverage``, the share within the 80% interval, where an open question is within
    until it has outlasted it. None where there is nothing to take a mean of."""

    protocol: str
    method: str
    follower: str
    leader: str
    origins: int
    resolved: int
    mae_plain: float | None
    mae: float | None
    mae_open: float | None
    bias: float | None
    crps: float | None
    coverage: float | None


class Tuning:
    """Questions between developers, what the methods answer to them, and what was known of them on a day."""

    def __init__(self, vintage: Vintage) -> None:
        days = first_of_months(_TUNING_SINCE, vintage.last)
        self._asked = ask_often(vintage, between_developers(vintage), days)
        self._answers = answers(self._asked)

    def known(self, day: int | None) -> Known | None:
        """What can be learnt on a day, or, for None, with hindsight. None where too few questions have ended."""
        kept = [at for at, one in enumerate(self._asked) if day is None or one.on < day]
        asked = [self._asked[at] if day is None else self._asked[at].known_on(day) for at in kept]
        months, reached = outcomes(asked)
        if reached.sum() < _FEWEST:
            return None
        pace = tuned(self._answers.paced[:, kept], months, reached)
        around = {method: factors(self._answers.of(method, pace)[kept], months, reached) for method in METHODS}
        return Known(pace, around)


@dataclass(frozen=True)
class Known:
    """The number of the pace that was best, and for each method the factors by which it fell short."""

    number: int
    around: dict[str, Numbers]

    @property
    def pace(self) -> Pace:
        return PACES[self.number]


def backtest(
    vintage: Vintage,
    pairs: Sequence[tuple[str, str]] = HEADLINES,
    *,
    step: int = 1,
    first: dt.date = FIRST,
    protocols: Sequence[Protocol] = PROTOCOLS,
) -> list[Record]:
    """The record of every method for every pair, with an origin on the first of every ``step``-th month.

    A pair without a question has no record. Raises `InputError` for a name that stands for no model."""
    tuning = Tuning(vintage)
    days = first_of_months(first, vintage.last, step)
    hindsight = tuning.known(None)
    found = []
    for protocol in protocols:
        learnt = {on: hindsight if protocol == "other groups" else tuning.known(on) for on in days}
        for pair in pairs:
            asked = [one for one in ask_often(vintage, [pair], days) if learnt[one.on] is not None]
            if asked:
                known = [learnt[one.on] for one in asked]
                found += _records(protocol, pair, asked, [one for one in known if one is not None])
    return found


def over_vintages(older: Sequence[Vintage], newest: Vintage) -> list[Record]:
    """The record of every method over questions that older vintages posed and the newest answers.

    Each older vintage asks once a headline pair, on the day of its newest release. The leader's model is found in the
    newest vintage by developer and day of release, and counts with its score there, as index and scale were revised."""
    asked, known = [], []
    for vintage in older:
        learnt = Tuning(vintage).known(vintage.last.toordinal())
        for names in HEADLINES:
            one = _asked_by(vintage, newest, _with_unknown(names))
            if one is not None and learnt is not None:
                asked.append(one)
                known.append(learnt)
    return _records("vintages", ("all", "headlines"), asked, known) if asked else []


def outcomes(asked: Sequence[Asked]) -> tuple[Numbers, Flags]:
    """Months of each question, and whether they are its answer or only known to be too few."""
    return np.array([one.months for one in asked]), np.array([one.reached for one in asked], dtype=bool)


def _records(protocol: str, pair: tuple[str, str], asked: Sequence[Asked], known: Sequence[Known]) -> list[Record]:
    said = answers(asked)
    return [_record(protocol, method, pair, asked, known, said) for method in METHODS]


def _record(
    protocol: str, method: str, pair: tuple[str, str], asked: Sequence[Asked], known: Sequence[Known], said: Answers
) -> Record:
    months = np.array([said.of(method, learnt.number)[at] for at, learnt in enumerate(known)])
    kept = np.flatnonzero(~np.isnan(months)).tolist()
    truth, reached = outcomes([asked[at] for at in kept])
    months = months[kept]
    draws = [drawn(float(one), known[at].around[method]) for one, at in zip(months, kept, strict=True)]
    scores = [crps(one, *answer) for one, answer in zip(draws, zip(truth, reached, strict=True), strict=True)]
    within = [_within(one, float(true), bool(ended)) for one, true, ended in zip(draws, truth, reached, strict=True)]
    medians = np.array([np.median(one) for one in draws])
    return Record(
        protocol=protocol,
        method=method,
        follower=pair[0],
        leader=pair[1],
        origins=len(kept),
        resolved=int(reached.sum()),
        mae_plain=_mean(np.abs(months - truth)[reached]),
        mae=_mean(np.abs(medians - truth)[reached]),
        mae_open=_mean(errors(medians, truth, reached)),
        bias=_mean((medians - truth)[reached]),
        crps=_mean(np.array(scores)),
        coverage=_mean(np.array(within, dtype=float)),
    )


def _within(draws: Numbers, months: float, reached: bool) -> bool:
    low, high = np.quantile(draws, [0.1, 0.9])
    return bool(months <= high and (low <= months or not reached))


def _mean(values: Numbers) -> float | None:
    return float(values.mean()) if len(values) else None


def _with_unknown(names: tuple[str, str]) -> tuple[str, str]:
    """In some vintages the newest closed models have no access mode yet."""
    return names[0], "closed+unknown" if names[1] == "closed" else names[1]


def _asked_by(vintage: Vintage, newest: Vintage, names: tuple[str, str]) -> Asked | None:
    on = vintage.last.toordinal()
    behind, ahead = (group(vintage, name).frontier() for name in names)
    one = ask(behind, ahead, names, on, on)
    same = None if one is None else _same_model(vintage.find(one.model), newest)
    if one is None or same is None:
        return None
    later = group(newest, names[0]).frontier()
    at = int(later.first_at(np.array([same.score]))[0])
    reached = at < len(later.days)
    if reached and later.days[at] <= on:
        return None  # by the scores of today it had been reached before the question was asked
    answered = int(later.days[at]) if reached else newest.last.toordinal()
    return Asked(*names, on, one.model, one.score, one.behind, one.ahead, (answered - on) / DAYS_A_MONTH, reached)


def _same_model(old: Score, newest: Vintage) -> Score | None:
    """The best model of the same developers that the newest vintage dates within three days of the old one's."""
    like = [
        one
        for one in newest.scores
        if set(one.developers) & set(old.developers) and abs((one.released - old.released).days) <= 3
    ]
    return max(like, key=lambda one: one.score, default=None)
