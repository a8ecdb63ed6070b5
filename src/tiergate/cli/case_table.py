"""The table of cases that people read in a terminal, each with why it was opened and what spoke against it."""

from __future__ import annotations

import math

from rich.console import Console, Group
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from tiergate.cli.cases import Case, CasesFolder, Row

BAR_CELLS = 16
REASONS = 8
MINUS = "\N{MINUS SIGN}"


def print_cases(found: CasesFolder, console: Console | None = None, *, most: int = 10) -> None:
    """Print the table and below it, for each of the first ``most`` cases, its waterfall of evidence in words."""
    console = console or Console(highlight=False)
    if not found.cases:
        console.print("No case was opened: nothing in this log adds up to coordinated accounts.")
        return
    console.print(_table(found.cases))
    for case in found.cases[:most]:
        console.print(_why(case))
    if len(found.cases) > most:
        console.print(f"... and {len(found.cases) - most} more in {found.path / 'cases.parquet'}")


def print_evidence(case: Case, console: Console | None = None) -> None:
    """Print what speaks for one case, and what against it."""
    (console or Console(highlight=False)).print(_why(case))


def _table(cases: list[Case]) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold", padding=(0, 2, 0, 0))
    for name, right in (
        ("case", False),
        ("accounts", True),
        ("exchanges", True),
        ("capability", False),
        ("confidence", True),
        ("q", True),
        ("action", False),
    ):
        table.add_column(name, justify="right" if right else "left", no_wrap=True)
    for case in cases:
        row = case.facts
        table.add_row(
            Text(case.short_id),
            f"{row['accounts']:,}",
            f"{row['exchanges']:,}",
            Text(row["capability"]),
            f"{row['confidence']:.3f}",
            f"{row['q_value']:.2g}",
            Text(row["recommended_action"], style="bold"),
        )
    return table


def _why(case: Case) -> Group:
    strongest = max((abs(row["log_odds"]) for row in case.evidence), default=1.0) or 1.0
    lines = Table(box=None, show_header=False, pad_edge=False, padding=(0, 1, 0, 0))
    lines.add_column(justify="right", no_wrap=True)
    lines.add_column(no_wrap=True, width=BAR_CELLS)
    lines.add_column(no_wrap=True, style="dim")
    lines.add_column(ratio=1)
    for row in case.speaking_for[:REASONS] + case.speaking_against[:REASONS]:
        lines.add_row(*_reason(row, strongest))
    left_out = len(case.speaking_for[REASONS:]) + len(case.speaking_against[REASONS:])
    parts: list[Text | Padding] = [
        Text(f"\n{case.short_id}: {case.facts['summary']}"),
        Text(f"  {case.score_parts}", style="dim"),
        Padding(lines, (0, 0, 0, 2)),
    ]
    if not case.speaking_against:
        parts.append(Text("  nothing that was tested spoke against it", style="dim"))
    if case.without_say:
        parts.append(Text(f"  no say either way: {_names(case.without_say)}", style="dim"))
    if left_out:
        parts.append(Text(f"  ... and {left_out} weaker pieces of evidence in case_evidence.parquet", style="dim"))
    return Group(*parts)


def _names(rows: list[Row]) -> str:
    statistics: dict[str, list[str]] = {}
    for row in rows:
        statistics.setdefault(row["family"], []).append(row["statistic"])
    return ", ".join(f"{family} ({', '.join(names)})" for family, names in statistics.items())


def _reason(row: Row, strongest: float) -> tuple[Text, Text, Text, Text]:
    against = row["log_odds"] < 0
    weight = abs(row["log_odds"])
    colour = "yellow" if against else "cyan"
    bar = ("░" if against else "█") * math.ceil(BAR_CELLS * weight / strongest)
    return (
        Text(f"{MINUS if against else '+'}{weight:.1f}", style=colour),
        Text(bar, style=colour),
        Text(row["family"]),
        Text(row["explanation"]),
    )
