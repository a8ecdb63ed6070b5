"""Results that are rows: as a table for people, as a CSV file for spreadsheets."""

from __future__ import annotations

import csv
import textwrap
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Final, Literal

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

    :param headings: names of the columns, with units; in two lines or more where the table is too wide otherwise.
    :param rows: cells, shown as `str` shows them. The first two columns, which name the row, and numbers, days and
        others of a short word are never cut.
    :param right: a letter a column, ``r`` for those that are aligned to the right: ``lrr``.
    """
    from rich import box
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    console = Console(highlight=False)
    table = Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False, header_style="bold")
    columns = [[str(row[place]) for row in rows] for place in range(len(headings))]
    widest = [max(map(len, cells), default=0) for cells in columns]
    fits = sum(map(max, widest, map(len, headings))) + _BETWEEN * (len(headings) - 1) <= console.width
    for place, (heading, cells) in enumerate(zip(headings, columns, strict=True)):
        whole = place < 2 or (widest[place] <= _SHORT and not any(" " in cell for cell in cells))
        if whole and not fits:
            heading = "\n".join(textwrap.wrap(heading, max(widest[place], 1), break_long_words=False))
        justify: Literal["left", "right"] = "right" if right[place : place + 1] == "r" else "left"
        table.add_column(Text(heading), justify=justify, no_wrap=whole, overflow="fold")
    for row in rows:
        table.add_row(*(Text(str(cell)) for cell in row))
    console.print(table)


_BETWEEN: Final = 3
"""Blanks between two columns."""
_SHORT: Final = 14
