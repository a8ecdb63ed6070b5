"""`tiergate economics` on what attacks cost, as a user runs it."""

from __future__ import annotations

import csv
import json
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

RunCommand = Callable[..., subprocess.CompletedProcess[str]]


def test_seed_prints_the_arithmetic_and_the_verdict(run_tiergate: RunCommand, tmp_path: Path) -> None:
    """Source of the figures: the founding essay."""
    done = run_tiergate("economics", "seed", "--draws", "20000", "--csv", "seed.csv")
    assert done.returncode == 0, done.stderr
    for figure in (" 0.003 ", " 2.00 ", " 667 ", " 20,833 ", " 104,167 "):
        assert figure in done.stdout
    assert "below the 1st percentile" in done.stdout
    assert "extraction_cost: uncorroborated" in done.stderr
    rows = {row["figure"]: row["value"] for row in csv.DictReader((tmp_path / "seed.csv").read_text().splitlines())}
    assert rows["USD per exchange"] == "0.003"


def test_an_attack_is_priced_drawn_and_written(run_tiergate: RunCommand, tmp_path: Path) -> None:
    command = ("economics", "attack-cost", "--exchanges", "1e6", "--limit", "100", "--recall", "0.9", "--draws", "5000")
    done = run_tiergate(*command, "--csv", "cost.csv", "--chart", "cost.svg", "--set", "labour_time=1")
    assert done.returncode == 0, done.stderr
    assert "total" in done.stdout
    assert "come from resellers" in done.stdout.replace("\n", " ")
    assert "your own figures" in done.stderr
    assert "`tiergate economics inputs` shows every price with its source" in done.stderr
    rows = {
        row["figure"]: float(row["median"]) for row in csv.DictReader((tmp_path / "cost.csv").read_text().splitlines())
    }
    assert rows["per exchange"] == pytest.approx(rows["total"] / 1e6)
    drawn = (tmp_path / "cost.svg").read_text()
    assert "US dollars" in drawn
    assert "Source:" in drawn
    told = json.loads(run_tiergate(*command, "--json").stdout)
    assert {row["figure"] for row in told["figures"]} >= {"total", "labour", "share from resellers"}
    assert told["simulated"] is False


def test_a_tornado_is_drawn(run_tiergate: RunCommand, tmp_path: Path) -> None:
    done = run_tiergate("economics", "tornado", "--accounts", "24000", "--samples", "64", "--chart", "tornado.png")
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[0].split()[:2] == ["input", "alone"]
    assert "labour_time" in done.stdout
    assert (tmp_path / "tornado.png").read_bytes().startswith(b"\x89PNG")


def test_what_is_needed_is_said(run_tiergate: RunCommand) -> None:
    done = run_tiergate("economics", "inverse", "account-cost", "100000000", "--accounts", "24000")
    assert done.returncode == 0, done.stderr
    assert done.stdout == "4,152 USD per account\n"


def test_the_bound_and_the_controls(run_tiergate: RunCommand, tmp_path: Path) -> None:
    done = run_tiergate("economics", "bound", "--draws", "2000", "--worth", "1000000", "--chart", "b.svg", "--json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)[0]["option"] == "open models"
    assert "months from the day" in (tmp_path / "b.svg").read_text()
    done = run_tiergate("economics", "controls", "--honest", "20000", "--recall", "0.9", "--csv", "c.csv")
    assert done.returncode == 0, done.stderr
    rows = list(csv.DictReader((tmp_path / "c.csv").read_text().splitlines()))
    assert {row["control"] for row in rows} >= {"limit", "detection", "all three"}


def test_inputs_have_sources(run_tiergate: RunCommand) -> None:
    rows = json.loads(run_tiergate("economics", "inputs", "--json", "--set", "labour_time=2,3,4").stdout)
    assert all(row["source"] and row["licence"] and row["as_of"] for row in rows)
    assert next(row for row in rows if row["input"] == "labour_time")["note"] == "set by the user"


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("attack-cost", "--set", "colour=1"), "there is no price `colour` to set: give one of account_day"),
        (("attack-cost", "--accounts", "10", "--limit", "5"), "would have to ask"),
        (("attack-cost", "--model", "claude-opus"), "no price is on file for `claude-opus`: did you mean"),
        (
            ("attack-cost", "--model", "claude-opus-4-1", "--on", "2024-01-01"),
            "is on file before 2025-08-31: give a day",
        ),
        (("attack-cost", "--model", "claude-opus-4-1", "--set", "input_price=1"), "leave one of them out"),
        (("attack-cost", "--redteam", "nowhere"), "`tiergate redteam --out DIR` writes one"),
        (("attack-cost", "--chart", "cost.pdf"), "a chart is an .svg or a .png"),
        (("tornado", "--samples", "100"), "give a power of two"),
        (("inverse", "delay", "1000000"), "give the recall of your detection too"),
        (("controls", "--honest", "0"), "give 1 honest account or more"),
    ],
)
def test_bad_input_is_one_line_and_exit_code_2(arguments: tuple[str, ...], said: str, run_tiergate: RunCommand) -> None:
    done = run_tiergate("economics", *arguments)
    assert done.returncode == 2
    assert said in done.stderr
    assert done.stderr.count("\n") == 1
