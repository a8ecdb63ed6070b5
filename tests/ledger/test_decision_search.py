"""Every decision that fits is found once, the newest first, however it is paged and whatever is appended meanwhile."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.ledger.decisions import NOW_US, decided
from tiergate.errors import InputError, ProofError
from tiergate.ledger.decision_log import DecisionLog
from tiergate.ledger.decision_logs import LogPlace, logs_of, place_of
from tiergate.ledger.decision_reader import PERSONAL
from tiergate.ledger.decision_search import FoundDecision, Search, search
from tiergate.ledger.personal import PersonalValues

SHARES = {1: range(0, 60, 2), 2: range(1, 60, 2), 10: range(60, 75)}
"""Which decisions each worker made: two in turn, and one later."""


def logs_in(folder: Path) -> list[LogPlace]:
    for number, share in SHARES.items():
        with closing(DecisionLog.open(place_of(folder, number).folder, origin=f"log/{number}")) as log:
            log.append([decided(n) for n in share])
    return logs_of(folder)


@pytest.fixture(scope="module")
def places(tmp_path_factory: pytest.TempPathFactory) -> list[LogPlace]:
    return logs_in(tmp_path_factory.mktemp("data"))


def paged(places: list[LogPlace], asked: Search, limit: int, most_read: int | None = None) -> list[FoundDecision]:
    found: list[FoundDecision] = []
    cursor = None
    while True:
        page = search(places, asked, limit=limit, most_read=most_read, cursor=cursor)
        assert len(page.decisions) <= limit
        assert most_read is None or page.read <= most_read
        found += page.decisions
        cursor = page.cursor
        if cursor is None:
            return found


@given(
    st.sampled_from([None, "ALLOW", "DENY", "REVIEW"]), st.sampled_from([None, "purpose_missing"]), st.integers(0, 80),
    st.integers(0, 80), st.sampled_from([None, "org-1"]), st.integers(1, 80), st.sampled_from([None, 1, 7]),
)  # fmt: skip
def test_what_fits_is_found_once_newest_first(
    places: list[LogPlace], outcome: Any, code: str | None, since: int, until: int, organisation: str | None,
    limit: int, most_read: int | None,
) -> None:  # fmt: skip
    personal = {} if organisation is None else {"organisation": frozenset([organisation, "nobody"])}
    asked = Search(outcome=outcome, code=code, since_us=NOW_US + since, until_us=NOW_US + until, personal=personal)
    fitting = [
        n
        for n in range(74, -1, -1)
        if since <= n < until
        and outcome in (None, decided(n).outcome)
        and (code is None or code in decided(n).reasons)
        and organisation in (None, decided(n).personal["organisation"])
    ]
    found = paged(places, asked, limit, most_read)
    assert [one.time_us - NOW_US for one in found] == fitting
    assert len({one.decision_id for one in found}) == len(found)


def test_what_is_appended_meanwhile_comes_in_no_later_page(tmp_path: Path) -> None:
    places = logs_in(tmp_path)
    first = search(places, Search(), limit=10)
    for number in (1, 3):
        with closing(DecisionLog.open(place_of(tmp_path, number).folder, origin=f"log/{number}")) as log:
            log.append([decided(100)])
    rest = search(logs_of(tmp_path), Search(), limit=100, cursor=first.cursor)
    assert [one.time_us - NOW_US for one in (*first.decisions, *rest.decisions)] == list(range(74, -1, -1))
    assert rest.cursor is None
    assert search(logs_of(tmp_path), Search(), limit=1).decisions[0].time_us == NOW_US + 100


def test_an_erased_value_fits_nothing_and_a_changed_one_is_found_out(tmp_path: Path) -> None:
    places = logs_in(tmp_path)
    ours = Search(personal={"organisation": frozenset(["org-1"])})
    before = len(search(places, ours, limit=100).decisions)
    with closing(PersonalValues(places[0].folder / PERSONAL)) as values:
        assert values.erase(1, record=2, field="organisation") == 1  # decision 4, of org-1
    assert len(search(places, ours, limit=100).decisions) == before - 1
    files = next((places[1].folder / "records").glob("*.records"))
    files.write_bytes(files.read_bytes().replace(b'"outcome":"DENY"', b'"outcome":"DENI"'))
    with pytest.raises(ProofError):
        search(places, Search(), limit=100)


@pytest.mark.parametrize("cursor", ["", "x", "1", "1:", "1:1,", "1:-1", "1:1\n", "٣:1", "1:" + "9" * 30])
def test_what_is_no_cursor_is_refused(places: list[LogPlace], cursor: str) -> None:
    with pytest.raises(InputError, match="none of ours"):
        search(places, Search(), limit=1, cursor=cursor)
