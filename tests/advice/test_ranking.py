"""Shares of weights under which each wins: against what can be worked out by hand, and as algebra has them."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tiergate.advice.ranking import Criterion, Figure, rank
from tiergate.errors import InputError

DRAWS = 4_000


def criterion(name: str, *values: float | None, rising: bool = True, ratio: bool = False) -> Criterion:
    return Criterion(name, tuple(Figure(value) for value in values), rising, ratio)


def wins(*criteria: Criterion, priorities: tuple[str, ...] = ()) -> dict[str, float]:
    names = [f"m{place}" for place in range(len(criteria[0].figures))]
    return {one.name: one.wins for one in rank(names, criteria, priorities=priorities, draws=DRAWS, seed=3)}


def test_two_that_lead_in_one_criterion_each_share_the_weights_evenly() -> None:
    found = wins(criterion("a", 1, 0), criterion("b", 0, 1))
    assert found["m0"] == pytest.approx(0.5, abs=0.03)


def test_shares_are_those_of_the_simplex() -> None:
    # m0 wins where w_a > w_b + w_c, which is where w_a > 1/2: a quarter of the triangle.
    found = wins(criterion("a", 1, 0), criterion("b", 0, 1), criterion("c", 0, 1))
    assert found["m0"] == pytest.approx(0.25, abs=0.03)


def test_priorities_bound_the_weights() -> None:
    # With w_a >= w_b >= w_c, w_a > 1/2 holds in three quarters of what is left.
    found = wins(criterion("a", 1, 0), criterion("b", 0, 1), criterion("c", 0, 1), priorities=("a", "b", "c"))
    assert found["m0"] == pytest.approx(0.75, abs=0.03)
    assert wins(criterion("a", 1, 0), criterion("b", 0, 1), priorities=("a", "b")) == {"m0": 1.0, "m1": 0.0}
    # One that is named outweighs each that is not.
    found = wins(criterion("b", 0, 1), criterion("a", 1, 0), criterion("c", 0, 0), priorities=("a",))
    assert found["m0"] == 1.0


def test_an_unknown_figure_is_drawn_from_the_whole_range() -> None:
    found = wins(criterion("a", 1, 0, None))
    assert found["m0"] == 1.0
    # Between the worst and the best, it is second in all draws but those of a tie.
    (_, second, _) = rank(["m0", "m1", "m2"], [criterion("a", 1, 0, None)], draws=DRAWS, seed=3)
    assert second.name == "m2"


def test_an_interval_lets_the_lesser_win_sometimes() -> None:
    wide = Criterion("a", (Figure(100, 90, 110), Figure(98, 88, 108), Figure(60, 60, 60)), rising=True)
    found = {one.name: one.wins for one in rank(["a", "b", "c"], [wide], draws=DRAWS, seed=1)}
    assert 0.2 < found["b"] < found["a"] < 0.8
    assert found["c"] == 0.0


def test_costs_compare_by_how_many_times() -> None:
    # 10 lies half way from 1 to 100 by ratio, near the best by difference.
    by_ratio = wins(criterion("cost", 1, 10, 100, rising=False, ratio=True), criterion("x", 0, 0.6, 0.0))
    assert by_ratio["m1"] == pytest.approx(2 / 3, abs=0.03)
    by_difference = wins(criterion("cost", 1, 10, 100, rising=False), criterion("x", 0, 0.6, 0.0))
    assert by_difference["m1"] == pytest.approx(11 / 12, abs=0.03)


def test_draws_are_bounded() -> None:
    for draws in (0, 1_000_001):
        with pytest.raises(InputError, match="give 1 to 1,000,000"):
            rank(["m0"], [criterion("a", 1)], draws=draws, seed=1)
    assert rank([], [], draws=1, seed=1) == []


_FIGURES = st.none() | st.floats(0, 1e6) | st.just(5.0)


@st.composite
def _problems(draw: st.DrawFn) -> tuple[list[str], list[Criterion]]:
    size = draw(st.integers(1, 6))
    criteria = [
        Criterion(
            f"c{number}",
            tuple(Figure(value) for value in draw(st.lists(_FIGURES, min_size=size, max_size=size))),
            draw(st.booleans()),
            draw(st.booleans()),
        )
        for number in range(draw(st.integers(1, 5)))
    ]
    return [f"m{place}" for place in range(size)], criteria


@settings(max_examples=60, deadline=None)
@given(_problems())
def test_ranks_add_up_and_the_same_draws_give_the_same(problem: tuple[list[str], list[Criterion]]) -> None:
    names, criteria = problem
    found = rank(names, criteria, draws=200, seed=5)
    shares = np.array([one.acceptability for one in found])
    assert np.allclose(shares.sum(axis=0), 1)
    assert np.allclose(shares.sum(axis=1), 1)
    assert all(sum(one.central.values()) == pytest.approx(1) for one in found if one.wins)
    assert rank(names, criteria, draws=200, seed=5) == found


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.floats(0, 100), st.floats(1, 1e4)), min_size=2, max_size=6))
def test_whoever_is_worse_in_everything_never_wins(figures: list[tuple[float, float]]) -> None:
    capability, cost = zip(*figures, strict=True)
    worse = (min(capability) - 1, max(cost) + 1)
    names = [*(f"m{place}" for place in range(len(figures))), "worse"]
    criteria = [
        criterion("capability", *capability, worse[0]),
        criterion("cost", *cost, worse[1], rising=False, ratio=True),
    ]
    found = {one.name: one.wins for one in rank(names, criteria, draws=200, seed=2)}
    assert found["worse"] == 0.0
