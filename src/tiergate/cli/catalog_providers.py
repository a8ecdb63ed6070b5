"""`tiergate catalog providers`: certifications, regions, retention and agreements of providers, by date."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Annotated, Any

import typer

from tiergate.cli.catalog_models import AsOf, day_of
from tiergate.cli.options import Json
from tiergate.cli.rows import Csv, csv_file, print_rows, write_csv
from tiergate.cli.terminal import counted, note, say, say_json

if TYPE_CHECKING:
    from tiergate.catalog.providers import Attribute, Provider, ProviderFact

HEADINGS = ("SOC 2", "27001", "42001", "BAA", "ZDR", "FedRAMP", "regions")
"""In the order of `Attribute`."""
NAMES = ("SOC 2", "ISO 27001", "ISO 42001", "business-associate agreement", "zero retention", "FedRAMP", "regions")
CELLS = {"yes": "yes", "on request": "ask", "no": "no"}
UNKNOWN = "-"


def register(app: typer.Typer) -> None:
    """Add the commands of this module to ``app``."""
    app.command("providers")(providers)


def providers(
    name: Annotated[
        str | None, typer.Argument(metavar="[NAME]", help="A provider, for its facts in full; all in a table.")
    ] = None,
    as_of: AsOf = None,
    as_json: Json = False,
    csv: Csv = None,
) -> None:
    """Show what providers offer an enterprise, as far as it could be cited. A dash is unknown, which is not a no.

    \b
    Example:
      tiergate catalog providers
      tiergate catalog providers openai --as-of 2026-09-01
    """
    from tiergate.catalog.providers import Attribute, find_provider, load_providers

    csv_file(csv)
    day = day_of(as_of)
    shown = [find_provider(name)] if name is not None else list(load_providers().values())
    held = {one.id: one.on(day) for one in shown}
    rows = [_row(one, fact) for one in shown for fact in held[one.id].values()]
    if csv is not None:
        write_csv(csv, rows)
    if as_json:
        say_json({"as_of": day, "facts": rows})
    elif name is None:
        print_rows(
            ("provider", *HEADINGS),
            [(one.id, *(_cell(held[one.id].get(attribute)) for attribute in Attribute)) for one in shown],
        )
        note(
            f"{counted(len(rows), 'fact')} of {counted(len(shown), 'provider')} on {day}; ask: by contract or approval "
            f"only; {UNKNOWN} is unknown; sources: `tiergate catalog providers NAME`, or --json"
        )
    else:
        _say_provider(shown[0], held[shown[0].id], as_of)


def _say_provider(one: Provider, held: dict[Attribute, ProviderFact], as_of: datetime | None) -> None:
    from tiergate.catalog.providers import Attribute

    say(f"{one.name} ({one.id}), {one.country}, on {day_of(as_of)}")
    for attribute, called in zip(Attribute, NAMES, strict=True):
        fact = held.get(attribute)
        if fact is None:
            say(f"  {called}: unknown")
            continue
        say(f"  {called}: {fact.value}" + (f", {fact.detail}" if fact.detail else ""))
        since = f"since {fact.since}, " if fact.since else ""
        say(f"    {since}as of {fact.as_of}, {fact.source} ({fact.licence})")
        if fact.note:
            say(f"    {fact.note}")


def _cell(fact: ProviderFact | None) -> str:
    return UNKNOWN if fact is None else CELLS[fact.value]


def _row(one: Provider, fact: ProviderFact) -> dict[str, Any]:
    return {
        "provider": one.id,
        "name": one.name,
        "attribute": fact.attribute.value,
        "value": fact.value,
        "detail": fact.detail,
        "since": fact.since,
        "as_of": fact.as_of,
        "source": fact.source,
        "licence": fact.licence,
        "note": fact.note,
    }
