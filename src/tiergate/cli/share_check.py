"""`tiergate share check` and `schema`: is a bundle what labs share, and what that is."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from tiergate.cli.options import Json, now
from tiergate.cli.terminal import counted, moment, say, say_json
from tiergate.errors import InputError

if TYPE_CHECKING:
    from tiergate.sharing.finding import Told

MOST_SHOWN = 20


def register(app: typer.Typer) -> None:
    """Add the commands of this module to ``app``."""
    app.command("check")(check)
    app.command("schema")(schema)


def check(
    bundle: Annotated[Path, typer.Argument(metavar="FILE", help="A STIX 2.1 bundle, or an envelope of TAXII 2.1.")],
    as_json: Json = False,
) -> None:
    """Check a bundle as if a peer had sent it, and show what it tells.

    Exit code 0 if all of it would be taken, 1 if not.

    \b
    Example:
      tiergate share check finding.json
    """
    import msgspec

    from tiergate.sharing.check import MOST_BYTES
    from tiergate.sharing.check import check as judge
    from tiergate.sharing.reading import from_objects

    try:
        with bundle.open("rb") as file:
            body = file.read(MOST_BYTES + 1)
    except OSError as error:
        raise InputError(f"cannot read `{bundle}`: {error.strerror}") from error
    verdict = judge(body, now())
    told = from_objects(one.object for one in verdict.taken)
    if as_json:
        faults = msgspec.to_builtins(verdict.faults)
        say_json({"taken": len(verdict.taken), "faults": faults, "told": [typed(one) for one in told]})
    else:
        for fault in verdict.faults[:MOST_SHOWN]:
            say(f"refused: {fault}")
        if len(verdict.faults) > MOST_SHOWN:
            say(f"and {len(verdict.faults) - MOST_SHOWN:,} more")
        for one in told:
            say(line(one))
        say(f"{counted(len(verdict.taken), 'object')} taken, {len(verdict.faults):,} refused")
    if verdict.faults:
        raise typer.Exit(1)


def schema() -> None:
    """Print the JSON Schema of what is shared.

    \b
    Example:
      tiergate share schema
    """
    from tiergate.sharing.schema import json_schema

    say_json(json_schema())


def line(told: Told) -> str:
    """What a lab told, in a line."""
    from tiergate.sharing.finding import Finding, Opinion

    subject = told.finding_id if isinstance(told, Finding) else told.about
    kind = type(told).__name__.lower()
    withdrawn = "  withdrawn" if told.revoked else ""
    view = f"  {told.view.value}" if isinstance(told, Opinion) else ""
    by = told.lab.name or told.lab.lab_id
    return f"{kind:<8}  campaign--{subject}  {by}  {moment(told.modified_us)} UTC  {told.tlp.label}{view}{withdrawn}"


def typed(told: object) -> dict[str, Any]:
    """What a lab told, as JSON."""
    import msgspec

    fields: dict[str, Any] = msgspec.to_builtins(told)
    return {"kind": type(told).__name__.lower()} | fields
