"""`tiergate case`: what people do about cases. How cases are shown: `case_views`."""

from __future__ import annotations

from collections.abc import Callable
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from tiergate.cli import case_dossier, case_evidence, case_views
from tiergate.cli.case_views import CaseId, Step, named, opened, show_one
from tiergate.cli.options import Author, Data, Json, Until, end_of, now, who

if TYPE_CHECKING:
    from tiergate.response.case_files import CaseFile
    from tiergate.response.worklist import Worklist

app = typer.Typer(help="See cases and work on them.", rich_markup_mode=None, add_completion=False)
app.command("list")(case_views.list_)
app.command("show")(case_views.show)
app.command("history")(case_views.history)
app.command("calibration")(case_views.calibration)
app.command("dossier")(case_dossier.dossier)
app.command("export")(case_evidence.export)
app.command("verify")(case_evidence.verify)

Why = Annotated[str, typer.Option("--reason", metavar="TEXT", help="Why; others read it.")]
Account = Annotated[str, typer.Argument(metavar="ACCOUNT", help="Id of the account.")]


class Ended(StrEnum):
    """What a case turned out to be."""

    CONFIRMED = "confirmed"
    MISTAKEN = "mistaken"
    UNCLEAR = "unclear"


StepName = Annotated[Step, typer.Argument(metavar="STEP", help="watch, verify, limit, summarise or suspend.")]


def _do(data: Path, case: str, as_json: bool, change: Callable[[Worklist, str], CaseFile]) -> None:
    """One change of a case, and the case after it."""
    with opened(data) as worklist:
        show_one(worklist, change(worklist, named(worklist, case)), as_json)


@app.command("assign")
def assign(
    case: CaseId,
    to: Annotated[str | None, typer.Argument(metavar="[NAME]", help="Nobody's if not given.")] = None,
    reason: Why = "",
    data: Data = Path("data"),
    author: Author = None,
    as_json: Json = False,
) -> None:
    """Say whose case it is.

    \b
    Example:
      tiergate case assign case_9f86d081 ann
    """
    _do(
        data,
        case,
        as_json,
        lambda held, case_id: held.assign(case_id, to, author=who(author), now_us=now(), reason=reason),
    )


@app.command("note")
def note_(
    case: CaseId,
    text: Annotated[str, typer.Argument(metavar="TEXT", help="What is to be remembered.")],
    data: Data = Path("data"),
    author: Author = None,
    as_json: Json = False,
) -> None:
    """Write something down.

    \b
    Example:
      tiergate case note case_9f86d081 "asked the reseller"
    """
    _do(data, case, as_json, lambda held, case_id: held.note(case_id, text, author=who(author), now_us=now()))


@app.command("propose")
def propose(
    case: CaseId,
    step: StepName,
    reason: Why,
    data: Data = Path("data"),
    author: Author = None,
    as_json: Json = False,
) -> None:
    """Propose a stricter step, or the one in force for longer.

    Whoever proposes it agrees to it; where the policy asks for nobody else, it is taken at once.

    \b
    Example:
      tiergate case propose case_9f86d081 suspend --reason "paid with one stolen card"
    """
    from tiergate.ledger.verdicts import Action

    _do(
        data,
        case,
        as_json,
        lambda held, case_id: held.propose(case_id, Action(step), author=who(author), now_us=now(), reason=reason),
    )


@app.command("approve")
def approve(
    case: CaseId,
    step: StepName,
    reason: Why = "",
    data: Data = Path("data"),
    author: Author = None,
    as_json: Json = False,
) -> None:
    """Agree to the step that is proposed. With the last one whom the policy asks for it is taken.

    \b
    Example:
      tiergate case approve case_9f86d081 suspend --author bob
    """
    from tiergate.ledger.verdicts import Action

    _do(
        data,
        case,
        as_json,
        lambda held, case_id: held.approve(case_id, Action(step), author=who(author), now_us=now(), reason=reason),
    )


@app.command("reject")
def reject(
    case: CaseId,
    step: StepName,
    reason: Why,
    data: Data = Path("data"),
    author: Author = None,
    as_json: Json = False,
) -> None:
    """Turn down the step that is proposed.

    For as long as a step lasts, no look proposes it again.

    \b
    Example:
      tiergate case reject case_9f86d081 suspend --reason "one university"
    """
    from tiergate.ledger.verdicts import Action

    _do(
        data,
        case,
        as_json,
        lambda held, case_id: held.reject(case_id, Action(step), author=who(author), now_us=now(), reason=reason),
    )


@app.command("step")
def step(
    case: CaseId,
    step: StepName,
    reason: Why,
    data: Data = Path("data"),
    author: Author = None,
    as_json: Json = False,
) -> None:
    """Take a milder step, or lift everything with watch.

    One person is enough to free somebody. For as long as a step lasts, no look goes beyond it by itself. A stricter
    step is taken where the policy asks for one person at most, else it is to be proposed.

    \b
    Example:
      tiergate case step case_9f86d081 watch --reason "they share an office"
    """
    from tiergate.ledger.verdicts import Action

    _do(
        data,
        case,
        as_json,
        lambda held, case_id: held.step(case_id, Action(step), author=who(author), now_us=now(), reason=reason),
    )


@app.command("renew")
def renew(
    case: CaseId,
    reason: Why,
    data: Data = Path("data"),
    author: Author = None,
    as_json: Json = False,
) -> None:
    """Let the step in force last anew.

    \b
    Example:
      tiergate case renew case_9f86d081 --reason "still at it"
    """
    _do(data, case, as_json, lambda held, case_id: held.renew(case_id, author=who(author), now_us=now(), reason=reason))


@app.command("clear")
def clear(
    case: CaseId,
    account: Account,
    reason: Why,
    up_to: Annotated[Step, typer.Option(help="The strictest step that it is free of.")] = Step.SUSPEND,
    until: Until = None,
    forever: Annotated[bool, typer.Option("--forever", help="Without an end.")] = False,
    data: Data = Path("data"),
    author: Author = None,
    as_json: Json = False,
) -> None:
    """Leave an account out of the case's steps. One that verified itself is free of verify alone: --up-to verify.

    \b
    Example:
      tiergate case clear case_9f86d081 acct-7 --reason "verified by invoice"
    """
    from tiergate.ledger.verdicts import Action

    until_us = None if forever else end_of(until, now())
    _do(
        data,
        case,
        as_json,
        lambda held, case_id: held.clear(
            case_id, account, up_to=Action(up_to), until_us=until_us, author=who(author), now_us=now(), reason=reason
        ),
    )


@app.command("unclear")
def unclear(
    case: CaseId,
    account: Account,
    reason: Why,
    data: Data = Path("data"),
    author: Author = None,
    as_json: Json = False,
) -> None:
    """Take a clearing back. What an appeal cleared stays so.

    \b
    Example:
      tiergate case unclear case_9f86d081 acct-7 --reason "the invoice was forged"
    """
    _do(
        data,
        case,
        as_json,
        lambda held, case_id: held.unclear(case_id, account, author=who(author), now_us=now(), reason=reason),
    )


@app.command("merge")
def merge_(
    case: CaseId,
    into: Annotated[str, typer.Argument(metavar="INTO", help="The case that goes on.")],
    reason: Why,
    data: Data = Path("data"),
    author: Author = None,
    as_json: Json = False,
) -> None:
    """Make a case's accounts another's.

    Its step then reaches them.

    \b
    Example:
      tiergate case merge case_9f86d081 case_60303ae2 --reason "one payer"
    """
    from tiergate.response.merging import merge

    _do(
        data,
        case,
        as_json,
        lambda held, case_id: merge(held, case_id, named(held, into), author=who(author), now_us=now(), reason=reason),
    )


@app.command("split")
def split_(
    case: CaseId,
    accounts: Annotated[list[str], typer.Argument(metavar="ACCOUNT...", help="Ids of accounts.")],
    reason: Why,
    data: Data = Path("data"),
    author: Author = None,
    as_json: Json = False,
) -> None:
    """Give accounts a case of their own.

    It is watched until people decide.

    \b
    Example:
      tiergate case split case_9f86d081 acct-7 acct-8 --reason "another payer"
    """
    from tiergate.response.merging import split

    _do(
        data,
        case,
        as_json,
        lambda held, case_id: split(held, case_id, accounts, author=who(author), now_us=now(), reason=reason),
    )


@app.command("close")
def close(
    case: CaseId,
    outcome: Annotated[Ended, typer.Argument(metavar="OUTCOME", help="confirmed, mistaken or unclear.")],
    reason: Why,
    data: Data = Path("data"),
    author: Author = None,
    as_json: Json = False,
) -> None:
    """Say what the case turned out to be. Unless confirmed, it holds nobody any more, at once.

    The step of a confirmed case stands until its end. New traffic opens a closed case again, unless it was a mistake.

    \b
    Example:
      tiergate case close case_9f86d081 mistaken --reason "a class of students"
    """
    from tiergate.response.case_files import Outcome

    _do(
        data,
        case,
        as_json,
        lambda held, case_id: held.close(case_id, Outcome(outcome), author=who(author), now_us=now(), reason=reason),
    )


@app.command("reopen")
def reopen(
    case: CaseId,
    reason: Why,
    data: Data = Path("data"),
    author: Author = None,
    as_json: Json = False,
) -> None:
    """Take up a closed case again.

    \b
    Example:
      tiergate case reopen case_9f86d081 --reason "the reseller wrote again"
    """
    _do(
        data, case, as_json, lambda held, case_id: held.reopen(case_id, author=who(author), now_us=now(), reason=reason)
    )
