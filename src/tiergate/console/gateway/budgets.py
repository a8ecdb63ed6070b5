"""Limits on what is spent and how fast is asked, with what is used of them."""

from __future__ import annotations

import bisect

from tiergate.api.budgets import budgets as every_budget
from tiergate.api.budgets import limits
from tiergate.api.operators import Permission
from tiergate.console.origins import Origin, command
from tiergate.console.tables import Column, Table
from tiergate.console.visits import View, Visit
from tiergate.gateway.metering.limits import MEASURES, SCOPES, Limit

SIZE = 100


def budgets(visit: Visit) -> View:
    words, data = visit.renderer.words.gateway, visit.services.settings.data
    search = visit.asked("subject")
    found = [one for one in limits(visit.services) if search is None or search.lower() in one.subject.lower()]
    asked = visit.asked("after")
    first = bisect.bisect_right(found, asked, key=_place) if asked else 0
    some = found if visit.csv else found[first : first + SIZE]
    shown = every_budget(visit.services, some, visit.now_us)
    rows = []
    for one in shown:
        money = one.measure.startswith("usd/")
        used = None if one.spent is None or not one.amount else one.spent / one.amount
        rows.append(
            {
                "scope": words.scopes[one.scope], "subject": one.subject, "measure": one.measure,
                "amount_usd": one.amount if money else None, "amount": None if money else one.amount,
                "spent": one.spent, "reserved": one.reserved, "used": used, "key": one,
                "money": money,
            }
        )  # fmt: skip
    columns = [
        Column("scope", words.columns.scope), Column("subject", words.columns.subject, "code"),
        Column("measure", words.columns.measure), Column("amount_usd", words.columns.amount_usd, "usd"),
        Column("amount", words.columns.amount, "count"), Column("spent", words.columns.spent, "usd"),
        Column("reserved", words.columns.reserved, "usd"), Column("used", words.columns.used_share, "share"),
    ]  # fmt: skip
    following = visit.here(after=_place(some[-1])) if not visit.csv and len(found) > first + SIZE else None
    table = Table(name="budgets", columns=columns, rows=rows, next_page=following, empty=words.no_budgets)
    return {
        "tables": [table], "table": table, "rows": rows, "search": search or "",
        "may_set": visit.may(Permission.MANAGE_KEYS),
        "scopes": [(one, words.scopes[one]) for one in SCOPES],
        "measures": [(one, words.measures[one.replace("/", "_")]) for one in MEASURES],
        "origin": Origin(api="GET /v1/budgets", command=command("budgets", "list", "--data", data)),
        "csrf": visit.session.csrf,
    }  # fmt: skip


def _place(limit: Limit) -> str:
    """Where a limit stands in the list."""
    return f"{limit.scope}\n{limit.subject}\n{limit.measure}"
