"""Every look-alike looks guilty for its reason, and is innocent for another."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest

from tiergate.clock import DAY, HOUR
from tiergate.simulation.hard_negatives import HARD_NEGATIVES
from tiergate.simulation.maker import Maker, Member
from tiergate.simulation.prompts import GrammarPrompts
from tiergate.simulation.spec import LOOK_ALIKES, WorldSpec
from tiergate.simulation.surroundings import MadeUpSurroundings


def make(name: str, count: int = 24, seed: int = 1) -> list[Member]:
    maker = Maker(WorldSpec(days=14), np.random.default_rng(seed), GrammarPrompts(), MadeUpSurroundings())
    return list(HARD_NEGATIVES[name].make(maker, count))


def addresses(members: list[Member]) -> Counter[str]:
    return Counter(place for one in members for place in {request.place.address for request in one.requests})


def clients(members: list[Member]) -> set[str]:
    return {one.client.user_agent for one in members}


def opening(members: list[Member]) -> Counter[str]:
    """First words of requests."""
    return Counter(" ".join(request.text.split()[:6]) for one in members for request in one.requests)


@pytest.mark.parametrize("name", sorted(HARD_NEGATIVES))
def test_a_population_is_complete_and_seeded(name: str) -> None:
    members = make(name)
    assert len(members) == 24
    assert {one.population for one in members} == {name}
    assert len({one.account["account_id"] for one in members}) == 24
    assert all(0 <= request.time < 14 * DAY for one in members for request in one.requests)
    assert not any(request.campaign for one in members for request in one.requests)
    assert [one.requests for one in members] == [one.requests for one in make(name)]
    assert HARD_NEGATIVES[name].looks_guilty


def test_there_are_more_than_fourteen_and_presets_hold_them_all() -> None:
    assert len(HARD_NEGATIVES) >= 14
    assert set(LOOK_ALIKES) == set(HARD_NEGATIVES)


@pytest.mark.parametrize(
    "name", ["class_assignment", "ci_fleet", "company_egress", "corporate_vpn", "hackathon", "office", "saas_tenants"]
)
def test_they_share_an_address(name: str) -> None:
    assert addresses(make(name)).most_common(1)[0][1] >= 8


@pytest.mark.parametrize("name", ["hackathon", "labelling_contractors", "saas_tenants"])
def test_they_share_a_card(name: str) -> None:
    cards = Counter(one.account["payment_hash"] for one in make(name))
    assert cards.most_common(1)[0][1] >= 8


@pytest.mark.parametrize(
    "name",
    [
        "class_assignment",
        "evaluation_harness",
        "labelling_contractors",
        "nightly_batch",
        "popular_template_users",
        "reasoning_audit",
        "saas_tenants",
        "translators",
    ],
)
def test_they_share_a_template(name: str) -> None:
    members = make(name)
    total = sum(len(one.requests) for one in members)
    assert opening(members).most_common(1)[0][1] >= 0.05 * total


@pytest.mark.parametrize("name", ["agent_users", "ci_fleet", "failover_clients", "nightly_batch", "translators"])
def test_they_share_a_client(name: str) -> None:
    assert len(clients(make(name))) <= 8


@pytest.mark.parametrize("name", ["class_assignment", "student_programme", "hackathon"])
def test_they_came_together(name: str) -> None:
    created = sorted(one.account["created_at"] for one in make(name))
    assert created[-1] - created[0] < 21 * DAY


def test_a_harness_sends_one_list_from_every_account_and_no_item_twice_a_run() -> None:
    members = make("evaluation_harness", 6)
    lists = [{request.text for request in one.requests} for one in members]
    assert all(one == lists[0] for one in lists)
    runs = [len(one.requests) // len(lists[0]) for one in members]
    assert all(1 <= run <= 3 for run in runs)


def test_contractors_share_items_between_them_and_see_none_twice() -> None:
    members = make("labelling_contractors")
    for one in members:
        assert len({request.text for request in one.requests}) == len(one.requests)
    seen = Counter(request.text for one in members for request in one.requests)
    assert sum(number > 1 for number in seen.values()) > 0.3 * len(seen)


def test_a_migration_leaves_one_account_silent_when_the_other_starts() -> None:
    members = make("key_migration")
    for old, new in zip(members[::2], members[1::2], strict=True):
        assert old.account["payment_hash"] == new.account["payment_hash"]
        if old.requests and new.requests:
            assert max(request.time for request in old.requests) < min(request.time for request in new.requests)


def test_release_day_turns_them_to_the_new_model_within_hours() -> None:
    members = make("release_day_benchmarkers")
    turned = [one.pivots_at for one in members if one.pivots_at is not None]
    assert len(turned) == len(members)
    assert np.median(turned) < 6 * DAY + 12 * HOUR


def test_an_agency_has_many_end_users_with_clients_of_their_own() -> None:
    for one in make("agency", 2):
        users = {request.end_user for request in one.requests}
        assert len(users) >= 40
        assert len({request.client for request in one.requests}) > 3


@pytest.mark.parametrize(
    "name", ["agent_users", "nightly_batch", "popular_template_users", "saas_tenants", "translators"]
)
def test_the_account_still_tells_who_asks(name: str) -> None:
    """Two requests of one account resemble each other more than two of different accounts: no queue is dealt out."""
    members = [one for one in make(name, 40) if len(one.requests) >= 8]
    shared = Counter(word for one in members for request in one.requests for word in set(request.text.split()))
    total = sum(len(one.requests) for one in members)

    def words(text: str) -> set[str]:
        return {word for word in text.split() if shared[word] < 0.1 * total}

    rng = np.random.default_rng(0)
    same, apart = 0, 0
    for _ in range(1_500):
        one, other = (members[i] for i in rng.choice(len(members), 2, replace=False))
        first, second = (one.requests[i].text for i in rng.choice(len(one.requests), 2, replace=False))
        same += bool(words(first) & words(second))
        apart += bool(words(first) & words(other.requests[rng.integers(len(other.requests))].text))
    assert same > 1.2 * apart
