"""What we told peers: how far it may go, who got it, and its withdrawal."""

from __future__ import annotations

from typing import Final

import msgspec

from tiergate.api.problems import not_found
from tiergate.api.services import Services
from tiergate.console.acting import Consequence, Deed
from tiergate.console.origins import Origin, command
from tiergate.console.sharing.received import at_least
from tiergate.console.tables import Column, Link, Table
from tiergate.console.visits import View, Visit
from tiergate.console.words import Words, load_words
from tiergate.sharing.finding import Finding, Opinion, Told
from tiergate.sharing.listing import ToldRow, objects_of, told

SIZE: Final = 50
MOST: Final = 100_000
MOST_SHOWN: Final = 40
"""Objects of STIX that a page shows."""


def every(visit: Visit) -> View:
    words, services = visit.renderer.words.sharing, visit.services
    rows = told(
        services.shared.engine, services.peers.every(), limit=MOST if visit.csv else SIZE,
        before_us=visit.place("before"),
    )  # fmt: skip
    table = Table(
        name="told",
        columns=[
            Column("subject", words.columns.told),
            Column("kind", words.columns.kind),
            Column("says", words.columns.says),
            Column("tlp", words.columns.tlp, "badge"),
            Column("state", words.columns.state, "badge"),
            Column("sent", words.columns.sent),
            Column("may_read", words.columns.may_read),
            Column("added_us", words.columns.told_us, "time"),
        ],
        rows=[
            {
                "subject": Link(one.subject[:13], f"/sharing/told/{one.subject}"), "kind": words.kinds[_kind(one.told)],
                "says": _says(words, one.told), "tlp": Link(one.tlp.label), "state": _state(words, one),
                "sent": ", ".join(one.sent), "may_read": ", ".join(one.may_read), "added_us": one.added_us,
            }
            for one in rows
        ],
        next_page=visit.here(before=rows[-1].added_us) if not visit.csv and len(rows) == SIZE else None,
        empty=words.none_told,
    )  # fmt: skip
    return {"tables": [table], "table": table, "origin": Origin(api="GET /v1/sharing/told", command=_line(visit))}


def one(visit: Visit) -> View:
    words, services, subject = visit.renderer.words.sharing, visit.services, visit.path("subject")
    found = told(services.shared.engine, services.peers.every(), subject=subject)
    if not found:
        raise not_found("thing told", subject)
    row = found[0]
    objects = objects_of(services.shared.engine, subject)
    return {
        "row": row, "kind": words.kinds[_kind(row.told)], "says": _says(words, row.told), "state": _state(words, row),
        "count": len(objects), "tables": [],
        "objects": [msgspec.json.format(raw, indent=1).decode() for raw in objects[:MOST_SHOWN]],
        "origin": Origin(api="GET /v1/sharing/told", command=_line(visit)),
    }  # fmt: skip


def before_withdrawal(services: Services, deed: Deed, _now_us: int) -> Consequence:
    """Who is told of it."""
    words = load_words().sharing
    rows = told(services.shared.engine, services.peers.every(), subject=deed.path["subject"])
    if not rows:
        raise not_found("thing told", deed.path["subject"])
    names = ", ".join((*rows[0].sent, *rows[0].may_read)) or words.nobody
    return Consequence(sentences=[words.withdrawal.for_good, words("withdrawal.who", names=names)])


def _kind(one: Told) -> str:
    return "finding" if isinstance(one, Finding) else "opinion" if isinstance(one, Opinion) else "sighting"


def _says(words: Words, one: Told) -> str:
    if isinstance(one, Finding):
        accounts, exchanges = at_least(words, one.accounts), at_least(words, one.exchanges)
        return words("says", accounts=accounts, exchanges=exchanges)
    if isinstance(one, Opinion):
        return words("says_of", what=words.views[one.view.value], about=one.about[:13])
    return words("says_of", what=words("met", count=at_least(words, one.accounts)), about=one.about[:13])


def _state(words: Words, one: ToldRow) -> Link:
    return Link(words.states.withdrawn, tone="warn") if one.revoked else Link(words.states.stands, tone="good")


def _line(visit: Visit) -> str:
    return command("share", "push", "--data", visit.services.settings.data.name)
