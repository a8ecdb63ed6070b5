"""Who belongs: holders of the whole instruction, not of a phrase of it; small accounts once the queue is believed."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest

from tests.detection.conftest import SUBJECTS, Platform, log_batches
from tiergate.clock import DAY
from tiergate.detection.description import describe
from tiergate.detection.evidence import gather
from tiergate.detection.holdings import Holdings
from tiergate.detection.intake import Traffic, take_in
from tiergate.detection.membership import admitted, membership, redrawn, worded_anew
from tiergate.detection.workload import WorkloadTest

PHRASE = "Work through the task below and write out"
INSTRUCTION = f"{PHRASE} every step of your reasoning before you give the final answer in one line at the end. Task: "


def world(seed: int) -> tuple[Platform, Traffic, Holdings, WorkloadTest]:
    """A campaign of busy accounts and of small ones, auditors who share its first words, and everybody else."""
    platform = Platform(seed)
    platform.people("benign", 300)
    busy = [platform.account("campaign", created_at=1_779_000_000_000_000) for _ in range(25)]
    small = [platform.account("small", created_at=1_779_000_000_000_000) for _ in range(8)]
    for name in [str(n) for n in platform.rng.choice(busy, 600)] + small * 5:
        ask(platform, name, INSTRUCTION, str(platform.rng.choice(SUBJECTS)))
    for number in range(20):
        name = platform.account("auditor")
        for _ in range(20):
            ask(
                platform,
                name,
                f"{PHRASE} the paragraphs of the code that this matter touches. Matter: ",
                SUBJECTS[number % 6],
            )
    traffic = take_in(log_batches(platform.exchange_table()), bytes(32))
    evidence = gather(traffic, platform.account_table())
    test = WorkloadTest(traffic, evidence.closed_us, np.random.default_rng(0))
    return platform, traffic, Holdings.of(evidence, len(traffic.account_ids)), test


def ask(platform: Platform, name: str, before: str, subject: str) -> None:
    text = f"{before}{platform.words(subject, 9)} {platform.rng.integers(1 << 40):x}"
    platform.exchange(name, int(platform.rng.integers(14 * DAY)), text)


def of(platform: Platform, traffic: Traffic, members: np.ndarray) -> Counter[str]:
    return Counter(platform.population[str(traffic.account_ids[a])] for a in members.tolist())


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_the_instruction_counts_whole_and_lets_small_accounts_in(seed: int) -> None:
    platform, traffic, holdings, _ = world(seed)
    population = np.array([platform.population[str(name)] for name in traffic.account_ids])
    cluster = describe(np.flatnonzero(population == "campaign"), holdings)
    assert cluster is not None
    assert not worded_anew(cluster, holdings)
    assert of(platform, traffic, redrawn(cluster, holdings))["auditor"] == 0
    members, believed = admitted(cluster, holdings, np.zeros(holdings.accounts, bool))
    found = of(platform, traffic, members)
    assert found["campaign"] == 25
    assert found["small"] >= 7
    assert found["auditor"] + found["benign"] <= 1
    assert believed.min() > 0.5
    assert membership(cluster, holdings).min() > 0.5


def test_what_was_dealt_is_told_from_what_is_ones_own() -> None:
    platform, traffic, _, test = world(4)
    population = np.array([platform.population[str(name)] for name in traffic.account_ids])
    mixed = np.flatnonzero((population == "campaign") | (np.arange(len(population)) % 30 == 0))
    accounts, odds = test.dealt(test.rows_of(mixed))
    assert np.array_equal(accounts, np.intersect1d(mixed, traffic.account))
    queue = population[accounts] == "campaign"
    assert np.median(odds[queue]) > 0 > np.median(odds[~queue])
