"""`tiergate respond`: verdicts on cases, which a running gateway obeys."""

from __future__ import annotations

import getpass
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from tiergate.cli.terminal import counted, note, say, say_json
from tiergate.clock import SystemClock
from tiergate.errors import InputError, StateError

if TYPE_CHECKING:
    from tiergate.cli.deployment import Deployment

app = typer.Typer(help="Act on a case, and undo it.", rich_markup_mode=None, add_completion=False)

CaseId = Annotated[str, typer.Argument(metavar="CASE", help="Id of the case, or its beginning.")]
Data = Annotated[Path, typer.Option(metavar="DIR", help="The gateway's data folder.")]
Json = Annotated[bool, typer.Option("--json", help="Print the result as JSON.")]
Author = Annotated[str | None, typer.Option(metavar="NAME", help="Who decides; your login name if not given.")]


class Step(StrEnum):
    """What can be done about a case, mildest first."""

    WATCH = "watch"
    VERIFY = "verify"
    LIMIT = "limit"
    SUSPEND = "suspend"


@app.command("apply")
def apply(
    case: CaseId,
    cases: Annotated[Path, typer.Option(metavar="DIR", help="Folder that `tiergate detect` wrote.")],
    data: Data = Path("data"),
    action: Annotated[Step | None, typer.Option(help="What to do; the case's recommendation if not given.")] = None,
    author: Author = None,
    approved_by: Annotated[str | None, typer.Option(metavar="NAME", help="Who agrees; needed to suspend.")] = None,
    as_json: Json = False,
) -> None:
    """Put a verdict on every account of a case. A running gateway obeys within a second.

    watch changes nothing, verify asks each account to verify itself, limit gives the whole case one
    budget, suspend refuses it. A case that `tiergate watch` keeps a file of is for `tiergate case`.

    \b
    Example:
      tiergate respond apply case_9f86d081 --cases cases --action verify
    """
    from tiergate.cli.cases import named_case, read_cases
    from tiergate.cli.deployment import open_deployment
    from tiergate.ledger.verdicts import Action
    from tiergate.response.by_hand import file_of, respond

    named = named_case(read_cases(cases), case)
    chosen = Action(action.value if action else named.facts["recommended_action"])
    with open_deployment(data) as deployment:
        file = file_of(deployment.engine, cases, named.case_id)
        if file is not None:
            raise StateError(
                f"`{named.short_id}` has a file, `{file.case_id}`: use `tiergate case step` or `propose`",
                code="case_has_file",
            )
        verdicts = respond(
            cases,
            deployment.verdicts,
            case_id=named.case_id,
            action=chosen,
            author=author or getpass.getuser(),
            approved_by=approved_by,
            now_us=SystemClock().now_us(),
        )
    if as_json:
        say_json({"case_id": named.case_id, "action": chosen.value, "accounts": len(verdicts)})
    else:
        say(f"{chosen.value}: {counted(len(verdicts), 'account')} of {named.case_id}")
        note(f"undo with `tiergate respond lift {named.short_id} --data {data}`")


@app.command("lift")
def lift(case: CaseId, data: Data = Path("data"), author: Author = None, as_json: Json = False) -> None:
    """Undo a case's verdicts: its accounts are served again within a second.

    \b
    Example:
      tiergate respond lift case_9f86d081 --data data
    """
    from tiergate.cli.deployment import open_deployment

    now_us = SystemClock().now_us()
    with open_deployment(data) as deployment:
        store = deployment.verdicts
        fitting = sorted({v.case_id for v in store.in_force(now_us).values() if v.case_id.startswith(case)})
        if len(fitting) != 1:
            said = f"{len(fitting)} cases under a verdict begin" if fitting else "no case under a verdict begins"
            raise InputError(f"{said} with `{case}`: see `tiergate respond list --data {data}`")
        lifted = _lift(deployment, data, fitting[0], author or getpass.getuser(), now_us)
    if as_json:
        say_json({"case_id": fitting[0], "lifted": lifted})
    else:
        say(f"lifted {counted(lifted, 'verdict')} of {fitting[0]}")


def _lift(deployment: Deployment, data: Path, case_id: str, author: str, now_us: int) -> int:
    """Lift a case's verdicts, through its file where it has one; returns how many."""
    from tiergate.ledger.verdicts import Action
    from tiergate.response.case_files import CaseFile
    from tiergate.response.desk import CaseDesk
    from tiergate.response.ladder import FILE, load_policy
    from tiergate.response.worklist import Worklist

    desk = CaseDesk(deployment.engine, load_policy(data / FILE))
    if desk.changes.current(CaseFile, case_id) is None:
        return deployment.verdicts.lift(case_id, author, now_us)
    lifted = len(desk.verdicts.of_case(case_id, now_us))
    said = "lifted with `tiergate respond lift`"
    Worklist(desk, data).step(case_id, Action.WATCH, author=author, now_us=now_us, reason=said)
    return lifted


@app.command("list")
def list_(data: Data = Path("data"), as_json: Json = False) -> None:
    """List the verdicts in force, one line for each case.

    \b
    Example:
      tiergate respond list --data data
    """
    from tiergate.cli.deployment import open_deployment

    with open_deployment(data) as deployment:
        in_force = deployment.verdicts.in_force(SystemClock().now_us())
    accounts: dict[tuple[str, str, str, str], list[str]] = {}
    for account, verdict in sorted(in_force.items()):
        key = (verdict.case_id, verdict.action.value, verdict.author, verdict.reason)
        accounts.setdefault(key, []).append(account)
    if as_json:
        names = ("case_id", "action", "author", "reason")
        say_json([dict(zip(names, key, strict=True)) | {"accounts": held} for key, held in accounts.items()])
        return
    for (case_id, action, author, reason), held in accounts.items():
        say(f"{case_id}  {action}  {counted(len(held), 'account')}  by {author}: {reason}")
    note(counted(len(accounts), "verdict") + " in force")
