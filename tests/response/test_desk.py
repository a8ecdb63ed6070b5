"""A look becomes case files and verdicts: what opens, steps, renews, lets go, and is counted once."""

from __future__ import annotations

import msgspec
import pytest
import sqlalchemy as sa

from tests.response.conftest import AT_ONCE, NOW, WriteLook
from tiergate.clock import DAY, HOUR
from tiergate.errors import InputError
from tiergate.ledger.verdicts import Action, Verdict
from tiergate.response.case_files import CaseFile, Cleared, Outcome, Status
from tiergate.response.desk import AUTHOR, CaseDesk
from tiergate.response.ladder import load_policy

WEEK = 7 * DAY


@pytest.fixture
def desk(engine: sa.Engine) -> CaseDesk:
    return CaseDesk(engine, AT_ONCE)


def file_of(desk: CaseDesk, case_id: str = "case_1") -> CaseFile:
    file = desk.changes.current(CaseFile, case_id)
    assert file is not None
    return file


def verdicts(desk: CaseDesk, now_us: int) -> dict[str, Verdict]:
    return desk.verdicts.in_force(now_us)


def test_a_sure_case_is_opened_and_limited_at_once(desk: CaseDesk, write_look: WriteLook) -> None:
    changes = desk.take(write_look(case_1={}), NOW)
    assert [(one.kind, one.action) for one in changes] == [("opened", "limit"), ("step", "limit")]
    assert [one.action for one in desk.changes.history(CaseFile, "case_1")] == ["opened"]
    file, held = file_of(desk), verdicts(desk, NOW)
    assert (file.step, file.step_until_us, file.step_by) == (Action.LIMIT, NOW + WEEK, AUTHOR)
    assert set(held) == {"a", "b"}  # c hardly belongs
    one = held["a"]
    assert (one.case_id, one.action, one.requests_per_minute) == ("case_1", Action.LIMIT, 0.1)
    assert (one.charged, one.observed, one.expires_at) == (40, 50, NOW + WEEK)
    assert file.found.digest in " ".join(one.evidence)


def test_a_look_is_taken_once(desk: CaseDesk, write_look: WriteLook) -> None:
    look = write_look(case_1={})
    assert desk.take(look, NOW)
    rows = desk.verdicts.version()
    assert desk.take(look, NOW + 1) == []
    assert desk.verdicts.version() == rows


def test_what_a_look_would_do_is_told_and_not_done(desk: CaseDesk, write_look: WriteLook) -> None:
    first = write_look(case_1={})
    for _ in range(2):
        assert [(one.kind, one.verdicts) for one in desk.would_do(first, NOW)] == [("opened", 2), ("step", 2)]
    assert (desk.last(), desk.verdicts.version(), desk.changes.every(CaseFile)) == (None, 0, [])
    watched = write_look(case_1={"recommended_action": "watch"})
    assert desk.would_do(watched, NOW) == []  # a file would be opened, and nothing done
    desk.take(first, NOW)
    assert desk.would_do(write_look(case_1={}), NOW + HOUR) == []
    (joined,) = desk.would_do(write_look(case_1={"members": {"a": 0.9, "b": 0.8, "d": 0.9}}), NOW + HOUR)
    assert (joined.kind, joined.verdicts) == ("updated", 1)
    (proposed,) = desk.would_do(write_look(case_1={"recommended_action": "suspend"}), NOW + HOUR)
    assert (proposed.kind, proposed.action) == ("proposed", "suspend")


def test_a_change_that_fails_midway_leaves_nothing(desk: CaseDesk, write_look: WriteLook) -> None:
    look = write_look(case_1={})
    put = desk.verdicts.put

    def failing(*_: object) -> None:
        raise RuntimeError("the disk is full")

    desk.verdicts.put = failing  # type: ignore[method-assign,assignment]
    with pytest.raises(RuntimeError):
        desk.take(look, NOW)
    assert desk.changes.every(CaseFile) == []
    assert desk.last() is None
    desk.verdicts.put = put  # type: ignore[method-assign]
    assert desk.take(look, NOW)
    assert set(verdicts(desk, NOW)) == {"a", "b"}


def test_a_step_is_renewed_while_looks_support_it_and_ends_otherwise(desk: CaseDesk, write_look: WriteLook) -> None:
    desk.take(write_look(case_1={}), NOW)
    first = verdicts(desk, NOW)["a"]
    desk.take(write_look(NOW + DAY, case_1={}), NOW + DAY)
    assert verdicts(desk, NOW + DAY)["a"] == first  # most of its time is left: no row for it
    desk.take(write_look(NOW + 4 * DAY, case_1={}), NOW + 4 * DAY)
    renewed = verdicts(desk, NOW + 4 * DAY)["a"]
    assert (renewed.expires_at, renewed.supersedes) == (NOW + 4 * DAY + WEEK, first.verdict_id)
    desk.take(write_look(NOW + 5 * DAY), NOW + 5 * DAY)  # the case is not seen any more
    assert "a" in verdicts(desk, NOW + 5 * DAY)
    assert verdicts(desk, NOW + 4 * DAY + WEEK) == {}


def test_a_weaker_look_never_makes_a_step_milder_but_does_not_renew_it(desk: CaseDesk, write_look: WriteLook) -> None:
    desk.take(write_look(case_1={}), NOW)
    later = NOW + 6 * DAY
    desk.take(write_look(later, case_1={"confidence": 0.6}), later)
    assert file_of(desk).step is Action.LIMIT
    assert verdicts(desk, NOW + WEEK) == {}
    after = NOW + WEEK + HOUR
    desk.take(write_look(after, case_1={"confidence": 0.6, "accounts": 9}), after)
    assert (file_of(desk).step, file_of(desk).step_until_us) == (Action.WATCH, None)


def test_suspension_waits_for_two_people(desk: CaseDesk, write_look: WriteLook) -> None:
    changes = desk.take(write_look(case_1={"recommended_action": "suspend"}), NOW)
    assert [(one.kind, one.action) for one in changes][-1] == ("proposed", "suspend")
    proposal = file_of(desk).proposal
    assert proposal is not None
    assert (proposal.action, proposal.needed, proposal.approved_by) == (Action.SUSPEND, 2, ())
    assert {one.action for one in verdicts(desk, NOW).values()} == {Action.LIMIT}
    desk.take(write_look(NOW + HOUR, case_1={"recommended_action": "suspend", "accounts": 4}), NOW + HOUR)
    assert file_of(desk).proposal == proposal  # one proposal, not one a look


def test_an_account_that_the_case_no_longer_holds_is_let_go_and_a_new_one_reached(
    desk: CaseDesk, write_look: WriteLook
) -> None:
    desk.take(write_look(case_1={}), NOW)
    desk.take(write_look(NOW + 60, case_1={"members": {"a": 0.9, "d": 0.9, "e": 0.4}}), NOW + 60)
    assert set(verdicts(desk, NOW + 60)) == {"a", "d"}


def test_a_closed_case_is_opened_again_by_new_traffic_unless_it_was_a_mistake(
    desk: CaseDesk, write_look: WriteLook
) -> None:
    desk.take(write_look(case_1={}, case_2={}), NOW)
    with desk.changes.writing("ann", NOW) as writing:
        for case_id, outcome in (("case_1", Outcome.CONFIRMED), ("case_2", Outcome.MISTAKEN)):
            file = writing.current(CaseFile, case_id)
            assert file is not None
            closed = type(file)(
                **{name: getattr(file, name) for name in file.__struct_fields__}
                | {"status": Status.CLOSED, "outcome": outcome, "step": Action.WATCH, "step_until_us": None}
            )
            writing.put(case_id, closed, "closed")
            desk.enforce(writing, closed, [])
    assert verdicts(desk, NOW) == {}
    desk.take(write_look(NOW + DAY, case_1={"members": {"a": 0.9}}, case_2={"members": {"z": 0.9}}), NOW + DAY)
    assert set(verdicts(desk, NOW + DAY)) == {"a"}
    assert file_of(desk).status is Status.OPEN
    assert file_of(desk, "case_2").status is Status.CLOSED


def test_a_folder_that_is_no_answer_changes_nothing(desk: CaseDesk, write_look: WriteLook) -> None:
    look = write_look(case_1={})
    (look / "case_accounts.parquet").write_bytes(b"PAR1 but not really")
    with pytest.raises(InputError, match="cannot read"):
        desk.take(look, NOW)
    (look / "cases.parquet").unlink()
    with pytest.raises(InputError, match="no answer of detection"):
        desk.take(look, NOW)
    assert desk.changes.every(CaseFile) == []


def test_who_was_cleared_is_free_up_to_the_step_it_was_cleared_of(desk: CaseDesk, write_look: WriteLook) -> None:
    desk.take(write_look(case_1={"recommended_action": "verify"}), NOW)
    with desk.changes.writing("ann", NOW) as writing:
        cleared = Cleared(account_id="a", up_to=Action.VERIFY, until_us=None, by="ann", reason="showed its papers")
        writing.put("case_1", msgspec.structs.replace(file_of(desk), cleared=(cleared,)), "cleared")
    desk.take(write_look(NOW + 1, case_1={"recommended_action": "verify"}), NOW + 1)
    assert set(verdicts(desk, NOW + 1)) == {"b"}
    desk.take(write_look(NOW + 2, case_1={}), NOW + 2)
    assert {one.action for one in verdicts(desk, NOW + 2).values()} == {Action.LIMIT}
    assert set(verdicts(desk, NOW + 2)) == {"a", "b"}


def test_who_did_not_pass_a_check_has_no_part_of_the_budget(engine: sa.Engine, write_look: WriteLook) -> None:
    desk = CaseDesk(engine, load_policy())
    desk.take(write_look(case_1={"members": {"a": 0.9, "b": 0.8, "d": 0.9}, "recommended_action": "verify"}), NOW)
    cleared = [
        Cleared(account_id="a", up_to=Action.VERIFY, until_us=None, by="ann", reason="passed"),
        Cleared(account_id="d", up_to=Action.VERIFY, until_us=NOW + HOUR, by="ann", reason="passed, for an hour"),
    ]
    with desk.changes.writing("ann", NOW) as writing:
        writing.put("case_1", msgspec.structs.replace(file_of(desk), cleared=tuple(cleared)), "cleared")
    sure = {"members": {"a": 0.9, "b": 0.8, "d": 0.9}, "summary": "surer"}
    desk.take(write_look(NOW + 1, case_1=sure), NOW + 1)
    assert file_of(desk).step is Action.LIMIT
    held = verdicts(desk, NOW + 1)
    assert {name: one.action for name, one in held.items()} == {
        "a": Action.LIMIT, "b": Action.VERIFY, "d": Action.LIMIT
    }  # fmt: skip
    assert {name: one.requests_per_minute for name, one in held.items()} == {"a": 0.1, "b": None, "d": 0.1}
    desk.take(write_look(NOW + DAY, case_1=sure), NOW + DAY)
    assert verdicts(desk, NOW + DAY)["d"].action is Action.VERIFY
