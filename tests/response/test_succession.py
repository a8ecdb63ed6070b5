"""Who goes on where a case was stopped inherits `verify`, soon expires, and is never suspended for it."""

from __future__ import annotations

import msgspec
import pytest
import sqlalchemy as sa

from tests.response.conftest import AT_ONCE, NOW, WriteLook
from tests.response.test_desk import file_of, verdicts
from tiergate.clock import DAY, HOUR
from tiergate.ledger.verdicts import Action
from tiergate.response.case_files import CaseFile, Cleared
from tiergate.response.desk import REASON_OF_HEIRS, CaseDesk
from tiergate.response.looks import Member

SOON = 72 * HOUR
WATCHED = {"confidence": 0.6, "q_value": 0.3, "recommended_action": "watch", "members": {"x": 0.9, "y": 0.3}}
PASSED_ON = ["template"]
TWO_CAUSES = ["network", "template"]


@pytest.fixture
def desk(engine: sa.Engine) -> CaseDesk:
    return CaseDesk(engine, AT_ONCE)


def decide(desk: CaseDesk, case_id: str, now_us: int, **fields: object) -> None:
    with desk.changes.writing("ann", now_us) as writing:
        file = writing.current(CaseFile, case_id)
        assert file is not None
        writing.put(case_id, msgspec.structs.replace(file, **fields), "decided")


def later(hours: int) -> tuple[int, dict[str, object]]:
    """A moment, and the figures of a case that began after the first look."""
    return NOW + hours * HOUR, WATCHED | {"first_seen": NOW + HOUR}


def test_a_case_tied_to_a_stopped_one_is_verified_at_once(desk: CaseDesk, write_look: WriteLook) -> None:
    desk.take(write_look(case_1={}), NOW)
    at, fresh = later(2)
    look = write_look(at, case_1={"tied": {"case_2": PASSED_ON}}, case_2=fresh)
    assert ("step", "verify") in [(one.kind, one.action) for one in desk.take(look, at)]
    held = verdicts(desk, at)
    assert {name: one.action for name, one in held.items()} == {
        "a": Action.LIMIT, "b": Action.LIMIT, "x": Action.VERIFY
    }  # fmt: skip
    assert (held["x"].case_id, held["x"].reason, held["x"].expires_at) == ("case_2", REASON_OF_HEIRS, at + SOON)
    assert "goes on where case_1 was stopped (5.0 nats): they share a thing" in held["x"].evidence


@pytest.mark.parametrize(
    ("families", "began", "inherits"),
    [
        (PASSED_ON, NOW - DAY, False),  # older users of a tool
        (["template", "client"], NOW - DAY, False),  # one cause, told twice
        (TWO_CAUSES, NOW - DAY, True),
        (PASSED_ON, NOW + 1, True),
    ],
)
def test_what_an_older_case_shares_must_be_more_than_a_tool(
    desk: CaseDesk, write_look: WriteLook, families: list[str], began: int, inherits: bool
) -> None:
    desk.take(write_look(case_1={}), NOW)
    at, fresh = later(2)
    desk.take(write_look(at, case_1={"tied": {"case_2": families}}, case_2=fresh | {"first_seen": began}), at)
    assert ("x" in verdicts(desk, at)) is inherits


def test_nothing_is_inherited_from_a_case_that_is_not_stopped(desk: CaseDesk, write_look: WriteLook) -> None:
    desk.take(write_look(case_1={"confidence": 0.96}), NOW)
    assert file_of(desk).step is Action.VERIFY
    at, fresh = later(2)
    desk.take(write_look(at, case_1={"confidence": 0.96, "tied": {"case_2": TWO_CAUSES}}, case_2=fresh), at)
    assert file_of(desk, "case_2").step is Action.WATCH


def test_what_is_inherited_ends_soon_unless_a_look_renews_it(desk: CaseDesk, write_look: WriteLook) -> None:
    desk.take(write_look(case_1={}), NOW)
    at, fresh = later(2)
    desk.take(write_look(at, case_1={"tied": {"case_2": TWO_CAUSES}}, case_2=fresh), at)
    again = at + 40 * HOUR
    desk.take(write_look(again, case_1={"tied": {"case_2": TWO_CAUSES}}, case_2=fresh | {"last_seen": again}), again)
    assert verdicts(desk, again)["x"].expires_at == again + SOON
    untied = again + 40 * HOUR
    desk.take(write_look(untied, case_1={}, case_2=fresh | {"last_seen": untied}), untied)
    assert "x" not in verdicts(desk, again + SOON)


def test_its_own_evidence_takes_an_heir_further(desk: CaseDesk, write_look: WriteLook) -> None:
    desk.take(write_look(case_1={}), NOW)
    at, fresh = later(2)
    desk.take(write_look(at, case_1={"tied": {"case_2": TWO_CAUSES}}, case_2=fresh), at)
    sure = {"members": {"x": 0.9}, "first_seen": NOW + HOUR}
    desk.take(write_look(at + HOUR, case_1={}, case_2=sure), at + HOUR)
    assert (file_of(desk, "case_2").step, file_of(desk, "case_2").inherited) == (Action.LIMIT, None)


def test_people_decide_against_it(desk: CaseDesk, write_look: WriteLook) -> None:
    at, fresh = later(2)
    desk.take(write_look(case_1={}, case_2=WATCHED), NOW)
    decide(desk, "case_2", NOW, ceiling=Action.WATCH, ceiling_until_us=NOW + DAY)
    desk.take(write_look(at, case_1={"tied": {"case_2": TWO_CAUSES}}, case_2=fresh), at)
    assert file_of(desk, "case_2").step is Action.WATCH


def test_single_heirs_are_verified_and_never_suspended(desk: CaseDesk, write_look: WriteLook) -> None:
    desk.take(write_look(case_1={}), NOW)
    at = NOW + HOUR
    desk.take(write_look(at, case_1={"heirs": ["h", "i"]}), at)
    members = [Member(name, 0.9, 40, 50) for name in "ab"]
    with desk.changes.writing("ann", at) as writing:
        suspended = msgspec.structs.replace(file_of(desk), step=Action.SUSPEND)
        writing.put("case_1", suspended, "decided")
        desk.enforce(writing, suspended, members, agreed=["a", "b"])
    desk.take(write_look(at + HOUR, case_1={"heirs": ["h", "i"]}), at + HOUR)
    held = verdicts(desk, at + HOUR)
    assert {name: one.action for name, one in held.items()} == {
        "a": Action.SUSPEND, "b": Action.SUSPEND, "h": Action.VERIFY, "i": Action.VERIFY
    }  # fmt: skip
    heir = held["h"]
    assert (heir.reason, heir.evidence[-1], heir.charged) == (REASON_OF_HEIRS, "it shows what they show", 0)
    assert heir.expires_at == at + HOUR + SOON
    cleared = Cleared(account_id="h", up_to=Action.VERIFY, until_us=None, by="ann", reason="verified itself")
    decide(desk, "case_1", at + HOUR, cleared=(cleared,))
    desk.take(write_look(at + 2 * HOUR, case_1={"heirs": ["h"]}), at + 2 * HOUR)
    assert set(verdicts(desk, at + 2 * HOUR)) == {"a", "b"}  # i shows nothing of it any more


def test_a_case_that_is_only_verified_has_no_heirs(desk: CaseDesk, write_look: WriteLook) -> None:
    desk.take(write_look(case_1={"confidence": 0.96, "heirs": ["h"]}), NOW)
    assert set(verdicts(desk, NOW)) == {"a", "b"}


def test_of_a_reseller_only_what_carries_a_mark_is_touched(desk: CaseDesk, write_look: WriteLook) -> None:
    marked = {"charged": 10, "marks": ["template:02", "system:01"]}
    desk.take(write_look(case_1=marked, case_2={"charged": 10}, case_3={"members": {"z": 0.9}}), NOW)
    held = verdicts(desk, NOW)
    assert {name: (one.case_id, one.marks) for name, one in held.items()} == {
        "a": ("case_1", ["system:01", "template:02"]),
        "b": ("case_1", ["system:01", "template:02"]),
        "z": ("case_3", None),
    }
    rows = desk.verdicts.version()
    desk.take(write_look(NOW + 1, case_1=marked, case_3={"members": {"z": 0.9}}), NOW + 1)
    assert desk.verdicts.version() == rows  # the same marks are no news
    desk.take(write_look(NOW + 2, case_1=marked | {"marks": ["system:03"]}), NOW + 2)
    assert verdicts(desk, NOW + 2)["a"].marks == ["system:03"]


def test_requests_that_cost_nothing_hide_no_account(desk: CaseDesk, write_look: WriteLook) -> None:
    """Padded fourfold with what is refused or answered by a word: nearly all of the output is the case's."""
    padded = {"charged": 10, "taken": 0.99}
    few, all_ = {"marks": ["template:02"], "told": 0.5}, {"marks": ["template:02"], "told": 0.95}
    look = write_look(
        case_1=padded, case_2={**padded, **few, "members": {"x": 0.9}}, case_3={**padded, **all_, "members": {"y": 0.9}}
    )
    desk.take(look, NOW)
    assert {name: one.marks for name, one in verdicts(desk, NOW).items()} == {
        "a": None, "b": None, "x": None, "y": ["template:02"],
    }  # fmt: skip
    # A reseller of whose output less than half is the case's is left to its customers.
    desk.take(write_look(NOW + 1, case_1={"charged": 10, "taken": 0.4}), NOW + 1)
    assert set(verdicts(desk, NOW + 1)) == {"x", "y"}
