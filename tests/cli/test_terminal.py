"""What commands say, where, and with which exit code."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tiergate.cli.terminal import counted, progress

RunCommand = Callable[..., subprocess.CompletedProcess[str]]

COMMANDS = (
    ("demo",), ("serve",), ("detect",), ("import",), ("simulate",), ("keys", "create"), ("keys", "list"),
    ("keys", "revoke"), ("respond", "apply"), ("respond", "lift"), ("respond", "list"),
    ("case", "list"), ("case", "step"), ("case", "close"),
)  # fmt: skip


@pytest.mark.parametrize("command", [(), *COMMANDS], ids=" ".join)
def test_help_has_an_example_of_that_very_command(command: tuple[str, ...], run_tiergate: RunCommand) -> None:
    done = run_tiergate(*command, "--help")
    assert done.returncode == 0
    assert done.stderr == ""
    assert "Example:\n  tiergate " + " ".join(command) in done.stdout.replace("\n    ", "\n  ")
    assert all(len(line) <= 80 for line in done.stdout.splitlines())


def test_help_names_the_exit_codes(run_tiergate: RunCommand) -> None:
    assert "Exit codes: 0 done, 1 failure, 2 bad input or usage, 130 interrupted." in run_tiergate("--help").stdout


def test_help_does_not_load_what_only_commands_need() -> None:
    heavy = "{'numpy', 'pyarrow', 'scipy', 'matplotlib', 'aiohttp', 'sqlalchemy', 'rich', 'pydantic_settings'}"
    script = f"import sys, tiergate.cli; print(sorted({heavy} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("dettect",), "no such command"),
        (("detect", "nowhere", "--out", "x"), "`nowhere` is not there"),
        (("detect", "--out", "x"), "missing argument"),
        (("import", "columns", "f.csv", "--out", "x.parquet"), "give `--map FILE`"),
        (("import", "litellm", "nowhere", "--out", "x.parquet"), "`nowhere` is not there"),
        (("simulate", "--out", "x", "--prompts", "nofile"), "`--prompts nofile` is no file: give one of messages"),
        (("simulate", "--out", "x", "--thin", "inf"), "`--thin inf`: give a number from 0.001 to 1,000"),
        (("simulate", "--out", "x", "--thin", "nan"), "`--thin nan`: give a number"),
        (("simulate", "--out", "x", "--scale", "-1"), "`--scale -1`: give a number"),
        (("keys", "list", "--data", "nowhere"), "`nowhere` is not a gateway's data folder"),
        (("respond", "apply", "case_1", "--cases", "nowhere"), "`nowhere` holds no cases.parquet"),
    ],
)
def test_bad_usage_is_one_line_and_exit_code_2(arguments: tuple[str, ...], said: str, run_tiergate: RunCommand) -> None:
    done = run_tiergate(*arguments)
    assert done.returncode == 2
    assert done.stdout == ""
    (line,) = done.stderr.splitlines()
    assert line.startswith("tiergate: ")
    assert said in line


@pytest.mark.parametrize(
    "arguments",
    [
        ("detect", "x.jsonl", "--out", "x.jsonl"),
        ("detect", "x.jsonl", "--out", "/proc/x"),
        ("simulate", "--out", "x.jsonl/x"),
        ("redteam", "--accounts", "200", "--out", "x.jsonl/x"),
        ("demo", "--no-serve", "--out", "x.jsonl"),
        ("import", "litellm", "x.jsonl", "--out", "x.jsonl/x.parquet"),
        ("import", "litellm", "x.jsonl", "--out", "."),
    ],
)
def test_an_output_that_cannot_be_written_is_one_line_before_the_work(
    arguments: tuple[str, ...], tmp_path: Path, run_tiergate: RunCommand
) -> None:
    (tmp_path / "x.jsonl").touch()
    done = run_tiergate(*arguments)
    (line,) = done.stderr.splitlines()
    assert line.startswith("tiergate: ")
    assert "`--out`" in line
    assert done.returncode == 2


def test_progress_without_a_terminal_is_a_few_plain_lines(capsys: pytest.CaptureFixture[str]) -> None:
    with progress("reading") as advance:
        for step in range(101):
            advance(f"{step} rows", step / 100)
    lines = capsys.readouterr().err.splitlines()
    assert lines == [f"tiergate: reading: {share}%, {share} rows" for share in (25, 50, 75, 100)]


def test_counted() -> None:
    assert [counted(n, "row") for n in (0, 1, 1200)] == ["0 rows", "1 row", "1,200 rows"]


def test_help_loads_nothing_heavy() -> None:
    look = "import sys, tiergate.cli; print(*{name.partition('.')[0] for name in sys.modules})"
    loaded = subprocess.run([sys.executable, "-c", look], capture_output=True, text=True, check=True).stdout.split()
    assert "typer" in loaded
    assert not {"cedarpy", "duckdb", "msgspec", "numpy", "polars", "pyarrow", "scipy", "sqlalchemy"} & set(loaded)


@pytest.mark.parametrize("command", [("routes", "check"), ("case", "approve"), ("nosuch",)])
def test_a_usage_error_names_the_help_of_its_command(command: tuple[str, ...], run_tiergate: RunCommand) -> None:
    told = run_tiergate(*command)
    assert told.returncode == 2
    named = "" if command == ("nosuch",) else " " + " ".join(command)
    assert told.stderr.endswith(f"; see `tiergate{named} --help`\n")
