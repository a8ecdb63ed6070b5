"""The pooled-workload test tells one queue from many people, and knows when it cannot."""

from __future__ import annotations

import numpy as np
import pytest

from tests.detection.conftest import Platform, log_batches
from tiergate.detection.intake import take_in
from tiergate.detection.workload import Statistic, WorkloadTest

KEY = bytes(32)


def measure(platform: Platform, population: str) -> dict[str, Statistic]:
    traffic = take_in(log_batches(platform.exchange_table()), KEY)
    test = WorkloadTest(traffic, np.full(len(traffic.account_ids), -1), np.random.default_rng(0))
    members = [i for i, name in enumerate(traffic.account_ids) if platform.population[name] == population]
    return {one.name: one for one in test.measure(test.rows_of(np.array(members)))}


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_a_dealt_out_queue_speaks_for_and_users_of_one_tool_against(seed: int) -> None:
    platform = Platform(seed)
    platform.people("benign", 150)
    platform.people("tool", 40, system="You are an editor plug-in. Follow the house rules.", user_agent="plug-in/2")
    platform.campaign(25, 30)
    dealt, tool = measure(platform, "campaign"), measure(platform, "tool")
    assert dealt["minutes"].log_odds > 1
    assert dealt["subject"].log_odds > 3
    assert abs(dealt["subject"].value) < 0.2
    assert tool["minutes"].log_odds < -0.5
    assert tool["subject"].log_odds < 0
    assert dealt["messages"].log_odds > -0.1


def test_it_says_nothing_where_nobody_has_sittings_or_subjects() -> None:
    platform = Platform(4)
    for population, count in (("benign", 120), ("other", 30)):
        for _ in range(count):
            name = platform.account(population)
            for _ in range(20):
                filling = f"{platform.words(' '.join(SUBJECT_WORDS), 9)}"
                platform.exchange(name, int(platform.rng.integers(0, 14 * 86_400_000_000)), filling)
    for one in measure(platform, "other").values():
        assert abs(one.log_odds) < 1


def test_a_group_that_sent_one_exchange_each_has_no_statistic_to_speak_of() -> None:
    platform = Platform(5)
    platform.people("benign", 80)
    for _ in range(10):
        platform.exchange(platform.account("single"), int(platform.rng.integers(1 << 40)), platform.words("a b", 5))
    for one in measure(platform, "single").values():
        assert abs(one.log_odds) < 0.5


SUBJECT_WORDS = [f"subject{chr(97 + i)}{chr(97 + j)}" for i in range(12) for j in range(12)]
