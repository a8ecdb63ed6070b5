"""What was done about a case: notes, changes, verdicts, and the appeals against them."""

from __future__ import annotations

from typing import Final

from tiergate.admission.appeals import Appeal, Outcome, notice
from tiergate.api.operators import Permission
from tiergate.console.cases.opened import TONES, Opened, opened
from tiergate.console.cases.words import WORDS
from tiergate.console.origins import Origin, command
from tiergate.console.tables import Column, Link, Table
from tiergate.console.visits import View, Visit
from tiergate.response.dossier.decided import changes

SIZE: Final = 50


def history(visit: Visit) -> View:
    held = opened(visit)
    told, moves, appeals = _changes(held), _moves(held), held.appeals()
    table = _appeals(appeals)
    case_id = held.file.case_id
    return held.view("history") | {
        "tables": [told, moves, table], "changes": told, "moves": moves, "appeals": appeals, "appeal_table": table,
        "notices": {one.appeal_id: notice(one, visit.now_us) for one in appeals},
        "may_decide": visit.may(Permission.DECIDE_APPEAL), "votes": list(Outcome), "now_us": visit.now_us,
        "changes_origin": Origin(
            api=f"GET /v1/cases/{case_id}/history", command=command("case", "history", case_id)
        ),
        "moves_origin": Origin(command=command("case", "dossier", case_id, "--out", "case.html")),
        "appeals_origin": Origin(api="GET /v1/appeals", command=command("appeals", "list")),
    }  # fmt: skip


def _changes(held: Opened) -> Table:
    visit, columns = held.visit, WORDS.history.columns
    rows = changes(visit.services.cases.history(held.file.case_id))[::-1]
    before = visit.place("before")
    if before is not None:
        rows = [row for row in rows if row[0].number < before]
    shown = rows if visit.csv else rows[:SIZE]
    return Table(
        name="changes",
        columns=[
            Column("at_us", columns.at_us, "time"), Column("author", columns.author),
            Column("action", columns.action, "badge"), Column("what", columns.what), Column("reason", columns.reason),
        ],
        rows=[
            {"at_us": one.at_us, "author": one.author, "action": one.action,
             "what": what.removeprefix(one.action).removeprefix("; ") or " ", "reason": one.reason or " "}
            for one, what in shown
        ],
        next_page=visit.here(before=shown[-1][0].number) if len(rows) > len(shown) else None,
    )  # fmt: skip


def _moves(held: Opened) -> Table:
    """Verdicts, all of one author and moment together."""
    columns = WORDS.history.columns
    moves = held.visit.services.cases.desk.verdicts.moves(held.file.case_id)
    return Table(
        name="verdicts",
        columns=[
            Column("at_us", columns.at_us, "time"), Column("author", columns.author),
            Column("action", columns.action, "badge"), Column("accounts", columns.accounts, "count"),
            Column("ends_at", columns.ends_at, "time"),
        ],
        rows=[
            {"at_us": one.decided_at, "author": one.author, "accounts": one.accounts, "ends_at": one.expires_at,
             "action": Link(WORDS.history.lifted.format(action=one.action) if one.lifted else one.action.value,
                            tone="good" if one.lifted else TONES[one.action])}
            for one in (moves if held.visit.csv else moves[:SIZE])
        ],
        empty=WORDS.history.no_verdicts,
    )  # fmt: skip


def _appeals(appeals: list[Appeal]) -> Table:
    columns = WORDS.history.columns
    return Table(
        name="appeals",
        columns=[
            Column("appeal_id", columns.appeal_id, "code"), Column("account_id", columns.account_id, "code"),
            Column("filed_at", columns.filed_at, "time"), Column("due_at", columns.due_at, "time"),
            Column("votes", columns.votes, "count"), Column("needed", columns.needed, "count"),
            Column("outcome", columns.outcome, "badge"),
        ],
        rows=[
            {"appeal_id": Link(one.appeal_id, f"#{one.appeal_id}"), "account_id": one.account_id,
             "filed_at": one.filed_at_us, "due_at": one.due_at_us, "votes": len(one.votes), "needed": one.reviewers,
             "outcome": Link((one.outcome or WORDS.history.undecided), tone=TONES[one.outcome or "open"])}
            for one in appeals
        ],
        empty=WORDS.history.no_appeals,
    )  # fmt: skip
