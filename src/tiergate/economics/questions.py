"""Forecasts as questions that something settles: the founding essay's horizons, and whatever a user asks in TOML.

`questions.toml` has the ones that are shipped and says what each kind means. Questions of kind ``reach`` that are open
get a forecast by the method ``pace``, tuned on what was known on the day; `backtest` says how good that is.
"""

from __future__ import annotations

import datetime as dt
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal, TypeAlias

import msgspec
import numpy as np

from tiergate.catalog.cited import Cited, read_facts
from tiergate.catalog.scores import Score, Vintage
from tiergate.economics.backtest import Tuning
from tiergate.economics.catching_up import Asked
from tiergate.economics.forecasts import answers, drawn
from tiergate.economics.frontiers import Group, day, group
from tiergate.economics.lag import DAYS_A_MONTH, compared, vertical
from tiergate.errors import InputError

SHIPPED: Final = Path(__file__).parent / "questions.toml"
Outcome: TypeAlias = Literal["yes", "no", "mixed", "open"]


class Evidence(Cited, frozen=True, kw_only=True):
    """What was published that settles a question, or helps to."""

    text: str


class Question(Cited, frozen=True, kw_only=True):
    """A question with the day it was ``asked`` and the last day, ``by``, on which yes is yes."""

    id: str
    text: str
    kind: Literal["reach", "gap", "cited"]
    asked: dt.date
    by: dt.date
    follower: str = ""
    leader: str = ""
    models: tuple[str, ...] = ()
    at_most: float | None = None
    outcome: Outcome | None = None
    settled: dt.date | None = None
    evidence: tuple[Evidence, ...] = ()

    def __post_init__(self) -> None:
        super().__post_init__()
        wanted = {
            "reach": {"follower": bool(self.follower), "models": bool(self.models)},
            "gap": {
                "follower": bool(self.follower), "leader": bool(self.leader), "at_most": self.at_most is not None
            },
            "cited": {"outcome and settled": (self.outcome in (None, "open")) == (self.settled is None)}
            | {"evidence": bool(self.evidence) or self.settled is None},
        }[self.kind]  # fmt: skip
        missing = [name for name, there in wanted.items() if not there]
        if missing:
            raise ValueError(f"question `{self.id}` of kind `{self.kind}` needs {' and '.join(missing)}")
        if self.kind != "cited" and self.outcome is not None:
            raise ValueError(f"question `{self.id}` is settled by the index: leave `outcome` out")
        if self.at_most is not None and not math.isfinite(self.at_most):
            raise ValueError(f"question `{self.id}`: `at_most` is a number of points")
        if self.by <= self.asked:
            raise ValueError(f"question `{self.id}`: `by` must come after `asked`")


class _File(msgspec.Struct, forbid_unknown_fields=True):
    question: list[Question]


@dataclass(frozen=True)
class Outlook:
    """When a score will be reached, as of a day: the median and an 80% interval of days, and the draws behind them."""

    follower: str
    model: str
    score: float
    on: dt.date
    median: dt.date
    low: dt.date
    high: dt.date
    points_a_month: float
    months: tuple[float, ...]

    def chance(self, by: dt.date) -> float:
        """The probability that it is reached by the end of a day, by Laplace's rule: never 0 and never 1."""
        hits = sum(months <= (by - self.on).days / DAYS_A_MONTH for months in self.months)
        return (hits + 1) / (len(self.months) + 2)


@dataclass(frozen=True)
class Resolution:
    """How a question stands: its outcome and the day, what says so, and, while it is open, the chance of a yes."""

    question: Question
    outcome: Outcome
    on: dt.date | None
    because: str
    chance: float | None
    outlook: Outlook | None


def read_questions(path: Path = SHIPPED) -> list[Question]:
    """Questions of a file. Raises `InputError`, which names the field, when it is none."""
    questions = read_facts(path, _File).question
    ids = [one.id for one in questions]
    twice = sorted({one for one in ids if ids.count(one) > 1})
    if twice:
        raise InputError(f"`{path.name}` has two questions `{twice[0]}`: give each an id of its own")
    return questions


def resolve(questions: Sequence[Question], vintage: Vintage, *, known_by: dt.date | None = None) -> list[Resolution]:
    """How each question stands, as far as the vintage knows.

    ``known_by``: a day after which nothing was asked, and nothing counts that was published elsewhere. A question about
    groups or models that the vintage does not have, or of a gap after its end, is open, and says so."""
    tuning = Tuning(vintage)
    until = known_by or dt.date.max
    return [_resolve(one, vintage, tuning, known_by) for one in questions if one.asked <= until]


def _resolve(question: Question, vintage: Vintage, tuning: Tuning, known_by: dt.date | None) -> Resolution:
    try:
        if question.kind == "cited":
            return _cited(question, known_by)
        return _reach(question, vintage, tuning) if question.kind == "reach" else _gap(question, vintage)
    except InputError as error:
        return Resolution(question, "open", None, str(error), None, None)


def outlook(vintage: Vintage, follower: str, model: Score, tuning: Tuning | None = None) -> Outlook | None:
    """When ``follower`` will reach a model's score, as of the vintage's newest release; None where it has, or where too
    little is known of questions that have ended."""
    on = vintage.last.toordinal()
    behind = group(vintage, follower).frontier()
    learnt = (tuning or Tuning(vintage)).known(on)
    if learnt is None or behind.scores[-1] >= model.score:
        return None
    asked = Asked(follower, model.model, on, model.model, model.score, behind, behind, 0.0, False)
    said = float(answers([asked]).of("pace", learnt.number)[0])
    draws = drawn(said, learnt.around["pace"])
    low, median, high = (_after(on, months) for months in np.quantile(draws, [0.1, 0.5, 0.9]))
    points = learnt.pace.points
    return Outlook(
        follower, model.model, model.score, vintage.last, median, low, high, points, tuple(draws.tolist())
    )  # fmt: skip


def leader_now(vintage: Vintage, leader: str) -> Score:
    """The best model of a group. Raises `InputError` for a name that stands for no model."""
    return vintage.find(group(vintage, leader).frontier().models[-1])


def _after(on: int, months: float) -> dt.date:
    return day(on + round(months * DAYS_A_MONTH))


def _cited(question: Question, known_by: dt.date | None) -> Resolution:
    until = known_by or dt.date.max
    said = "; ".join(one.text for one in question.evidence if one.as_of <= until) or "nothing is known yet"
    if question.outcome is None or question.settled is None or question.settled > until:
        return Resolution(question, "open", None, said, None, None)
    return Resolution(question, question.outcome, question.settled, said, None, None)


def _reach(question: Question, vintage: Vintage, tuning: Tuning) -> Resolution:
    targets = [vintage.find(name) for name in question.models]
    behind = group(vintage, question.follower).frontier()
    hardest = max(targets, key=lambda one: one.score)
    at = int(behind.first_at(np.array([hardest.score]))[0])
    if at < len(behind.days) and day(behind.days[at]) <= question.by:
        early = ", before it was asked" if day(behind.days[at]) < question.asked else ""
        return Resolution(question, "yes", day(behind.days[at]), _reached(behind, at, targets) + early, None, None)
    best = f"{behind.models[-1]} ({behind.scores[-1]:.1f}) is the best, {hardest.model} has {hardest.score:.1f}"
    if vintage.last >= question.by:
        return Resolution(question, "no", question.by, f"by {question.by}, {best}", None, None)
    ahead = outlook(vintage, question.follower, hardest, tuning)
    chance = None if ahead is None else ahead.chance(question.by)
    return Resolution(question, "open", None, f"on {vintage.last}, {best}", chance, ahead)


def _reached(behind: Group, at: int, targets: Sequence[Score]) -> str:
    waits = ", ".join(
        f"{one.model} ({one.score:.1f}) after {_wait(behind, one):.1f} months"
        for one in sorted(targets, key=lambda one: -one.score)
    )
    return f"{behind.models[at]} ({behind.scores[at]:.1f}); {waits}"


def _wait(behind: Group, one: Score) -> float:
    at = int(behind.first_at(np.array([one.score]))[0])
    return float(behind.days[at] - one.released.toordinal()) / DAYS_A_MONTH


def _gap(question: Question, vintage: Vintage) -> Resolution:
    if question.asked > vintage.last:
        return Resolution(
            question, "open", None, f"the vintage ends on {vintage.last}, before it was asked", None, None
        )
    end = min(question.by, vintage.last)
    behind, ahead, days = compared(vintage, question.follower, question.leader, question.asked, end)
    points = vertical(behind.frontier(), ahead.frontier(), days)
    assert question.at_most is not None
    closed = np.flatnonzero(points <= question.at_most)
    if len(closed):
        first = int(closed[0])
        said = f"the gap was {points[first]:.1f} points"
        return Resolution(question, "yes", day(days[first]), said, None, None)
    said = f"the gap was {points.min():.1f} points at least and {points[-1]:.1f} on {day(days[-1])}"
    return Resolution(question, "no" if vintage.last >= question.by else "open", None, said, None, None)
