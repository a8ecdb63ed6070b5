"""Decisions of the logs: found, explained, and made again by the policies of then and of today."""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta
from typing import Final

import msgspec

from tiergate.admission.replay import Replayed, Said
from tiergate.api.decisions import Explained, decision_of
from tiergate.api.operators import Permission
from tiergate.api.paging import Page as Found
from tiergate.api.problems import ProblemError
from tiergate.clock import SECOND
from tiergate.console.admission.common import WORDS, Filter, address, badge, columns, listing, page, to
from tiergate.console.origins import Origin, command
from tiergate.console.reading import call_of, read
from tiergate.console.tables import Link, Table
from tiergate.console.visits import View, Visit
from tiergate.ledger.decision_records import FACTS
from tiergate.ledger.decision_search import FoundDecision

MOST_PAGES: Final = 200
"""Pages of the log that a CSV gathers."""
FIELDS: Final = ("organisation", "account", "model", "outcome", "code")


def decisions(visit: Visit) -> View:
    asked: dict[str, object] = {name: visit.asked(name) for name in FIELDS}
    asked |= {"since_us": _day_us(visit.asked("since")), "until_us": _day_us(visit.asked("until"), after=1)}
    found, kept, following = [], True, None
    try:
        cursor = visit.asked("cursor")
        for _ in range(MOST_PAGES if visit.csv else 1):
            answer: Found[FoundDecision] = read(visit, "list_decisions", query=asked | {"cursor": cursor})
            found += answer.items
            cursor = following = answer.next
            if cursor is None:
                break
    except ProblemError as error:
        if error.problem.code != "no_decision_log":
            raise
        kept = False
    table = Table(
        name="decisions",
        columns=columns(("decision", "code"), ("at_us", "time"), ("outcome", "badge"), "reasons",
                        "organisation", ("person", "code"), "model", ("signed", "badge")),
        rows=[
            {
                "decision": Link(one.decision_id, address("decisions", one.decision_id)), "at_us": one.time_us,
                "outcome": badge(one.outcome), "reasons": ", ".join(one.reasons),
                "organisation": to("organisations", one.personal.get("organisation")),
                "person": one.personal.get("person") or one.personal.get("workload"),
                "model": one.personal.get("model"),
                "signed": badge("signed") if one.signed else Link(WORDS.decisions.not_signed, tone="warn"),
            }
            for one in found
        ],
        next_page=visit.here(cursor=following) if following and visit.csv is None else None,
        empty=_empty(kept, following),
    )  # fmt: skip
    titles = WORDS.columns
    filters = [
        *(Filter(name, titles[name], visit.asked(name) or "") for name in ("organisation", "account", "model")),
        Filter("outcome", titles.outcome, visit.asked("outcome") or "",
               options=[("", WORDS.members.all), *((one, one) for one in ("ALLOW", "DENY", "REVIEW"))]),
        Filter("code", titles.code, visit.asked("code") or ""),
        Filter("since", titles.since, visit.asked("since") or "", "date"),
        Filter("until", titles.until, visit.asked("until") or "", "date"),
    ]  # fmt: skip
    given = [word for name in FIELDS if visit.asked(name) for word in (f"--{name}", visit.asked(name))]
    origin = Origin(api="GET /v1/decisions", command=command("decisions", "list", *given))
    return listing("decisions", table, origin, filters)


def decision(visit: Visit) -> View:
    name = visit.path("decision_id")
    explained: Explained = read(visit, "explain", path={"decision_id": name})
    again: Replayed = read(visit, "replay", path={"decision_id": name})
    kept = decision_of(call_of(visit, "explain", path={"decision_id": name}), name)
    personal = Table(
        name="personal",
        columns=columns(("field", "code"), "value"),
        rows=[{"field": one.field, "value": _shown(one.field, str(msgspec.json.decode(one.value)))}
              for one in kept.openings if one.field != FACTS],
        empty=WORDS.decisions.erased,
    )  # fmt: skip
    gates = Table(
        name="gates",
        columns=columns(("code", "code"), "text", "about", "missing", "change", "appeal_to"),
        rows=[
            {"code": gate.code, "text": gate.text, "about": ", ".join(explained.about.get(gate.code, [])),
             "missing": gate.missing, "change": gate.change, "appeal_to": gate.appeal}
            for gate in explained.gates
        ],
        empty=WORDS.decisions.no_gate,
    )  # fmt: skip
    replay = Table(
        name="replay",
        columns=columns("by", ("outcome", "badge"), "reasons", ("policies", "code")),
        rows=[
            _said(WORDS.decisions.recorded, again.recorded, again.policy),
            _said(WORDS.decisions.then, again.replayed, again.policy),
            _said(WORDS.decisions.today, again.today, again.policy_today),
        ],
    )
    record = explained.record
    return {
        "name": name, "record": record, "explained": explained, "again": again, "gates": gates, "personal": personal,
        "replay": replay, "outcome": badge(record.outcome), "state": badge(again.state.value),
        "tables": [gates, personal, replay],
        "can_appeal": visit.may(Permission.APPEAL) and record.outcome != "ALLOW",
        "origin": Origin(api=f"GET /v1/decisions/{name}", command=command("decisions", "explain", name)),
        "replayed": Origin(api=f"GET /v1/decisions/{name}/replay", command=command("decisions", "replay", name)),
    }  # fmt: skip


def _said(by: str, said: Said | None, policies: str) -> dict[str, object]:
    return {
        "by": by, "outcome": badge(said.outcome) if said is not None else None,
        "reasons": ", ".join(said.reasons) if said is not None else None, "policies": policies[:12],
    }  # fmt: skip


def _shown(field: str, value: str) -> Link:
    return Link(value, address("organisations", value) if field == "organisation" else None)


def _empty(kept: bool, following: str | None) -> str:
    if not kept:
        return WORDS("decisions.no_log")
    return WORDS("decisions.go_on" if following else "decisions.empty")


def _day_us(text: str | None, after: int = 0) -> int | None:
    """The beginning of a day, or of the one ``after`` it; None where none is given."""
    if text is None:
        return None
    try:
        day = date.fromisoformat(text) + timedelta(days=after)
    except (ValueError, OverflowError):
        raise ProblemError(400, "unfit_query", f"`{text}` is no day", "give one such as 2026-12-01") from None
    return max(0, round(datetime.combine(day, time(), UTC).timestamp()) * SECOND)


PAGES: Final = (
    page("/admission/decisions", "list", decisions, Permission.EXPLAIN),
    page("/admission/decisions/{decision_id:path}", "decision", decision, Permission.EXPLAIN),
)
