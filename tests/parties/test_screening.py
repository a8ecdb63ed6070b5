"""Screening finds who is listed, whatever else they say of themselves, and refuses what it cannot read."""

from __future__ import annotations

from pathlib import Path

import pytest
from benchmarks.names import listed_names, load
from hypothesis import given
from hypothesis import strategies as st

from tiergate.errors import InputError
from tiergate.parties.names import Kind, parse
from tiergate.parties.scoring import THRESHOLD, compare
from tiergate.parties.screening import Fact, Listed, NameIndex

LISTED = [
    Listed("Sergey Viktorovich LAVROV", Kind.PERSON, "p-1", "ru", "1950-03-21"),
    Listed("Sergei Lavrov", Kind.PERSON, "p-2", "bg", "1999"),
    Listed("OAO Gazprom", Kind.ORGANISATION, "o-1", "ru"),
    Listed("Gazprom Neft", Kind.ORGANISATION, "o-2", "ru"),
    Listed("محمد بن سلمان", Kind.PERSON, "p-3", "sa"),
    Listed("Pricewaterhouse Coopers LLP", Kind.ORGANISATION, "o-3"),
    Listed("People's Liberation Army", Kind.ORGANISATION, "o-4", "cn"),
    Listed("Nanshan Group Co Ltd", reference="u-1"),
]


@pytest.fixture(scope="module")
def index() -> NameIndex:
    return NameIndex(LISTED)


@pytest.mark.parametrize(
    ("name", "reference"),
    [
        ("Lavrov, Sergei", "p-2"),
        ("Сергей Викторович Лавров", "p-1"),
        ("SergeyLavrov", "p-2"),
        ("Gasprom JSC", "o-1"),
        ("ПАО «Газпром»", "o-1"),
        ("Mohammed bin Salman", "p-3"),
        ("PricewaterhouseCoopers", "o-3"),
        ("PLA", "o-4"),
        ("Nanshan Group", "u-1"),
    ],
)
def test_a_listed_name_is_found_however_it_is_written(index: NameIndex, name: str, reference: str) -> None:
    assert index.screen(name)[0].listed.reference == reference


@pytest.mark.parametrize("kind", list(Kind))
def test_the_kind_that_one_claims_hides_nobody(index: NameIndex, kind: Kind) -> None:
    hit = index.screen("Gazprom", kind)[0]
    assert hit.listed.reference == "o-1"
    assert hit.kind is {Kind.PERSON: Fact.DIFFERS, Kind.ORGANISATION: Fact.AGREES, Kind.UNKNOWN: Fact.UNKNOWN}[kind]


def test_facts_are_told_and_rank_but_never_remove(index: NameIndex) -> None:
    bare = {hit.listed.reference: hit.score for hit in index.screen("Sergei Lavrov")}
    hits = index.screen("Sergei Lavrov", Kind.PERSON, country="FR", birth_date="1950")
    assert {hit.listed.reference: hit.score for hit in hits} == bare
    by_reference = {hit.listed.reference: hit for hit in hits}
    assert by_reference["p-1"].birth_date is Fact.AGREES
    assert by_reference["p-2"].birth_date is Fact.DIFFERS
    assert by_reference["p-1"].country is Fact.DIFFERS
    twins = NameIndex([Listed("Jo Lee", Kind.PERSON, "a", "kr"), Listed("Jo Lee", Kind.PERSON, "b", "us")])
    assert [hit.listed.reference for hit in twins.screen("Jo Lee", country="US")] == ["b", "a"]


def test_a_reference_that_comes_back_with_another_name_changes_nothing() -> None:
    assert NameIndex([Listed("Olaf Scholz", reference="1")]).screen("Olaf Scholz")
    assert not NameIndex([Listed("Angela Merkel", reference="1")]).screen("Olaf Scholz")


def test_who_is_not_listed_is_not_found(index: NameIndex) -> None:
    assert index.screen("Ursula Poller") == []
    assert NameIndex([]).screen("Ursula Poller") == []


@pytest.mark.parametrize("name", ["", "—", "x" * 401, "a b " * 20])
def test_what_cannot_be_read_in_full_is_not_cleared(index: NameIndex, name: str) -> None:
    with pytest.raises(InputError, match="screened"):
        index.screen(name)


def test_a_malformed_birth_date_is_refused(index: NameIndex) -> None:
    with pytest.raises(InputError, match="YYYY-MM-DD"):
        index.screen("Olaf Scholz", birth_date="21.3.1950")


def test_a_hit_explains_itself(index: NameIndex) -> None:
    text = index.screen("Serge Lavrov", country="ru")[0].explain()
    assert "lavrov ~ lavrov: same" in text
    assert "country" in text


@given(st.text(max_size=60))
def test_any_name_can_be_asked_about(text: str) -> None:
    index = NameIndex(LISTED)
    try:
        hits = index.screen(text, threshold=0.01)
    except InputError:
        return
    assert [hit.score for hit in hits] == sorted((hit.score for hit in hits), reverse=True)


@pytest.mark.shared_data
def test_candidates_lose_no_true_pair_that_the_scorer_would_find(shared_data: Path) -> None:
    pairs = [pair for pair in load(shared_data / "org") if pair.same]
    rows = listed_names(shared_data / "org", pairs)
    index = NameIndex(rows)
    place = {row: at for at, row in enumerate(rows)}
    lost = [
        pair
        for pair in pairs
        if compare(*pair.read()).score >= THRESHOLD
        and place[Listed(pair.right, pair.kind, "pair")] not in index.candidates(pair.left)
    ]
    assert len(lost) <= len(pairs) // 100, [(pair.left, pair.right) for pair in lost]


def test_names_are_read_by_their_own_text() -> None:
    assert parse("Olaf Scholz", Kind.PERSON) is parse("Olaf Scholz", Kind.PERSON)
    assert parse("Olaf Scholz", Kind.PERSON) != parse("Olaf Schulz", Kind.PERSON)
