"""Appeals: what somebody holds against a decision, by when it is answered, and what reviewers say."""

from __future__ import annotations

from typing import Final

from tiergate.admission.appeals import Against, Appeal
from tiergate.admission.appeals import Outcome as Voted
from tiergate.api.appeals import AppealView, sees
from tiergate.api.operators import Permission
from tiergate.clock import SECOND
from tiergate.console.admission.common import (
    ORIGINS,
    WORDS,
    Filter,
    address,
    badge,
    columns,
    history_table,
    listing,
    page,
    to,
    window,
)
from tiergate.console.admission.held import held
from tiergate.console.origins import Origin, command
from tiergate.console.reading import call_of, read
from tiergate.console.tables import Link, Table
from tiergate.console.visits import View, Visit

STATES: Final = ("open", "overdue", "upheld", "overturned")


def appeals(visit: Visit) -> View:
    state, against = visit.asked("state"), visit.asked("against")
    rows = [one for one in visible(visit)
            if (state is None or state == state_of(one, visit.now_us)) and against in (None, one.against)]  # fmt: skip
    rows.sort(key=lambda one: (one.outcome is not None, one.due_at_us, one.appeal_id))
    shown, following = window(visit, rows, lambda one: one.appeal_id)
    table = appeals_table(visit, shown, following)
    filters = [
        Filter("state", WORDS.columns.state, state or "",
               options=[("", WORDS.members.all), *((one, one) for one in STATES)]),
        Filter("against", WORDS.columns.against, against or "",
               options=[("", WORDS.members.all), *((one.value, one.value) for one in Against)]),
    ]  # fmt: skip
    return listing("appeals", table, ORIGINS["appeals"], filters)


def appeal(visit: Visit) -> View:
    name = visit.path("appeal_id")
    view: AppealView = read(visit, "get_appeal", path={"appeal_id": name})
    one = view.appeal
    votes = Table(
        name="votes",
        columns=columns("reviewer", ("outcome", "badge"), "reason", ("at_us", "time")),
        rows=[{"reviewer": vote.reviewer, "outcome": badge(vote.outcome.value), "reason": vote.reason,
               "at_us": vote.at_us} for vote in one.votes],
        empty=WORDS.appeals.no_votes,
    )  # fmt: skip
    history = history_table(visit.services.appeals.history(name))
    return {
        "one": one, "notice": view.notice, "state": badge(state_of(one, visit.now_us)), "subject": subject_of(one),
        "votes": votes, "history": history, "tables": [votes, history],
        "left": (one.due_at_us - visit.now_us) / SECOND if one.outcome is None else None,
        "can_vote": visit.may(Permission.DECIDE_APPEAL) and one.outcome is None,
        "outcomes": [(outcome.value, WORDS.appeals.outcomes[outcome.value]) for outcome in Voted],
        "origin": Origin(api=f"GET /v1/appeals/{name}", command=command("appeal", "list")),
    }  # fmt: skip


def visible(visit: Visit) -> list[Appeal]:
    """Appeals that are this visitor's to see."""
    every = list(held(visit).appeals.values())
    if visit.operator.organisation_id is None:
        return every
    call = call_of(visit, "list_appeals")
    return [one for one in every if sees(call, one)]


def appeals_table(visit: Visit, shown: list[Appeal], following: str | None = None) -> Table:
    """Appeals as rows, with their clocks."""
    return Table(
        name="appeals",
        columns=columns(("appeal", "code"), ("state", "badge"), ("left", "seconds"), ("due", "time"), "against",
                        ("subject", "code"), "filed_by", "grounds", ("votes", "count")),
        rows=[
            {
                "appeal": to("appeals", one.appeal_id), "state": badge(state_of(one, visit.now_us)),
                "left": (one.due_at_us - visit.now_us) / SECOND if one.outcome is None else None,
                "due": one.due_at_us, "against": one.against.value, "subject": subject_of(one),
                "filed_by": one.filed_by, "grounds": one.grounds[:120], "votes": len(one.votes),
            }
            for one in shown
        ],
        next_page=following,
        empty=WORDS.appeals.empty,
    )  # fmt: skip


def subject_of(one: Appeal) -> Link:
    """What is contested, and where it is shown."""
    if one.against is Against.VERDICT:
        return Link(one.subject_id, f"/cases/{one.case_id}" if one.case_id else None)
    kind = "decisions" if one.against is Against.DECISION else "members"
    return Link(one.subject_id, address(kind, one.subject_id))


def state_of(one: Appeal, now_us: int) -> str:
    """`open`, `overdue`, or how it ended."""
    if one.outcome is not None:
        return one.outcome.value
    return "overdue" if one.due_at_us <= now_us else "open"


PAGES: Final = (
    page("/admission/appeals", "list", appeals),
    page("/admission/appeals/{appeal_id}", "appeal", appeal),
)
