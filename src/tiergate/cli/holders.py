"""`tiergate holders`: who holds an account or a key, and what second proof belongs to it."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from tiergate.cli.options import Author, Data, Json, NoParty, Reason, deployment, need_parties, now, show, who
from tiergate.cli.terminal import counted, note

if TYPE_CHECKING:
    from tiergate.admission.holders import Holder

app = typer.Typer(help="Who holds an account or a key.", rich_markup_mode=None, add_completion=False)

Id = Annotated[str, typer.Argument(metavar="ID", help="Id of the account, or with --credential of the key.")]
Credential = Annotated[bool, typer.Option("--credential", help="ID is a key's; it then counts before its account's.")]


class Kept(StrEnum):
    """What may be kept of exchanges."""

    ZERO = "zero"
    SKETCHES = "sketches"
    TEXT = "text"


def _line(one: Holder) -> str:
    holder = " for ".join(name for name in (one.workload_id, one.person_id) if name)
    proof = one.proof.kind if one.proof else "no second proof"
    return f"{one.subject} {one.subject_id}  {one.organisation_id}/{holder}  {proof}  keeps {one.retention or '?'}"


@app.command("set")
def set_(
    subject: Id,
    organisation: Annotated[str, typer.Option(metavar="ID", help="The organisation, which a key never changes.")],
    person: Annotated[str | None, typer.Option(metavar="ID", help="The person, or the workload's.")] = None,
    workload: Annotated[str | None, typer.Option(metavar="ID", help="The workload.")] = None,
    employer: Annotated[
        str | None, typer.Option(metavar="ID", help="Employer of record; the organisation for its own staff.")
    ] = None,
    certificate: Annotated[
        str | None, typer.Option(metavar="SHA256", help="Fingerprint of the client certificate that is bound to it.")
    ] = None,
    keeps: Annotated[Kept | None, typer.Option(help="The most that may be kept of the exchanges.")] = None,
    credential: Credential = False,
    no_party: NoParty = False,
    reason: Reason = "",
    data: Data = Path("data"),
    author: Author = None,
    as_json: Json = False,
) -> None:
    """Say who holds an account or a key, in place of what was said before.

    \b
    Example:
      tiergate holders set acct-1 --organisation acme --person per_0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a \\
          --employer acme --certificate 9f86d0...
    """
    from tiergate.admission.holders import Holder, Holders, Proof

    holder = Holder(
        subject="credential" if credential else "account",
        subject_id=subject,
        organisation_id=organisation,
        person_id=person,
        workload_id=workload,
        employer_id=employer,
        proof=None if certificate is None else Proof(kind="client_certificate", digest=certificate),
        retention=None if keeps is None else keeps.value,
    )
    need_parties(data, organisation, employer, anyway=no_party)
    with deployment(data) as opened:
        made = Holders(opened.engine).set(holder, author=who(author), now_us=now(), reason=reason)
    show(made, as_json, _line)


@app.command("show")
def show_(subject: Id, credential: Credential = False, data: Data = Path("data"), as_json: Json = False) -> None:
    """Show who holds an account or a key.

    \b
    Example:
      tiergate holders show acct-1 --json
    """
    from tiergate.admission.holders import Holders

    with deployment(data) as opened:
        held = Holders(opened.engine).get("credential" if credential else "account", subject)
    show(held, as_json, _line)


@app.command("list")
def list_(data: Data = Path("data"), as_json: Json = False) -> None:
    """List all holders.

    \b
    Example:
      tiergate holders list --data data
    """
    from tiergate.admission.holders import Holders

    with deployment(data) as opened:
        held = Holders(opened.engine).every()
    show(held, as_json, _line)
    note(counted(len(held), "holder"))
