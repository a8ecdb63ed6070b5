"""`tiergate purpose`: what members say a model is for, and who authorised that."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from tiergate.cli.options import Author, Data, Json, Reason, Until, deployment, digest, end_of, now, show, who
from tiergate.cli.terminal import counted, note
from tiergate.errors import InputError

if TYPE_CHECKING:
    from tiergate.admission.purposes import Asset, Purpose

app = typer.Typer(help="Declare and accept what a model is for.", rich_markup_mode=None, add_completion=False)

Id = Annotated[str, typer.Argument(metavar="PURPOSE", help="Id of the purpose.")]


def _line(one: Purpose) -> str:
    state = "withdrawn" if one.withdrawn_at_us is not None else "accepted" if one.accepted_by else "declared"
    assets = ", ".join(asset.value for asset in one.assets)
    return f"{one.purpose_id}  {state:<9}  {one.membership_id}  {one.code}  {assets}".rstrip()


@app.command("declare")
def declare(
    membership: Annotated[str, typer.Argument(metavar="MEMBERSHIP", help="Id of the membership.")],
    code: Annotated[str, typer.Argument(metavar="CODE", help="Purpose that the programme allows.")],
    assets: Annotated[
        list[str] | None, typer.Option("--asset", metavar="KIND:NAME", help="domain, repository, cidr or cve.")
    ] = None,
    evidence: Annotated[
        str | None, typer.Option(metavar="FILE", help="Who authorised it, in writing, or its SHA-256.")
    ] = None,
    issuer: Annotated[str, typer.Option(metavar="NAME", help="Who issued the evidence.")] = "",
    until: Until = None,
    data: Data = Path("data"),
    author: Author = None,
    as_json: Json = False,
) -> None:
    """Declare a purpose, its assets and the evidence that their owner agrees.

    \b
    Example:
      tiergate purpose declare mem_3f9a51c0de7b2846 test_own_systems --asset "domain:*.example.org" \\
          --evidence letter.pdf --issuer "Example legal" --until 2027-06-30
    """
    from tiergate.admission.purposes import Evidence, Purposes

    now_us = now()
    proof = []
    if evidence is not None:
        proof = [Evidence(sha256=digest(evidence), issuer=issuer, expires_at_us=end_of(until, now_us))]
    with deployment(data) as opened:
        made = Purposes(opened.engine).declare(
            membership,
            code,
            assets=[_asset(one) for one in assets or ()],
            evidence=proof,
            author=who(author),
            now_us=now_us,
        )
    show(made, as_json, _line)


@app.command("accept")
def accept(
    purpose: Id, reason: Reason = "", data: Data = Path("data"), author: Author = None, as_json: Json = False
) -> None:
    """Accept a purpose that somebody else declared, having looked at its evidence.

    \b
    Example:
      tiergate purpose accept pur_3f9a51c0de7b2846 --author rob
    """
    from tiergate.admission.purposes import Purposes

    with deployment(data) as opened:
        changed = Purposes(opened.engine).accept(purpose, author=who(author), reason=reason, now_us=now())
    show(changed, as_json, _line)


@app.command("withdraw")
def withdraw(
    purpose: Id, reason: Reason = "", data: Data = Path("data"), author: Author = None, as_json: Json = False
) -> None:
    """Withdraw a purpose: grants for it stop.

    \b
    Example:
      tiergate purpose withdraw pur_3f9a51c0de7b2846
    """
    from tiergate.admission.purposes import Purposes

    with deployment(data) as opened:
        changed = Purposes(opened.engine).withdraw(purpose, author=who(author), reason=reason, now_us=now())
    show(changed, as_json, _line)


@app.command("list")
def list_(data: Data = Path("data"), as_json: Json = False) -> None:
    """List purposes.

    \b
    Example:
      tiergate purpose list --data data
    """
    from tiergate.admission.purposes import Purposes

    with deployment(data) as opened:
        held = Purposes(opened.engine).every()
    show(held, as_json, _line)
    note(counted(len(held), "purpose"))


def _asset(given: str) -> Asset:
    from tiergate.admission.purposes import AssetKind, asset

    kind, _, name = given.partition(":")
    if kind not in {one.value for one in AssetKind}:
        raise InputError(f"`{given}` names no asset: write domain:, repository:, cidr: or cve: before it")
    return asset(AssetKind(kind), name)
