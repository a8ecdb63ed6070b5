"""What operators did, the newest first."""

from __future__ import annotations

from typing import Final

from tiergate.api.audit import DONE
from tiergate.api.operators import Permission
from tiergate.console.origins import Origin
from tiergate.console.tables import Column, Link, Table
from tiergate.console.visits import Page, View, Visit

SIZE: Final = 50
MOST: Final = 100_000


def audit(visit: Visit) -> View:
    entries = visit.services.audit.newest(before=visit.place("before"), limit=MOST if visit.csv else SIZE)
    words = visit.renderer.words.audit.columns
    table = Table(
        name="audit",
        columns=[
            Column("at_us", words.at_us, "time"),
            Column("operator_name", words.operator_name),
            Column("way", words.way),
            Column("operation", words.operation, "code"),
            Column("path", words.path, "code"),
            Column("outcome", words.outcome, "badge"),
        ],
        rows=[
            {
                "at_us": one.at_us, "operator_name": one.operator_name, "way": one.way, "operation": one.operation,
                "path": one.path, "outcome": Link(one.outcome, tone="good" if one.outcome == DONE else "warn"),
            }
            for one in entries
        ],
        next_page=visit.here(before=entries[-1].number) if len(entries) == SIZE else None,
        empty=visit.renderer.words.audit.empty,
    )  # fmt: skip
    return {"tables": [table], "table": table, "origin": Origin(api="GET /v1/audit")}


PAGES: Final = (
    Page(path="/audit", name="audit", section="audit", template="audit/audit", handler=audit,
         permission=Permission.SEE_AUDIT),
)  # fmt: skip
