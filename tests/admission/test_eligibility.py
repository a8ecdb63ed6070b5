"""The worked cases of every pack that is brought, with the parameters of its file and none of the test's own."""

from __future__ import annotations

from datetime import date

import numpy as np
import pytest

from tests.admission.small_world import LISTS, NAMES, world
from tiergate.admission.activations import ActivePack
from tiergate.admission.eligibility import Eligibility, Outcome, PackVerdicts, Reason, judge, proof_reference
from tiergate.admission.ownership_facts import OwnershipFacts, Places
from tiergate.admission.rule_packs import find_pack, load_packs
from tiergate.errors import InputError
from tiergate.parties.ownership import StakeGraph
from tiergate.parties.proof_check import verify_proof
from tiergate.parties.proofs import Proof, Step
from tiergate.parties.resolving import Verdict

PACKS = load_packs()
OWNERSHIP = ("ofac_50", "bis_affiliates", "eu_ownership_control", "uk_ofsi", "provider_supported_regions")
# Days on which each is in force by its own text.
DAY = {name: date(2025, 10, 1) if name == "bis_affiliates" else date(2026, 11, 20) for name in OWNERSHIP}

# Barred by OFAC and BIS (and the EU, which presumes at just 50), by more than 50 in sum, by more than 50 of one holder.
CASES = {
    "401.1": ("X50A A50B", "AB", "", ""),
    "401.2": ("X50A X50B A25C B25C", "ABC", "", ""),
    "401.3": ("X50A X10B A40B", "AB", "", ""),
    "401.4": ("X50A X25B A25C B25C", "A", "", ""),
    "401.5": ("X25A X25B A50C B50C", "", "", ""),
    "399": ("X25A Y25A", "A", "", ""),
    "E2": ("X25A Y26A", "A", "A", ""),
    "JV": ("X50A Z50A", "A", "", ""),
    "E3": ("X60A A60B", "AB", "AB", "AB"),
    "E4": ("X40A A70B X30B", "", "?B", ""),
    "E5": ("A60B B60A X40A", "", "?A", ""),
    "P1": ("X25-50A", "?A", "", ""),
    "P2": ("X50-75A", "A", "A", "A"),
    "U1": ("X30A", "?A", "?A", "?A"),
}
COLUMN = {"uk_ofsi": 2, "provider_supported_regions": 1}


def judged(pack: str, facts: OwnershipFacts, day: date | None = None, *, confirmed: bool = False) -> PackVerdicts:
    return judge(ActivePack(find_pack(PACKS, pack), confirmed), facts, day or DAY[pack])


def said(pack: str, facts: OwnershipFacts, name: str, day: date | None = None) -> Eligibility:
    return judged(pack, facts, day).of(f"pty_{name}")


@pytest.mark.parametrize("pack", OWNERSHIP)
@pytest.mark.parametrize("case", CASES)
def test_worked_case(case: str, pack: str) -> None:
    stakes, *columns = CASES[case]
    expected = columns[COLUMN.get(pack, 0)]
    verdicts = judged(pack, world(stakes, unknown="A" if case == "U1" else ""))
    unsure = Verdict.NOT_KNOWN if expected.startswith("?") else Verdict.YES
    assert verdicts.verdict.tolist() == [2, 2, *(unsure if name in expected else Verdict.NO for name in "ABCZ")]
    for name in NAMES:
        one = verdicts.of(f"pty_{name}")
        assert (one.proof is not None) is (one.verdict is Verdict.YES)
        review = one.verdict is Verdict.NOT_KNOWN
        assert one.outcome is (Outcome.REVIEW if review else Outcome.DENY if one.proof else Outcome.CLEAR)


@pytest.mark.parametrize("pack", OWNERSHIP)
def test_d1_declared_indirect_stake_is_not_added_to_its_chain(pack: str) -> None:
    from dataclasses import replace

    # P (X) holds C whole and 20 of D (here A and B), each of which holds 50 of C: the declared 60 is that chain.
    graph = StakeGraph.build(
        len(NAMES), [2, 3, 0, 0, 0], [4, 4, 2, 3, 4], [500_000, 500_000, 1_000_000, 200_000, 600_000],
        indirect=[False] * 4 + [True],
    )  # fmt: skip
    verdicts = judged(pack, replace(world(""), graph=graph)).verdict
    by_half = pack not in ("uk_ofsi", "provider_supported_regions")
    review = pack == "provider_supported_regions"  # 60% by multiplication
    assert verdicts[2:5].tolist() == [2, 0, 2 if by_half else 1 if review else 0]


@pytest.mark.parametrize("pack", OWNERSHIP)
def test_t1_sold_down_clears_and_the_day_before_still_denies(pack: str) -> None:
    before, after = world("X60A"), world("X49A")  # as the facts' store gives them for two days
    for facts, verdict in ((before, Verdict.YES), (after, Verdict.NO), (before, Verdict.YES)):
        assert said(pack, facts, "A").verdict is verdict


def test_bis_bars_nobody_while_suspended_and_is_not_known_after() -> None:
    facts = world("X50A")
    for day, verdict, reason in (
        (date(2025, 9, 28), Verdict.NO, Reason.NOT_IN_FORCE),
        (date(2025, 9, 29), Verdict.YES, Reason.OWNERSHIP),
        (date(2025, 11, 9), Verdict.YES, Reason.OWNERSHIP),
        (date(2025, 11, 10), Verdict.NO, Reason.NOT_IN_FORCE),
        (date(2026, 11, 9), Verdict.NO, Reason.NOT_IN_FORCE),
        (date(2026, 11, 10), Verdict.NOT_KNOWN, Reason.RULE_UNCONFIRMED),
    ):
        one = said("bis_affiliates", facts, "A", day)
        assert (one.verdict, one.reason) == (verdict, reason)
    assert one.outcome is Outcome.REVIEW
    assert one.proof is not None  # what the rule would say is shown
    confirmed = judged("bis_affiliates", facts, date(2026, 11, 10), confirmed=True)
    assert confirmed.of("pty_A").reason is Reason.OWNERSHIP
    assert said("bis_affiliates", facts, "Z", date(2026, 11, 10)).verdict is Verdict.NO


def test_bis_names_all_listed_owners_for_the_most_restrictive_and_flags_minorities() -> None:
    facts = world("X30A Y25A X10B", listed={"EL": "X", "MEU": "", "SDN": "Y"})
    (note,) = said("bis_affiliates", facts, "A").notes
    assert note.startswith("most restrictive owner: 2 listed owners on EL, SDN;")
    (note,) = said("bis_affiliates", facts, "B").notes
    assert note.startswith("red flag")
    assert said("bis_affiliates", facts, "Z").notes == ()
    assert said("ofac_50", facts, "A").notes == ()


def test_bis_covers_no_entity_of_the_united_states_unless_it_is_listed() -> None:
    facts = world("X60A A60B", incorporated={"A": "US", "X": "US"})
    assert said("bis_affiliates", facts, "A").reason is Reason.NOT_COVERED
    assert said("bis_affiliates", facts, "B").verdict is Verdict.YES  # it passes ownership on all the same
    assert said("bis_affiliates", facts, "X").reason is Reason.LISTED


def test_a_list_that_was_not_imported_clears_nobody() -> None:
    facts = world("X60A", listed={"SDN": "X", "MEU": ""})
    assert said("bis_affiliates", facts, "Z").reason is Reason.LIST_MISSING
    assert said("bis_affiliates", facts, "Z").outcome is Outcome.REVIEW
    assert said("bis_affiliates", facts, "A").verdict is Verdict.YES
    assert said("ofac_50", facts, "Z").verdict is Verdict.NO


def test_headquarters_that_nobody_recorded_are_not_known_and_people_have_none() -> None:
    facts = world("Z60A B60C", headquarters={"Z": None, "B": "KY"})
    one = said("provider_supported_regions", facts, "A")
    assert (one.verdict, one.reason) == (Verdict.NOT_KNOWN, Reason.HEADQUARTERS_NOT_KNOWN)
    assert said("provider_supported_regions", facts, "C").verdict is Verdict.NOT_KNOWN  # a territory of neither list
    assert said("provider_supported_regions", world("Z60A", headquarters={"Z": None}, people="Z"), "A").verdict is (
        Verdict.NO
    )
    # Lists are not asked for by this pack, headquarters not by the others.
    assert said("provider_supported_regions", world("X60A", listed={}), "A").verdict is Verdict.YES
    assert said("ofac_50", facts, "A").verdict is Verdict.NO


def test_subdivisions_are_part_of_their_country_unless_a_pack_takes_them_out() -> None:
    facts = world("Z60A B60C", headquarters={"Z": "UA-43", "B": "UA-32"}, incorporated={"A": "US-DE"})
    assert said("provider_supported_regions", facts, "A").reason is Reason.OWNERSHIP
    assert said("provider_supported_regions", facts, "C").reason is Reason.NOT_OWNED
    assert said("bis_affiliates", facts, "A").reason is Reason.NOT_COVERED


def test_sources_that_differ_on_headquarters_are_not_known() -> None:
    from dataclasses import replace

    facts = world("Z60A")
    both = Places.of(
        len(NAMES), [*zip(range(len(NAMES)), ["CN", "CN", "SG", "SG", "SG", "CN"], strict=True), (5, "SG")]
    )
    one = said("provider_supported_regions", replace(facts, headquarters=both), "A")
    assert one.reason is Reason.HEADQUARTERS_NOT_KNOWN


def test_exactly_half_presumes_control_in_the_eu_alone() -> None:
    facts = world("X50A Z50A")
    reasons = {pack: said(pack, facts, "A").reason for pack in OWNERSHIP}
    assert reasons["eu_ownership_control"] is Reason.PRESUMED_CONTROL
    assert reasons["ofac_50"] is Reason.OWNERSHIP
    assert reasons["uk_ofsi"] is reasons["provider_supported_regions"] is Reason.NOT_OWNED


def test_an_organisation_without_facts_is_not_known() -> None:
    one = said("ofac_50", world("X50A"), "nobody")
    assert (one.verdict, one.reason, one.outcome) == (Verdict.NOT_KNOWN, Reason.ORGANISATION_UNKNOWN, Outcome.REVIEW)


def test_a_proof_is_accepted_by_the_independent_check_and_its_reference_is_its_content() -> None:
    facts = world("X50A X10B A40B")
    verdicts = judged("ofac_50", facts)
    document = verdicts.proof(NAMES.index("B"))
    assert document is not None
    assert document["steps"][0]["seed_of"] == ["SDN"]
    assert verdicts.of("pty_B").proof == proof_reference(document)
    assert proof_reference(document | {"day": "2026-11-21"}) != proof_reference(document)
    number = {name: at for at, name in enumerate(facts.ids)}
    steps = tuple(
        Step(number[one["entity"]], one["reason"], tuple(stake["number"] for stake in one.get("stakes", ())))
        for one in document["steps"]
    )
    graph = facts.graph
    columns = (graph.owner, graph.owned, graph.lo_ppm, graph.hi_ppm, graph.prong, graph.concert, graph.indirect)
    stakes = list(zip(*(column.tolist() for column in columns), strict=True))
    parameters = find_pack(PACKS, "ofac_50").test
    assert parameters is not None
    assert verify_proof(Proof(number["pty_B"], steps), stakes, {0, 1}, parameters.test())
    assert not verify_proof(Proof(number["pty_B"], steps[1:]), stakes, {0, 1}, parameters.test())


def test_a_pack_about_persons_says_nothing_of_organisations() -> None:
    with pytest.raises(InputError, match="is about persons"):
        judge(ActivePack(find_pack(PACKS, "ear_person")), world(""), date(2026, 11, 20))


def test_lists_of_the_packs_are_those_of_the_small_world() -> None:
    named = {name for pack in PACKS.values() if pack.seeds for name in pack.seeds.lists}
    assert named == set(LISTS)
    assert np.array_equal(world("").listings["SDN"], [0, 1])
