"""Nothing that was committed goes untold, nothing is queued twice, and nothing is tried for ever."""

from __future__ import annotations

import json
from contextlib import suppress
from pathlib import Path

import pytest
import sqlalchemy as sa
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.response.alerts.conftest import SECRET, Receiver, a_case
from tests.response.conftest import NOW, WriteLook
from tiergate.admission.appeals import Against, Appeals, Outcome
from tiergate.admission.changes import Changes
from tiergate.clock import DAY, FixedClock
from tiergate.database import open_database
from tiergate.errors import InputError
from tiergate.ledger.verdicts import Action
from tiergate.response.alerts import outbox as module
from tiergate.response.alerts.mail import message
from tiergate.response.alerts.outbox import WAITS_US, Outbox, Queued
from tiergate.response.alerts.sending import Alerting
from tiergate.response.alerts.sinks import Email, Secret, Webhook
from tiergate.response.desk import CaseDesk
from tiergate.response.ladder import load_policy

ALL = Webhook(name="all", url="https://a.example", secret=Secret(env="S"))
CASES = Webhook(name="cases", url="https://a.example", secret=Secret(env="S"), types=("case.*",), account_ids=True)
EVERY = ("waiting", "sent", "dead")


def queued(outbox: Outbox, sink: str = "all") -> list[Queued]:
    return [one for one in reversed(outbox.listed(EVERY)) if one.sink == sink]


def test_a_look_is_told_to_each_sink_that_wants_it(engine: sa.Engine, write_look: WriteLook) -> None:
    desk, outbox = CaseDesk(engine, load_policy()), Outbox(engine)
    desk.take(write_look(case_1={"recommended_action": "suspend"}), NOW)
    outbox.gather([ALL, CASES], NOW)
    kinds = ["case.opened", "case.step", "case.proposed"]
    assert [one.alert.type for one in queued(outbox)] == kinds
    assert [one.alert.alert_id for one in queued(outbox)] == [one.alert.alert_id for one in queued(outbox, "cases")]
    assert "account_ids" not in queued(outbox)[0].alert.data
    assert queued(outbox, "cases")[0].alert.data["account_ids"] == ["a", "b"]
    outbox.gather([ALL, CASES], NOW)
    assert len(queued(outbox)) == 3


def test_appeals_are_told_when_filed_and_when_overdue(engine: sa.Engine) -> None:
    outbox, appeals = Outbox(engine), Appeals(engine)
    filed = appeals.file(Against.DECISION, "dec_1", filed_by="Jane Doe", grounds="I am not that", now_us=NOW)
    for now_us in (NOW, filed.due_at_us - 1, filed.due_at_us, filed.due_at_us + DAY):
        outbox.gather([ALL, CASES], now_us)
    assert [one.alert.type for one in queued(outbox)] == ["appeal.filed", "appeal.overdue"]
    for who in ("rita", "rob"):
        appeals.decide(
            filed.appeal_id, reviewer=who, outcome=Outcome.OVERTURNED, reason="Jane Doe is right", now_us=NOW + DAY
        )
    outbox.gather([ALL, CASES], NOW + DAY)
    decided = queued(outbox)[-1].alert
    assert (decided.type, decided.data["outcome"]) == ("appeal.decided", "overturned")
    assert len(queued(outbox)) == 3
    assert queued(outbox, "cases") == []
    assert "Jane" not in str(queued(outbox))
    assert "I am not" not in str(queued(outbox))


def test_what_was_before_the_outbox_is_not_told_and_what_nobody_was_told_of_is_past(engine: sa.Engine) -> None:
    changes = Changes(engine)
    with changes.writing("ann", NOW) as writing:
        writing.put("case_1", a_case("case_1"), "opened")
    outbox = Outbox(engine)
    outbox.gather([ALL], NOW)
    assert queued(outbox) == []
    with changes.writing("ann", NOW) as writing:
        writing.put("case_2", a_case("case_2"), "opened")
    outbox.gather([], NOW)  # no sinks at that time
    outbox.gather([ALL], NOW)
    assert queued(outbox) == []


@settings(max_examples=15)
@given(
    st.lists(st.tuples(st.integers(0, 2), st.sampled_from(list(Action)), st.booleans(), st.booleans()), max_size=12),
    st.integers(1, 5),
)
def test_whatever_dies_in_between_each_change_is_queued_once(
    tmp_path_factory: pytest.TempPathFactory, steps: list[tuple[int, Action, bool, bool]], at_once: int
) -> None:
    """Changes by one process, gathers by another, some of which die before they commit."""
    engine = open_database(tmp_path_factory.mktemp("outbox") / "control.sqlite")
    changes, outbox = Changes(engine), Outbox(engine)
    held: dict[int, Action | None] = {0: None, 1: None, 2: None}
    expected: list[tuple[str, str]] = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "AT_ONCE", at_once)
        for case, action, gathers, dies in steps:
            with changes.writing("ann", NOW) as writing:
                writing.put(f"case_{case}", a_case(f"case_{case}", step=action), "step")
            expected += [("case.opened", f"case_{case}")] if held[case] is None else []
            expected += [("case.step", f"case_{case}")] if action is not (held[case] or Action.WATCH) else []
            held[case] = action
            if gathers and dies:
                with patch.context() as broken:
                    broken.setattr(outbox, "_put", lambda *_: 1 // 0)
                    with suppress(ZeroDivisionError):
                        outbox.gather([ALL], NOW)
            elif gathers:
                outbox.gather([ALL], NOW)
        outbox.gather([ALL], NOW)
    told = queued(outbox)
    assert [(one.alert.type, one.alert.data["case_id"]) for one in told] == expected
    assert len({one.alert.alert_id for one in told}) == len(told)
    engine.dispose()


@pytest.fixture
def alerting(tmp_path: Path, engine: sa.Engine, receiver: Receiver) -> Alerting:
    (tmp_path / "alerts.toml").write_text(
        f'[[sinks]]\nname = "all"\nkind = "webhook"\nprivate = true\nurl = "{receiver.url}"\nsecret = {{env = "S"}}\n'
    )
    return Alerting(tmp_path, engine, FixedClock(NOW), {"S": SECRET})


def at(alerting: Alerting, now_us: int) -> Alerting:
    alerting._clock = FixedClock(now_us)
    return alerting


def change(engine: sa.Engine, case_id: str) -> None:
    with Changes(engine).writing("ann", NOW) as writing:
        writing.put(case_id, a_case(case_id), "opened")


def test_a_step_sends_what_happened_once(alerting: Alerting, engine: sa.Engine, receiver: Receiver) -> None:
    change(engine, "case_1")
    assert alerting.step() == []
    assert alerting.step() == []
    ((_, body),) = receiver.came
    assert json.loads(body)["data"]["case_id"] == "case_1"
    assert [one.state for one in alerting.outbox.listed(EVERY)] == ["sent"]


def test_a_sink_that_is_down_is_asked_again_with_waits_under_one_id_and_given_up_in_the_end(
    alerting: Alerting, engine: sa.Engine, receiver: Receiver
) -> None:
    receiver.answer = 503
    change(engine, "case_1")
    change(engine, "case_2")
    now_us = NOW
    for wait_us in WAITS_US:
        assert alerting.step() == ["alert to `all`: it answered 503"]
        assert len(alerting.step()) <= 1  # the second message, which the first one's failure kept back
        asked = len(receiver.came)
        at(alerting, now_us + wait_us - 1).step()
        assert len(receiver.came) == asked
        now_us += wait_us
        at(alerting, now_us)
    alerting.step()
    alerting.step()
    assert [one.state for one in alerting.outbox.listed(EVERY)] == ["dead", "dead"]
    assert len({headers["webhook-id"] for headers, _ in receiver.came}) == 2
    assert len({headers["webhook-timestamp"] for headers, _ in receiver.came}) > 5
    assert at(alerting, now_us + DAY).step() == []
    receiver.answer = 204
    (first, second) = alerting.outbox.listed(["dead"])
    assert alerting.outbox.retry([first.alert.alert_id], now_us + DAY) == 1
    assert alerting.outbox.retry([], now_us + DAY) == 2
    assert alerting.step() == []
    assert {one.state for one in alerting.outbox.listed(EVERY)} == {"sent"}
    alerting.outbox.forget(now_us + 40 * DAY)
    assert alerting.outbox.listed(EVERY) == []
    assert second.fault == "it answered 503"


def test_a_file_that_became_wrong_loses_nothing(alerting: Alerting, engine: sa.Engine, receiver: Receiver) -> None:
    path = alerting._data / "alerts.toml"
    right = path.read_text()
    path.write_text("sinks = 3")
    change(engine, "case_1")
    with pytest.raises(InputError):
        alerting.step()
    path.write_text(right)
    assert alerting.step() == []
    assert len(receiver.came) == 1


def test_a_missing_secret_waits(alerting: Alerting, engine: sa.Engine, receiver: Receiver) -> None:
    alerting._environment = {}
    change(engine, "case_1")
    assert alerting.step() == ["alert to `all`: the environment variable `S` is not set"]
    alerting._environment = {"S": SECRET}
    assert at(alerting, NOW + DAY).step() == []
    assert len(receiver.came) == 1


def test_a_watch_that_keeps_failing_is_told_once(alerting: Alerting, receiver: Receiver) -> None:
    for looks in range(1, 9):
        alerting.failed(looks, NOW)
        alerting.step()
    ((_, body),) = receiver.came
    assert json.loads(body)["type"] == "watch.failing"


def test_what_somebody_is_called_breaks_neither_a_subject_nor_the_loop(
    tmp_path: Path, engine: sa.Engine, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    outbox, evil = Outbox(engine), "dec_1\r\nBcc: all@example.com"
    Appeals(engine).file(Against.DECISION, evil, filed_by="eve", grounds="x", now_us=NOW)
    outbox.gather([ALL], NOW)
    sink = Email(name="post", host="smtp.example.com", sender="a@b.c", to=("d@e.f",))
    sent = message(queued(outbox)[0].alert, sink)
    assert sent["bcc"] is None
    assert "\nBcc" not in sent.get_content()
    alerting = Alerting(tmp_path, engine, FixedClock(NOW), {})
    monkeypatch.setattr(alerting, "sinks", lambda: [ALL])
    monkeypatch.setattr(alerting, "deliver", lambda *_: 1 // 0)
    assert alerting.step() == ["alert to `all`: internal error: ZeroDivisionError"]
