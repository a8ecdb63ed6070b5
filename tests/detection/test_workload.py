"""The pooled-workload test tells one queue from many people, and knows when it cannot."""

from __future__ import annotations

import numpy as np
import pytest

from tests.detection.conftest import SUBJECTS, Platform, log_batches
from tiergate.clock import DAY, HOUR, MINUTE
from tiergate.detection.intake import take_in
from tiergate.detection.workload import Statistic, WorkloadTest

KEY = bytes(32)


def measure(platform: Platform, population: str, *, others: bool = True) -> dict[str, Statistic]:
    traffic = take_in(log_batches(platform.exchange_table()), KEY)
    accounts = len(traffic.account_ids)
    closed, speaks = np.full(accounts, -1), np.full(accounts, others)
    test = WorkloadTest(traffic, closed, np.random.default_rng(0), speaks)
    members = [i for i, name in enumerate(traffic.account_ids) if platform.population[name] == population]
    return {one.name: one for one in test.measure(test.rows_of(np.array(members)))}


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_a_dealt_out_queue_speaks_for_and_users_of_one_tool_against(seed: int) -> None:
    platform = Platform(seed)
    platform.people("benign", 150)
    platform.people("tool", 40, system="You are an editor plug-in. Follow the house rules.", user_agent="plug-in/2")
    platform.campaign(25, 30)
    dealt, tool = measure(platform, "campaign"), measure(platform, "tool")
    assert dealt["minutes"].log_odds > 1.4  # all that it can pay
    assert dealt["subject"].log_odds > 3
    assert abs(dealt["subject"].value) < 0.2
    assert tool["minutes"].log_odds < -0.69  # all that it can take
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


def queue(platform: Platform, accounts: int, total: int, *, times: int = 1, lists: int = 0) -> None:
    """``total`` questions, each sent ``times`` by accounts drawn by lot; or each by all accounts once, of ``lists``."""
    names = [platform.account("queue") for _ in range(accounts)]
    for number in range(lists or total):
        text = f"Solve: {platform.words(str(platform.rng.choice(SUBJECTS)), 9)} {number}"
        for sender in names if lists else platform.rng.choice(names, times):
            platform.exchange(str(sender), int(platform.rng.integers(14 * DAY)), text)


def test_a_list_that_everybody_runs_is_no_queue() -> None:
    platform = Platform(6)
    platform.people("benign", 120)
    queue(platform, 15, 0, lists=60)
    found = measure(platform, "queue")
    assert found["repeats"].value == 1
    assert found["repeats"].log_odds < -2
    assert sum(one.log_odds for one in found.values()) < 0


def test_answers_drawn_several_times_by_lot_are_still_a_queue() -> None:
    platform = Platform(7)
    platform.people("benign", 120)
    queue(platform, 40, 250, times=4)
    found = measure(platform, "queue")
    assert found["repeats"].value == 0
    assert found["messages"].log_odds > -0.1
    assert sum(one.log_odds for one in found.values()) > 4


def test_a_few_loud_members_do_not_decide() -> None:
    platform = Platform(8)
    platform.people("benign", 120)
    platform.campaign(30, 20)
    for _ in range(4):
        name = platform.account("campaign")
        for turn in range(120):
            text = f"{platform.words(SUBJECTS[0], 9)} {platform.rng.integers(1 << 40):x}"
            platform.exchange(name, 3 * DAY + turn * MINUTE, text)
    assert abs(measure(platform, "campaign")["subject"].value) < 0.4


@pytest.mark.parametrize("named", [True, False])
def test_a_resellers_customers_are_people_each(named: bool) -> None:
    """Names that never come back are no customers: then the account counts, and is found to be dealt out."""
    platform = Platform(9)
    platform.people("benign", 120)
    for _ in range(20):
        name = platform.account("router")
        for user in range(12):
            subject = str(platform.rng.choice(SUBJECTS))
            for turn in range(6):
                who = f"user-{user}" if named else f"user-{platform.rng.integers(1 << 40)}"
                at = int(platform.rng.integers(14 * DAY))
                text = f"{platform.words(subject, 6)} {turn} {platform.rng.integers(1 << 40):x}"
                platform.exchange(name, at, text, end_user_id=who)
    assert (measure(platform, "router")["subject"].log_odds < 0) == named
    assert measure(platform, "router", others=False)["subject"].log_odds > 0, "who may have no customers names none"


def test_bursts_in_common_speak_against() -> None:
    platform = Platform(10)
    platform.people("benign", 120)
    for _ in range(30):
        name = platform.account("failover")
        for outage in (2, 6, 11):
            for _ in range(5):
                at = outage * DAY + int(platform.rng.integers(HOUR))
                platform.exchange(name, at, f"{platform.words(SUBJECTS[1], 6)} {platform.rng.integers(1 << 40):x}")
    found = measure(platform, "failover")
    assert found["bursts"].value > 20
    assert found["bursts"].log_odds < -1.5


def test_what_an_account_names_in_every_message_is_its_own_subject() -> None:
    """Customers of one tool who name their own shop in each message are no queue, whatever else they are asked."""
    platform = Platform(9)
    platform.people("benign", 150)
    for _ in range(25):
        name = platform.account("shop")
        own = " ".join("".join(word) for word in platform.rng.choice(list("etaoinshrdlu"), (4, 7)))
        for _ in range(30):
            text = f"{own} {platform.words(str(platform.rng.choice(SUBJECTS)), 9)} {platform.rng.integers(1 << 40):x}"
            platform.exchange(name, int(platform.rng.integers(14 * DAY)), text)
    assert measure(platform, "shop")["subject"].log_odds < 0


def test_a_queue_padded_with_a_list_is_still_dealt_out() -> None:
    """A few messages that every account repeats are a list, and `repeats` alone speaks of them."""
    platform = Platform(10)
    platform.people("benign", 150)
    platform.campaign(25, 30)
    members = [name for name, population in platform.population.items() if population == "campaign"]
    for name in members:
        for number in range(4):
            platform.exchange(name, int(platform.rng.integers(14 * DAY)), f"Is the service up? check {number}")
    padded = measure(platform, "campaign")
    assert padded["messages"].log_odds > -0.5
    assert padded["subject"].log_odds > 3
