"""Decoys deal within strata, and rates behave as rates."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tiergate.detection.decoys import Decoy, calibrate, deal
from tiergate.detection.description import Cluster
from tiergate.detection.findings import Finding
from tiergate.detection.workload import Statistic

SCORES = st.lists(st.floats(-20, 20, allow_nan=False), max_size=40)


@given(st.lists(st.integers(0, 5), min_size=1, max_size=60), st.integers(0, 1 << 30))
def test_dealing_is_a_permutation_within_strata(strata: list[int], seed: int) -> None:
    stratum = np.array(strata)
    to = deal(stratum, np.random.default_rng(seed))
    assert sorted(to.tolist()) == list(range(len(strata)))
    assert (stratum[to] == stratum).all()


def finding(score: float, members: tuple[int, ...], queue: float = 12.0) -> Finding:
    cluster = Cluster(np.array(members), {}, 0.0, 0.0, 1.0)
    test = [Statistic("subject", 0.0, 0.1, 0.0, 1.0, queue)]
    return Finding(cluster, np.ones(len(members)), np.arange(3), test, score)


def decoys(scores: list[float]) -> list[Decoy]:
    return [Decoy(score, (1000 + n, 2000 + n, 3000 + n)) for n, score in enumerate(scores)]


@given(SCORES, SCORES, st.integers(1, 100))
def test_a_higher_score_never_has_a_worse_rate(chance: list[float], targets: list[float], rounds: int) -> None:
    findings = [finding(score, (n, n + 100, n + 200)) for n, score in enumerate(sorted(targets, reverse=True))]
    made = calibrate(findings, decoys(chance), rounds)
    rates = [one.q_value for one in made]
    sure = [one.confidence for one in made]
    assert rates == sorted(rates)
    assert sure == sorted(sure, reverse=True)
    assert all(0 < rate <= 1 for rate in rates)
    assert all(0 < one < 1 for one in sure)


def test_few_decoys_are_counted_with_one_added() -> None:
    made = calibrate([finding(5.0, (1, 2, 3))], decoys([6.0, 5.0, 1.0]), 24)
    assert made[0].expected == 3 / 24
    assert calibrate([finding(50.0, (1, 2, 3))], [], 24)[0].expected == 1 / 24


def test_many_decoys_say_how_fast_chance_thins_out() -> None:
    rng = np.random.default_rng(1)
    chance = decoys((2 * rng.exponential(1, 400)).tolist())
    near, far = (calibrate([finding(score, (1, 2, 3))], chance, 24)[0].expected for score in (14.0, 22.0))
    assert near < 1 / 24
    assert far < near / 4
    # The true number at 14 is 400 / 24 * exp(-7) = 0.015; the estimate errs on the safe side.
    assert near > 0.015


def test_a_case_is_not_compared_with_its_own_shuffled_self() -> None:
    case = finding(20.0, tuple(range(50)))
    shuffled = [Decoy(19.9 + n / 10, tuple(range(n, n + 30))) for n in range(20)]
    assert calibrate([case], shuffled, 24)[0].expected == 1 / 24
    stranger = finding(19.0, (500, 501, 502))
    assert calibrate([case, stranger], shuffled, 24)[1].expected == 1 / 24


def test_whoever_does_not_work_off_one_queue_is_neither_sure_nor_discovered() -> None:
    office = calibrate([finding(20.0, (1, 2, 3), queue=-2.0)], [], 1000)[0]
    assert office.confidence < 0.01
    assert office.q_value > 0.98


def test_an_instruction_in_common_has_no_chance_to_count_and_hides_nobody() -> None:
    copied = replace(finding(9.0, (1, 2, 3), queue=9.0), linked=False)
    linked = finding(8.0, (4, 5, 6))
    first, second = calibrate([copied, linked], decoys([7.0] * 40), 24)
    assert first.expected == 1.0
    assert first.confidence == pytest.approx(1 / (1 + np.exp(-4.0)))
    assert second.q_value >= second.expected / 2
