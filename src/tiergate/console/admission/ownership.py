"""Organisations: what they hold here, who owns them, what rule packs say of that, and what would settle it."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from starlette.responses import Response

from tiergate.admission.activations import day_of
from tiergate.admission.grants import Grant
from tiergate.admission.rule_packs import load_packs
from tiergate.api.operators import Permission
from tiergate.api.ownership import OwnershipQuery, OwnershipView, PackSays, PartyView, ownership_of
from tiergate.api.ownership_desk import World
from tiergate.api.problems import not_found
from tiergate.console.admission.common import (
    ORIGINS,
    SIZE,
    WORDS,
    Filter,
    address,
    badge,
    columns,
    listing,
    page,
    to,
    waiting,
    worked_out,
)
from tiergate.console.admission.drawing import draw, size_of
from tiergate.console.admission.grants import grants_table
from tiergate.console.admission.held import held
from tiergate.console.admission.members import members_table, purpose_state
from tiergate.console.origins import Origin, Source, command
from tiergate.console.reading import call_of, read
from tiergate.console.rendering import day as day_text
from tiergate.console.tables import Link, Table
from tiergate.console.visits import View, Visit
from tiergate.parties.neighbours import Said, Tie

_PARTY: Final = re.compile(r"(pty_[0-9a-f]{32})")


@dataclass(frozen=True)
class Branch:
    """One step of a proof: a party, why it counts, and those whose stakes make it so. ``again``: shown above."""

    party: Link
    reason: str
    lists: str
    share: str
    again: bool
    branches: tuple[Branch, ...]


def organisations(visit: Visit) -> View | Response:
    wanted = visit.asked("q")
    world = _world(visit) if wanted is not None and visit.operator.organisation_id is None else None
    if isinstance(world, Response):
        return world
    have = held(visit)
    members = Counter(one.organisation_id for one in have.memberships.values()
                      if visit.operator.sees(one.organisation_id))  # fmt: skip
    if visit.operator.organisation_id is not None:
        members.setdefault(visit.operator.organisation_id, 0)
    found = sorted(name for name in members if wanted is None or wanted.casefold() in name.casefold())
    rows: list[dict[str, object]] = [
        {"organisation": to("organisations", name), "memberships": members[name]}
        for name in (found if visit.csv is not None else found[:SIZE])
    ]
    if world is not None and wanted is not None:
        for number in _search(world, wanted):
            party = world.neighbours.party(number)
            rows.append({"organisation": to("organisations", party.party_id), "name": party.name,
                         "memberships": members.get(party.party_id, 0)})  # fmt: skip
    table = Table(
        name="organisations",
        columns=columns("organisation", "name", ("memberships", "count")),
        rows=rows,
        empty=WORDS.organisations.empty,
    )
    origin = Origin(api="GET /v1/memberships", command=command("parties", "show", wanted or "NAME"))
    filters = [Filter("q", WORDS.organisations.search, wanted or "")]
    return listing("organisations", table, origin, filters)


def organisation(visit: Visit) -> View | Response:
    name = visit.path("organisation_id")
    if not visit.operator.sees(name):
        raise not_found("organisation", name)
    asked = OwnershipQuery(pack=visit.asked("pack"), confirmed=visit.asked("confirmed") is not None)
    call = call_of(visit, "ownership", path={"organisation_id": name}, query={})
    services = visit.services
    store = services.activations
    key = ("ownership", services.settings.data, services.ownership.version(), store.epoch(), day_of(visit.now_us),
           asked)  # fmt: skip
    # The first time everybody is judged; afterwards one organisation costs nothing.
    if worked_out(key, lambda: ownership_of(call, name, asked)) is None:
        return waiting(visit, "facts")
    view = ownership_of(call, name, asked)
    have = held(visit)
    names = {one.party_id: one.name or one.party_id for one in view.owners.parties} if view.owners else {}
    memberships = [one for one in have.memberships.values() if one.organisation_id == name]
    members = members_table(visit, have, memberships)
    grants = grants_table(visit, [one for _, one in services.changes.newest(Grant, most=10, organisation_id=name)])
    purposes = Table(
        name="purposes",
        columns=columns(("purpose", "code"), ("code", "code"), ("state", "badge")),
        rows=[{"purpose": to("purposes", one.purpose_id), "code": one.code, "state": badge(purpose_state(one))}
              for one in have.purposes.values() if one.organisation_id == name],
    )  # fmt: skip
    lines = Table(
        name="lines",
        columns=columns(("line", "code"), "programme", ("committed", "usd")),
        rows=[{"line": to("credits", one.line_id), "programme": to("programmes", one.programme_id),
               "committed": one.committed_micro_usd}
              for one in have.lines.values() if one.organisation_id == name],
    )  # fmt: skip
    stakes = _stakes(view, names)
    known = store.with_kept(load_packs(services.settings.packs))
    packs = [one.name for one in known.values() if one.kind == "ownership"]
    return {
        "name": name, "view": view, "names": names, "shown": names.get(name, name),
        "drawing": draw(view.owners) if view.owners is not None else None,
        "says": [(one, linked(one.wanted, names), proof_tree(one, names)) for one in view.says],
        "packs": [("", ""), *((one, one) for one in packs)], "tried": asked.pack or "",
        "house": visit.operator.organisation_id is None,
        "members": members, "grants": grants, "purposes": purposes, "lines": lines, "stakes": stakes,
        "tables": [members, grants, purposes, lines, stakes],
        "origin": Origin(
            api=f"GET /v1/organisations/{name}/ownership", command=command("parties", "show", name),
            sources=_sources(view),
        ),
        "origins": ORIGINS,
        "settling": Origin(api=f"GET /v1/organisations/{name}/ownership",
                           command=command("packs", "preview", asked.pack or "PACK")),
    }  # fmt: skip


def party(visit: Visit) -> View | Response:
    world = _world(visit)
    if isinstance(world, Response):
        return world
    view: PartyView = read(visit, "party", path={"party": visit.path("party")})
    near = {tie.owner for tie in view.owners} | {tie.owned for tie in view.owns}
    names = {view.party.party_id: view.party.name or view.party.party_id} | _names(world, near)
    records = Table(
        name="records",
        columns=columns("fact", "field", "value", "source", ("as_of", "time")),
        rows=[
            {"fact": one.kind, "field": field, "value": _value(value), "source": one.said.source,
             "as_of": one.said.as_of_us}
            for one in view.records for field, value in one.values.items() if value not in (None, [], "")
        ],
    )  # fmt: skip
    owners = _ties("owners", view.owners, names)
    owns = _ties("owns", view.owns, names)
    return {
        "view": view, "records": records, "owners": owners, "owns": owns, "tables": [records, owners, owns],
        "origin": Origin(
            api=f"GET /v1/parties/{view.party.party_id}", command=command("parties", "show", view.party.party_id)
        ),
    }  # fmt: skip


def proof_tree(says: PackSays, names: Mapping[str, str]) -> Branch | None:
    """A proof from the organisation up to those listed; None where there is none."""
    if says.proof is None:
        return None
    steps = {step["entity"]: step for step in says.proof["steps"]}
    seen: set[str] = set()

    def branch(entity: str, share: str) -> Branch:
        step, again = steps[entity], entity in seen
        seen.add(entity)
        stakes: list[dict[str, Any]] = [] if again else step.get("stakes", [])
        return Branch(
            party=to("parties", entity, names.get(entity, entity)),
            reason=step["reason"],
            lists=", ".join(step.get("seed_of", [])),
            share=share,
            again=again,
            branches=tuple(branch(one["owner"], _share(one)) for one in stakes),
        )

    return branch(says.proof["organisation"], "")


def _share(stake: Mapping[str, Any]) -> str:
    prong = {"economic": "shares", "votes": "votes", "control": "control"}[stake["prong"]]
    said = Said(source="", as_of_us=0)
    return size_of(Tie(owner="", owned="", prong=prong, lo_ppm=stake["lo_ppm"], hi_ppm=stake["hi_ppm"],
                       indirect=False, said=said))  # fmt: skip


def linked(texts: Sequence[str], names: Mapping[str, str]) -> list[list[tuple[str, str | None]]]:
    """Texts about facts that would settle something, with each party in them by its name and its page."""
    return [
        [(names.get(part, part), address("parties", part) if part.startswith("pty_") else None)
         for part in _PARTY.split(text) if part]
        for text in texts
    ]  # fmt: skip


def _stakes(view: OwnershipView, names: Mapping[str, str]) -> Table:
    return _ties("stakes", view.owners.ties if view.owners is not None else [], names)


def _ties(name: str, ties: list[Tie], names: Mapping[str, str]) -> Table:
    return Table(
        name=name,
        columns=columns("owner", "owned", "kind", ("least", "share"), ("at_most", "share"), "source",
                        ("as_of", "time")),
        rows=[
            {
                "owner": to("parties", tie.owner, names.get(tie.owner, tie.owner)),
                "owned": to("parties", tie.owned, names.get(tie.owned, tie.owned)),
                "kind": f"{tie.prong}{', indirect' if tie.indirect else ''}",
                "least": tie.lo_ppm / 1_000_000, "at_most": tie.hi_ppm / 1_000_000,
                "source": tie.said.source, "as_of": tie.said.as_of_us,
            }
            for tie in ties
        ],
    )  # fmt: skip


def _sources(view: OwnershipView) -> list[Source]:
    said = {(tie.said.source, tie.said.as_of_us) for tie in view.owners.ties} if view.owners is not None else set()
    return [Source(source, day=day_text(at)) for source, at in sorted(said)]


def _world(visit: Visit) -> World | Response | None:
    """The facts; None where there are none, a page that waits where they are being read."""
    desk, version = visit.services.ownership, visit.services.ownership.version()
    if not version:
        return None
    key = ("world", visit.services.settings.data, version, day_of(visit.now_us))
    found = worked_out(key, lambda: desk.world(visit.now_us).neighbours)  # type: ignore[union-attr]
    return waiting(visit, "facts") if found is None else desk.world(visit.now_us)


def _search(world: World, wanted: str) -> list[int]:
    snapshot = world.snapshot
    number = world.facts.number(wanted)
    if number is not None:
        return [number]
    return (snapshot.identified(wanted) if ":" in wanted else snapshot.named(wanted))[:SIZE]


def _names(world: World | None, ids: set[str]) -> dict[str, str]:
    if world is None:
        return {}
    found = {one: world.facts.number(one) for one in ids}
    return {one: world.neighbours.party(number).name or one for one, number in found.items() if number is not None}


def _value(value: object) -> str:
    if isinstance(value, list | tuple):
        return ", ".join(map(str, value))
    return str(value)


PAGES: Final = (
    page("/admission/organisations", "list", organisations),
    page("/admission/organisations/{organisation_id:path}", "organisation", organisation),
    page("/admission/parties/{party}", "party", party, Permission.PREVIEW_PACK),
)
