"""Results that are rows: as a table for people, as a CSV file for spreadsheets."""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated

import typer

from tiergate.cli.outputs import writable_file

Csv = Annotated[Path | None, typer.Option("--csv", metavar="FILE", help="Write the rows as CSV into FILE.")]


def csv_file(path: Path | None) -> None:
    """See to it, before any work, that ``path`` can be written; nothing to do when None. Raises `InputError`."""
    if path is not None:
        writable_file(path, "--csv")


def write_csv(path: Path, rows: Sequence[Mapping[str, object]]) -> None:
    """Write rows that all have the columns of the first; an unknown value is an empty cell."""
    with path.open("w", newline="", encoding="utf-8") as file:
        if rows:
            writer = csv.DictWriter(file, list(rows[0]), lineterminator="\n")
            writer.writeheader()
            writer.writerows({name: csv_cell(value) for name, value in row.items()} for row in rows)


def csv_cell(value: object) -> object:
    """A value for a spreadsheet, which would take some texts for formulas."""
    return f"'{value}" if isinstance(value, str) and value.startswith(("=", "+", "-", "@", "\t", "\r")) else value


def print_rows(headings: Sequence[str], rows: Sequence[Sequence[object]], *, right: str = "") -> None:
    """Print a table on stdout.

    :param headings: names of the columns, with units.
    :param rows: cells, shown as `str` shows them; the first two, which name the row, are never cut.
    :param right: a letter a column, ``r`` for those that are aligned to the right: ``lrr``.
    """
    from rich import box
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False, header_style="bold")
    for place, heading in enumerate(headings):
        right_hand = right[place : place + 1] == "r"
        table.add_column(heading, justify="right" if right_hand else "left", no_wrap=place < 2, overflow="fold")
    for row in rows:
        table.add_row(*(Text(str(cell)) for cell in row))
    Console(highlight=False).print(table)
