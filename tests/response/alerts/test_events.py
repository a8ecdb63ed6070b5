"""What changes of cases and appeals are worth telling, and that nobody is named."""

from __future__ import annotations

import pytest

from tests.response.alerts.conftest import a_case
from tests.response.conftest import NOW
from tiergate.ledger.verdicts import Action
from tiergate.response.alerts.events import Alert, about_case, failing, overdue, trial
from tiergate.response.case_files import CaseFile, Outcome, Proposal, Status

STEP = {"step": Action.LIMIT, "step_until_us": NOW, "step_by": "tiergate watch"}
PROPOSAL = Proposal(action=Action.SUSPEND, by="tiergate watch", reason="Jane Doe again", at_us=NOW, needed=2)
AGREED = Proposal(
    action=Action.SUSPEND, by="tiergate watch", reason="Jane Doe again", at_us=NOW, needed=2, approved_by=("ann",)
)
CLOSED = {"status": Status.CLOSED, "outcome": Outcome.CONFIRMED}


def told(before: CaseFile | None, after: CaseFile) -> list[Alert]:
    return about_case(before, after, number=7, at_us=NOW, by="ann")


@pytest.mark.parametrize(
    ("before", "after", "types"),
    [
        (None, a_case(), ["case.opened"]),
        (None, a_case(**STEP, proposal=PROPOSAL), ["case.opened", "case.step", "case.proposed"]),
        (a_case(), a_case(**STEP), ["case.step"]),
        (a_case(**STEP), a_case(), ["case.step"]),
        (a_case(**STEP), a_case(**STEP | {"step_until_us": NOW + 1}), []),  # renewed
        (a_case(), a_case(assignee="ann"), []),
        (a_case(), a_case(proposal=PROPOSAL), ["case.proposed"]),
        (a_case(proposal=PROPOSAL), a_case(proposal=AGREED), []),
        (a_case(proposal=PROPOSAL), a_case(), []),
        (a_case(), a_case(**CLOSED), ["case.closed"]),
        (a_case(**STEP), a_case(**CLOSED), ["case.step", "case.closed"]),
        (a_case(**CLOSED), a_case(), ["case.reopened"]),
        (a_case(**CLOSED), a_case(**CLOSED, assignee="ann"), []),
    ],
)
def test_a_change_is_told_by_what_it_changed(before: CaseFile | None, after: CaseFile, types: list[str]) -> None:
    assert [one.type for one in told(before, after)] == types


def test_an_alert_names_a_case_and_counts_the_rest() -> None:
    alerts = told(None, a_case(**STEP, proposal=AGREED))
    assert len({one.alert_id for one in alerts}) == 3
    assert alerts == told(None, a_case(**STEP, proposal=AGREED))  # the same change, the same ids
    assert "Jane" not in str(alerts)
    data = alerts[-1].data
    assert (data["case_id"], data["accounts"], data["proposed"]) == ("case_1", 36, "suspend")
    assert (data["approvals_needed"], data["approvals_given"]) == (2, 1)
    assert "account_ids" not in data
    assert alerts[-1].title.endswith("suspend is proposed and waits for 1 to agree")


def test_a_lifted_step_is_told_as_none() -> None:
    assert told(a_case(**STEP), a_case())[0].title.endswith(": no step is in force")


def test_ids_have_no_full_stop() -> None:
    # Standard Webhooks joins id, timestamp and body with full stops.
    alerts = [*told(None, a_case("case.1")), failing(3, NOW), trial("a.b", NOW)]
    assert not any("." in one.alert_id for one in alerts)
    assert overdue.__doc__
