"""`tiergate appeal`: what somebody holds against a decision, and what two others say to it."""

from __future__ import annotations

from contextlib import closing
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from tiergate.cli.options import Author, Data, Json, Reason, deployment, digest, now, show, who
from tiergate.cli.terminal import counted, note, visible
from tiergate.errors import InputError

if TYPE_CHECKING:
    from tiergate.admission.appeals import Appeal
    from tiergate.ledger.decision_reader import Kept

app = typer.Typer(help="File and decide appeals.", rich_markup_mode=None, add_completion=False)


class Kind(StrEnum):
    """What can be appealed."""

    DECISION = "decision"
    MEMBERSHIP = "membership"
    VERDICT = "verdict"


def _line(one: Appeal) -> str:
    from tiergate.admission.appeals import notice

    state = "open" if one.outcome is None else one.outcome.value
    return visible(f"{one.appeal_id}  {state:<10}  {one.against.value} {one.subject_id}  {notice(one, now())}")


@app.command("file")
def file(
    against: Annotated[Kind, typer.Argument(metavar="KIND", help="decision, membership or verdict.")],
    subject: Annotated[str, typer.Argument(metavar="ID", help="Its id; a verdict's is in its notice's address.")],
    grounds: Annotated[str, typer.Option(metavar="TEXT", help="What is wrong with the decision.")],
    evidence: Annotated[list[str] | None, typer.Option(metavar="FILE", help="Evidence, or its SHA-256.")] = None,
    decided_by: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME", help="Who else had a part in the decision; added to those on file."),
    ] = None,
    data: Data = Path("data"),
    author: Author = None,
    as_json: Json = False,
) -> None:
    """File an appeal.

    It is against a decision, a verdict, or a membership's refusal, suspension or end.

    \b
    Example:
      tiergate appeal file membership mem_3f9a51c0de7b2846 --grounds "the review is attached" --evidence review.pdf
    """
    from tiergate.admission.appeals import Against
    from tiergate.admission.deciders import deciders
    from tiergate.response.contested import appeals_of

    refusal = _refusal(data, subject) if against is Kind.DECISION else None
    with deployment(data) as opened:
        known = deciders(opened.engine, refusal) if refusal is not None else ()
        filed = appeals_of(opened.engine, data).file(
            Against(against.value),
            subject,
            filed_by=who(author),
            grounds=grounds,
            evidence=[digest(one) for one in evidence or ()],
            decided_by=sorted({*known, *(decided_by or ())}),
            now_us=now(),
        )
    show(filed, as_json, _line)


def _refusal(data: Path, decision_id: str) -> Kept:
    """A decision on record. Raises `InputError` for one that is in no log, or that refused nobody."""
    from tiergate.ledger.decision_logs import find_decision
    from tiergate.ledger.decision_reader import DecisionReader

    place, index = find_decision(data, decision_id)
    with closing(DecisionReader(place.folder)) as reader:
        kept = reader.checked(index)
        if kept.record.outcome == "ALLOW":
            raise InputError(f"the decision `{decision_id}` allowed the request: there is nothing to appeal")
        return kept


@app.command("decide")
def decide(
    appeal: Annotated[str, typer.Argument(metavar="APPEAL", help="Id of the appeal.")],
    overturn: Annotated[bool, typer.Option("--overturn/--uphold", help="What the reviewer says of the decision.")],
    reason: Reason,
    data: Data = Path("data"),
    author: Author = None,
    as_json: Json = False,
) -> None:
    """Vote on an appeal. Two reviewers who had no part in the decision overturn it, one a verdict short of suspension.

    \b
    Example:
      tiergate appeal decide app_3f9a51c0de7b2846 --overturn --reason "the review is in order" --author rita
    """
    from tiergate.admission.appeals import Outcome
    from tiergate.response.contested import appeals_of

    outcome = Outcome.OVERTURNED if overturn else Outcome.UPHELD
    with deployment(data) as opened:
        decided = appeals_of(opened.engine, data).decide(
            appeal, reviewer=who(author), outcome=outcome, reason=reason, now_us=now()
        )
    show(decided, as_json, _line)


@app.command("list")
def list_(
    overdue: Annotated[bool, typer.Option("--overdue", help="Only those whose clock has run out.")] = False,
    data: Data = Path("data"),
    as_json: Json = False,
) -> None:
    """List appeals, those due soonest first.

    \b
    Example:
      tiergate appeal list --overdue --data data
    """
    from tiergate.admission.appeals import Appeals

    with deployment(data) as opened:
        store = Appeals(opened.engine)
        held = store.overdue(now()) if overdue else store.every()
    show(held, as_json, _line)
    note(counted(len(held), "appeal"))
