"""`tiergate classes`: signed statements of people's eligibility, and whose signature counts."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from tiergate.cli import issuing
from tiergate.cli.options import Author, Data, Json, Reason, deployment, now, show, who
from tiergate.cli.terminal import counted, note, say, say_json
from tiergate.errors import InputError

if TYPE_CHECKING:
    from tiergate.admission.person_classes import TrustedIssuer

app = typer.Typer(help="Signed classes of people, trusted issuers.", rich_markup_mode=None, add_completion=False)
app.command("person")(issuing.person)
app.command("key")(issuing.key)
app.command("sign")(issuing.sign)


def _line(one: TrustedIssuer) -> str:
    return f"{one.issuer}  {one.public_key}  for {', '.join(one.organisations)}"


@app.command("submit")
def submit(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="Signed statements, JSONL.")],
    packs: Annotated[
        Path | None, typer.Option(metavar="DIR", envvar="TIERGATE_PACKS", help="Folder of rule packs of your own.")
    ] = None,
    data: Data = Path("data"),
    author: Author = None,
    as_json: Json = False,
) -> None:
    """Take signed statements on file, all or none. Each must hold now: signature, issuer, pack and days.

    \b
    Example:
      tiergate classes submit statements.jsonl --data data
    """
    from tiergate.admission.activations import ActivationStore
    from tiergate.admission.holders import PersonClasses
    from tiergate.admission.person_classes import StatementError, read_statement
    from tiergate.admission.rule_packs import load_packs

    if not file.is_file():
        raise InputError(f"`{file}` is not there, or is no file")
    statements = []
    for number, line in enumerate(file.read_bytes().splitlines(), 1):
        if line.strip():
            try:
                statements.append(read_statement(line))
            except StatementError as error:
                raise StatementError(error.code, f"`{file}`, line {number}: {error}") from error
    with deployment(data) as opened:
        known = ActivationStore(opened.engine).with_kept(load_packs(packs))
        new = PersonClasses(opened.engine).submit(statements, known, author=who(author), now_us=now())
    if as_json:
        say_json({"statements": len(statements), "new": new})
    else:
        say(f"{counted(len(statements), 'statement')} on file, {new:,} of them new")


@app.command("issuers")
def issuers(
    trust: Annotated[Path | None, typer.Option(metavar="FILE", help="Issuers to trust from now on, TOML.")] = None,
    distrust: Annotated[str | None, typer.Option(metavar="NAME", help="Issuer whose statements end now.")] = None,
    reason: Reason = "",
    data: Data = Path("data"),
    author: Author = None,
    as_json: Json = False,
) -> None:
    """List trusted issuers, after trusting those of a file or distrusting one.

    \b
    Example:
      tiergate classes issuers --trust issuers.toml --data data
    """
    from tiergate.admission.holders import PersonClasses
    from tiergate.admission.person_classes import read_issuers

    if trust is not None and not trust.is_file():
        raise InputError(f"`{trust}` is not there, or is no file")
    with deployment(data) as opened:
        store = PersonClasses(opened.engine)
        for one in read_issuers(trust).values() if trust is not None else ():
            store.trust(one, author=who(author), now_us=now(), reason=reason)
        if distrust is not None:
            store.distrust(distrust, author=who(author), now_us=now(), reason=reason)
        held = list(store.issuers().values())
    show(held, as_json, _line)
    note(counted(len(held), "trusted issuer"))
