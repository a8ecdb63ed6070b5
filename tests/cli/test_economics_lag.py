"""`tiergate economics lag`, `gap`, `convergence`, `forecast` and `backtest` as people run them."""

from __future__ import annotations

import csv
import json
import re
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.cli.conftest import RunCommand

from tiergate.cli import app
from tiergate.errors import InputError


def test_lags_as_table_json_csv_and_chart(run_tiergate: RunCommand, tmp_path: Path) -> None:
    done = run_tiergate("economics", "lag", "open", "closed", "--csv", "lag.csv", "--chart", "lag.svg")
    assert done.returncode == 0, done.stderr
    assert "horizontal      4.3   months" in done.stdout
    assert "Epoch Capabilities Index" in done.stderr
    with (tmp_path / "lag.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["definition"] for row in rows] == ["horizontal", "strict", "vertical", "staleness"]
    drawn = (tmp_path / "lag.svg").read_text()
    assert "depends on the definition" in drawn
    assert "CC-BY-4.0" in drawn
    done = run_tiergate("economics", "lag", "China", "US", "--as-of", "2026-01-01", "--json")
    found = {one["definition"]: one for one in json.loads(done.stdout)}
    assert found["staleness"]["as_of"] == "2026-01-01"
    assert found["staleness"]["low"] < found["staleness"]["value"] < found["staleness"]["high"]


PAGE = Path(__file__).parents[2] / "docs" / "lags.md"
Run = Callable[..., tuple[str, str]]


@pytest.fixture
def run_here(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Run:
    """Run the command line within this process, at 80 columns; its output and its notes."""
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.chdir(tmp_path)

    def run(*words: str) -> tuple[str, str]:
        app(args=["economics", *words], prog_name="tiergate", standalone_mode=False)
        return capsys.readouterr()

    return run


def test_gap_and_convergence(run_here: Run, tmp_path: Path) -> None:
    out, _ = run_here("gap", "--since", "2024-01-01", "--chart", "gap.png", "--csv", "gap.csv")
    assert "2024-01-01   2024-06-30                    7.2                12.6" in out
    assert (tmp_path / "gap.png").read_bytes().startswith(b"\x89PNG")
    assert (tmp_path / "gap.csv").read_text().startswith("from_day,to_day,points,months\n2024-01-01,2024-06-30,7.24")
    words = ("convergence", "--resamples", "50", "--chart", "spread.svg", "--csv", "spread.csv")
    found = {one["on"]: one for one in json.loads(run_here(*words, "--json")[0])}
    assert round(found["2024-12-31"]["spread"], 1) == 12.7
    assert (tmp_path / "spread.csv").read_text().startswith("on,spread,low,high,OpenAI,Anthropic,Google\n")
    assert "Anthropic" in (tmp_path / "spread.svg").read_text()
    out, notes = run_here("convergence", "OpenAI", "Meta", "--since", "2026-01-01", "--resamples", "0")
    assert "unknown" in out
    assert "CC-BY-4.0" in notes


def test_questions_and_when(run_here: Run, tmp_path: Path) -> None:
    out, _ = run_here("forecast", "--csv", "questions.csv")
    assert "china-reaches-april-frontier   2028-04-10   yes 2026-07-16" in out
    assert "open-reaches-fable-5" in (tmp_path / "questions.csv").read_text()
    shown = json.loads(run_here("forecast", "--json")[0])
    assert {evidence["licence"] for one in shown for evidence in one["evidence"]} == {"fact"}
    out, _ = run_here("forecast", "open", "--model", "claude fable 5", "--json", "--chart", "when.svg")
    found = json.loads(out)
    assert found["model"] == "Claude Fable 5"
    assert found["low"] < found["median"] < found["high"]
    assert "economics backtest" in (tmp_path / "when.svg").read_text()


def test_the_record_says_where_it_falls_short(run_here: Run, tmp_path: Path) -> None:
    out, notes = run_here("backtest", "--chart", "record.svg", "--csv", "record.csv")
    assert "open behind closed, known then; months" in out
    assert "known then: missed for open behind closed (2.67)" in notes
    assert "months off" in (tmp_path / "record.svg").read_text()
    assert len((tmp_path / "record.csv").read_text().splitlines()) == 1 + 2 * 3 * 5


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("lag", "nobody", "closed"), "stands for no model of vintage `2026-08-11`: give open, closed"),
        (("lag", "--as-of", "2020-01-01"), "give a day from 2023-02-24 on"),
        (("lag", "--as-of", "2026-11-28"), "ends on 2026-07-31 and does not know 2026-11-28"),
        (("lag", "--vintage", "none.csv"), "there is no file `none.csv`: give a CSV file of Epoch's index"),
        (("lag", "--chart", "lag.pdf"), "an .svg or a .png"),
        (("gap", "--months", "5"), "give 1, 2, 3, 4, 6 or 12"),
        (("lag", "open", "open"), "`open` is not behind itself: name two groups"),
        (("convergence", "OpenAI"), "a spread is among two groups or more"),
        (("forecast", "open"), "say what is to be reached: a LEADER, or a model"),
        (("forecast", "open", "closed", "--model", "o1"), "say what is to be reached"),
        (("forecast", "--model", "o1"), "name who is to reach it"),
        (("forecast", "open", "--model", "Kimi K3"), "`open` had reached Kimi K3"),
        (("backtest", "open"), "name both groups"),
        (("backtest", "US", "China"), "`US` was never behind `China`"),
    ],
)
def test_bad_input_is_told_what_is_allowed(words: tuple[str, ...], said: str, run_here: Run) -> None:
    with pytest.raises(InputError) as caught:
        run_here(*words)
    assert said in str(caught.value)


def test_the_page_shows_what_is_printed(run_here: Run) -> None:
    page = PAGE.read_text(encoding="utf-8")
    shown = re.search(r"```console\n\$ tiergate economics (.*?)\n(.*?)```", page, re.DOTALL)
    assert shown is not None
    out, _ = run_here(*shown[1].split())
    assert [line.rstrip() for line in out.splitlines()] == shown[2].splitlines()


def test_a_question_as_the_page_shows_it(run_here: Run, tmp_path: Path) -> None:
    shown = re.search(r"```toml\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    assert shown is not None
    (tmp_path / "mine.toml").write_text(shown[1])
    out, _ = run_here("forecast", "--questions", "mine.toml")
    assert "open-reaches-opus-5            2027-06-30   open" in out


def test_bad_input_ends_with_2(run_tiergate: RunCommand) -> None:
    done = run_tiergate("economics", "gap", "--months", "5")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == "tiergate: a year has no whole number of spans of 5 months: give 1, 2, 3, 4, 6 or 12\n"
