"""What is held in memory of cases: the same as reading everything, and always as of now."""

from __future__ import annotations

from pathlib import Path

import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.response.conftest import NOW, WriteLook
from tiergate.errors import InputError
from tiergate.response.answers import Answers
from tiergate.response.case_files import CaseFile
from tiergate.response.desk import CaseDesk
from tiergate.response.holdings import holdings, sources_of
from tiergate.response.index import CaseIndex
from tiergate.response.ladder import load_policy
from tiergate.response.looks import Look, digest_of, kept
from tiergate.response.merging import merge, split
from tiergate.response.selecting import select
from tiergate.response.worklist import Worklist

MEMBERS = {"one": {"a": 0.9, "b": 0.8}, "two": {"c": 0.9, "b": 0.7}, "three": {"d": 0.9, "e": 0.9, "f": 0.6}}


def looked(engine: sa.Engine, data: Path, write_look: WriteLook, **cases: dict[str, object]) -> Worklist:
    folder = write_look(**cases)
    place = kept(data, digest_of(folder))
    place.parent.mkdir(parents=True, exist_ok=True)
    folder.rename(place)
    worklist = Worklist(CaseDesk(engine, load_policy()), data)
    worklist.desk.take(place, NOW)
    return worklist


@pytest.fixture
def worklist(engine: sa.Engine, tmp_path: Path, write_look: WriteLook) -> Worklist:
    return looked(engine, tmp_path, write_look, **{name: {"members": members} for name, members in MEMBERS.items()})


def test_files_are_as_of_now_and_what_was_read_stays(worklist: Worklist) -> None:
    index = CaseIndex(worklist.desk.changes)
    before = index.files()
    assert index.files() is before
    worklist.assign("one", "ana", author="ana", now_us=NOW)
    assert index.files()["one"].assignee == "ana"
    assert before["one"].assignee is None
    assert dict(index.files()) == {one.case_id: one for one in worklist.desk.changes.every(CaseFile)}


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=20)
@given(data=st.data())
def test_members_are_those_of_the_whole_look_however_cases_were_merged_and_split(
    engine: sa.Engine, tmp_path: Path, write_look: WriteLook, data: st.DataObject
) -> None:
    with engine.begin() as connection:
        connection.execute(sa.text("delete from admission_changes")) if sa.inspect(connection).has_table(
            "admission_changes"
        ) else None
    worklist = looked(engine, tmp_path, write_look, **{name: {"members": members} for name, members in MEMBERS.items()})
    for _ in range(data.draw(st.integers(0, 5))):
        still_open = sorted(one.case_id for one in worklist.every() if one.status == "open")
        case_id = data.draw(st.sampled_from(still_open))
        members = sorted(one.account_id for one in worklist.members(case_id))
        if data.draw(st.booleans()) and len(still_open) > 1:
            into = data.draw(st.sampled_from([one for one in still_open if one != case_id]))
            merge(worklist, case_id, into, author="ana", now_us=NOW, reason="r")
        elif len(members) > 1:
            some = data.draw(st.lists(st.sampled_from(members), min_size=1, max_size=len(members) - 1, unique=True))
            split(worklist, case_id, some, author="ana", now_us=NOW, reason="r")
    newest = worklist.desk.last()
    assert newest is not None
    files = dict(worklist.index.files())
    whole = holdings(Look.read(kept(tmp_path, newest.digest), newest.number, newest.digest), files)
    for case_id, held in whole.items():
        assert worklist.held(case_id) == (held.found, list(held.members.values()))


def test_rows_of_cases_are_found_wherever_they_stand(worklist: Worklist, tmp_path: Path) -> None:
    newest = worklist.desk.last()
    assert newest is not None
    answers = Answers(tmp_path)
    for names in (["two-as-of-1"], ["three-as-of-1", "one-as-of-1"], ["none"], []):
        found = answers.rows(newest.digest, "case_accounts", names)
        everything = answers.rows(newest.digest, "case_accounts", [f"{name}-as-of-1" for name in MEMBERS])
        assert found == [row for row in everything if row["case_id"] in names]
    assert len(everything) == 7
    with pytest.raises(InputError, match="is gone"):
        answers.rows("0" * 64, "cases", ["one"])


def test_a_case_is_found_by_its_id_and_by_its_accounts(worklist: Worklist) -> None:
    def found(search: str) -> set[str]:
        return {one.case_id for one in select(worklist, NOW, search=search)}

    assert found("t") == {"two", "three"}
    assert found("b") == {"one", "two"}
    merge(worklist, "two", "three", author="ana", now_us=NOW, reason="r")
    assert found("c") == {"three"}
    assert found("nobody") == set()
    assert sources_of(worklist.index.files(), "three") == {"two", "three"}
