"""UK people with significant control: bands as the law draws them, trusts between, ended and hidden entries."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.parties.sources.conftest import ReadText
from tiergate.parties.fact_rows import party_id
from tiergate.parties.sources.psc import nature
from tiergate.parties.sources.values import UnreadableError

PERSON = {
    "kind": "individual-person-with-significant-control",
    "name_elements": {"forename": "Ada", "surname": "Example"},
    "nationality": "Nowhere",
    "date_of_birth": {"month": 1, "year": 1970},
    "natures_of_control": ["ownership-of-shares-25-to-50-percent"],
    "notified_on": "2016-04-06",
    "links": {"self": "/company/1/persons-with-significant-control/individual/a"},
}


def line(company: str = "1", **changes: Any) -> str:
    return json.dumps({"company_number": company, "data": PERSON | changes}) + "\n"


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("ownership-of-shares-25-to-50-percent", ("shares", 250_001, 500_000, None)),
        ("ownership-of-shares-50-to-75-percent", ("shares", 500_001, 750_000, None)),
        ("ownership-of-shares-75-to-100-percent", ("shares", 750_000, 1_000_000, None)),
        ("voting-rights-50-to-75-percent-as-trust", ("votes", 500_001, 750_000, "trust")),
        ("voting-rights-75-to-100-percent-limited-liability-partnership", ("votes", 750_000, 1_000_000, None)),
        (
            "right-to-share-surplus-assets-25-to-50-percent-as-firm-limited-liability-partnership",
            ("shares", 250_001, 500_000, "firm"),
        ),
        ("ownership-of-shares-more-than-25-percent-registered-overseas-entity", ("shares", 250_001, 10**6, None)),
        ("right-to-appoint-and-remove-directors", ("board", 10**6, 10**6, None)),
        (
            "right-to-appoint-and-remove-members-as-trust-limited-liability-partnership",
            ("board", 10**6, 10**6, "trust"),
        ),
        ("significant-influence-or-control-as-firm", ("control", 10**6, 10**6, "firm")),
    ],
)
def test_natures_of_control(text: str, told: tuple[Any, ...]) -> None:
    assert nature(text) == told


def test_an_unknown_nature_costs_its_entry(read_text: ReadText) -> None:
    with pytest.raises(UnreadableError):
        nature("owns-a-cat")
    facts = read_text("psc", line(natures_of_control=["owns-a-cat"]) + line())
    assert len(facts.stakes) == 1
    assert facts.refused.count == 1


def test_a_person_and_a_company(read_text: ReadText) -> None:
    facts = read_text("psc", line("123456"))
    company, person = facts.parties
    (stake,) = facts.stakes
    assert company.party == stake.owned == party_id("GB-COH", "00123456")
    assert company.identifiers == ("GB-COH:00123456",)
    assert (person.kind, person.name, person.identifiers) == ("person", "Ada Example", [])
    assert (stake.owner, stake.directness) == (person.party, "unknown")
    assert (stake.valid_from_us, stake.valid_to_us) == (1_459_900_800_000_000, None)
    assert "Nowhere" not in repr(facts)


def test_a_british_company_is_told_by_its_number(read_text: ReadText) -> None:
    entity = {
        "kind": "corporate-entity-person-with-significant-control",
        "name": "Holdings Ltd",
        "identification": {"country_registered": "England and Wales", "registration_number": "77", "legal_form": "Ltd"},
    }
    assert read_text("psc", line(**entity)).parties[1].identifiers == ["GB-COH:00000077"]
    entity["identification"] = {"country_registered": "Elsewhere", "registration_number": "77"}
    assert read_text("psc", line(**entity)).parties[1].identifiers == []


@pytest.mark.parametrize("number", ["N/A", "none", "0", "00000000", ""])
def test_what_is_no_number_joins_nobody(number: str, read_text: ReadText) -> None:
    identification = {"country_registered": "United Kingdom", "registration_number": number}
    entity = {"kind": "corporate-entity-person-with-significant-control", "name": "H", "identification": identification}
    assert read_text("psc", line(**entity)).parties[1].identifiers == []


def test_a_trust_stands_between(read_text: ReadText) -> None:
    facts = read_text("psc", line(natures_of_control=["ownership-of-shares-50-to-75-percent-as-trust"]))
    _, person, trust = facts.parties
    control, stake = facts.stakes
    assert (control.owner, control.owned, control.prong) == (person.party, trust.party, "control")
    assert (stake.owner, stake.prong, stake.lo_ppm) == (trust.party, "shares", 500_001)


def test_an_ended_entry_has_an_end(read_text: ReadText) -> None:
    (stake,) = read_text("psc", line(ceased_on="2020-05-01")).stakes
    assert stake.valid_to_us == 1_588_291_200_000_000


def test_statements_and_hidden_persons_are_undisclosed(read_text: ReadText) -> None:
    statement = {"kind": "persons-with-significant-control-statement", "statement": "psc-details-not-confirmed"}
    hidden = {"kind": "super-secure-person-with-significant-control", "description": "super-secure-persons"}
    facts = read_text("psc", line(**statement), line(**hidden))
    assert [one.reason for one in facts.undisclosed] == ["psc-details-not-confirmed", "super-secure-persons"]
    assert {one.scope for one in facts.undisclosed} == {"owners"}


def test_totals_at_the_end_are_no_entry(read_text: ReadText) -> None:
    totals = json.dumps({"data": {"kind": "totals#persons-of-significant-control-snapshot", "persons": 1}})
    facts = read_text("psc", line() + totals + "\n")
    assert facts.refused.count == 0
    assert len(facts.stakes) == 1


@pytest.mark.parametrize(
    "changes",
    [{"links": None}, {"kind": None}, {"natures_of_control": "x"}, {"notified_on": "soon"}, {"name_elements": 3}],
)
def test_entries_that_cannot_be_read(changes: dict[str, Any], read_text: ReadText) -> None:
    facts = read_text("psc", line(**changes) + line())
    assert facts.refused.count == 1
    assert len(facts.stakes) == 1
