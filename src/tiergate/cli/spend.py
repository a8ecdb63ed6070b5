"""`tiergate spend`: what was spent, by whom and on what, from the exchange log."""

from __future__ import annotations

import csv
import sys
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from tiergate.cli.options import Json, end_of
from tiergate.cli.rows import csv_cell
from tiergate.cli.terminal import counted, note, say, say_json
from tiergate.errors import InputError

if TYPE_CHECKING:
    from tiergate.cli.inputs import Inputs
    from tiergate.gateway.metering.spend import Spent
    from tiergate.records.refused import RefusedRows

Day = Annotated[datetime | None, typer.Option(formats=["%Y-%m-%d"], metavar="DATE", help="A day, UTC.")]


def spend(
    paths: Annotated[
        list[Path] | None, typer.Argument(metavar="PATH...", help="Data folders, logs or exchange files; `data`.")
    ] = None,
    by: Annotated[
        list[str] | None,
        typer.Option(metavar="WHAT", help="organisation, account, project, key, end-user, model or day; repeatable."),
    ] = None,
    since: Day = None,
    until: Day = None,
    as_csv: Annotated[bool, typer.Option("--csv", help="Print rows as CSV, money in micro-dollars.")] = False,
    as_json: Json = False,
    focus: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Write charges as FOCUS 1.2 instead: .csv or .parquet.")
    ] = None,
    focus_draft: Annotated[
        bool, typer.Option("--focus-draft", help="With the columns of FOCUS 1.5's draft on who used what.")
    ] = False,
    seller: Annotated[str, typer.Option(metavar="NAME", help="Who sells and invoices, for FOCUS.")] = "Tiergate",
) -> None:
    """Sum up what was spent. Days count from their beginning; the sums are exact to the micro-dollar.

    \b
    Example:
      tiergate spend data --by organisation --by model --since 2026-11-01
      tiergate spend data --focus charges.parquet --seller "Example Ltd" --since 2026-11-01
    """
    from tiergate.cli.inputs import find_inputs
    from tiergate.gateway.metering.spend import BY, COLUMNS, spent
    from tiergate.records.refused import RefusedRows

    by = list(dict.fromkeys(by or ["organisation"]))
    unknown = [name for name in by if name not in BY]
    if unknown:
        raise InputError(f"spend is not kept by `{unknown[0]}`: give {', '.join(BY)}")
    if as_csv and as_json:
        raise InputError("give either `--csv` or `--json`, not both")
    inputs = find_inputs(paths or [Path("data")])
    from_us = None if since is None else end_of(since, 0)
    to_us = None if until is None else end_of(until, 0)
    with RefusedRows(None) as refused:
        if focus is not None:
            _write_focus(focus, inputs, refused, seller=seller, from_us=from_us, to_us=to_us, draft=focus_draft)
            return
        rows = spent(inputs.batches(refused, COLUMNS), by, from_us=from_us, to_us=to_us)
    if as_csv:
        _print_csv(rows)
    elif as_json:
        say_json([_flat(row) for row in rows])
    else:
        _print_table(rows)
    if refused.count:
        note(f"{counted(refused.count, 'row')} refused")


def _write_focus(path: Path, inputs: Inputs, refused: RefusedRows, *, seller: str, **asked: Any) -> None:
    from tiergate.advice.focus import READ, focus_rows
    from tiergate.cli.outputs import writable_file
    from tiergate.records.write import open_writer

    if path.suffix not in (".csv", ".parquet"):
        raise InputError(f"`{path}` is neither a .csv nor a .parquet file")
    writable_file(path, "--focus")
    table = focus_rows(inputs.batches(refused, READ), seller=seller, **asked)
    with open_writer(path, table.schema) as file:
        file.write(table)
    note(f"{counted(table.num_rows, 'charge')} in {path}")


def _shown(name: str | None) -> str:
    """A name for people. Callers choose names of models and end users: none may steer a terminal."""
    return "".join(sign if sign.isprintable() else "\ufffd" for sign in name) if name else "-"


def _flat(row: Spent) -> dict[str, str | int | None]:
    return dict(row.group) | {name: getattr(row, name) for name in row.__struct_fields__[1:]}


def _print_csv(rows: list[Spent]) -> None:
    if rows:
        writer = csv.DictWriter(sys.stdout, _flat(rows[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows({name: csv_cell(value) for name, value in _flat(row).items()} for row in rows)


def _print_table(rows: list[Spent]) -> None:
    from tiergate.admission.credit_rows import usd

    for row in rows:
        whose = "  ".join(map(_shown, row.group.values()))
        tokens = f"{row.input_tokens:,} tokens in  {row.output_tokens:,} out"
        doubts = f"  {row.estimated:,} estimated" if row.estimated else ""
        doubts += f"  {row.unpriced:,} without a price" if row.unpriced else ""
        say(f"{usd(row.cost_micro_usd)}  {whose}  {counted(row.exchanges, 'exchange')}  {tokens}{doubts}")
    total, exchanges = sum(row.cost_micro_usd for row in rows), sum(row.exchanges for row in rows)
    note(f"{usd(total)} in {counted(exchanges, 'exchange')}")
