"""The case table, as a terminal of 80 columns shows it."""

from __future__ import annotations

import io
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from rich.console import Console

from tiergate.cli.case_table import print_cases
from tiergate.cli.cases import named_case, read_cases
from tiergate.errors import InputError


def printed(folder: Path, width: int = 80) -> str:
    console = Console(file=io.StringIO(), width=width, highlight=False)
    print_cases(read_cases(folder), console)
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def test_table_says_what_why_and_what_spoke_against(cases_folder: Path) -> None:
    text = printed(cases_folder)
    head = text.splitlines()[1].split()
    assert head == ["case_7f3a90bb", "40", "4,321", "chain_of_thought", "0.991", "0.0097", "verify"]
    lines = [line.strip() for line in text.splitlines()]
    strongest = next(n for n, line in enumerate(lines) if line.startswith("+8.4"))
    against = next(n for n, line in enumerate(lines) if line.startswith("\N{MINUS SIGN}1.3"))
    assert strongest < against
    assert "no say either way: network (not available), workload (pivot)" in text
    parts = "score 13.8: links 7.5, workload +6.2; prior \N{MINUS SIGN}3.0; 0.002 expected by chance"
    assert parts in lines
    assert all(len(line) <= 80 for line in text.splitlines())


def test_table_prints_brackets_of_the_input_as_they_are(cases_folder: Path) -> None:
    path = cases_folder / "case_evidence.parquet"
    rows = pq.read_table(path).to_pylist()
    rows[0]["explanation"] = "tool [bold]x[/bold]"
    pq.write_table(pa.Table.from_pylist(rows), path)
    assert "tool [bold]x[/bold]" in printed(cases_folder)


def test_no_case_is_said(cases_folder: Path) -> None:
    table = pq.read_table(cases_folder / "cases.parquet")
    pq.write_table(table.slice(0, 0), cases_folder / "cases.parquet")
    assert printed(cases_folder).startswith("No case was opened")


def test_a_case_is_named_by_its_beginning(cases_folder: Path) -> None:
    found = read_cases(cases_folder)
    assert named_case(found, "case_7f").case_id == "case_7f3a90bb12cd"
    with pytest.raises(InputError, match="no case begins with `case_8`"):
        named_case(found, "case_8")


def test_a_folder_without_cases_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"holds no cases\.parquet"):
        read_cases(tmp_path)


def test_a_damaged_run_file_is_refused(cases_folder: Path) -> None:
    (cases_folder / "run.json").write_text("{")
    with pytest.raises(InputError, match="cannot read the cases"):
        read_cases(cases_folder)
