"""What a step would do is what it does."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest
import sqlalchemy as sa

from tests.response.conftest import NOW, WriteLook
from tests.response.test_answers import looked
from tiergate.clock import DAY
from tiergate.ledger.verdicts import Action
from tiergate.response.effects import case_effects, effects
from tiergate.response.worklist import Worklist


@pytest.fixture
def worklist(engine: sa.Engine, tmp_path: Path, write_look: WriteLook) -> Worklist:
    # 40 of the 50 exchanges of each member are charged; `c` is too unsure to be reached.
    return looked(engine, tmp_path, write_look, case={"recommended_action": "watch"}, part={
        "recommended_action": "watch", "members": {"x": 0.9, "y": 0.9}, "charged": 5, "marks": ["template:1"],
    })  # fmt: skip


def test_effects_say_whom_a_step_reaches_and_the_innocent_exchanges(worklist: Worklist) -> None:
    told = {one.action: one for one in case_effects(worklist, "case", NOW)}
    assert list(told) == [Action.VERIFY, Action.LIMIT, Action.SUMMARISE, Action.SUSPEND]
    limit = told[Action.LIMIT]
    assert (limit.whole, limit.part, limit.left, limit.charged, limit.innocent) == (2, 0, 1, 80, 20)
    # The log is not there, so nobody knows how many that is a day.
    assert limit.a_day is None
    assert limit.let_through_a_day == pytest.approx(144)
    assert (told[Action.VERIFY].needed, told[Action.SUSPEND].needed) == (1, 2)
    worklist.step("case", Action.LIMIT, author="ana", now_us=NOW, reason="r")
    assert len(worklist.desk.verdicts.of_case("case", NOW)) == limit.whole + limit.part


def test_a_day_is_one_of_the_logs_and_marks_touch_their_share_of_others(worklist: Worklist) -> None:
    file, members = worklist.get("part"), worklist.members("part")
    (told, *_) = effects(file, members, worklist.desk.policy, NOW, shares=[0.2, 0.1], span_us=9 * DAY)
    assert (told.whole, told.part, told.charged, told.innocent) == (0, 2, 10, 27)
    assert told.days == 9
    assert told.a_day == pytest.approx((10 + 27) / 9)
    assert told.innocent_a_day == pytest.approx(3)
    whole = msgspec.structs.replace(worklist.desk.policy, whole_account_from=0.1)
    (told, *_) = effects(file, members, whole, NOW, shares=[0.2], span_us=9 * DAY)
    assert (told.whole, told.part, told.innocent) == (2, 0, 90)


def test_who_is_cleared_is_left_alone(worklist: Worklist) -> None:
    worklist.clear("case", "a", author="ana", now_us=NOW, reason="r", up_to=Action.LIMIT)
    told = {one.action: one.whole for one in case_effects(worklist, "case", NOW)}
    assert (told[Action.VERIFY], told[Action.LIMIT], told[Action.SUSPEND]) == (1, 1, 2)
