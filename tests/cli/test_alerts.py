"""`tiergate alerts`: what people see of sinks and of what did not arrive."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from tests.response.alerts.conftest import a_case
from tests.response.conftest import NOW
from typer.testing import CliRunner

from tiergate.admission.changes import Changes
from tiergate.cli import app
from tiergate.database import open_database
from tiergate.response.alerts.outbox import Outbox
from tiergate.response.alerts.sinks import load_sinks

SINKS = """
[[sinks]]
name = "lake"
kind = "ocsf"
file = "findings.jsonl"

[[sinks]]
name = "hook"
kind = "webhook"
private = true
url = "http://127.0.0.1:1/x"
secret = {env = "HOOK_SECRET"}
"""


@pytest.fixture
def data(tmp_path: Path) -> Path:
    (tmp_path / "alerts.toml").write_text(SINKS)
    engine = open_database(tmp_path / "control.sqlite")
    outbox = Outbox(engine)
    with Changes(engine).writing("ann", NOW) as writing:
        writing.put("case_1", a_case(), "opened")
    outbox.gather(load_sinks(tmp_path / "alerts.toml"), NOW)
    (queued,) = outbox.due("hook", NOW, 1)
    outbox.failed(queued, NOW, "it answered 410", final=True)
    engine.dispose()
    return tmp_path


def run(data: Path, *words: str) -> tuple[int, str, str]:
    result = CliRunner().invoke(app, ["alerts", *words, "--data", str(data)])
    said = result.output if result.exception is None else f"{result.output}{result.exception}"
    return result.exit_code, result.stdout, said


def test_check_says_what_is_missing(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert "sink `hook`: the environment variable `HOOK_SECRET` is not set" in run(data, "check")[2]
    monkeypatch.setenv("HOOK_SECRET", "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")
    code, said, _ = run(data, "check")
    assert (code, said.splitlines()) == (0, ["lake  ocsf  all", "hook  webhook  all"])


def test_test_sends_at_once_and_says_who_did_not_take_it(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOOK_SECRET", "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")
    assert run(data, "test", "lake")[:2] == (0, "lake  took it\n")
    assert json.loads((data / "findings.jsonl").read_text())["is_alert"] is False
    code, _, said = run(data, "test")
    assert code != 0
    assert "cannot reach `127.0.0.1` port 1" in said
    assert "no such sink" in run(data, "test", "nowhere")[2]


def test_what_was_given_up_is_listed_and_sent_again(data: Path) -> None:
    code, listed, _ = run(data, "list", "--json")
    states = {one["sink"]: one["state"] for one in json.loads(listed)}
    assert (code, states) == (0, {"lake": "waiting", "hook": "dead"})
    assert "it answered 410" in run(data, "list")[1]
    alert_id = json.loads(listed)[0]["alert"]["alert_id"]
    assert run(data, "retry", alert_id)[0] == 0
    states = {one["sink"]: one["state"] for one in json.loads(run(data, "list", "--json")[1])}
    assert states == {"lake": "waiting", "hook": "waiting"}
    assert "no alert with that id" in run(data, "retry", "alert_0")[2]
