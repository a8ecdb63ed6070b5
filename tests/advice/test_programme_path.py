"""The way into a programme by facts of parties, and by what an organisation declares of itself."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.advice.conftest import advice
from tiergate.admission.ownership_facts import OwnershipFacts, Places
from tiergate.admission.rule_packs import find_pack, load_packs
from tiergate.advice.candidates import Market
from tiergate.advice.owners import Declared, name_in, verdicts
from tiergate.parties.ownership import StakeGraph
from tiergate.parties.resolving import Verdict

TEAM = {"name": "E", "country": "US", "party": "pty_team"}


def facts(listed_ppm: int, *lists: str) -> OwnershipFacts:
    """A team that somebody holds ``listed_ppm`` of, who is on the lists of that name; all lists were imported."""
    graph = StakeGraph.build(2, [1], [0], [listed_ppm])
    seats = Places.of(2, [(0, "US"), (1, "DE")])
    listings = {name: np.array([1] if name in lists else [], np.int32) for name in ("SDN", "EL", "MEU", "EU", "UK")}
    return OwnershipFacts(graph, ["pty_team", "pty_owner"], listings, seats, seats, np.zeros(2, np.bool_), "facts@1")


def test_facts_of_parties_say_who_is_on_a_list(market: Market) -> None:
    def eligible(listed_ppm: int, *lists: str, nationalities: tuple[str, ...] = ("US",)) -> dict[str, str]:
        known = replace(market, parties=facts(listed_ppm, *lists))
        users = {"countries": ["US"], "nationalities": list(nationalities)}
        found = advice(known, organisation=TEAM, tasks=["vulnerability_research"], users=users)
        return {one.programme.id: one.eligible for one in found.paths}

    # OFAC counts half as enough: FAQ 401.
    assert eligible(500_000, "SDN")["cyber-verification"] == "no"
    assert eligible(0)["cyber-verification"] == "yes"
    assert eligible(0)["glasswing"] == "not known"
    assert eligible(0, nationalities=("US", "IN"))["cyber-verification"] == "not known"
    assert eligible(0, nationalities=())["cyber-verification"] == "not known"


def test_a_member_has_arrived(market: Market) -> None:
    found = advice(market, tasks=["vulnerability_research"], programmes={"member_of": ["glasswing"]})
    (glasswing,) = (one for one in found.paths if one.programme.id == "glasswing")
    assert (glasswing.eligible, glasswing.missing) == ("yes", [])
    assert "claude-mythos-5" in glasswing.models
    assert "claude-mythos-5" in {one.model.id for one in found.found.short}


def test_what_is_met_is_not_missing(market: Market) -> None:
    def missing(*met: str) -> list[str]:
        found = advice(market, tasks=["vulnerability_research"], programmes={"met": list(met)})
        (one,) = (path for path in found.paths if path.programme.id == "daybreak")
        return [text.partition(":")[0] for text in one.missing]

    assert {"sso_enforced", "mfa_at_idp", "verified_domain"} <= set(missing())
    assert {"sso_enforced", "verified_domain"}.isdisjoint(missing("sso_enforced", "verified_domain"))


def test_a_programme_of_which_nothing_is_published_is_not_known(market: Market) -> None:
    (path,) = advice(market, tasks=["life_sciences"]).paths
    assert path.eligible == "not known"
    assert "ask Anthropic for its conditions" in path.missing


@settings(max_examples=60, deadline=None)
@given(
    shares=st.lists(st.tuples(st.sampled_from(["US", "CN", "DE", "RU"]), st.integers(0, 400_000)), max_size=4),
    party=st.sampled_from(["", "pty_x"]),
)
def test_owners_from_elsewhere_bar_exactly_above_half(shares: list[tuple[str, int]], party: str) -> None:
    """By arithmetic: a company is barred where holders from unsupported regions have more than half together, cleared
    where they and all who were not declared have no more, and not known between the two."""
    total = sum(share for _, share in shares)
    if total > 1_000_000:
        return
    pack = find_pack(load_packs(), "provider_supported_regions")
    declared = Declared("DE", tuple((f"o{number}", *one) for number, one in enumerate(shares)), party)
    judged = verdicts(pack, declared, None, pack.periods[0].valid_from)
    said = judged.of(name_in(judged, declared)).verdict
    from_elsewhere = sum(share for seat, share in shares if seat in ("CN", "RU"))
    if from_elsewhere > 500_000:
        assert said is Verdict.YES
    elif from_elsewhere + (1_000_000 - total) <= 500_000:
        assert said is Verdict.NO
    else:
        assert said is Verdict.NOT_KNOWN


@pytest.mark.parametrize("owners", [None, []])
def test_who_declares_nobody_is_not_known(owners: list[object] | None) -> None:
    pack = find_pack(load_packs(), "provider_supported_regions")
    judged = verdicts(pack, Declared("DE", None if owners is None else (), ""), None, pack.periods[0].valid_from)
    assert judged.of("the organisation").verdict is Verdict.NOT_KNOWN
