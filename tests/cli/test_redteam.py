"""`tiergate redteam` as a user runs it, with the smallest of budgets."""

from __future__ import annotations

import csv
import json
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

RunCommand = Callable[..., subprocess.CompletedProcess[str]]

TINY = ("redteam", "--out", "rt", "--exchanges", "60", "--evaluations", "1")
WORLD = (
    "--accounts",
    "100",
    "--days",
    "2",
    "--look",
    "1",
    "--decoys",
    "1",
    "--rate-limit",
    "20",
    "--newcomer-limit",
    "9",
)


def test_it_prints_writes_and_goes_on(tmp_path: Path, run_tiergate: RunCommand) -> None:
    done = run_tiergate(*TINY, *WORLD)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[0].split()[:2] == ["exchanges", "control"]
    assert "against this" in done.stdout
    assert "attacking: 100%" in done.stderr
    rows = list(csv.DictReader((tmp_path / "rt" / "redteam.csv").read_text().splitlines()))
    assert [(row["exchanges"], row["control"]) for row in rows[:2]] == [("60", "none"), ("60", "rate_limit")]
    assert len(rows) == 7
    whole = json.loads((tmp_path / "rt" / "redteam.json").read_text())
    assert whole["simulated"] is True
    assert whole["setting"]["account_a_day"] == 20
    assert "upper bound" in whole["caveat"]
    assert whole["limits"] == {"account": 20, "newcomer": 9, "newcomer_days": 7.0}
    budget = {"without": whole["evaluations_without_detection"], "with": whole["evaluations"]}
    for row in rows:
        detecting = row["control"] in ("detection", "all")
        assert int(row["trials"]) <= budget["with" if detecting else "without"]
    assert "<svg" in (tmp_path / "rt" / "redteam.svg").read_text()
    kept = (tmp_path / "rt" / "evaluations.jsonl").read_bytes()
    again = run_tiergate(*TINY, *WORLD, "--json")
    assert "made 0 trials" in again.stderr
    assert json.loads(again.stdout)["assessments"] == whole["assessments"]
    assert (tmp_path / "rt" / "evaluations.jsonl").read_bytes() == kept


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--accounts", "5"), "too few to hide among"),
        (("--look", "99"), "within the window"),
        (("--days", "0"), "1 day"),
        (("--newcomer-days", "-1"), "nobody is new"),
    ],
)
def test_what_makes_no_sense_is_one_line(options: tuple[str, str], said: str, run_tiergate: RunCommand) -> None:
    done = run_tiergate("redteam", "--out", "rt", *options)
    assert done.returncode == 2
    assert said in done.stderr
    assert len(done.stderr.splitlines()) == 1
