"""A case becomes one verdict on each account that belongs to it, and on nobody else."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tiergate.clock import DAY
from tiergate.database import open_database
from tiergate.errors import InputError, StateError
from tiergate.ledger.verdicts import Action, VerdictStore
from tiergate.response.by_hand import respond

NOW = 1_780_000_000_000_000


@pytest.fixture
def cases(tmp_path: Path) -> Path:
    heads = [
        {"case_id": "case-1", "recommended_action": "verify", "q_value": 0.01},
        {"case_id": "case-2", "recommended_action": "limit", "q_value": 0.02},
    ]
    members = [
        {"case_id": case, "account_id": account, "membership": membership}
        for case, account, membership in [
            ("case-1", "a", 0.99), ("case-1", "b", 0.5), ("case-1", "c", 0.49), ("case-2", "a", 0.8),
        ]
    ]  # fmt: skip
    pq.write_table(pa.Table.from_pylist(heads), tmp_path / "cases.parquet")
    pq.write_table(pa.Table.from_pylist(members), tmp_path / "case_accounts.parquet")
    return tmp_path


@pytest.fixture
def store(tmp_path: Path) -> Iterator[VerdictStore]:
    engine = open_database(tmp_path / "control.sqlite")
    yield VerdictStore(engine)
    engine.dispose()


def test_the_recommended_action_falls_on_likely_members_alone(cases: Path, store: VerdictStore) -> None:
    made = respond(cases, store, case_id="case-1", author="ann", now_us=NOW)
    force = store.in_force(NOW)
    assert set(force) == {"a", "b"}
    assert list(force.values()) == made
    assert {(one.action, one.author, one.decided_at, one.expires_at) for one in made} == {
        (Action.VERIFY, "ann", NOW, NOW + 7 * DAY)
    }
    assert store.in_force(NOW + 7 * DAY) == {}
    assert all(one.requests_per_minute is None for one in made)
    # The reason is shown to the customer: it must not name anybody.
    assert not any(other in made[0].reason.split() for other in ("a ", "b", "c", "case-1"))


def test_a_budget_belongs_to_limit(cases: Path, store: VerdictStore) -> None:
    (one,) = respond(cases, store, case_id="case-2", author="ann", now_us=NOW, requests_per_minute=3.0)
    assert (one.action, one.requests_per_minute) == (Action.LIMIT, 3.0)


def test_a_case_supersedes_itself_and_the_strictest_of_several_cases_holds(cases: Path, store: VerdictStore) -> None:
    first = respond(cases, store, case_id="case-1", author="ann", approved_by="bob", now_us=NOW, action=Action.SUSPEND)
    (other,) = respond(cases, store, case_id="case-2", author="bob", now_us=NOW + 1)
    assert other.supersedes is None
    assert store.in_force(NOW + 2)[other.account_id].action is Action.SUSPEND
    again = respond(cases, store, case_id="case-1", author="ann", now_us=NOW + 2, action=Action.WATCH)
    assert again[0].supersedes == first[0].verdict_id
    assert store.in_force(NOW + 3)[other.account_id] == other
    store.lift("case-2", "bob", NOW + 3)
    assert store.in_force(NOW + 4)[other.account_id].case_id == "case-1"


@pytest.mark.parametrize("broken", ["no case", "no folder", "no table"])
def test_what_is_not_there_is_said_and_nothing_done(cases: Path, store: VerdictStore, broken: str) -> None:
    case, folder = "case-1", cases
    if broken == "no case":
        case = "case-9"
    elif broken == "no folder":
        folder = cases / "gone"
    else:
        (cases / "case_accounts.parquet").write_bytes(b"no parquet")
    with pytest.raises(InputError, match="`case-9`" if broken == "no case" else "cannot read"):
        respond(folder, store, case_id=case, author="ann", now_us=NOW)
    assert store.version() == 0


@pytest.mark.parametrize("second", [None, "Ann "])
def test_nobody_is_suspended_by_one_person(cases: Path, store: VerdictStore, second: str | None) -> None:
    with pytest.raises(StateError) as refused:
        respond(cases, store, case_id="case-1", author="ann", approved_by=second, now_us=NOW, action=Action.SUSPEND)
    assert refused.value.code == "second_person_needed"
    assert store.version() == 0
