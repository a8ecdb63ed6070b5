"""The first page."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from tiergate.admission.models import FILE as MODELS
from tiergate.api.operators import Permission
from tiergate.api.overview import MOST_COUNTED, Line, News, Waits, news, standing
from tiergate.console.gateway.traffic import TIERS, span_of
from tiergate.console.origins import Origin, command
from tiergate.console.tables import Column, Link, Table
from tiergate.console.visits import Page, View, Visit
from tiergate.response.case_files import Severity

MOST_LINES: Final = 10
TONES: Final = {Severity.CRITICAL: "bad", Severity.HIGH: "warn", Severity.MEDIUM: "", Severity.LOW: ""}
SECTIONS: Final = {
    "step": "cases", "case": "cases", "lead": "sharing", "limit": "gateway", "appeal": "admission",
}  # fmt: skip
"""Where something is looked at; what is not named belongs to admission."""


def overview(visit: Visit) -> View:
    now = standing(visit.services, visit.operator, visit.now_us)
    told = news(visit.services, visit.operator)
    waiting, changes, lines = _waiting(visit, now.waiting), _changes(visit, told), _lines(visit, now.lines or [])
    data = visit.services.settings.data
    return {
        "tables": [waiting, changes, lines],
        "waiting": waiting, "changes": changes, "lines": lines if now.lines is not None else None,
        "standing": now, "news": told, "most_counted": MOST_COUNTED,
        "severities": [
            (one, count, _of(visit, "cases", severity=one), TONES[one]) for one, count in (now.cases or {}).items()
        ],
        "overdue_href": _of(visit, "cases", overdue=1),
        "more_lines": max(0, len(now.lines or []) - MOST_LINES),
        "traffic": _traffic(visit) if visit.may(Permission.SEE_GATEWAY) else None,
        "first": _first_steps(visit),
        "origin": Origin(api="GET /v1/overview"),
        "news_origin": Origin(api="GET /v1/changes"),
        "lines_origin": Origin(api="GET /v1/overview", command=command("credit", "list", "--data", data)),
        "watch_command": command("serve", "--data", data, "--watch"),
        "alerts_command": command("alerts", "list", "--data", data),
        "csrf": visit.session.csrf,
    }  # fmt: skip


def _of(visit: Visit, section: str, **query: object) -> str | None:
    """The first page of a section, where there is one and they may see it."""
    page = next((one for one in visit.renderer.navigation if one.section == section), None)
    if page is None or not (page.permission is None or visit.may(page.permission)):
        return None
    return page.path + ("?" + "&".join(f"{name}={value}" for name, value in query.items()) if query else "")


def _subject(visit: Visit, kind: str, subject_id: str) -> Link:
    section = SECTIONS.get(kind, "admission")
    href = _of(visit, section)
    if kind in ("step", "case") and href is not None:
        href = f"{href}/{subject_id}"
    return Link(subject_id, href)


def _waiting(visit: Visit, waits: list[Waits]) -> Table:
    words = visit.renderer.words.overview
    rows = [
        {
            "kind": words.waits[one.kind], "what": str(one.what), "subject": _subject(visit, one.kind, one.subject_id),
            "by": one.by, "since": one.since_us, "due": one.due_us,
        }
        for one in waits
    ]  # fmt: skip
    columns = [
        Column("kind", words.columns.kind), Column("what", words.columns.what),
        Column("subject", words.columns.subject, "code"), Column("by", words.columns.by),
        Column("since", words.columns.since, "time"), Column("due", words.columns.due, "time"),
    ]  # fmt: skip
    return Table(name="waiting", columns=columns, rows=rows, empty=words.nothing_waits)


def _changes(visit: Visit, told: News) -> Table:
    words = visit.renderer.words.overview
    rows = [
        {
            "at": one.at_us, "kind": words.kinds[one.kind],
            "action": one.action, "subject": _subject(visit, one.kind, one.subject_id), "author": one.author,
            "reason": one.reason,
        }
        for one in told.items
    ]  # fmt: skip
    columns = [
        Column("at", words.columns.at, "time"), Column("kind", words.columns.kind),
        Column("action", words.columns.action), Column("subject", words.columns.subject, "code"),
        Column("author", words.columns.author), Column("reason", words.columns.reason),
    ]  # fmt: skip
    return Table(name="changes", columns=columns, rows=rows, empty=words.nothing_changed)


def _lines(visit: Visit, lines: list[Line]) -> Table:
    words = visit.renderer.words.overview
    href = _of(visit, "admission")
    shown = lines if visit.csv else lines[:MOST_LINES]
    rows = [
        {
            "line_id": Link(one.line_id, href), "programme_id": one.programme_id,
            "organisation_id": one.organisation_id, "committed": one.committed, "spent": one.spent,
            "reserved": one.reserved, "available": one.available,
            "left": one.available / one.committed if one.committed else None,
        }
        for one in shown
    ]  # fmt: skip
    columns = [
        Column("line_id", words.columns.line, "code"), Column("programme_id", words.columns.programme),
        Column("organisation_id", words.columns.organisation), Column("committed", words.columns.committed, "usd"),
        Column("spent", words.columns.spent, "usd"), Column("reserved", words.columns.reserved, "usd"),
        Column("available", words.columns.available, "usd"), Column("left", words.columns.left, "share"),
    ]  # fmt: skip
    return Table(name="credits", columns=columns, rows=rows, empty=words.no_lines)


def _traffic(visit: Visit) -> Mapping[str, Any]:
    """Traffic and spend of the newest day, by tier."""
    held, span = visit.services.traffic, span_of(visit, "24h")
    total = held.figures(span.from_us, span.to_us)
    by_tier = {one.group["tier"]: one for one in held.figures(span.from_us, span.to_us, ["tier"])}
    names = [name for name in TIERS if name in by_tier]
    return {
        "span": span,
        "total": total[0] if total else None,
        "tiers": [(name, by_tier[name]) for name in names],
        "untold": by_tier.get(None),
        "any_tiers": bool(names),
        "origin": Origin(
            api=f"GET /v1/traffic?from_us={span.from_us}&to_us={span.to_us}&by=tier",
            command=command("spend", visit.services.settings.data, "--by", "day"),
        ),
    }


def _first_steps(visit: Visit) -> list[tuple[str, str]]:
    """What to do first, as far as it is not done: why, and the command line."""
    services, words = visit.services, visit.renderer.words.overview.first
    data = services.settings.data
    done = {
        "key": bool(services.registry.newest_keys(limit=1)),
        "serve": services.traffic.standing()[1] is not None,
        "watch": services.cases.desk.last() is not None,
        "tiers": (data / MODELS).exists(),
    }
    commands = {
        "key": command("keys", "create", "ACCOUNT", "--data", data),
        "serve": command("serve", "--data", data, "--upstream", "https://api.example.com/v1", "--watch"),
        "watch": command("watch", "--data", data, "--once"),
        "tiers": '[models."NAME"] tier = "commodity"',
    }
    return [(words[name], commands[name]) for name in ("key", "serve", "watch", "tiers") if not done[name]]


PAGES: Final = (Page(path="/", name="overview", section="overview", template="overview/overview", handler=overview),)
