"""How `tiergate case` shows cases: the list, one of them, its history, and how far confidence can be believed."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from tiergate.cli.options import Data, Json, deployment, now
from tiergate.cli.terminal import counted, moment, note, say, say_json, visible
from tiergate.errors import InputError

if TYPE_CHECKING:
    from tiergate.response.case_files import CaseFile
    from tiergate.response.worklist import Worklist

CaseId = Annotated[str, typer.Argument(metavar="CASE", help="Id of the case, or its beginning.")]


class Step(StrEnum):
    """Steps, mildest first, as `ledger.verdicts` has them; written out here, so that `--help` answers at once."""

    WATCH = "watch"
    VERIFY = "verify"
    LIMIT = "limit"
    SUMMARISE = "summarise"
    SUSPEND = "suspend"


class State(StrEnum):
    """Where a case stands."""

    OPEN = "open"
    CLOSED = "closed"
    MERGED = "merged"


class Weight(StrEnum):
    """How much a case asks for."""

    LOW = "low"
    MEDIUM = "medium"
    HIGH = "high"
    CRITICAL = "critical"


@contextmanager
def opened(data: Path) -> Iterator[Worklist]:
    """The worklist of a data folder, with its policy."""
    from tiergate.response.desk import CaseDesk
    from tiergate.response.ladder import FILE, load_policy
    from tiergate.response.worklist import Worklist

    policy = load_policy(data / FILE)
    with deployment(data) as held:
        yield Worklist(CaseDesk(held.engine, policy), data)


def named(worklist: Worklist, name: str) -> str:
    """The id of the one case that is called so, or begins so. Raises `InputError` for none or several."""
    ids = [one.case_id for one in worklist.every()]
    fitting = [one for one in ids if one == name] or [one for one in ids if name and one.startswith(name)]
    if len(fitting) != 1:
        said = f"{len(fitting)} cases begin with" if fitting else "no case begins with"
        raise InputError(f"{said} `{name}`: see `tiergate case list`")
    return fitting[0]


def show_one(worklist: Worklist, file: CaseFile, as_json: bool) -> None:
    """One case as a line, or whole as JSON."""
    if as_json:
        say_json(_whole(worklist, file))
    else:
        say(_line(worklist, file))


def list_(
    status: Annotated[State | None, typer.Option(help="Only these; open ones if not given.")] = None,
    every: Annotated[bool, typer.Option("--all", help="Those closed and merged too.")] = False,
    step: Annotated[Step | None, typer.Option(help="Only those at this step.")] = None,
    assignee: Annotated[str | None, typer.Option(metavar="NAME", help="Only theirs; `nobody` for nobody's.")] = None,
    severity: Annotated[Weight | None, typer.Option(help="Only those that ask for so much.")] = None,
    overdue: Annotated[bool, typer.Option("--overdue", help="Only those that wait for too long.")] = False,
    search: Annotated[str | None, typer.Option(metavar="TEXT", help="How the id or an account begins.")] = None,
    data: Data = Path("data"),
    as_json: Json = False,
) -> None:
    """List cases, those that ask for the most first.

    \b
    Example:
      tiergate case list --severity critical --overdue
    """
    from tiergate.response.selecting import late, select

    wanted = None if every else (status or State.OPEN).value
    with opened(data) as worklist:
        found = select(
            worklist, now(), status=wanted, step=step, assignee=assignee, severity=severity, overdue=overdue,
            search=search,
        )  # fmt: skip
        if as_json:
            say_json([_whole(worklist, one) for one in found])
        else:
            for one in found:
                say(_line(worklist, one))
        waiting = sum(late(one, worklist.desk.policy, now()) for one in found)
    note(counted(len(found), "case") + (f", {waiting} overdue" if waiting else ""))


def show(case: CaseId, data: Data = Path("data"), as_json: Json = False) -> None:
    """Show a case: its step, evidence for and against, accounts and notes.

    \b
    Example:
      tiergate case show case_9f86d081
    """
    from tiergate.response.desk import lapsed

    with opened(data) as worklist:
        file = lapsed(worklist.get(named(worklist, case)), now())
        members = _members(worklist, file)
        if as_json:
            say_json(_whole(worklist, file) | {"members": members})
            return
        say(_line(worklist, file))
        found = file.found
        say(f"  {found.summary}")
        say(f"  confidence {found.confidence:.3f}, q {found.q_value:.2g}, e {found.e_value:.3g}, look {found.look}")
        say(f"  answer {found.digest}")
        if file.step_until_us is not None:
            say(visible(f"  {file.step} by {file.step_by}, until {moment(file.step_until_us)} UTC"))
        if file.proposal is not None:
            asked = file.proposal
            agreed = ", ".join(asked.approved_by) or "nobody"
            asks = f"{asked.action} is proposed by {asked.by}: {asked.reason}"
            say(visible(f"  {asks}; {asked.needed} must agree, {agreed} did"))
        if file.ceiling is not None and file.ceiling_until_us is not None:
            say(f"  no look goes beyond {file.ceiling} until {moment(file.ceiling_until_us)} UTC")
        for name in file.merged:
            say(f"  with the accounts of {name}")
        for name, accounts in file.apart.items():
            say(f"  without {counted(len(accounts), 'account')}, split off into {name}")
        _evidence(data, file)
        for one in members:
            kept = f"cleared by {one['cleared_by']}" if one["cleared_by"] else one["action"] or "not touched"
            say(
                visible(
                    f"  {one['account_id']}  membership {one['membership']:.2f}  charged {one['charged']:,}  {kept}"
                )
            )
        for row in worklist.history(file.case_id):
            if row.action == "note":
                say(f"  {moment(row.at_us)}  {visible(row.author)}: {visible(row.reason)}")


def _evidence(data: Path, file: CaseFile) -> None:
    from tiergate.cli.case_table import print_evidence
    from tiergate.cli.cases import named_case, read_cases
    from tiergate.errors import InputError
    from tiergate.response.looks import answer_in

    try:
        found = read_cases(answer_in(data, file.found.digest))
        print_evidence(named_case(found, file.found.case_id))
    except InputError as error:
        note(f"its evidence cannot be shown: {error}")


def history(case: CaseId, data: Data = Path("data"), as_json: Json = False) -> None:
    """Show what was done about a case, oldest first.

    \b
    Example:
      tiergate case history case_9f86d081
    """
    import msgspec

    with opened(data) as worklist:
        rows = worklist.history(named(worklist, case))
    if as_json:
        say_json([msgspec.to_builtins(row) | {"state": msgspec.json.decode(row.state)} for row in rows])
        return
    for row in rows:
        state = msgspec.json.decode(row.state)
        ended = f" as {state['outcome']}" if state.get("outcome") else ""
        by, said = visible(row.author), f": {visible(row.reason)}" if row.reason else ""
        say(f"{moment(row.at_us)}  {row.action:<8}  {state.get('step', 'watch'):<9}  by {by}{ended}{said}")
    note(counted(len(rows), "change"))


def calibration(data: Data = Path("data"), as_json: Json = False) -> None:
    """Show how far stated confidence held.

    It counts closed cases and decided appeals, by the confidence they had.

    \b
    Example:
      tiergate case calibration
    """
    import msgspec

    from tiergate.admission.appeals import Appeal
    from tiergate.response.calibration import Calibration

    with opened(data) as worklist:
        changes, needed = worklist.desk.changes, worklist.desk.policy.outcomes_needed
        told = Calibration.of(worklist.every(), changes.every(Appeal), needed)
    if as_json:
        say_json({"rows": msgspec.to_builtins(told.table), "brier": told.brier, "needed": needed})
        return
    if told.brier is None:
        note("nothing was judged yet: close cases as confirmed or mistaken")
        return
    say("confidence    judged  held  stated  held of those  99% interval")
    for row in told.table:
        span = f"{row.low:.3f} to {row.high:.3f}"
        said = (
            "" if row.high >= row.stated else "  too high" + ("" if 0 < needed <= row.judged else ", too few to count")
        )
        say(
            f"{row.least:.2f} to {row.below:.2f}  {row.judged:>6}  {row.held:>4}  {row.stated:>6.3f}"
            f"  {row.share:>13.3f}  {span}{said}"
        )
    say(f"Brier score {told.brier:.4f}")


def _line(worklist: Worklist, file: CaseFile) -> str:
    from tiergate.response.selecting import late

    waits = "  overdue" if late(file, worklist.desk.policy, now()) else ""
    state = file.status.value if file.outcome is None else file.outcome.value
    asked = ""
    if file.proposal is not None:
        missing = file.proposal.needed - len(file.proposal.approved_by)
        asked = f"  {file.proposal.action} proposed by {file.proposal.by}, {missing} more must agree"
    return visible(
        f"{file.case_id}  {state:<9}  {file.severity:<8}  {file.step:<9}  {counted(file.found.accounts, 'account'):<12}"
        f"  {file.assignee or 'nobody'}{asked}{waits}"
    )


def _whole(worklist: Worklist, file: CaseFile) -> dict[str, Any]:
    import msgspec

    from tiergate.response.selecting import late

    told: dict[str, Any] = msgspec.to_builtins(file)
    return told | {"severity": file.severity.value, "overdue": late(file, worklist.desk.policy, now())}


def _members(worklist: Worklist, file: CaseFile) -> list[dict[str, Any]]:
    try:
        held = worklist.members(file.case_id)
    except InputError as error:
        note(str(error))
        return []
    standing = worklist.desk.verdicts.of_case(file.case_id, now())
    free = file.cleared_at(now())
    by = {one.account_id: one.by for one in file.cleared if one.account_id in free}
    return [
        {
            "account_id": one.account_id,
            "membership": one.membership,
            "charged": one.charged,
            "observed": one.observed,
            "action": standing[one.account_id].action.value if one.account_id in standing else None,
            "cleared_by": by.get(one.account_id),
        }
        for one in sorted(held, key=lambda one: (-one.charged, one.account_id))
    ]
