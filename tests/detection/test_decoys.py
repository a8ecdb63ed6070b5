"""Decoys deal within strata, and rates behave as rates."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from tiergate.detection.decoys import Calibration, deal

SCORES = st.lists(st.floats(-20, 20, allow_nan=False), max_size=40)


@given(st.lists(st.integers(0, 5), min_size=1, max_size=60), st.integers(0, 1 << 30))
def test_dealing_is_a_permutation_within_strata(strata: list[int], seed: int) -> None:
    stratum = np.array(strata)
    to = deal(stratum, np.random.default_rng(seed))
    assert sorted(to.tolist()) == list(range(len(strata)))
    assert (stratum[to] == stratum).all()


@given(SCORES, SCORES, st.integers(1, 100))
def test_a_higher_score_never_has_a_worse_rate(decoys: list[float], targets: list[float], rounds: int) -> None:
    calibration = Calibration(np.array(decoys), np.array(targets), rounds)
    ranked = sorted(targets)
    rates = [calibration.q_value(score) for score in ranked]
    sure = [calibration.confidence(score) for score in ranked]
    assert rates == sorted(rates, reverse=True)
    assert sure == sorted(sure)
    assert all(0 < rate <= 1 for rate in rates)
    assert all(0 < one < 1 for one in sure)


@given(SCORES.filter(bool), st.integers(1, 50))
def test_the_rate_is_decoys_over_targets_with_one_added(decoys: list[float], rounds: int) -> None:
    top = max(decoys)
    calibration = Calibration(np.array(decoys), np.array([top]), rounds)
    assert calibration.q_value(top) == min(1.0, (decoys.count(top) + 1) / rounds)


def test_finitely_many_decoys_never_claim_certainty() -> None:
    calibration = Calibration(np.array([]), np.array([50.0]), 24)
    assert calibration.q_value(50.0) == 1 / 24
    assert calibration.confidence(50.0) < 0.93
