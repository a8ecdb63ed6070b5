"""`tiergate grant`: who may call which model, through what, what for and until when."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from tiergate.cli.options import Author, Data, Json, Reason, Until, deployment, end_of, now, show, who
from tiergate.cli.terminal import counted, moment, note, say, say_json

if TYPE_CHECKING:
    from tiergate.admission.grants import Grant

app = typer.Typer(help="Give and revoke grants.", rich_markup_mode=None, add_completion=False)


class Way(StrEnum):
    """Ways to a model."""

    API = "api"
    CHAT = "chat"
    CODE = "code"


class Whose(StrEnum):
    """Who can leave."""

    PERSON = "person"
    WORKLOAD = "workload"
    ORGANISATION = "organisation"


def _line(one: Grant, now_us: int) -> str:
    ended = "revoked" if one.revoked_at_us is not None else "expired" if one.to_us <= now_us else None
    state = ended or ("pending" if one.pending else "live")
    what = f"{one.organisation_id}/{one.holder_id}  {one.project}  {one.model}  {one.surface}"
    return f"{one.grant_id}  {state:<7}  until {moment(one.to_us)}  {what}"


@app.command("give")
def give(
    membership: Annotated[str, typer.Argument(metavar="MEMBERSHIP", help="Id of the membership it rests on.")],
    holder: Annotated[str, typer.Argument(metavar="HOLDER", help="Id of the person or workload.")],
    project: Annotated[str, typer.Option(metavar="ID", help="The only project it is for.")],
    model: Annotated[str, typer.Option(metavar="ID", help="The only model it is for.")],
    purpose: Annotated[str, typer.Option(metavar="ID", help="An accepted purpose of the membership.")],
    surface: Annotated[Way, typer.Option(help="The only way to the model; the gateway is chat.")] = Way.CHAT,
    line: Annotated[str | None, typer.Option(metavar="ID", help="Credit line that pays.")] = None,
    workload: Annotated[bool, typer.Option("--workload", help="HOLDER is a workload, not a person.")] = False,
    until: Until = None,
    data: Data = Path("data"),
    author: Author = None,
    as_json: Json = False,
) -> None:
    """Give a grant, from now on, or propose it where the programme wants two people to give it.

    The classified tier needs one on the surface chat, with a credit line, and by default two people.

    \b
    Example:
      tiergate grant give mem_3f9a51c0de7b2846 max --project red --model classified-1 \\
          --purpose pur_9f86d081884c7d65 --line line_2c26b46b68ffc68f
    """
    from tiergate.admission.grants import Grants, HolderKind, Surface

    now_us = now()
    with deployment(data) as opened:
        made = Grants(opened.engine).give(
            membership,
            holder_kind=HolderKind.WORKLOAD if workload else HolderKind.PERSON,
            holder_id=holder,
            project=project,
            model=model,
            surface=Surface(surface.value),
            purpose_id=purpose,
            line_id=line,
            from_us=now_us,
            to_us=end_of(until, now_us),
            author=who(author),
            now_us=now_us,
        )
    show(made, as_json, lambda one: _line(one, now_us))
    if surface is not Way.CHAT:
        note(f"the gateway serves the surface `chat` only: it refuses this grant, which is for `{surface}`")
    if made.pending:
        note(f"it waits for a second person: tiergate grant approve {made.grant_id} --author NAME")
    if line is None:
        note("no credit line pays for it: on the classified tier the gateway refuses it as `credit_not_known`")


@app.command("approve")
def approve(
    grant: Annotated[str, typer.Argument(metavar="GRANT", help="Id of the grant that waits.")],
    data: Data = Path("data"),
    author: Author = None,
    as_json: Json = False,
) -> None:
    """Approve a grant that another person proposed.

    \b
    Example:
      tiergate grant approve gra_3f9a51c0de7b2846 --author rita
    """
    from tiergate.admission.grants import Grants

    now_us = now()
    with deployment(data) as opened:
        given = Grants(opened.engine).approve(grant, author=who(author), now_us=now_us)
    show(given, as_json, lambda one: _line(one, now_us))


@app.command("revoke")
def revoke(
    grant: Annotated[str, typer.Argument(metavar="GRANT", help="Id of the grant.")],
    reason: Reason,
    data: Data = Path("data"),
    author: Author = None,
    as_json: Json = False,
) -> None:
    """Revoke a grant for good, or withdraw one that waits.

    \b
    Example:
      tiergate grant revoke gra_3f9a51c0de7b2846 --reason "the project is over"
    """
    from tiergate.admission.grants import Grants

    now_us = now()
    with deployment(data) as opened:
        ended = Grants(opened.engine).revoke(grant, author=who(author), reason=reason, now_us=now_us)
    show(ended, as_json, lambda one: _line(one, now_us))


@app.command("deprovision")
def deprovision(
    whose: Annotated[Whose, typer.Argument(metavar="KIND", help="person, workload or organisation.")],
    party: Annotated[str, typer.Argument(metavar="ID", help="Who leaves.")],
    undo: Annotated[bool, typer.Option("--undo", help="Let them be given grants again.")] = False,
    reason: Reason = "",
    data: Data = Path("data"),
    author: Author = None,
    as_json: Json = False,
) -> None:
    """End every grant of somebody at once and bar new ones, as a directory does by SCIM.

    \b
    Example:
      tiergate grant deprovision person max --reason "left the company"
    """
    from tiergate.admission.grants import Grants, Party

    ended: list[str] = []
    with deployment(data) as opened:
        store = Grants(opened.engine)
        if undo:
            store.reprovision(Party(whose.value), party, author=who(author), reason=reason, now_us=now())
        else:
            ended = store.deprovision(Party(whose.value), party, author=who(author), reason=reason, now_us=now())
    if as_json:
        say_json({"ended": ended})
    else:
        say(f"ended {counted(len(ended), 'grant')} of {party}")


@app.command("list")
def list_(
    organisation: Annotated[str | None, typer.Option(metavar="ID", help="Of this organisation alone.")] = None,
    data: Data = Path("data"),
    as_json: Json = False,
) -> None:
    """List grants, those that ended or wait for approval too.

    \b
    Example:
      tiergate grant list --data data
    """
    from tiergate.admission.grants import Grants

    now_us = now()
    with deployment(data) as opened:
        store = Grants(opened.engine)
        held = [*store.every(organisation), *store.proposed(organisation)]
    show(held, as_json, lambda one: _line(one, now_us))
    note(counted(len(held), "grant"))
