"""`tiergate catalog allegations`: who is alleged to have distilled whose models, by whom, and what was answered."""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING, Annotated, Any

import typer

from tiergate.cli.catalog_models import AsOf, day_of, say_source
from tiergate.cli.options import Json
from tiergate.cli.rows import Csv, csv_file, print_rows, write_csv
from tiergate.cli.terminal import counted, note, say, say_json

if TYPE_CHECKING:
    from tiergate.catalog.allegations import Allegation


def register(app: typer.Typer) -> None:
    """Add the commands of this module to ``app``."""
    app.command("allegations")(allegations)


def allegations(
    developer: Annotated[
        str | None, typer.Argument(metavar="[DEVELOPER]", help="Against whom, in full; all in a table if not given.")
    ] = None,
    as_of: AsOf = None,
    as_json: Json = False,
    csv: Csv = None,
) -> None:
    """Show allegations of distillation: their authors' words, of which no court has found any true or false.

    \b
    Example:
      tiergate catalog allegations
      tiergate catalog allegations Alibaba
    """
    import msgspec

    from tiergate.catalog.allegations import alleged

    csv_file(csv)
    day = day_of(as_of)
    shown = alleged(day, developer)
    if csv is not None:
        write_csv(csv, [_row(one, day) for one in shown])
    if as_json:
        say_json({"as_of": day, "alleged": msgspec.to_builtins(shown)})
    elif developer is None:
        print_rows(
            ("alleged on", "against", "by", "exchanges, at least", "accounts", "answers"),
            [
                (one.on, one.against, one.alleged_by, _number(one.exchanges), _number(one.accounts), _answers(one, day))
                for one in shown
            ],
            right="lllrrl",
        )
        note(
            f"{counted(len(shown), 'allegation')} public on {day}, not findings; - is unknown; sources: "
            "`tiergate catalog allegations DEVELOPER`, or --json"
        )
    else:
        for one in shown:
            _say_in_full(one, day)


def _say_in_full(one: Allegation, day: dt.date) -> None:
    figures = [f"at least {one.exchanges:,} exchanges"] if one.exchanges else []
    figures += [f"{one.accounts:,} accounts"] if one.accounts else []
    figures += [f"{one.first} to {one.last}"] if one.first else []
    said = ", ".join(figures) or "no figures"
    say(f"alleged by {one.alleged_by} on {one.on}: {one.against} distilled models of {one.teacher}; {said}")
    say_source(one)
    for answer in one.answers_on(day):
        say(f"  {answer.said} by {answer.by}, {answer.on}")
        say_source(answer, indent="    ")


def _answers(one: Allegation, day: dt.date) -> str:
    return ", ".join(dict.fromkeys(answer.said for answer in one.answers_on(day))) or "-"


def _number(value: int | None) -> str:
    return "-" if value is None else f"{value:,}"


def _row(one: Allegation, day: dt.date) -> dict[str, Any]:
    return {
        "alleged_on": one.on,
        "alleged_by": one.alleged_by,
        "against": one.against,
        "teacher": one.teacher,
        "exchanges": one.exchanges,
        "accounts": one.accounts,
        "first": one.first,
        "last": one.last,
        "answers": _answers(one, day),
        "note": one.note,
        "as_of": one.as_of,
        "source": one.source,
        "licence": one.licence,
    }
