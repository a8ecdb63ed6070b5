"""E-values keep their promise: the calibrator's integral, optional stopping under dependence, e-BH."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tiergate.detection.looks import LEVEL, calibrated, e_bh, p_value, weight

RUNS, LOOKS = 20_000, 25
_f = np.vectorize(calibrated)


@given(st.floats(1e-6, 1.0))
def test_the_calibrator_decreases_and_integrates_to_one(least: float) -> None:
    # Left end points of a decreasing function bound its integral from above.
    grid = np.concatenate([[0.0], np.geomspace(1e-7, 1.0, 40_001)])
    values = np.array([calibrated(float(p), least) for p in grid[::400]])
    assert (np.diff(values) <= 0).all()
    dense = 1 / (np.maximum(grid, least) * (1 - np.log(least)))
    assert dense[::400] == pytest.approx(values)
    assert (dense[:-1] * np.diff(grid)).sum() == pytest.approx(1, abs=1e-3)


def test_what_is_no_p_value_has_no_e_value() -> None:
    for p, least in ((-0.1, 0.1), (1.1, 0.1), (0.5, 0.0)):
        with pytest.raises(ValueError, match="expected 0 <= p"):
            calibrated(p, least)
    with pytest.raises(ValueError, match="age 1"):
        weight(0)


def test_the_weights_sum_to_one() -> None:
    assert sum(weight(age) for age in range(1, 10_000)) == pytest.approx(1, abs=1e-3)


def chance(dependence: float, rng: np.random.Generator) -> np.ndarray:
    """E-values (runs, looks) of the best chance cluster of each look, where chance clusters are a Poisson process in
    their expected number and successive looks resemble each other."""
    noise = rng.standard_normal((RUNS, LOOKS))
    state = noise[:, 0]
    best = np.empty((RUNS, LOOKS))
    for look in range(LOOKS):
        state = dependence * state + np.sqrt(1 - dependence**2) * noise[:, look] if look else state
        rank = np.argsort(np.argsort(state))
        best[:, look] = -np.log1p(-(rank + 0.5) / RUNS)
    return np.asarray(_f(np.minimum(best, 1.0)))


@pytest.mark.parametrize("dependence", [0.0, 0.9, 1.0])
def test_the_running_sum_of_a_chance_case_has_mean_one_at_most_however_one_stops(dependence: float) -> None:
    e = chance(dependence, np.random.default_rng(1))
    running = np.cumsum(e * [weight(look + 1) for look in range(LOOKS)], axis=1)
    # Stop at the first look that would be called significant, else at the last.
    reached = running >= 5
    stopped = running[np.arange(RUNS), np.where(reached.any(axis=1), reached.argmax(axis=1), LOOKS - 1)]
    for at_stop in (stopped, running.max(axis=1)):
        assert at_stop.mean() <= 1 + 4 * at_stop.std() / np.sqrt(RUNS)
    if dependence < 1:
        # What it protects from: the best day, taken at its word, is no e-value.
        assert e.max(axis=1).mean() > 2


def test_e_bh_as_worked_out_by_hand() -> None:
    # Four hypotheses at 5%: the k-th largest must reach 80, 40, 26.7, 20.
    assert e_bh([3, 90, 21, 45]).tolist() == [False, True, False, True]
    # The third reaches its bar and takes the two before it along.
    assert e_bh([30, 1, 30, 30]).tolist() == [True, False, True, True]
    assert e_bh([79, 39, 26, 19]).tolist() == [False] * 4
    assert e_bh([20]).tolist() == [True]
    assert e_bh([]).tolist() == []


@pytest.mark.parametrize(("dependence", "real"), [(0.0, 0), (1.0, 0), (0.0, 8), (1.0, 8)])
def test_e_bh_keeps_the_false_share_below_the_level(dependence: float, real: int) -> None:
    rng = np.random.default_rng(2)
    shares, naive, found = [], [], 0
    for _ in range(3_000):
        common, own = rng.exponential(), rng.exponential(size=12)
        null = np.where(rng.random(12) < dependence, common, own)
        e = _f(np.minimum(np.concatenate([null, rng.exponential(size=real) * 0.0005]), 1.0))
        rejected = e_bh(e.tolist())
        shares.append(rejected[:12].sum() / max(rejected.sum(), 1))
        naive.append((e[:12] * LEVEL >= 1).sum() / max((e * LEVEL >= 1).sum(), 1))
        found += int(rejected[12:].sum())
    assert np.mean(shares) <= LEVEL
    assert found >= 0.9 * real * 3_000
    if not real and not dependence:
        # What it protects from: each case by itself at 1/level.
        assert np.mean(naive) > LEVEL


def test_p_is_the_expected_number_up_to_one() -> None:
    assert [p_value(0.25), p_value(7.0)] == [0.25, 1.0]
