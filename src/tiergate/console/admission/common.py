"""What the section's pages share: titles of columns, rows a page at a time, links, histories, and waiting."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, TypeVar
from urllib.parse import quote

from starlette.responses import Response

from tiergate.admission.changes import Change
from tiergate.api.operators import Permission
from tiergate.console.origins import Origin, command
from tiergate.console.readings import WAIT_S, Readings
from tiergate.console.tables import Column, Kind, Link, Table
from tiergate.console.visits import Page, View, Visit
from tiergate.console.words import Words, load_words

T = TypeVar("T")
SIZE: Final = 50
MOST: Final = 100_000
"""Rows of a table as CSV."""
WORKED_OUT: Final = Readings(kept=16, under_way=8, at_once=2)
WORDS: Final[Words] = load_words().admission
"""For what is said before something is done, where no page is at hand."""
TONES: Final[Mapping[str, str]] = {
    "active": "good", "allow": "good", "clear": "good", "no": "good", "eligible": "good", "overturned": "good",
    "same": "good", "in_force": "good", "accepted": "good", "settled": "good",
    "membership_active": "good", "applied": "warn", "sponsored": "warn", "reviewed": "warn", "review": "warn",
    "not_known": "warn", "terms_due": "warn", "membership_applied": "warn", "membership_sponsored": "warn",
    "membership_reviewed": "warn", "suspended": "bad", "refused": "bad", "ended": "", "deny": "bad", "yes": "bad",
    "ineligible": "bad", "membership_suspended": "bad", "membership_refused": "bad", "terms_not_accepted": "bad",
    "waits": "warn", "revoked": "bad", "overdue": "bad", "open": "warn", "different": "bad", "unconfirmed": "warn",
    "expired": "warn", "withdrawn": "bad", "declared": "warn",
}  # fmt: skip


ORIGINS: Final[Mapping[str, Origin]] = {
    "members": Origin(api="GET /v1/memberships", command=command("member", "list")),
    "grants": Origin(api="GET /v1/grants", command=command("grant", "list")),
    "purposes": Origin(api="GET /v1/purposes", command=command("purpose", "list")),
    "credits": Origin(api="GET /v1/credit-lines", command=command("credit", "list")),
    "appeals": Origin(api="GET /v1/appeals", command=command("appeal", "list")),
}
"""Where lists come from, by the address of their pages."""


@dataclass(frozen=True)
class Filter:
    """A field of the form above a list. ``options``: values and their texts, where there are few."""

    name: str
    label: str
    value: str
    kind: str = "search"
    options: Sequence[tuple[str, str]] | None = None


def page(path: str, template: str, handler: Callable[[Visit], Any], permission: Permission = Permission.READ) -> Page:
    """A page of this section, named after its address."""
    name = path.strip("/").replace("/", "-").translate(str.maketrans("", "", "{}:"))
    return Page(
        path=path, name=name, section="admission", template=f"admission/{template}", handler=handler,
        permission=permission,
    )  # fmt: skip


def worked_out(key: Hashable, work: Callable[[], T], wait_s: float = WAIT_S) -> T | None:
    """What ``work`` gives, never None, or None while it is under way. What a key stands for must never change: versions
    go into it. Raises what `Readings.get` does."""
    return WORKED_OUT.get(key, None, work, wait_s=wait_s)[0]


def columns(*specs: str | tuple[str, Kind]) -> list[Column]:
    """Columns by their names, some with a kind; titles are in the strings."""
    pairs: list[tuple[str, Kind]] = [(spec, "text") if isinstance(spec, str) else spec for spec in specs]
    return [Column(name, WORDS.columns[name], kind) for name, kind in pairs]


def window(
    visit: Visit, items: Sequence[T], key: Callable[[T], str], field: str = "after"
) -> tuple[list[T], str | None]:
    """The rows of this page, of all, and the address of the next ones. A CSV has all rows."""
    if visit.csv is not None:
        return list(items), None
    after = visit.asked(field)
    begin = next((place + 1 for place, one in enumerate(items) if key(one) == after), 0) if after else 0
    taken = list(items[begin : begin + SIZE])
    more = begin + len(taken) < len(items)
    return taken, visit.here(**{field: key(taken[-1])}) if more and taken else None


def badge(value: str) -> Link:
    """A state, in the tone that it has everywhere."""
    return Link(value, tone=TONES.get(value.lower(), ""))


def to(kind: str, name: str | None, shown: object = None) -> Link:
    """A link to the page of a programme, member, organisation and so on."""
    return Link(name if shown is None else shown, None if name is None else address(kind, name))


def address(kind: str, name: str) -> str:
    """The page of something."""
    return f"/admission/{kind}/{quote(name, safe='')}"


def listing(strings: str, table: Table, origin: object, filters: Iterable[Filter] = (), **more: object) -> View:
    """What the template of a list needs; its title and text are under ``strings``."""
    said = WORDS[strings]
    view: dict[str, object] = {"table": table, "tables": [table], "origin": origin, "filters": list(filters)}
    return view | {"said": said, "help": said.help if "help" in said else ""} | more


def history_table(changes: Sequence[Change]) -> Table:
    """Every change of something, the newest first."""
    return Table(
        name="history",
        columns=columns(("at_us", "time"), ("action", "badge"), "author", "reason", ("number", "number")),
        rows=[
            {"at_us": one.at_us, "action": one.action, "author": one.author, "reason": one.reason, "number": one.number}
            for one in reversed(changes)
        ],
    )


def waiting(visit: Visit, strings: str) -> Response:
    """The page that looks again until work that is under way is done."""
    said = WORDS.waiting[strings]
    context = {"visit": visit, "operator": visit.operator, "csrf": visit.session.csrf, "section": "admission",
               "navigation": [one for one in visit.renderer.navigation
                              if one.permission is None or visit.may(one.permission)], "said": said}  # fmt: skip
    return visit.renderer.html("admission/waiting", context)
