"""Accounts that pass the check and go on as one: people are asked, and nothing is done without them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from tests.response.conftest import NOW, WriteLook
from tiergate.clock import DAY, HOUR
from tiergate.ledger.verdicts import Action
from tiergate.response.case_files import CaseFile, Cleared
from tiergate.response.desk import CaseDesk
from tiergate.response.ladder import load_policy
from tiergate.response.looks import digest_of, kept
from tiergate.response.worklist import Worklist

SURE: dict[str, Any] = {"confidence": 0.97, "q_value": 0.03, "recommended_action": "verify"}


@pytest.fixture
def desk(engine: sa.Engine) -> CaseDesk:
    return CaseDesk(engine, load_policy())


def pass_check(desk: CaseDesk, *accounts: str, up_to: Action = Action.VERIFY) -> None:
    with desk.changes.writing("ann", NOW) as writing:
        file = writing.current(CaseFile, "case_1")
        assert file is not None
        for name in accounts:
            file = file.with_cleared(Cleared(account_id=name, up_to=up_to, until_us=None, by="ann", reason="passed"))
        writing.put("case_1", file, "clear")


def later(write_look: WriteLook, hours: int = 24) -> Path:
    return write_look(at_us=NOW + hours * HOUR, case_1=SURE)


def test_people_are_asked_to_limit_a_case_whose_accounts_pass_and_go_on(
    desk: CaseDesk, write_look: WriteLook, tmp_path: Path
) -> None:
    desk.take(write_look(case_1=SURE), NOW)
    assert {one.action for one in desk.verdicts.in_force(NOW).values()} == {Action.VERIFY}
    pass_check(desk, "a")
    look = later(write_look)
    assert [(one.kind, one.action) for one in desk.take(look, NOW + DAY)] == [("proposed", "limit")]
    file = desk.changes.current(CaseFile, "case_1")
    assert file is not None
    assert file.proposal is not None
    assert (file.step, file.proposal.needed) == (Action.VERIFY, 1)
    assert file.proposal.reason.startswith("1 of 2 accounts passed the check, and the case went on; confidence 0.970")
    place = kept(tmp_path, digest_of(look))
    place.parent.mkdir(parents=True)
    place.symlink_to(look)
    Worklist(desk, tmp_path).approve("case_1", Action.LIMIT, author="bob", now_us=NOW + DAY)
    held = desk.verdicts.in_force(NOW + DAY)
    assert {name: one.action for name, one in held.items()} == {"a": Action.LIMIT, "b": Action.VERIFY}
    # As long as it goes on the step is renewed, and ends by itself when it does not.
    desk.take(later(write_look, hours=24 * 7), NOW + 7 * DAY)
    assert set(desk.verdicts.in_force(NOW + 12 * DAY)) == {"a", "b"}
    desk.take(write_look(at_us=NOW + 7 * DAY, case_1=SURE | {"summary": "again"}), NOW + 13 * DAY)
    assert {one.action for one in desk.verdicts.in_force(NOW + 15 * DAY).values()} <= {Action.VERIFY}


def test_nobody_is_asked_where_it_has_no_reason(desk: CaseDesk, write_look: WriteLook) -> None:
    desk.take(write_look(case_1=SURE), NOW)
    assert desk.would_do(later(write_look), NOW + DAY) == []  # nobody passed
    pass_check(desk, "a", "b")
    same = write_look(case_1=SURE | {"summary": "the same exchanges"})
    assert all(one.kind == "updated" for one in desk.would_do(same, NOW + DAY))  # nothing went on
    pass_check(desk, "a", "b", up_to=Action.SUSPEND)
    assert all(one.kind == "updated" for one in desk.would_do(later(write_look), NOW + DAY))  # people cleared them
