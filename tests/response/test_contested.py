"""An appeal against a verdict frees its account at once, and for good, by people who had no part in it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from tests.response.conftest import NOW
from tests.response.test_worklist import ANN, BOB, SUSPEND, Look, force, held, look, refused
from tiergate.admission.appeals import Against, Appeal, Appeals, Outcome
from tiergate.clock import DAY, HOUR
from tiergate.errors import InputError
from tiergate.ledger.verdicts import Action
from tiergate.response.calibration import Calibration
from tiergate.response.contested import ContestedVerdicts
from tiergate.response.merging import merge
from tiergate.response.worklist import Worklist

__all__ = ["held", "look"]
UPHELD, OVERTURNED = Outcome.UPHELD, Outcome.OVERTURNED


@pytest.fixture
def appeals(engine: sa.Engine, held: Worklist) -> Appeals:
    return Appeals(engine, ContestedVerdicts(held))


def filed(held: Worklist, appeals: Appeals, account: str = "a") -> Appeal:
    verdict = held.desk.verdicts.in_force(NOW + 3)[account]
    return appeals.file(Against.VERDICT, verdict.verdict_id, filed_by="cust", grounds="ours alone", now_us=NOW + 3)


def vote(appeals: Appeals, appeal: Appeal, who: str, outcome: Outcome = OVERTURNED) -> Appeal:
    return appeals.decide(appeal.appeal_id, reviewer=who, outcome=outcome, reason="seen", now_us=NOW + 4)


def test_one_reviewer_overturns_a_limit_and_the_case_goes_on(held: Worklist, look: Look, appeals: Appeals) -> None:
    look(case_1={})
    appeal = filed(held, appeals)
    assert (appeal.case_id, appeal.account_id, appeal.reviewers) == ("case_1", "a", 1)
    assert appeal.due_at_us == NOW + 3 + 5 * DAY
    assert appeal.stated == pytest.approx(0.999 * 0.9)
    assert vote(appeals, appeal, "rita").outcome is OVERTURNED
    assert force(held) == {"b": "limit"}
    last = held.history("case_1")[-1]
    assert (last.action, last.author, last.reason) == ("clear", "rita", f"appeal {appeal.appeal_id}: seen")
    look(NOW + HOUR, case_1={})
    assert force(held) == {"b": "limit"}
    assert refused(lambda: held.unclear("case_1", "a", **ANN)) == "cleared_by_appeal"
    assert refused(lambda: held.clear("case_1", "a", up_to=Action.LIMIT, **ANN)) == "cleared_by_appeal"
    (row,) = Calibration.of(held.every(), appeals.every(), 1).table
    assert (row.judged, row.held) == (1, 0)


def test_a_suspension_takes_two_reviewers_who_had_no_part_in_it(held: Worklist, look: Look, appeals: Appeals) -> None:
    look(case_1=SUSPEND)
    held.approve("case_1", Action.SUSPEND, **ANN)
    held.approve("case_1", Action.SUSPEND, **BOB)
    appeal = filed(held, appeals)
    assert appeal.decided_by == ("ann", "bob")
    for name in ("Ann", "bob", "cust", "a"):
        assert refused(lambda name=name: vote(appeals, appeal, name)) == "reviewer_not_independent"
    assert vote(appeals, appeal, "rita").outcome is None
    assert force(held)["a"] == "suspend"
    # Whoever takes part while the appeal is open cannot review it either.
    held.propose("case_1", Action.SUSPEND, author="ron", reason="r", now_us=NOW + 4)
    assert refused(lambda: vote(appeals, appeal, "ron")) == "reviewer_not_independent"
    assert vote(appeals, appeal, "rob").outcome is OVERTURNED
    assert force(held) == {"b": "suspend"}
    # And the appellant has no say in the case.
    assert refused(lambda: held.approve("case_1", Action.SUSPEND, **ANN | {"author": "cust"})) == "not_independent"


def test_an_upheld_verdict_stands(held: Worklist, look: Look, appeals: Appeals) -> None:
    look(case_1={})
    assert vote(appeals, filed(held, appeals), "rita", UPHELD).outcome is UPHELD
    assert force(held) == {"a": "limit", "b": "limit"}
    assert filed(held, appeals).outcome is None  # with new evidence, again


def test_a_verdict_that_was_renewed_or_moved_is_the_same_matter(held: Worklist, look: Look, appeals: Appeals) -> None:
    look(case_1={}, case_2={"members": {"x": 0.9}})
    first = held.desk.verdicts.in_force(NOW)["a"].verdict_id
    appeal = filed(held, appeals)
    held.renew("case_1", **ANN | {"now_us": NOW + DAY})

    def again(verdict_id: str) -> Any:
        return appeals.file(Against.VERDICT, verdict_id, filed_by="cust", grounds="g", now_us=NOW + DAY)

    assert refused(lambda: again(first)) == "appeal_open"
    assert refused(lambda: again("guess")) == "nothing_to_appeal"
    merge(held, "case_1", "case_2", author="ann", reason="r", now_us=NOW + DAY)
    assert force(held, NOW + DAY) == {"a": "limit", "b": "limit", "x": "limit"}
    appeals.decide(appeal.appeal_id, reviewer="rita", outcome=OVERTURNED, reason="seen", now_us=NOW + DAY)
    assert force(held, NOW + DAY) == {"b": "limit", "x": "limit"}
    assert refused(lambda: again(first)) == "nothing_to_appeal"


def test_appeals_without_cases_refuse_verdicts(engine: sa.Engine, held: Worklist, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="where cases are kept"):
        Appeals(engine).file(Against.VERDICT, "v", filed_by="x", grounds="g", now_us=NOW)


def test_one_reviewer_clears_nobody_of_a_suspension(held: Worklist, look: Look, appeals: Appeals) -> None:
    look(case_1=SUSPEND)
    assert vote(appeals, filed(held, appeals), "rita").outcome is OVERTURNED
    open_one = filed(held, appeals, "b")
    held.approve("case_1", Action.SUSPEND, **ANN | {"now_us": NOW + 5})
    held.approve("case_1", Action.SUSPEND, **BOB | {"now_us": NOW + 5})
    # What frees from a limit for good does not from what two people decide later.
    assert force(held) == {"a": "suspend", "b": "suspend"}
    # And an appeal that was filed before is one against the suspension now.
    assert vote(appeals, open_one, "rita").outcome is None
    assert vote(appeals, open_one, "rob").outcome is OVERTURNED
    assert force(held) == {"a": "suspend"}
    second = appeals.file(
        Against.VERDICT, held.desk.verdicts.in_force(NOW + 6)["a"].verdict_id, filed_by="cust", grounds="g",
        now_us=NOW + 6,
    )  # fmt: skip
    for who in ("rita", "rob"):
        vote(appeals, second, who)
    assert force(held) == {}
    assert [one.up_to for one in held.get("case_1").cleared] == [Action.SUSPEND, Action.SUSPEND]


def test_people_clear_of_more_than_an_appeal_did_and_take_back_no_more(
    held: Worklist, look: Look, appeals: Appeals
) -> None:
    look(case_1=SUSPEND)
    vote(appeals, filed(held, appeals), "rita")
    held.approve("case_1", Action.SUSPEND, **ANN | {"now_us": NOW + 5})
    held.approve("case_1", Action.SUSPEND, **BOB | {"now_us": NOW + 5})
    held.clear("case_1", "a", **ANN | {"now_us": NOW + 6})
    assert force(held) == {"b": "suspend"}
    held.step("case_1", Action.LIMIT, **ANN | {"now_us": NOW + 7})
    held.unclear("case_1", "a", **ANN | {"now_us": NOW + 7})
    assert force(held) == {"b": "limit"}
    assert refused(lambda: held.unclear("case_1", "a", **ANN | {"now_us": NOW + 7})) == "cleared_by_appeal"
