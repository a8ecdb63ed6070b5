"""Credit: lines carved out of programmes' pools, and what was spent of them."""

from __future__ import annotations

from functools import lru_cache
from typing import Final

import sqlalchemy as sa
from starlette.responses import Response

from tiergate.admission.spending import Spending
from tiergate.api.credit_lines import LineView
from tiergate.api.operators import Permission
from tiergate.api.services import Services
from tiergate.clock import DAY, SECOND
from tiergate.console.acting import Consequence, Deed
from tiergate.console.admission.common import (
    ORIGINS,
    WORDS,
    Filter,
    badge,
    columns,
    history_table,
    page,
    to,
    waiting,
    window,
    worked_out,
)
from tiergate.console.admission.held import held
from tiergate.console.charts import Chart, Series
from tiergate.console.origins import Origin, command
from tiergate.console.reading import read
from tiergate.console.rendering import usd
from tiergate.console.tables import Table
from tiergate.console.visits import View, Visit

WEEK: Final = 6
"""Days before today that are always drawn."""
AT_ONCE: Final = 50_000
"""Entries that a page adds up by itself; more are added up beside it."""


def lines(visit: Visit) -> View:
    have, balances = held(visit), visit.services.credits.balances()
    wanted, programme_id = visit.asked("organisation"), visit.asked("programme")
    rows = [one for one in have.lines.values()
            if visit.operator.sees(one.organisation_id) and programme_id in (None, one.programme_id)
            and (wanted is None or wanted.casefold() in one.organisation_id.casefold())]  # fmt: skip
    rows.sort(key=lambda one: (one.programme_id, one.organisation_id, one.line_id))
    shown, following = window(visit, rows, lambda one: one.line_id)
    table = Table(
        name="lines",
        columns=columns(("line", "code"), "programme", "organisation", ("purpose_code", "code"),
                        ("state", "badge"), ("committed", "usd"), ("spent", "usd"), ("reserved", "usd"),
                        ("available", "usd"), ("overrun", "usd")),
        rows=[
            {
                "line": to("credits", one.line_id), "programme": to("programmes", one.programme_id),
                "organisation": to("organisations", one.organisation_id), "purpose_code": one.purpose_code,
                "state": badge("active" if one.closed_at_us is None else "closed"),
                "committed": balance.committed, "spent": balance.spent, "reserved": balance.reserved,
                "available": balance.available, "overrun": balance.overrun,
            }
            for one in shown if (balance := balances.get(one.line_id)) is not None
        ],
        next_page=following,
        empty=WORDS.credits.empty,
    )  # fmt: skip
    mine = [balances[one.line_id] for one in rows if one.line_id in balances]
    programmes = [(name, name) for name in sorted(have.programmes)]
    filters = [Filter("programme", WORDS.columns.programme, programme_id or "",
                      options=[("", WORDS.members.all), *programmes])]  # fmt: skip
    if visit.operator.organisation_id is None:
        filters.insert(0, Filter("organisation", WORDS.columns.organisation, wanted or ""))
    return {
        "table": table, "tables": [table], "filters": filters, "said": WORDS.credits, "help": WORDS.credits.help,
        "sums": {name: sum(getattr(one, name) for one in mine)
                 for name in ("committed", "spent", "reserved", "available", "overrun")},
        "programmes": programmes,
        "can_open": visit.may(Permission.RUN_PROGRAMME),
        "origin": ORIGINS["credits"],
    }  # fmt: skip


def line(visit: Visit) -> View | Response:
    view: LineView = read(visit, "get_credit_line", path={"line_id": visit.path("line_id")})
    spending = _spending(visit.services.engine)
    if spending.behind() > AT_ONCE:
        key = ("spending", visit.services.settings.data, spending.entry)
        if worked_out(key, spending.keep_up) is None:
            return waiting(visit, "spending")
    else:
        spending.keep_up()
    one, spent = view.line, spending.of(view.line.line_id)
    rows, following = window(visit, [row for row in spent.rows if row.member_id is not None],
                             lambda row: f"{row.member_id} {row.purpose_id}")  # fmt: skip
    statement = Table(
        name="statement",
        columns=columns(("member", "code"), ("purpose", "code"), ("answers", "count"), ("spent", "usd"),
                        ("reserved", "usd"), ("overrun", "usd")),
        rows=[
            {"member": row.member_id, "purpose": to("purposes", row.purpose_id), "answers": row.answers,
             "spent": row.spent, "reserved": row.reserved, "overrun": row.overrun}
            for row in rows
        ],
        next_page=following,
        empty=WORDS.credits.unspent,
    )  # fmt: skip
    chart = None
    if spent.days:
        today = visit.now_us // DAY
        days = range(min(*spent.days, today - WEEK), max(*spent.days, today) + 1)
        chart = Chart(
            name="days", title=WORDS.credits.by_day, x_title=WORDS.columns.day, y_title=WORDS.columns.spent,
            x=[day * (DAY // SECOND) for day in days], time=True,
            series=[Series(name="spent", title=WORDS.columns.spent, values=[spent.days.get(day, 0) for day in days],
                           style="bars", kind="usd")],
        )  # fmt: skip
    history = history_table(visit.services.credits.history(one.line_id))
    return {
        "one": one, "view": view, "statement": statement, "chart": chart, "history": history,
        "can_change": visit.may(Permission.RUN_PROGRAMME),
        "tables": [statement, history, *([chart.table()] if chart else [])],
        "origin": Origin(
            api=f"GET /v1/credit-lines/{one.line_id}/statement",
            command=command("credit", "statement", one.programme_id, "--organisation", one.organisation_id),
        ),
    }  # fmt: skip


def foretell_line(services: Services, deed: Deed, _now_us: int) -> Consequence:
    """What is left of the pool when a line is carved out of it."""
    programme = services.programmes.get(str(deed.values.get("programme_id", "")))
    carved = sum(one.committed for one in services.credits.balances(programme.programme_id).values())
    left = programme.pool_micro_usd - carved
    asked = str(deed.values.get("micro_usd", "0"))
    wanted = int(asked) if asked.isdecimal() else 0
    return Consequence(
        sentences=[WORDS("credits.carves", wanted=usd(wanted), organisation=deed.values.get("organisation_id", ""),
                         programme=programme.name, left=usd(left), after=usd(left - wanted))]
    )  # fmt: skip


@lru_cache(4)
def _spending(engine: sa.Engine) -> Spending:
    return Spending(engine)


FORETOLD: Final = {"open_credit_line": foretell_line}
PAGES: Final = (
    page("/admission/credits", "credits", lines),
    page("/admission/credits/{line_id}", "credit", line),
)
