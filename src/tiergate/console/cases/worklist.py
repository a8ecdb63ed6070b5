"""The worklist: which cases ask for somebody, those that ask for the most first."""

from __future__ import annotations

import bisect
from collections import Counter
from enum import StrEnum
from typing import Final
from urllib.parse import quote

from tiergate.console.cases.opened import TONES
from tiergate.console.cases.words import WORDS
from tiergate.console.origins import Origin, command
from tiergate.console.tables import Column, Link, Table
from tiergate.console.visits import View, Visit
from tiergate.ledger.verdicts import Action
from tiergate.response.case_files import CaseFile, Severity, Status
from tiergate.response.index import order
from tiergate.response.selecting import late, select

SIZE: Final = 50
FILTERS: Final = ("status", "severity", "step", "assignee", "overdue", "search")


def worklist(visit: Visit) -> View:
    words = WORDS
    data = visit.services.settings.data
    cases, policy = visit.services.cases, visit.services.cases.desk.policy
    # A page that is opened without any filter shows what there is to do.
    status = visit.query.get("status", Status.OPEN.value) or None
    asked = {name: visit.asked(name) for name in ("severity", "step", "assignee", "search")}
    overdue = bool(visit.asked("overdue"))
    found = select(cases, visit.now_us, status=status, overdue=overdue, **asked)
    start = bisect.bisect_right(found, _place(visit.asked("after")), key=order) if visit.asked("after") else 0
    shown = found if visit.csv else found[start : start + SIZE]
    every = cases.index.ordered(visit.now_us)
    still_open = [one for one in every if one.status is Status.OPEN]
    weights = Counter(one.severity for one in still_open)
    table = Table(
        name="cases",
        columns=[
            Column("case_id", words.columns.case_id, "code"),
            Column("severity", words.columns.severity, "badge"),
            Column("status", words.columns.status, "badge"),
            Column("step", words.columns.step, "badge"),
            Column("waits", words.columns.waits),
            Column("accounts", words.columns.accounts, "count"),
            Column("exchanges", words.columns.exchanges, "count"),
            Column("value", words.columns.value, "usd"),
            Column("confidence", words.columns.confidence, "number"),
            Column("assignee", words.columns.assignee),
            Column("opened_at", words.columns.opened_at, "time"),
        ],
        rows=[_row(one, overdue=late(one, policy, visit.now_us)) for one in shown],
        next_page=visit.here(after=_mark(shown[-1])) if not visit.csv and len(found) > start + SIZE else None,
        empty=words.nothing_fits if every else words.nothing_yet,
    )
    return {
        "tables": [table], "table": table, "any": bool(every), "count": len(found), "weights": weights,
        "late": sum(late(one, policy, visit.now_us) for one in still_open), "severities": list(reversed(Severity)),
        "asked": {"status": status or "", "overdue": overdue} | {name: value or "" for name, value in asked.items()},
        "options": {"status": _options(Status), "severity": _options(Severity), "step": _options(Action)},
        "last": cases.desk.last(),
        "commands": {
            "serve": command("serve", "--data", data, "--watch"), "once": command("watch", "--data", data, "--once"),
        },
        "filtered": any(visit.asked(name) for name in FILTERS),
        "origin": Origin(api="GET /v1/cases", command=command("case", "list", "--data", data)),
    }  # fmt: skip


def _options(kind: type[StrEnum]) -> list[tuple[str, str]]:
    return [("", WORDS.any), *((one.value, one.value) for one in kind)]


def _row(file: CaseFile, *, overdue: bool) -> dict[str, object]:
    words, found, held = WORDS, file.found, file.proposal
    waits = (
        [] if held is None else [words("proposed", action=held.action, have=len(held.approved_by), need=held.needed)]
    )
    waits += [words.overdue] if overdue else []
    status = file.outcome or file.status
    return {
        "case_id": Link(file.case_id, f"/cases/{quote(file.case_id)}"),
        "severity": Link(file.severity.value, tone=TONES[file.severity]),
        "status": Link(status.value, tone=TONES[status]),
        "step": Link(file.step.value, tone=TONES[file.step]), "waits": " · ".join(waits) or " ",
        "accounts": found.accounts, "exchanges": found.exchanges,
        "value": None if found.value_usd is None else found.value_usd * 1e6, "confidence": found.confidence,
        "assignee": file.assignee, "opened_at": file.opened_at_us,
    }  # fmt: skip


def _mark(file: CaseFile) -> str:
    weight, opened_at, case_id = order(file)
    return f"{weight}.{opened_at}.{case_id}"


def _place(mark: str | None) -> tuple[int, int, str]:
    """Where a page begins. One that is none of ours begins at the top."""
    weight, _, rest = (mark or "").partition(".")
    opened_at, _, case_id = rest.partition(".")
    try:
        return int(weight), int(opened_at), case_id
    except ValueError:
        return -len(Severity), 0, ""
