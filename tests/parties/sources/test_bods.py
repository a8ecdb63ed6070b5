"""BODS 0.4: bounds of shares, records told again, chains declared beside their parts."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from tests.parties.sources.conftest import ReadText, shares
from tiergate.parties.fact_rows import party_id
from tiergate.parties.facts import FactStore
from tiergate.parties.sources.taking import Taken
from tiergate.parties.sources.values import instant


def statement(kind: str, record: str, details: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {
        "statementId": f"s-{record}-{more.get('statementDate', '')}",
        "recordId": record,
        "recordType": kind,
        "recordStatus": "new",
        "recordDetails": {"isComponent": False} | details,
    } | more


def relation(record: str, owner: Any, owned: Any, *interests: dict[str, Any], **more: Any) -> dict[str, Any]:
    parts = {"componentRecords": more.pop("componentRecords")} if "componentRecords" in more else {}
    details = {"subject": owned, "interestedParty": owner, "interests": list(interests)} | parts
    return statement("relationship", record, details, **more)


def holds(share: Any = None, kind: str | None = "shareholding", how: str = "direct", **more: Any) -> dict[str, Any]:
    interest: dict[str, Any] = {"directOrIndirect": how} | more
    return interest | ({"type": kind} if kind else {}) | ({"share": share} if share is not None else {})


X = statement("person", "x", {"personType": "knownPerson", "names": [{"type": "legal", "fullName": "X"}]})
COMPANIES = [
    statement("entity", name, {"entityType": {"type": "registeredEntity"}, "name": name.upper()}) for name in "bcd"
]
D1 = [
    *COMPANIES,
    X,
    relation("r1", "c", "b", holds({"exact": 50, "minimum": 50, "maximum": 50})),
    relation("r2", "d", "b", holds({"exact": 50, "minimum": 50, "maximum": 50})),
    relation("r3", "x", "c", holds(kind=None, how="unknown", beneficialOwnershipOrControl=True)),
    relation("r4", "x", "d", holds(kind=None, how="unknown", beneficialOwnershipOrControl=True)),
    relation("r5", "x", "b", holds({"exact": 60}, how="indirect"), componentRecords=["c", "d", "r1", "r2", "r3", "r4"]),
]
"""Section 1.5's case D1: a declared indirect 60 beside the chain of two 50s that it adds up."""


@pytest.mark.parametrize(
    ("share", "told"),
    [
        ({"exact": 50.1}, (501_000, 501_000)),
        ({"exact": "33.3333333"}, (333_333, 333_334)),
        ({"minimum": 25, "maximum": 50}, (250_000, 500_000)),
        ({"exclusiveMinimum": 25, "maximum": 50}, (250_001, 500_000)),
        ({"minimum": 50, "exclusiveMaximum": 75}, (500_000, 749_999)),
        ({"minimum": 25, "exclusiveMinimum": True, "maximum": 50, "exclusiveMaximum": False}, (250_001, 500_000)),
        ({"minimum": 75}, (750_000, 1_000_000)),
        (None, (0, 1_000_000)),
    ],
)
def test_bounds_of_a_share(share: Any, told: tuple[int, int], read_text: ReadText) -> None:
    (stake,) = read_text("bods", json.dumps([relation("r", "x", "b", holds(share))])).stakes
    assert (stake.prong, stake.lo_ppm, stake.hi_ppm) == ("shares", *told)


@pytest.mark.parametrize(
    "share", [{"exact": 101}, {"exact": -1}, {"exact": 1e999}, {"exact": "1" * 100}, {"minimum": 60, "maximum": 50}, 50,
              {"exact": True}, {"exact": [50]}]
)  # fmt: skip
def test_shares_that_are_none(share: Any, read_text: ReadText) -> None:
    facts = read_text("bods", json.dumps([relation("r", "x", "b", holds(share)), X]))
    assert facts.stakes == []
    assert facts.refused.count >= 1


@pytest.mark.parametrize(
    ("interest", "told"),
    [
        (holds(kind="votingRights", share={"exact": 10}), ("votes", 100_000, 100_000)),
        (holds(kind="appointmentOfBoard"), ("board", 10**6, 10**6)),
        (holds(kind="appointmentOfBoard", share={"minimum": 25, "maximum": 75}), ("board", 0, 10**6)),
        (holds(kind="appointmentOfBoard", share={"exact": 20}), ("board", 0, 0)),
        (holds(kind="otherInfluenceOrControl"), ("control", 10**6, 10**6)),
        (holds(kind="conditionalRightsGrantedByContract"), ("control", 0, 10**6)),
        (holds(kind="boardMember"), ("role", 10**6, 10**6)),
        (holds(kind=None), ("unknown", 0, 10**6)),
    ],
)
def test_kinds_of_interest(interest: dict[str, Any], told: tuple[str, int, int], read_text: ReadText) -> None:
    (stake,) = read_text("bods", json.dumps([relation("r", "x", "b", interest)])).stakes
    assert (stake.prong, stake.lo_ppm, stake.hi_ppm) == told


def test_lines_and_an_array_read_the_same(read_text: ReadText) -> None:
    lines = read_text("bods", "".join(json.dumps(one) + "\n" for one in D1))
    assert read_text("bods", json.dumps(D1, indent=2)) == lines
    assert read_text("bods", "\ufeff" + json.dumps(D1)) == lines
    assert len(lines.stakes) == 5


@pytest.mark.parametrize("by", ["recordId", "statementId"])
def test_d1_a_declared_chain_is_told_from_its_parts(by: str, take: Callable[..., Taken], store: FactStore) -> None:
    identity = {one["recordId"]: one[by] for one in D1}
    told = json.loads(json.dumps(D1))
    parts = told[-1]["recordDetails"]["componentRecords"]
    told[-1]["recordDetails"]["componentRecords"] = [identity[one] for one in parts]
    take("bods", json.dumps(told))
    held = store.as_of(0).stakes
    assert held.hi_ppm[held.indirect].tolist() == [600_000]
    assert held.chained[held.indirect].tolist() == [True]
    assert held.chained.sum() == 1
    columns, _ = store.as_of(0).graph_columns()
    assert columns["indirect"].sum() == 1


def test_d1_without_its_parts_is_no_chain(take: Callable[..., Taken], store: FactStore) -> None:
    take("bods", json.dumps([one for one in D1 if one["recordId"] != "r2"]))
    held = store.as_of(0).stakes
    assert held.indirect.sum() == 1
    assert not held.chained.any()


def test_a_record_told_again_keeps_what_it_was(take: Callable[..., Taken], store: FactStore) -> None:
    names = {name: party_id("bods", name) for name in "xb"}
    first = relation("r", "x", "b", holds({"exact": 60}), holds(kind="votingRights", share={"exact": 60}))
    later = relation("r", "x", "b", holds({"exact": 49}), recordStatus="updated", statementDate="2026-03-01")
    end = relation("r", "x", "b", recordStatus="closed", statementDate="2026-06-01")
    # Order within a file says nothing: each statement has its date.
    take("bods", json.dumps([later, end, first]))

    def at(day: str) -> set[tuple[str, str, str, int, int]]:
        time = instant(day, "day")
        assert time is not None
        return shares(store.as_of(time), names)

    assert at("2026-02-28") == {("x", "b", "shares", 600_000, 600_000), ("x", "b", "votes", 600_000, 600_000)}
    assert at("2026-03-01") == {("x", "b", "shares", 490_000, 490_000)}
    assert store.as_of(instant("2026-06-01", "day") or 0).stakes.owner.tolist() == []


def test_a_party_that_is_not_named_is_undisclosed(read_text: ReadText) -> None:
    facts = read_text("bods", json.dumps([relation("r", {"reason": "noBeneficialOwners"}, "b")]))
    (one,) = facts.undisclosed
    assert (one.reason, one.scope, one.party) == ("noBeneficialOwners", "owners", party_id("bods", "b"))
    assert all(stake.retracted for stake in facts.stakes)


def test_what_people_are_is_not_read(read_text: ReadText) -> None:
    person = statement(
        "person", "p",
        {"names": [{"fullName": "P"}, {"fullName": "Q", "type": "former"}], "nationalities": [{"code": "ZZ"}],
         "birthDate": "1970-01-01", "identifiers": [{"scheme": "ZZ-PASSPORT", "id": "77"}]},
    )  # fmt: skip
    (one,) = read_text("bods", json.dumps([person])).parties
    assert (one.name, one.previous_names, one.identifiers) == ("P", ("Q",), ())


def test_entities_have_identifiers(read_text: ReadText) -> None:
    entity = statement(
        "entity", "e",
        {"name": "E", "alternateNames": ["F"], "jurisdiction": {"code": "GB"}, "foundingDate": "2001",
         "identifiers": [{"scheme": "GB-COH", "id": "12"}, {"scheme": "XI-LEI", "id": "l1"}, {"id": "nothing"}]},
    )  # fmt: skip
    (one,) = read_text("bods", json.dumps([entity])).parties
    assert one.identifiers == ["GB-COH:00000012", "lei:L1"]
    assert (one.aliases, one.incorporated_in, one.valid_from_us) == (("F",), "GB", instant("2001-01-01", ""))


def test_an_array_cut_short_is_told(read_text: ReadText) -> None:
    facts = read_text("bods", json.dumps(D1)[:-40])
    assert len(facts) == len(D1) - 1
    assert not facts.whole
    assert facts.refused.by_reason == {": the JSON array is cut here": 1}
