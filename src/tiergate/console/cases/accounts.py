"""The accounts of a case: their graph, the table of the same, and why one of them belongs to it."""

from __future__ import annotations

from collections import Counter
from typing import Any, Final
from urllib.parse import quote, urlencode

import msgspec
from starlette.responses import Response

from tiergate.api.problems import ProblemError
from tiergate.console.cases.opened import TONES, Opened, opened
from tiergate.console.cases.words import WORDS
from tiergate.console.origins import Origin, Source, command
from tiergate.console.tables import Column, Link, Table
from tiergate.console.visits import View, Visit
from tiergate.ledger.verdicts import Action
from tiergate.response.graph import way
from tiergate.response.looks import Member
from tiergate.response.sheets import Failed, Sheet

SIZE: Final = 50
MOST_DRAWN: Final = 10_000
MOST_TOLD: Final = 100


def accounts(visit: Visit) -> View:
    held = opened(visit)
    sheet = held.sheet
    search = visit.asked("search")
    fitting = [one for one in held.members if search is None or one.account_id.startswith(search)]
    after = visit.asked("after")
    rest = fitting if after is None else [one for one in fitting if _key(one) > _place(after)]
    shown = fitting if visit.csv else rest[:SIZE]
    following = visit.here(after=f"{shown[-1].charged}.{shown[-1].account_id}") if len(rest) > SIZE else None
    table = _table(held, shown, sheet if isinstance(sheet, Sheet) else None, None if visit.csv else following)
    return held.view("accounts") | {
        "tables": [table], "table": table, "search": search or "", "counting": sheet is None,
        "failed": sheet.why if isinstance(sheet, Failed) else "", "sheet": sheet if isinstance(sheet, Sheet) else None,
        "drawn": min(len(held.members), MOST_DRAWN),
        "graph_origin": Origin(
            command=command("case", "show", held.file.case_id),
            sources=[Source(WORDS.accounts.links_source), Source(WORDS.accounts.shared_source)],
            note=WORDS.accounts.note,
        ),
        "table_origin": Origin(
            api=f"GET /v1/cases/{held.file.case_id}", command=command("case", "show", held.file.case_id, "--json")
        ),
    }  # fmt: skip


def graph(visit: Visit) -> Response:
    """What `case_graph.js` draws."""
    held = opened(visit)
    sheet = held.sheet
    if not isinstance(sheet, Sheet):
        raise ProblemError(503, "still_counting", "the graph is not made yet", "open the case's accounts again")
    place = {name: at for at, name in enumerate(sheet.accounts)}
    degree = Counter(end for link in sheet.links for end in (link.a, link.b))
    drawn = [one for one in held.members[:MOST_DRAWN] if one.account_id in place]
    seen = {place[one.account_id] for one in drawn}
    # Names of rows stand once: thousands of accounts must not take a megabyte.
    content = {
        "accounts": [
            [one.account_id, *sheet.points[place[one.account_id]], one.charged, round(one.membership, 3),
             degree[place[one.account_id]]]
            for one in drawn
        ],
        "links": [
            [sheet.accounts[one.a], sheet.accounts[one.b], round(one.weight, 2), " ".join(one.families)]
            for one in sheet.links if one.a in seen and one.b in seen
        ],
        "shared": [
            [sheet.accounts[a], sheet.accounts[b]] for a, b in sheet.shared if a in seen and b in seen
        ],
    }  # fmt: skip
    return Response(msgspec.json.encode(content), media_type="application/json", headers={"cache-control": "no-store"})


def why(visit: Visit) -> View:
    """Why an account is in the case, and how it hangs together with another."""
    held = opened(visit)
    one, other = visit.asked("a"), visit.asked("b")
    member = next((each for each in held.members if each.account_id == one), None)
    if one is None or member is None:
        raise ProblemError(
            404, "not_found", f"`{one or ''}` is no account of the case", "choose one from the table of its accounts"
        )
    sheet = held.sheet if isinstance(held.sheet, Sheet) else None
    links = _links(held, sheet, one)
    shared = _shared(held, sheet, one)
    steps = _way(held, sheet, one, other) if other else None
    return held.view("accounts") | {
        "tables": [each for each in (links, shared, steps) if each is not None], "account": one, "other": other or "",
        "member": member, "links": links, "shared": shared, "steps": steps, "counting": held.sheet is None,
        "failed": held.sheet.why if isinstance(held.sheet, Failed) else "",
        "clearable": [action.value for action in Action if action is not Action.WATCH][::-1],
        "cleared": next((each for each in held.file.cleared if each.account_id == one), None),
        "standing": visit.services.cases.desk.verdicts.of_case(held.file.case_id, visit.now_us).get(one),
        "known": sheet is not None and other in sheet.accounts if other else True,
    }  # fmt: skip


def _table(held: Opened, members: list[Member], sheet: Sheet | None, following: str | None) -> Table:
    visit, columns = held.visit, WORDS.accounts.columns
    standing = visit.services.cases.desk.verdicts.of_case(held.file.case_id, visit.now_us)
    cleared = held.file.cleared_at(visit.now_us)
    place = {} if sheet is None else {name: at for at, name in enumerate(sheet.accounts)}
    linked = Counter(end for link in sheet.links for end in (link.a, link.b)) if sheet else Counter[int]()
    rows: list[dict[str, object]] = []
    for one in members:
        verdict = standing.get(one.account_id)
        action = (
            None if verdict is None else verdict.action.value + ("" if verdict.marks is None else WORDS.accounts.part)
        )
        rows.append(
            {
                "account_id": Link(one.account_id, f"{held.path}/why?{urlencode({'a': one.account_id})}"),
                "membership": round(one.membership, 3), "charged": one.charged,
                "others": None if one.observed is None else one.observed - one.charged,
                "links": linked[place[one.account_id]] if one.account_id in place else None,
                "verdict": Link(WORDS.accounts.cleared, tone="good") if one.account_id in cleared
                else Link(action or WORDS.accounts.untouched, tone="" if verdict is None else TONES[verdict.action]),
                "until": None if verdict is None else verdict.expires_at,
            }
        )  # fmt: skip
    return Table(
        name="accounts",
        columns=[
            Column("account_id", columns.account_id, "code"), Column("membership", columns.membership, "number"),
            Column("charged", columns.charged, "count"), Column("others", columns.others, "count"),
            Column("links", columns.links, "count"), Column("verdict", columns.verdict, "badge"),
            Column("until", columns.until, "time"),
        ],
        rows=rows, next_page=following, empty=held.gone or WORDS.accounts.empty,
    )  # fmt: skip


def _links(held: Opened, sheet: Sheet | None, account: str) -> Table:
    columns, rows = WORDS.why.columns, list[dict[str, Any]]()
    for link in sheet.links if sheet else ():
        ends = (sheet.accounts[link.a], sheet.accounts[link.b]) if sheet else ("", "")
        if account in ends:
            other = ends[0] if ends[1] == account else ends[1]
            rows.append(
                {"other": _to(held, account, other), "weight": link.weight, "families": ", ".join(link.families)}
            )
    rows.sort(key=lambda row: -row["weight"])
    return Table(
        name="links",
        columns=[
            Column("other", columns.other, "code"), Column("weight", columns.weight, "number"),
            Column("families", columns.families),
        ],
        rows=rows[:MOST_TOLD], empty=WORDS.why.no_links,
    )  # fmt: skip


def _shared(held: Opened, sheet: Sheet | None, account: str) -> Table:
    columns, rows = WORDS.why.columns, list[dict[str, Any]]()
    place = sheet.accounts.index(account) if sheet and account in sheet.accounts else -1
    for one in sheet.in_common if sheet else ():
        if place in one.accounts and sheet:
            others = [sheet.accounts[at] for at in one.accounts if at != place]
            rows.append(
                {
                    "kind": one.kind,
                    "value": one.value,
                    "accounts": len(one.accounts),
                    "one": _to(held, account, others[0]),
                }
            )
    return Table(
        name="shared",
        columns=[
            Column("kind", columns.kind), Column("value", columns.value, "code"),
            Column("accounts", columns.accounts, "count"), Column("one", columns.one, "code"),
        ],
        rows=rows[:MOST_TOLD], empty=WORDS.why.no_shared,
    )  # fmt: skip


def _way(held: Opened, sheet: Sheet | None, one: str, other: str) -> Table | None:
    """The shortest way of links from one account to another, with what the two ends of each step share."""
    if sheet is None or one not in sheet.accounts or other not in sheet.accounts:
        return None
    columns, rows, here = WORDS.why.columns, list[dict[str, Any]](), sheet.accounts.index(one)
    for link in way(sheet.links, here, sheet.accounts.index(other)):
        there = link.b if link.a == here else link.a
        both = [f"{each.kind} {each.value}" for each in sheet.in_common if {here, there} <= set(each.accounts)]
        rows.append(
            {
                "from": _to(held, sheet.accounts[here], None), "to": _to(held, sheet.accounts[there], None),
                "weight": link.weight, "families": ", ".join(link.families), "both": "; ".join(both[:5]),
            }
        )  # fmt: skip
        here = there
    return Table(
        name="way",
        columns=[
            Column("from", columns["from"], "code"), Column("to", columns.to, "code"),
            Column("weight", columns.weight, "number"), Column("families", columns.families),
            Column("both", columns.both),
        ],
        rows=rows, empty=WORDS.why.no_way,
    )  # fmt: skip


def _to(held: Opened, one: str, other: str | None) -> Link:
    asked = {"a": one} if other is None else {"a": one, "b": other}
    return Link(other or one, f"{held.path}/why?{urlencode(asked, quote_via=quote)}")


def _key(member: Member) -> tuple[int, str]:
    return -member.charged, member.account_id


def _place(mark: str) -> tuple[int, str]:
    charged, _, account_id = mark.partition(".")
    return (-int(charged), account_id) if charged.isdecimal() else (-(1 << 62), "")
