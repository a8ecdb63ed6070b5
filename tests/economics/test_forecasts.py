"""Methods see nothing that came later, and their distributions are scored as the literature says."""

from __future__ import annotations

import datetime as dt

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tiergate.catalog.scores import shipped
from tiergate.economics.backtest import Tuning
from tiergate.economics.catching_up import HEADLINES, ask, ask_often, between_developers, first_of_months
from tiergate.economics.forecasts import DRAWS, METHODS, PACES, answers, crps, drawn, errors, factors, tuned
from tiergate.economics.frontiers import Group

DAYS = [dt.date(2024, 9, 1), dt.date(2025, 6, 1), dt.date(2026, 3, 1)]
MONTH = 30.4375


def frontier(*rows: tuple[int, float]) -> Group:
    days, scores = (np.array(column) for column in zip(*rows, strict=True))
    return Group("made", tuple(map(str, range(len(rows)))), days, scores.astype(float), 0 * scores, 0 * scores)


def test_a_question_and_its_answer() -> None:
    behind, ahead = frontier((0, 100.0), (100, 110.0), (400, 130.0)), frontier((50, 120.0), (500, 140.0))
    one = ask(behind, ahead, ("behind", "ahead"), 200, 600)
    assert one is not None
    assert (one.score, one.model, one.reached, one.leader_day) == (120.0, "0", True, 50)
    assert one.months == pytest.approx(200 / MONTH)
    assert list(one.behind.days) == [0, 100]
    assert one.known_on(400) == one
    unknown = one.known_on(399)
    assert (unknown.reached, unknown.months) == (False, pytest.approx(199 / MONTH))
    assert ask(behind, ahead, ("behind", "ahead"), 450, 600) is None  # the follower leads
    later = ask(behind, ahead, ("behind", "ahead"), 550, 600)
    assert later is not None
    assert (later.reached, later.months) == (False, pytest.approx(50 / MONTH))


@pytest.mark.parametrize("day", DAYS)
def test_nothing_is_learnt_from_the_future(day: dt.date) -> None:
    vintage = shipped()
    known, then = (Tuning(scores).known(day.toordinal()) for scores in (vintage, vintage.until(day)))
    assert known is not None
    assert then is not None
    assert known.pace == then.pace
    assert all((known.around[name] == then.around[name]).all() for name in METHODS)


@pytest.mark.parametrize("day", DAYS)
def test_no_method_sees_the_future(day: dt.date) -> None:
    vintage, on = shipped(), [day.toordinal()]
    whole, then = (answers(ask_often(scores, HEADLINES, on)) for scores in (vintage, vintage.until(day)))
    assert (whole.paced == then.paced).all()
    for name in METHODS:
        np.testing.assert_equal(whole.of(name, 0), then.of(name, 0))


def test_headline_groups_are_not_tuned_on() -> None:
    assert not {name for pair in between_developers(shipped()) for name in pair} & {"open", "closed", "China", "US"}


def test_a_steady_pace_is_found_and_continued() -> None:
    behind = frontier(*((int(n * MONTH), 100.0 + n) for n in range(40)))  # a point a month
    ahead = frontier((0, 103.0), *((int(n * MONTH), 103.0 + n) for n in range(1, 40)))
    asked = [ask(behind, ahead, ("a", "b"), int(n * MONTH) + 5, int(40 * MONTH)) for n in range(20, 34)]
    questions = [one for one in asked if one is not None]
    months, reached = np.array([one.months for one in questions]), np.array([one.reached for one in questions])
    said = answers(questions)
    pace = tuned(said.paced, months, reached)
    assert PACES[pace].points == pytest.approx(1.0, abs=0.2)
    assert said.of("pace", pace) == pytest.approx(months, abs=0.6)
    assert said.of("trend", pace) == pytest.approx(months, abs=0.6)
    assert said.of("median lag", pace) == pytest.approx(months, abs=0.6)


months = st.lists(st.floats(0.1, 40), min_size=2, max_size=30)


@given(months, st.floats(0.1, 40), st.booleans())
def test_crps_is_the_integral_it_stands_for(draws: list[float], truth: float, reached: bool) -> None:
    values = np.sort(np.array(draws))
    edges = np.unique(np.concatenate((values, [truth])))
    left, right = edges[:-1], edges[1:]
    below = np.searchsorted(values, left, side="right") / len(values)
    squared = (below - (left >= truth)) ** 2
    wanted = np.sum(squared * (right - left) * (np.ones_like(left) if reached else left < truth))
    assert crps(values, truth, reached) == pytest.approx(float(wanted), abs=1e-9)


@given(months)
def test_factors_of_answered_questions_are_their_quantiles(truth: list[float]) -> None:
    values = np.array(truth)
    found = factors(np.full(len(values), 2.0), values, np.ones(len(values), dtype=bool))
    assert len(found) == DRAWS
    assert set(found) <= set((values + 1) / 3)
    assert (np.diff(drawn(3.0, found)) >= 0).all()
    ordered = np.sort((values + 1) / 3)
    assert ordered[(len(values) - 1) // 2] <= np.median(found) <= ordered[len(values) // 2]


def test_open_questions_push_the_distribution_later() -> None:
    said, truth = np.full(10, 2.0), np.arange(1.0, 11.0)
    ended = np.ones(10, dtype=bool)
    some = ended.copy()
    some[2:5] = False
    assert (factors(said, truth, some) >= factors(said, truth, ended)).all()
    assert factors(said, truth, some).mean() > factors(said, truth, ended).mean()
    assert list(errors(np.array([5.0, 5.0]), np.array([3.0, 3.0]), np.array([True, False]))) == [2.0, 0.0]
    assert list(errors(np.array([1.0, 1.0]), np.array([3.0, 3.0]), np.array([True, False]))) == [2.0, 2.0]


def test_months_begin_where_they_begin() -> None:
    found = first_of_months(dt.date(2023, 11, 15), dt.date(2024, 3, 1))
    assert [dt.date.fromordinal(one) for one in found] == [
        dt.date(2023, 12, 1),
        dt.date(2024, 1, 1),
        dt.date(2024, 2, 1),
    ]
