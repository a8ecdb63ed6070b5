"""People on cases: who may do what, what is refused and why, and what becomes of the accounts."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest
import sqlalchemy as sa

from tests.response.conftest import AT_ONCE, NOW, WriteLook
from tiergate.admission.holders import Holder, Holders
from tiergate.clock import DAY, HOUR
from tiergate.errors import InputError, StateError
from tiergate.ledger.verdicts import Action
from tiergate.response.case_files import CaseFile, Outcome, Severity, Status
from tiergate.response.desk import AUTHOR, REASON_OF_HEIRS, CaseDesk
from tiergate.response.ladder import load_policy
from tiergate.response.looks import digest_of, kept
from tiergate.response.merging import merge, split
from tiergate.response.selecting import select
from tiergate.response.worklist import Worklist

WEEK = 7 * DAY
ANN = {"author": "ann", "reason": "r", "now_us": NOW + 1}
BOB = {"author": "bob", "reason": "r", "now_us": NOW + 2}
SUSPEND = {"recommended_action": "suspend"}

Look = Callable[..., None]


@pytest.fixture
def held(engine: sa.Engine, tmp_path: Path) -> Worklist:
    return Worklist(CaseDesk(engine, AT_ONCE), tmp_path)


@pytest.fixture
def look(held: Worklist, write_look: WriteLook, tmp_path: Path) -> Look:
    """Take a look, and keep its answer where the watch does."""

    def take(at_us: int = NOW, **cases: dict[str, Any]) -> None:
        folder = write_look(at_us, **cases)
        place = kept(tmp_path, digest_of(folder))
        place.parent.mkdir(parents=True, exist_ok=True)
        folder.rename(place)
        held.desk.take(place, at_us)

    return take


def force(held: Worklist, at_us: int = NOW + 100) -> dict[str, str]:
    return {account: one.action.value for account, one in held.desk.verdicts.in_force(at_us).items()}


def refused(call: Callable[[], object]) -> str:
    with pytest.raises(StateError) as caught:
        call()
    return caught.value.code


def test_a_suspension_takes_two_people_whoever_proposed_it(held: Worklist, look: Look) -> None:
    look(case_1=SUSPEND, case_2={"members": {"x": 0.9, "y": 0.9}})
    assert refused(lambda: held.approve("case_1", Action.LIMIT, **ANN)) == "proposal_changed"
    # Proposed by the watch, which is nobody: two must agree.
    assert held.approve("case_1", Action.SUSPEND, **ANN).step is Action.LIMIT
    assert refused(lambda: held.approve("case_1", Action.SUSPEND, **ANN | {"author": " Ann"})) == "second_person_needed"
    unseen = ANN | {"author": "an\u200bn"}
    assert refused(lambda: held.approve("case_1", Action.SUSPEND, **unseen)) == "second_person_needed"
    assert refused(lambda: held.approve("case_1", Action.SUSPEND, **ANN | {"author": AUTHOR})) == "not_a_person"
    assert set(force(held).values()) == {"limit"}
    file = held.approve("case_1", Action.SUSPEND, **BOB)
    assert (file.step, file.step_by, file.approved_by) == (Action.SUSPEND, "ann and bob", ("ann", "bob"))
    assert (file.proposal, file.step_until_us) == (None, NOW + 2 + WEEK)
    assert force(held) == {"a": "suspend", "b": "suspend", "x": "limit", "y": "limit"}
    # Proposed by a person: that is one.
    assert held.propose("case_2", Action.SUSPEND, **ANN).step is Action.LIMIT
    assert refused(lambda: held.propose("case_2", Action.SUSPEND, **BOB)) == "proposal_open"
    assert held.approve("case_2", Action.SUSPEND, **BOB).step is Action.SUSPEND
    assert refused(lambda: held.step("case_2", Action.SUSPEND, **BOB)) == "not_stricter"
    assert refused(lambda: held.renew("case_2", **ANN)) == "approval_needed"
    assert refused(lambda: held.propose("case_2", Action.LIMIT, **ANN)) == "not_stricter"
    # For longer: two people again.
    held.propose("case_2", Action.SUSPEND, **ANN | {"now_us": NOW + DAY})
    again = held.approve("case_2", Action.SUSPEND, **BOB | {"now_us": NOW + 2 * DAY})
    assert again.step_until_us == NOW + 2 * DAY + WEEK
    assert held.desk.verdicts.of_case("case_2", NOW + 2 * DAY)["x"].expires_at == again.step_until_us


def test_one_person_frees_and_looks_do_not_undo_it_before_a_step_would_have_ended(held: Worklist, look: Look) -> None:
    look(case_1=SUSPEND)
    held.step("case_1", Action.WATCH, **ANN)
    assert force(held) == {}
    look(NOW + HOUR, case_1=SUSPEND)
    assert force(held, NOW + HOUR) == {}
    assert held.get("case_1").proposal is None
    look(NOW + WEEK + HOUR, case_1=SUSPEND)
    assert force(held, NOW + WEEK + HOUR) == {"a": "limit", "b": "limit"}
    assert held.get("case_1").proposal is not None


def test_what_is_turned_down_is_not_proposed_by_the_next_look(held: Worklist, look: Look) -> None:
    look(case_1=SUSPEND)
    held.reject("case_1", Action.SUSPEND, **ANN)
    assert refused(lambda: held.approve("case_1", Action.SUSPEND, **BOB)) == "no_proposal"
    look(NOW + HOUR, case_1=SUSPEND)
    file = held.get("case_1")
    assert (file.step, file.proposal, file.ceiling) == (Action.LIMIT, None, Action.SUMMARISE)
    # People may still: they are not looks.
    held.propose("case_1", Action.SUSPEND, **ANN | {"now_us": NOW + 2 * HOUR})
    assert held.approve("case_1", Action.SUSPEND, **BOB | {"now_us": NOW + 2 * HOUR}).ceiling is Action.SUSPEND


def test_a_cleared_account_is_left_out_until_its_end(held: Worklist, look: Look) -> None:
    look(case_1={})
    held.clear("case_1", "a", until_us=NOW + DAY, **ANN)
    assert set(force(held)) == {"b"}
    look(NOW + HOUR, case_1={})
    assert set(force(held)) == {"b"}
    assert refused(lambda: held.clear("case_1", "z", **ANN)) == "not_a_member"
    assert refused(lambda: held.unclear("case_1", "b", **ANN)) == "not_cleared"
    with pytest.raises(InputError, match="a time to come"):
        held.clear("case_1", "b", until_us=NOW, **ANN)
    held.unclear("case_1", "a", **BOB)
    assert set(force(held)) == {"a", "b"}
    held.clear("case_1", "a", until_us=NOW + DAY, **BOB)
    look(NOW + 2 * DAY, case_1={})
    assert set(force(held, NOW + 2 * DAY)) == {"a", "b"}
    # Free of the milder steps alone.
    held.step("case_1", Action.VERIFY, **BOB | {"now_us": NOW + 3 * DAY})
    held.clear("case_1", "a", up_to=Action.VERIFY, **BOB | {"now_us": NOW + 3 * DAY})
    assert set(force(held, NOW + 3 * DAY)) == {"b"}
    held.step("case_1", Action.LIMIT, **BOB | {"now_us": NOW + 3 * DAY})
    assert set(force(held, NOW + 3 * DAY)) == {"a", "b"}
    with pytest.raises(InputError, match="touches nobody"):
        held.clear("case_1", "a", up_to=Action.WATCH, **BOB)


def test_who_has_a_part_in_a_case_decides_nothing_in_it(held: Worklist, look: Look, engine: sa.Engine) -> None:
    look(case_1=SUSPEND)
    owner = Holder(subject="account", subject_id="c", organisation_id="o", person_id="Cyd")
    Holders(engine).set(owner, author="x", now_us=NOW)
    for name in ("cyd", "A"):
        mine = ANN | {"author": name}
        for call in (
            lambda mine=mine: held.approve("case_1", Action.SUSPEND, **mine),
            lambda mine=mine: held.step("case_1", Action.WATCH, **mine),
            lambda mine=mine: held.clear("case_1", "a", **mine),
            lambda mine=mine: held.close("case_1", Outcome.MISTAKEN, **mine),
            lambda mine=mine: split(held, "case_1", ["a"], **mine),
        ):
            assert refused(call) == "not_independent"


@pytest.mark.parametrize("outcome", [Outcome.MISTAKEN, Outcome.UNCLEAR])
def test_a_closed_case_holds_nobody_and_can_be_reopened(held: Worklist, look: Look, outcome: Outcome) -> None:
    look(case_1=SUSPEND)
    file = held.close("case_1", outcome, **ANN)
    assert (file.status, file.step, file.proposal, file.stated) == (Status.CLOSED, Action.WATCH, None, 0.999)
    assert force(held) == {}
    for call in (
        lambda: held.propose("case_1", Action.SUSPEND, **ANN),
        lambda: held.clear("case_1", "a", **ANN),
        lambda: held.close("case_1", outcome, **ANN),
    ):
        assert refused(call) == "case_closed"
    held.note("case_1", "seen again elsewhere", author="ann", now_us=NOW + 2)
    assert held.reopen("case_1", **BOB).status is Status.OPEN
    assert refused(lambda: held.reopen("case_1", **BOB)) == "case_open"
    assert [one.action for one in held.history("case_1")][1:] == ["close", "note", "reopen"]


def test_members_are_those_whom_the_verdicts_reach_also_when_a_look_has_neither_case(
    held: Worklist, look: Look
) -> None:
    look(case_1={"members": {"a": 0.9, "b": 0.9}})
    look(NOW + HOUR, case_2={"members": {"x": 0.9, "y": 0.9}})
    both = merge(held, "case_2", "case_1", **ANN | {"now_us": NOW + HOUR + 1})
    assert both == held.get("case_1")
    reached = force(held, NOW + HOUR + 2)
    look(NOW + 2 * HOUR)
    assert reached == force(held, NOW + 2 * HOUR)
    assert {one.account_id for one in held.members("case_1")} == set(reached)


def test_a_mistaken_case_is_watched_again_when_most_of_it_is_new(held: Worklist, look: Look) -> None:
    look(case_1=SUSPEND)
    assert held.close("case_1", Outcome.MISTAKEN, **ANN).judged_accounts == 3
    look(NOW + DAY, case_1=SUSPEND | {"members": dict.fromkeys("abcdef", 0.9)})
    assert held.get("case_1").status is Status.CLOSED
    look(NOW + 2 * DAY, case_1=SUSPEND | {"members": dict.fromkeys("abcdefg", 0.9)})
    file = held.get("case_1")
    assert (file.status, file.outcome, file.step, file.proposal) == (Status.OPEN, None, Action.WATCH, None)
    assert force(held, NOW + 2 * DAY) == {}
    look(NOW + 3 * DAY + WEEK, case_1=SUSPEND | {"members": dict.fromkeys("abcdefg", 0.9)})
    assert held.get("case_1").step is Action.LIMIT


def test_a_merged_case_goes_on_in_the_other(held: Worklist, look: Look) -> None:
    two = {"case_1": {}, "case_2": {"members": {"x": 0.9}, "recommended_action": "verify"}}
    look(**two)
    held.clear("case_2", "x", until_us=NOW + DAY, **ANN)
    held.unclear("case_2", "x", **ANN)
    assert refused(lambda: merge(held, "case_2", "case_2", **ANN)) == "same_case"
    both = merge(held, "case_2", "case_1", **ANN)
    assert (both.merged, both.step) == (("case_2",), Action.LIMIT)
    assert force(held) == {"a": "limit", "b": "limit", "x": "limit"}
    assert held.desk.verdicts.of_case("case_2", NOW + 2) == {}
    assert refused(lambda: held.step("case_2", Action.WATCH, **BOB)) == "case_merged"
    look(NOW + HOUR, case_2={"members": {"x": 0.9, "new": 0.9}})
    assert set(held.desk.verdicts.of_case("case_1", NOW + HOUR)) == {"x", "new"}
    assert held.get("case_2").status is Status.MERGED


def test_merging_does_not_carry_a_suspension_to_whom_nobody_agreed(held: Worklist, look: Look) -> None:
    look(case_1=SUSPEND, case_2={"members": {"x": 0.9}})
    held.approve("case_1", Action.SUSPEND, **ANN)
    held.approve("case_1", Action.SUSPEND, **BOB)
    assert refused(lambda: merge(held, "case_2", "case_1", **ANN)) == "approval_needed"
    # The other way round frees whoever was suspended.
    merge(held, "case_1", "case_2", **ANN)
    assert force(held) == {"a": "limit", "b": "limit", "x": "limit"}


def test_who_is_split_off_is_watched_and_can_go_back(held: Worklist, look: Look) -> None:
    look(case_1={})
    assert refused(lambda: split(held, "case_1", ["z"], **ANN)) == "not_a_member"
    assert refused(lambda: split(held, "case_1", ["a", "b", "c"], **ANN)) == "nothing_left"
    part = split(held, "case_1", ["a", "c"], **ANN)
    assert (part.step, part.split_from, part.found.accounts) == (Action.WATCH, "case_1", 2)
    assert force(held) == {"b": "limit"}
    look(NOW + HOUR, case_1={})
    assert force(held) == {"b": "limit"}
    held.step(part.case_id, Action.VERIFY, **BOB | {"now_us": NOW + HOUR})
    assert force(held) == {"a": "verify", "b": "limit"}
    grand = split(held, part.case_id, ["a"], **ANN | {"now_us": NOW + HOUR})
    look(NOW + 2 * HOUR, case_1={"members": {"a": 0.9, "b": 0.9, "c": 0.9}})
    assert force(held) == {"b": "limit", "c": "verify"}
    # Back into the first of all: no ring, and nobody is lost.
    merge(held, grand.case_id, "case_1", **ANN | {"now_us": NOW + 2 * HOUR})
    assert force(held) == {"a": "limit", "b": "limit", "c": "verify"}
    merge(held, part.case_id, "case_1", **ANN | {"now_us": NOW + 2 * HOUR})
    assert set(force(held).values()) == {"limit"}
    assert len(force(held)) == 3


def test_people_can_be_freed_where_the_answer_is_gone_but_nobody_new_is_reached(
    held: Worklist, look: Look, tmp_path: Path
) -> None:
    look(case_1=SUSPEND)
    for folder in (tmp_path / "detection" / "looks").iterdir():
        for file in folder.iterdir():
            file.unlink()
        folder.rmdir()
    held.clear("case_1", "a", **ANN)
    assert force(held) == {"b": "limit"}
    held.step("case_1", Action.VERIFY, **ANN)
    assert force(held) == {"b": "verify"}
    with pytest.raises(InputError, match="is gone"):
        held.step("case_1", Action.LIMIT, **ANN)


def test_a_reason_and_a_known_case_are_asked_for(held: Worklist, look: Look) -> None:
    look(case_1={})
    with pytest.raises(InputError, match="needs a reason"):
        held.close("case_1", Outcome.UNCLEAR, author="ann", now_us=NOW, reason=" ")
    with pytest.raises(InputError, match="no case is called `case_9`"):
        held.reopen("case_9", **ANN)
    with pytest.raises(InputError, match="needs an author"):
        held.note("case_1", "seen", author=" ", now_us=NOW)


def test_the_list_is_of_what_is_asked_for(held: Worklist, look: Look) -> None:
    look(case_1=SUSPEND, case_2={"members": {"x": 0.9}}, case_3={"recommended_action": "watch"})
    held.assign("case_2", "Ann", author="boss", now_us=NOW)
    held.close("case_3", Outcome.UNCLEAR, **ANN)

    def ids(at_us: int = NOW + 3, **asked: Any) -> list[str]:
        return [one.case_id for one in select(held, at_us, **asked)]

    assert ids() == ["case_1", "case_2", "case_3"]
    assert held.get("case_1").severity is Severity.CRITICAL
    assert ids(status="open", assignee="nobody") == ["case_1"]
    assert ids(assignee="ann") == ids(severity="high") == ["case_2"]
    assert ids(step="limit") == ["case_1", "case_2"]
    assert ids(overdue=True) == []
    assert ids(NOW + 3 * DAY, overdue=True) == ["case_1"]


def test_a_file_of_an_earlier_version_is_read(engine: sa.Engine, look: Look, held: Worklist) -> None:
    look(case_1={})
    added = {"approved_by", "ceiling", "ceiling_until_us", "stated"}
    assert added < set(CaseFile.__struct_fields__)
    with engine.begin() as connection:
        for name in added:
            connection.execute(sa.text(f"update admission_changes set state = json_remove(state, '$.{name}')"))
    assert held.get("case_1").approved_by == ()


def suspended(held: Worklist, case_id: str, at_us: int = NOW) -> None:
    held.propose(case_id, Action.SUSPEND, author="ann", reason="r", now_us=at_us)
    held.approve(case_id, Action.SUSPEND, author="bob", reason="r", now_us=at_us)


def test_who_joins_a_suspended_case_is_verified_until_people_have_seen_it(held: Worklist, look: Look) -> None:
    """Also an old account, whose exchanges are as old as the case's: nobody is suspended by a program."""
    look(case_1={})
    suspended(held, "case_1")
    at = NOW + HOUR
    more = {"members": {"a": 0.9, "b": 0.8, "n": 0.99}}
    look(at, case_1=more)
    assert force(held, at) == {"a": "suspend", "b": "suspend", "n": "verify"}
    one = held.desk.verdicts.in_force(at)["n"]
    assert (one.expires_at, one.reason) == (at + 72 * HOUR, REASON_OF_HEIRS)
    # Nor by what one person does to the case of others.
    held.note("case_1", "seen", author="ann", now_us=at)
    held.clear("case_1", "a", author="ann", reason="r", now_us=at)
    assert force(held, at) == {"b": "suspend", "n": "verify"}
    suspended(held, "case_1", at)
    assert force(held, at) == {"b": "suspend", "n": "suspend"}


def test_one_person_alone_suspends_nobody_by_taking_a_clearing_back(held: Worklist, look: Look) -> None:
    look(case_1={"members": {"a": 0.9, "b": 0.8, "v": 0.9}})
    for name in "ab":
        held.clear("case_1", name, **ANN)
    held.clear("case_1", "v", up_to=Action.VERIFY, **ANN)
    suspended(held, "case_1")
    assert force(held) == {"v": "suspend"}
    held.unclear("case_1", "a", **BOB)
    held.clear("case_1", "b", up_to=Action.LIMIT, **BOB)
    assert force(held) == {"a": "verify", "v": "suspend"}  # and b has verified itself


def test_one_person_alone_suspends_nobody_by_merging(held: Worklist, look: Look) -> None:
    look(case_1={}, case_2={"members": {"x": 0.9}})
    suspended(held, "case_1")
    look(NOW + HOUR, case_1={"members": {"a": 0.9, "b": 0.8, "n": 0.99}}, case_2={"members": {"x": 0.9}})
    suspended(held, "case_2", NOW + 2 * HOUR)
    merge(held, "case_1", "case_2", author="ann", reason="r", now_us=NOW + 3 * HOUR)
    assert force(held, NOW + 3 * HOUR) == {"a": "suspend", "b": "suspend", "x": "suspend", "n": "verify"}


def test_a_confirmed_case_keeps_its_step_until_its_end(held: Worklist, look: Look) -> None:
    look(case_1={}, case_2={"members": {"x": 0.9}}, case_3={"members": {"y": 0.9}})
    suspended(held, "case_1")
    for case_id, outcome in zip(("case_1", "case_2", "case_3"), Outcome, strict=True):
        held.close(case_id, outcome, **ANN)
    assert force(held) == {"a": "suspend", "b": "suspend"}
    assert held.get("case_1").step_until_us == NOW + WEEK
    # Without new traffic no look renews it, or goes on with it after its end.
    for at in (NOW + 5 * DAY, NOW + WEEK + DAY):
        look(at, case_1={"last_seen": NOW})
        assert (force(held, at) == {}) is (at > NOW + WEEK)
    assert (held.get("case_1").status, held.get("case_1").step) == (Status.CLOSED, Action.WATCH)


def test_a_confirmed_case_is_reopened_to_lift_its_step(held: Worklist, look: Look) -> None:
    look(case_1={})
    held.close("case_1", Outcome.CONFIRMED, **ANN)
    assert refused(lambda: held.step("case_1", Action.WATCH, **BOB)) == "case_closed"
    assert held.reopen("case_1", **BOB).step is Action.LIMIT
    held.step("case_1", Action.WATCH, **BOB)
    assert force(held) == {}


def test_who_agreed_to_a_step_has_not_agreed_to_it_for_accounts_that_are_merged_in(held: Worklist, look: Look) -> None:
    look(case_1=SUSPEND, case_2={"members": {"x": 0.9}})
    held.approve("case_1", Action.SUSPEND, **ANN)
    merge(held, "case_2", "case_1", **BOB)
    assert held.approve("case_1", Action.SUSPEND, **BOB).step is Action.LIMIT
    assert held.approve("case_1", Action.SUSPEND, **ANN).step is Action.SUSPEND
    assert set(force(held).values()) == {"suspend"}


def test_one_person_alone_prolongs_no_step_that_takes_several(engine: sa.Engine, look: Look, tmp_path: Path) -> None:
    policy = load_policy()
    two = [msgspec.structs.replace(one, approvals=2) if one.action is Action.LIMIT else one for one in policy.steps]
    strict = Worklist(CaseDesk(engine, msgspec.structs.replace(policy, steps=tuple(two))), tmp_path)
    look(case_1={})
    suspended(strict, "case_1")
    later = {"author": "ann", "reason": "r", "now_us": NOW + 6 * DAY}
    assert strict.step("case_1", Action.LIMIT, **later).step_until_us == NOW + WEEK
    assert strict.step("case_1", Action.VERIFY, **later).step_until_us == NOW + 6 * DAY + WEEK


@pytest.mark.parametrize("name", ["tiergate watch", "Tiergate\u200b  Watch"])
def test_nobody_works_under_the_name_of_the_watch(held: Worklist, look: Look, name: str) -> None:
    look(case_1={})
    forged = {"author": name, "now_us": NOW + 1}
    assert refused(lambda: held.note("case_1", "seen", **forged)) == "not_a_person"
    for call in (
        lambda: held.close("case_1", Outcome.MISTAKEN, reason="r", **forged),
        lambda: held.propose("case_1", Action.SUSPEND, reason="r", **forged),
    ):
        assert refused(call) == "not_a_person"
    assert len(held.history("case_1")) == 1
