"""What would settle an ownership that is not known: all of it for the operator, no other party for the refused."""

from __future__ import annotations

import re
from dataclasses import replace

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.admission.at_random import right
from tests.admission.small_world import world
from tests.admission.test_eligibility import judged
from tests.parties.ownership_graphs import stakes
from tiergate.admission.eligibility import Reason
from tiergate.admission.engine import Engine
from tiergate.admission.ownership_facts import OwnershipFacts
from tiergate.admission.wanted_facts import MOST_SETTLED, Told, wanted_facts
from tiergate.parties.ownership import StakeGraph
from tiergate.parties.resolving import Verdict

SIZE = "a record of pty_X's exact share of pty_A, on file as 25.0001% to 50%: "
CASES = [
    ("ofac_50", world("X25-50A"), "A", SIZE + "up to 49.9999% clears it, 50% and more bar it",
     "a record of the exact size of a share of the organisation that is on file as 25.0001% to 50%"),
    ("ofac_50", world("X25-50A X20A A60B"), "B", SIZE + "up to 29.9999% clears it, 30% and more bar it",
     "a record of the exact size of a share of an owner 1 step above it that is on file as a band"),
    ("ofac_50", world("X30A", unknown="A"), "A",
     "a record of who holds the 70% of pty_A that no stake explains, and what those listed hold: up to 19.9999% clears "
     "it, 20% and more bar it", "a record of who holds the part of the organisation that no stake explains"),
    ("bis_affiliates", world("Z60A", listed={"SDN": "X"}), "A",
     "the lists `EL`, `MEU`: bring them in with `tiergate parties import`",
     "a list that the rule starts from; the provider has to bring it in"),
    ("provider_supported_regions", world("Z60A", headquarters={"Z": None}), "A",
     "perhaps a record of the headquarters of pty_Z, in a country that the pack knows",
     "a record of the headquarters of an owner 1 step above it"),
    ("ofac_50", world("X25-50A"), "nobody",
     "a record of pty_nobody and of its owners: import one, and use the `pty_` id it gets everywhere",
     "a record of the organisation itself and of its owners"),
]  # fmt: skip


@pytest.mark.parametrize(("pack", "facts", "name", "text", "told"), CASES)
def test_what_to_obtain_is_said(pack: str, facts: OwnershipFacts, name: str, text: str, told: str) -> None:
    first, *_ = wanted_facts(judged(pack, facts), f"pty_{name}")
    assert (first.text, first.told) == (text, told)


def test_of_what_is_known_nothing_is_wanted() -> None:
    verdicts = judged("ofac_50", world("X50A"))
    assert [wanted_facts(verdicts, f"pty_{name}") for name in "XAZ"] == [()] * 3


@given(st.lists(stakes(6), max_size=12), st.sampled_from(["ofac_50", "eu_ownership_control", "uk_ofsi"]))
def test_who_was_refused_is_told_of_no_other_party(rows: list[tuple[int, ...]], pack: str) -> None:
    owner, owned, lo, hi, prong, concert, indirect = zip(*rows, strict=True) if rows else ((),) * 7
    graph = StakeGraph.build(6, owner, owned, lo, hi, prong=prong, concert=concert, indirect=indirect)
    verdicts = judged(pack, replace(world(""), graph=graph))
    for entity, name in enumerate(verdicts.facts.ids):
        wanted = wanted_facts(verdicts, name)
        assert bool(wanted) <= (verdicts.verdict[entity] == Verdict.NOT_KNOWN)
        assert not any(re.search(r"pty_|clears|bar", one.told) for one in wanted)
        if verdicts.of(name).reason is Reason.STAKES_NOT_KNOWN and any(one.settles for one in wanted):
            assert wanted[0].settles


def test_a_refusal_says_what_the_organisation_can_obtain() -> None:
    standing, model, request = right()
    (pack, *_) = model.organisation_packs
    unknown = {"organisation_verdicts": {**standing.organisation_verdicts, pack: "not_known"}}
    told = {pack: ("a record of the headquarters of the organisation",)}
    doubtful = msgspec.structs.replace(standing, **unknown, ownership_wanted=told)
    (reason,) = Engine().decide(doubtful, model, request).reasons
    assert (reason.code, reason.would_settle) == ("ownership_not_known", told[pack])


def test_of_many_organisations_the_first_are_worked_out_and_once() -> None:
    verdicts, told = judged("ofac_50", world("X25-50A")), Told()
    said = [told.of(verdicts, f"pty_{number}") for number in range(MOST_SETTLED + 1)]
    assert [bool(one) for one in said] == [True] * MOST_SETTLED + [False]
    assert told.of(verdicts, "pty_0") is said[0]
