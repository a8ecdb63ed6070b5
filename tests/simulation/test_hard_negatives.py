"""Every look-alike looks guilty for its reason, and is innocent for another."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest

from tiergate.clock import DAY, HOUR
from tiergate.simulation.grammar import SUBJECTS
from tiergate.simulation.hard_negatives import HARD_NEGATIVES
from tiergate.simulation.maker import Maker, Member
from tiergate.simulation.people import languages, people
from tiergate.simulation.prompts import GrammarPrompts, ListedPrompts
from tiergate.simulation.rhythm import UTC_OFFSETS
from tiergate.simulation.spec import LOOK_ALIKES, WorldSpec
from tiergate.simulation.surroundings import COUNTRIES, MadeUpSurroundings


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
    assert HARD_NEGATIVES[name].looks_guilty.endswith(".")


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


def hours(member: Member) -> set[int]:
    """Hours of the day, UTC, at which somebody asked."""
    return {request.time // HOUR % 24 for request in member.requests}


def busy(members: list[Member], least: int = 20) -> list[Member]:
    return [one for one in members if len(one.requests) >= least]


@pytest.mark.parametrize("name", ["agency", "ci_fleet", "corporate_vpn", "support_bots"])
def test_together_they_never_sleep(name: str) -> None:
    assert set().union(*(hours(one) for one in make(name, 40))) == set(range(24))


def test_each_employee_on_the_vpn_sleeps() -> None:
    awake = [len(hours(one)) for one in busy(make("corporate_vpn", 60))]
    assert awake
    assert np.median(awake) < 14


def test_bots_have_one_skeleton_and_a_shop_each() -> None:
    members = make("support_bots")
    prompts = [{request.system for request in one.requests} for one in members]
    assert all(len(one) == 1 for one in prompts)
    said = [one.pop() or "" for one in prompts]
    assert len(set(said)) == len(said)
    assert len({one.split(". ", 1)[1] for one in said}) == 1


def test_agent_users_share_a_system_prompt_but_no_address_and_no_task() -> None:
    members = make("agent_users")
    assert len({request.system for one in members for request in one.requests}) == 1
    assert addresses(members).most_common(1)[0][1] == 1
    texts = [{request.text for request in one.requests if len(request.text) > 40} for one in members]
    assert not texts[0] & set().union(*texts[1:])


def test_failover_bursts_are_of_the_same_minutes() -> None:
    members = make("failover_clients")
    windows = Counter(request.time // (2 * HOUR) for one in members for request in one.requests)
    total = sum(windows.values())
    assert len(windows) < 0.15 * 14 * 12
    assert sum(number for _, number in windows.most_common(8)) > 0.7 * total


def test_a_build_fleet_has_many_addresses_and_each_account_its_own_repository() -> None:
    members = make("ci_fleet", 12)
    assert len(addresses(members)) >= 30
    assert len({request.system for one in members for request in one.requests}) == 1
    texts = [{request.text for request in one.requests if len(request.text) > 40} for one in members]
    assert not texts[0] & set().union(*texts[1:])


def test_nightly_jobs_run_by_the_clock_at_hours_of_their_own() -> None:
    runs = [frozenset(hours(one)) for one in busy(make("nightly_batch"))]
    assert all(len(one) <= 5 for one in runs)
    assert len(set(runs)) > 0.8 * len(runs)


def test_auditors_ask_for_reasoning_in_one_form_in_the_hours_of_an_office() -> None:
    members = make("reasoning_audit")
    assert all("reasoning step by step" in request.text for one in members for request in one.requests)
    assert np.median([len(hours(one)) for one in busy(members)]) < 14


def test_students_talk_about_their_own_answers_too() -> None:
    members = make("class_assignment")
    sent = [Counter(request.text for request in one.requests) for one in members]
    known = Counter(text for one in sent for text in one)
    assert len([text for text, number in known.items() if number >= 4]) <= 6
    own = sum(number == 1 for number in known.values())
    assert own > 0.5 * len(known)


@pytest.fixture(scope="module")
def crowd() -> list[Member]:
    spec = WorldSpec(days=14, people=500, machine_share=0)
    return list(people(Maker(spec, np.random.default_rng(2), GrammarPrompts(), MadeUpSurroundings())))


def test_people_sleep_when_their_country_does(crowd: list[Member]) -> None:
    assert set(COUNTRIES) <= set(UTC_OFFSETS)
    for country in ("US", "IN", "DE", "JP"):
        ahead = np.mean(UTC_OFFSETS[country])
        nights = []  # by account: one that asks a lot in foreign hours must not decide
        for one in busy(crowd, 8):
            if one.account["declared_country"] == country:
                local = (np.array([request.time for request in one.requests]) / HOUR + ahead) % 24
                nights.append(np.mean((local > 2) & (local < 7)))
        assert len(nights) >= 5
        assert np.mean(nights) < 0.12, country  # these five hours are a fifth of the day


def test_people_have_a_second_place_in_their_country(crowd: list[Member]) -> None:
    asked = [(one.account["declared_country"], r.place.country) for one in crowd for r in one.requests]
    assert np.mean([home == here for home, here in asked]) > 0.95
    assert np.mean([len({r.place for r in one.requests}) > 1 for one in busy(crowd)]) > 0.7


def test_people_differ_widely_in_how_much_they_ask(crowd: list[Member]) -> None:
    volumes = np.sort([len(one.requests) for one in crowd])
    assert volumes[-25:].sum() > 0.2 * volumes.sum()
    assert np.median(volumes) < 0.7 * volumes.mean()


def test_languages_are_told_from_the_prompts_and_lean_to_their_countries(crowd: list[Member]) -> None:
    told = languages(GrammarPrompts())
    assert {name: {one % len(SUBJECTS) for one in some} for name, some in told.items()} == {"zh": {11}, "es": {12}}
    listed = ListedPrompts([["how are you"], ["\u3053\u3093\u306b\u3061\u306f"], ["\uc548\ub155"]])
    assert languages(listed) == {"ja": [1], "ko": [2]}

    def chinese(home: bool) -> float:
        told = [
            any("\u4e00" <= letter <= "\u9fff" for letter in r.text)
            for one in crowd
            for r in one.requests
            if (one.account["declared_country"] == "CN") == home
        ]
        return float(np.mean(told))

    assert chinese(True) > 3 * chinese(False) > 0
