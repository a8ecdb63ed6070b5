"""`tiergate case` and `appeal` on a data folder with case files, as an analyst types them."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from tests.response.conftest import write_answer

from tiergate.clock import DAY, SystemClock
from tiergate.database import open_database
from tiergate.response.desk import CaseDesk
from tiergate.response.ladder import load_policy
from tiergate.response.looks import digest_of, kept

RunCommand = Callable[..., subprocess.CompletedProcess[str]]
CASES = {
    "case_aaaa1111": {"recommended_action": "suspend"},
    "case_bbbb2222": {"members": {"x": 0.9, "y": 0.9}, "recommended_action": "verify"},
}


@contextmanager
def desk_of(data: Path) -> Iterator[CaseDesk]:
    engine = open_database(data / "control.sqlite")
    try:
        yield CaseDesk(engine, load_policy())
    finally:
        engine.dispose()


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """A data folder after one look, four days ago."""
    data, at_us = tmp_path / "data", SystemClock().now_us() - 4 * DAY
    data.mkdir()
    folder = write_answer(tmp_path / "look", 1, at_us, CASES)
    place = kept(data, digest_of(folder))
    place.parent.mkdir(parents=True)
    folder.rename(place)
    with desk_of(data) as desk:
        desk.take(place, at_us)
    return data


def verdicts(data: Path) -> dict[str, str]:
    with desk_of(data) as desk:
        held = desk.verdicts.in_force(SystemClock().now_us())
    return {account: one.action.value for account, one in held.items()}


def test_from_the_list_to_an_outcome(data: Path, run_tiergate: RunCommand) -> None:
    listed = run_tiergate("case", "list")
    first, second = listed.stdout.splitlines()
    assert first.startswith("case_aaaa1111  open       critical  limit      3 accounts")
    assert "suspend proposed by tiergate watch, 2 more must agree  overdue" in first
    assert second.startswith("case_bbbb2222  open       medium    verify ")
    assert listed.stderr == "tiergate: 2 cases, 2 overdue\n"

    assert run_tiergate("case", "assign", "case_a", "ann").returncode == 0
    assert run_tiergate("case", "note", "case_a", "asked the reseller", "--author", "ann").returncode == 0
    (mine,) = json.loads(run_tiergate("case", "list", "--assignee", "Ann", "--json").stdout)
    assert (mine["case_id"], mine["severity"], mine["overdue"]) == ("case_aaaa1111", "critical", True)
    assert run_tiergate("case", "list", "--step", "suspend").stdout == ""

    for name, step in (("ann", "limit"), ("bob", "suspend")):
        done = run_tiergate("case", "approve", "case_a", "suspend", "--author", name, "--json")
        assert json.loads(done.stdout)["step"] == step, done.stderr
    assert verdicts(data) == {"a": "suspend", "b": "suspend", "x": "verify", "y": "verify"}
    again = run_tiergate("case", "step", "case_b", "suspend", "--reason", "r")
    assert (again.returncode, again.stderr) == (1, "tiergate: `suspend` needs 2 people: propose it\n")

    run_tiergate("case", "clear", "case_a", "a", "--reason", "verified", "--author", "ann")
    shown = run_tiergate("case", "show", "case_a").stdout
    assert "suspend by ann and bob, until" in shown
    assert "\n  answer " in shown
    assert "a  membership 0.90  charged 40  cleared by ann" in shown
    assert "ann: asked the reseller" in shown
    closed = run_tiergate("case", "close", "case_a", "mistaken", "--reason", "a class", "--author", "ann")
    assert closed.stdout.startswith("case_aaaa1111  mistaken ")
    assert verdicts(data) == {"x": "verify", "y": "verify"}
    told = run_tiergate("case", "history", "case_a").stdout
    assert [line.split()[2] for line in told.splitlines()] == [
        "opened", "assign", "note", "approve", "approve", "clear", "close",
    ]  # fmt: skip
    assert told.splitlines()[-1].endswith("by ann as mistaken: a class")
    table = run_tiergate("case", "calibration").stdout
    assert "0.99 to 1.00       1     0   0.999" in table
    assert "Brier score 0.9980" in table
    assert run_tiergate("case", "reopen", "case_a", "--reason", "r").stdout.startswith("case_aaaa1111  open ")


def test_merge_split_and_the_way_back(data: Path, run_tiergate: RunCommand) -> None:
    done = run_tiergate("case", "merge", "case_b", "case_a", "--reason", "one payer")
    assert done.stdout.startswith("case_aaaa1111  open "), done.stderr
    assert verdicts(data) == dict.fromkeys(["a", "b", "x", "y"], "verify")
    part = json.loads(run_tiergate("case", "split", "case_a", "x", "b", "--reason", "another", "--json").stdout)
    assert part["split_from"] == "case_aaaa1111"
    assert verdicts(data) == {"a": "verify", "y": "verify"}
    assert run_tiergate("case", "unclear", "case_a", "y", "--reason", "r").returncode == 1
    assert run_tiergate("case", "step", "case_a", "watch", "--reason", "an office").returncode == 0
    assert verdicts(data) == {}
    # Whole: the part's own id is drawn and may begin with `case_b` too.
    refused = run_tiergate("case", "step", "case_bbbb2222", "verify", "--reason", "r")
    assert refused.stderr == "tiergate: `case_bbbb2222` was merged into `case_aaaa1111`: work on that\n"


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("show", "case_"), "2 cases begin with `case_`"),
        (("show", "none"), "no case begins with `none`: see `tiergate case list`"),
        (("close", "case_a", "won", "--reason", "r"), "'won' is not one of"),
        (("step", "case_a", "watch"), "missing option '--reason'"),
        (("step", "case_a", "watch", "--reason", " "), "this needs a reason: others read it"),
    ],
)
def test_bad_usage(data: Path, run_tiergate: RunCommand, arguments: tuple[str, ...], said: str) -> None:
    done = run_tiergate("case", *arguments)
    assert done.returncode == 2
    assert said in done.stderr


def test_a_verdict_by_hand_goes_through_the_file(data: Path, run_tiergate: RunCommand, tmp_path: Path) -> None:
    (folder,) = (data / "detection" / "looks").iterdir()
    (folder / "run.json").write_text("{}")
    done = run_tiergate("respond", "apply", "case_aaaa1111", "--cases", str(folder), "--action", "verify")
    assert done.returncode == 1
    assert "has a file, `case_aaaa1111`: use `tiergate case step` or `propose`" in done.stderr
    lifted = run_tiergate("respond", "lift", "case_a", "--author", "ann")
    assert lifted.stdout == "lifted 2 verdicts of case_aaaa1111\n", lifted.stderr
    assert verdicts(data) == {"x": "verify", "y": "verify"}
    assert "step      watch" in run_tiergate("case", "history", "case_a").stdout.splitlines()[-1]


def test_an_appeal_against_a_verdict(data: Path, run_tiergate: RunCommand) -> None:
    with desk_of(data) as desk:
        verdict = desk.verdicts.in_force(SystemClock().now_us())["a"].verdict_id
    filed = run_tiergate("appeal", "file", "verdict", "--grounds", "ours", "--author", "cust", "--json", "--", verdict)
    appeal = json.loads(filed.stdout)["appeal_id"]
    done = run_tiergate("appeal", "decide", appeal, "--overturn", "--reason", "seen", "--author", "rita")
    assert "overturned" in done.stdout
    assert verdicts(data) == {"b": "verify", "x": "verify", "y": "verify"}
    assert run_tiergate("case", "unclear", "case_a", "a", "--reason", "r").returncode == 1


def test_what_somebody_wrote_passes_for_no_line_of_ours(data: Path, run_tiergate: RunCommand) -> None:
    forged = "seen\n2026-11-28 05:37  approve   suspend    by bob\r\x1b[2Jgone\u202e"
    assert run_tiergate("case", "note", "case_a", forged, "--author", "ann\x1b[31m").returncode == 0
    for command in ("history", "show"):
        said = run_tiergate("case", command, "case_a").stdout
        assert not any(line.startswith("2026-11-28 05:37  approve") for line in said.splitlines())
        assert not set("\x1b\r\u202e") & set(said)
        assert "\\u{1b}[2Jgone" in said
