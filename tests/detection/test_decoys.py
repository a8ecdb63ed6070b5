"""Decoys deal within strata, and rates behave as rates."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tiergate.detection.decoys import LEAST_EXPECTED, Decoy, at_best, calibrate, deal
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
    return [Decoy(score, score, 0.0, (1000 + n, 2000 + n, 3000 + n)) for n, score in enumerate(scores)]


@given(st.lists(st.tuples(st.floats(0, 12), st.floats(-8, 15)), max_size=40), SCORES, st.integers(1, 100))
def test_a_higher_score_never_has_a_worse_rate(
    chance: list[tuple[float, float]], targets: list[float], rounds: int
) -> None:
    findings = [finding(score, (n, n + 100, n + 200)) for n, score in enumerate(sorted(targets, reverse=True))]
    made = calibrate(
        findings, [Decoy(links, links, workload, (1000 + n,)) for n, (links, workload) in enumerate(chance)], rounds
    )
    rates = [one.q_value for one in made]
    sure = [one.confidence for one in made]
    assert rates == sorted(rates)
    assert sure == sorted(sure, reverse=True)
    assert all(0 < rate <= 1 for rate in rates)
    assert all(0 < one < 1 for one in sure)


@given(
    st.lists(st.tuples(st.floats(0, 12), st.floats(-20, 20)), max_size=40),
    st.lists(st.tuples(st.floats(-20, 40), st.floats(-20, 20), st.booleans()), min_size=1, max_size=12),
    st.integers(1, 5_000),
)
def test_no_decoys_make_a_finding_surer_than_at_best(
    chance: list[tuple[float, float]], targets: list[tuple[float, float, bool]], rounds: int
) -> None:
    some = [Decoy(links, links, workload, (1000 + n,)) for n, (links, workload) in enumerate(chance)]
    findings = [
        replace(finding(score, (n, n + 100, n + 200), queue), linked=linked)
        for n, (score, queue, linked) in enumerate(sorted(targets, reverse=True))
    ]
    for one, made in zip(findings, calibrate(findings, some, rounds), strict=True):
        best = at_best(one)
        assert best.confidence >= made.confidence
        assert best.q_value <= made.q_value


def test_few_decoys_are_counted_with_one_added() -> None:
    made = calibrate([finding(5.0, (1, 2, 3))], decoys([6.0, 5.0, 1.0]), 24)
    assert made[0].expected == 3 / 24
    assert calibrate([finding(50.0, (1, 2, 3))], [], 24)[0].expected == 1 / 24


def test_beyond_the_best_decoy_the_workload_says_how_fast_chance_thins_out() -> None:
    rng = np.random.default_rng(1)
    chance = [
        Decoy(links, links, workload, (1000 + n,))
        for n, (links, workload) in enumerate(zip(rng.uniform(2, 9, 60), rng.exponential(1.5, 60) - 4, strict=True))
    ]
    best = max(one.score for one in chance)
    seen, near, far, farther = (
        calibrate([finding(score, (1, 2, 3))], chance, 10)[0].expected for score in (best, best + 6, best + 9, 60.0)
    )
    assert seen == 2 / 10
    # With links as they are and a workload of that tail, decoys bring so many; the estimate errs on the safe side.
    for score, estimate in ((best + 6, near), (best + 9, far)):
        assert np.exp(-(score - np.array([one.links for one in chance]) + 4) / 1.5).sum() / 10 < estimate < 1 / 10
    assert far < near / 2
    assert farther == LEAST_EXPECTED


def test_a_clear_campaign_stands_out_from_strong_links_without_a_queue() -> None:
    weak = [Decoy(links, links, -2.6 + n % 7 / 10, (1000 + n,)) for n, links in enumerate([2.0] * 40 + [11.0] * 20)]
    assert calibrate([finding(19.8, (1, 2, 3))], weak, 8, 0.06)[0].q_value <= 0.05
    queues = [*weak, *(Decoy(2.0, 2.0, 6.0 + n, (2000 + n,)) for n in range(4))]
    assert calibrate([finding(19.8, (1, 2, 3))], queues, 8, 0.06)[0].q_value > 0.05


def test_a_cluster_of_a_sample_stands_for_a_large_one_and_for_many_like_itself() -> None:
    sample = [Decoy(2.0, 8.0, 3.0, (1000 + n,)) for n in range(5)]
    small, large, none = (calibrate([finding(score, (1, 2, 3))], sample, 10, 0.25)[0] for score in (5.0, 11.0, 12.0))
    assert small.expected == (5 * 4 + 4) / 10
    assert large.expected == (5 + 4) / 10
    assert none.expected == 4 / 10


def test_the_tail_is_no_steeper_than_log_odds_promise() -> None:
    level = [Decoy(5.0, 5.0, -2.0, (1000 + n,)) for n in range(36)]
    made = calibrate([finding(8.0, (1, 2, 3))], level, 10)[0].expected
    assert made > 9 * np.exp(-5) / 10


def test_a_case_is_not_compared_with_its_own_shuffled_self() -> None:
    case = finding(20.0, tuple(range(50)))
    shuffled = [Decoy(11.0, 11.0, 8.9 + n / 10, tuple(range(n, n + 30))) for n in range(20)]
    assert calibrate([case], shuffled, 24)[0].expected == 1 / 24
    stranger = finding(19.0, (500, 501, 502))
    assert calibrate([case, stranger], shuffled, 24)[1].expected == 1 / 24


def test_a_campaign_that_was_dealt_other_peoples_cards_is_still_itself() -> None:
    """Most members of the shuffled group may be others: the workload that is tested is the campaign's."""
    shuffled = finding(19.0, tuple(range(30, 90)))
    owner = np.arange(40)
    made = replace(shuffled, rows=np.arange(30, 40))
    assert Decoy.of(made, owner, 1.0).accounts == tuple(range(30, 40))


def test_a_group_that_grows_with_the_platform_is_weaker_in_a_sample() -> None:
    """Among a quarter of the accounts a group that goes with the platform's size has half its strength."""
    group = replace(finding(0.0, (1, 2, 3, 4), queue=-2.0), cluster=Cluster(np.arange(4), {}, 0.0, 0.0, 3.0))
    whole, quarter = (Decoy.of(group, np.array([7, 9, 7]), share) for share in (1.0, 0.25))
    assert whole == Decoy(6 / (1 + 6 / 12), 6 / (1 + 6 / 12), -2.0, (7, 9))
    assert quarter == replace(whole, grown=12 / (1 + 12 / 12))


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
