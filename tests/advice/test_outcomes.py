"""Cost of an accepted outcome: intervals that hold as often as they say, against other ways to get them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from tiergate.advice.outcomes import Costs, Outcome, arm_figures, compare, costs_by_arm
from tiergate.errors import InputError


def world(rng: np.random.Generator, n: int, share: float, scale: float = 1.0) -> Costs:
    """Outcomes whose cost is heavy-tailed, and larger where they are not accepted."""
    accepted = rng.random(n) < share
    usd = scale * rng.lognormal(0, 1, n) * np.where(accepted, 1.0, 1.5)
    return Costs(usd, usd, accepted, n, 0, 0)


def truth(share: float, scale: float = 1.0) -> float:
    mean = scale * np.exp(0.5) * (share + 1.5 * (1 - share))
    return float(mean / share)


@pytest.mark.parametrize("share", [0.3, 0.9])
def test_intervals_hold_as_often_as_they_say(share: float) -> None:
    rng = np.random.default_rng(7)
    held = []
    for _ in range(1_500):
        figures = arm_figures("a", world(rng, 200, share))
        assert figures.low is not None
        held.append(figures.low <= truth(share) and (figures.high is None or truth(share) <= figures.high))
    # Heavy tails cost some coverage; binomial error of 1,500 runs is 0.6%.
    assert 0.92 < np.mean(held) < 0.97


def test_of_arms_that_are_alike_one_in_twenty_seems_to_differ() -> None:
    rng = np.random.default_rng(11)
    p_values = []
    for _ in range(1_500):
        arms = {"a": world(rng, 150, 0.6), "b": world(rng, 300, 0.6)}
        p_values.append(compare(arms, "a", "b").p_value)
    assert 0.035 < np.mean(np.array(p_values) < 0.05) < 0.07


def test_as_many_outcomes_as_are_needed_show_the_effect_as_often_as_asked() -> None:
    rng = np.random.default_rng(3)
    pilot = {"a": world(rng, 4_000, 0.5, 1.3), "b": world(rng, 4_000, 0.5)}
    needed = compare(pilot, "a", "b", effect=0.3).needed
    assert needed is not None
    seen = []
    for _ in range(400):
        found = compare({"a": world(rng, needed, 0.5, 1.3), "b": world(rng, needed, 0.5)}, "a", "b")
        assert found.p_value is not None
        seen.append(found.p_value < 0.05)
    assert 0.84 < np.mean(seen) < 0.95


def test_fieller_agrees_with_the_bootstrap_where_both_are_good() -> None:
    costs = world(np.random.default_rng(5), 3_000, 0.7)
    figures = arm_figures("a", costs)
    other = stats.bootstrap(
        (costs.usd, costs.accepted.astype(float)), lambda usd, accepted, axis: usd.mean(axis) / accepted.mean(axis),
        paired=True, n_resamples=2_000, method="BCa", rng=np.random.default_rng(1),
    ).confidence_interval  # fmt: skip
    assert figures.low == pytest.approx(other.low, rel=0.02)
    assert figures.high == pytest.approx(other.high, rel=0.02)


def test_few_accepted_leave_the_interval_without_an_end() -> None:
    accepted = np.array([True] + [False] * 9)
    figures = arm_figures("a", Costs(np.ones(10), np.ones(10), accepted, 10, 0, 0))
    assert figures.cost == 10
    assert figures.high is None
    assert figures.low is not None
    assert 0 < figures.low < 10
    none = arm_figures("a", Costs(np.ones(10), np.ones(10), np.zeros(10, bool), 10, 0, 0))
    assert (none.cost, none.low, none.high) == (None, None, None)


def test_newcombes_own_example() -> None:
    """Newcombe 1998, table II, contrast (a): 56/70 against 48/80 gives 0.0524 to 0.3339."""
    arms = {
        name: Costs(np.ones(n), np.ones(n), np.arange(n) < hits, n, 0, 0)
        for name, hits, n in (("a", 56, 70), ("b", 48, 80))
    }
    found = compare(arms, "a", "b")
    assert found.acceptance == pytest.approx(0.2)
    assert found.acceptance_low == pytest.approx(0.0524, abs=5e-5)
    assert found.acceptance_high == pytest.approx(0.3339, abs=5e-5)


def batch(rows: list[tuple[str, int | None]]) -> pa.RecordBatch:
    return pa.RecordBatch.from_pylist([{"exchange_id": x, "cost_micro_usd": cost, "status": 200} for x, cost in rows])


@given(
    st.lists(st.tuples(st.sampled_from("abc"), st.booleans(), st.lists(st.integers(0, 10**9), max_size=4)), min_size=1)
)
def test_no_dollar_is_lost_or_counted_twice(drawn: list[tuple[str, bool, list[int]]]) -> None:
    outcomes, rows = [], []
    for place, (arm, accepted, costs) in enumerate(drawn):
        ids = [f"{place}-{n}" for n in range(len(costs))]
        rows += list(zip(ids, costs, strict=True))
        outcomes.append(Outcome(outcome_id=str(place), accepted=accepted, arm=arm, exchange_ids=tuple(ids)))
    arms = costs_by_arm(outcomes, [batch(rows), batch(rows)] if rows else [])
    assert sum(float(one.usd.sum()) for one in arms.values()) == pytest.approx(sum(c for _, c in rows) / 1e6)
    assert sum(one.exchanges for one in arms.values()) == len(rows)
    assert sum(one.missing for one in arms.values()) == 0


def test_bad_outcomes_are_refused() -> None:
    def one(name: str, *exchanges: str) -> Outcome:
        return Outcome(outcome_id=name, accepted=True, exchange_ids=exchanges)

    with pytest.raises(InputError, match="comes twice"):
        costs_by_arm([one("o"), one("o")], [])
    with pytest.raises(InputError, match="two outcomes claim"):
        costs_by_arm([one("o", "x"), one("p", "x")], [])
    arms = costs_by_arm([one("o", "x"), one("p", "y")], [batch([("x", None)])])
    assert (arms["all"].missing, arms["all"].unpriced) == (1, 1)
    with pytest.raises(InputError, match="no outcome is of the arm"):
        compare(arms, "all", "other")


def test_counts_that_chance_does_not_make_are_told() -> None:
    arms: Any = {"a": world(np.random.default_rng(1), 500, 0.5), "b": world(np.random.default_rng(2), 700, 0.5)}
    assert compare(arms, "a", "b", intended={"a": 0.5, "b": 0.5}).uneven == pytest.approx(7.8e-9, rel=0.1)
    with pytest.raises(InputError, match="intended shares"):
        compare(arms, "a", "b", intended={"a": 1.0})
