"""Programmes, applications, members and their states."""

from __future__ import annotations

from typing import Final

import msgspec

from tiergate.admission.credit_rows import Balance
from tiergate.admission.memberships import TRANSITIONS
from tiergate.admission.programmes import Programme
from tiergate.admission.standing import Membership, State
from tiergate.api.operators import Permission
from tiergate.api.problems import not_found
from tiergate.console.admission.common import (
    ORIGINS,
    WORDS,
    Filter,
    badge,
    columns,
    history_table,
    listing,
    page,
    to,
    window,
)
from tiergate.console.admission.held import Held, held
from tiergate.console.origins import Origin, Source, command
from tiergate.console.reading import read
from tiergate.console.tables import Table
from tiergate.console.visits import View, Visit

PENDING: Final = (State.APPLIED, State.SPONSORED, State.REVIEWED)


def programmes(visit: Visit) -> View:
    have = held(visit)
    balances = visit.services.credits.balances() if visit.operator.organisation_id is None else {}
    rows = []
    for one in sorted(have.programmes.values(), key=lambda one: one.programme_id):
        members = [member for member in have.memberships.values() if member.programme_id == one.programme_id]
        seen = [member for member in members if visit.operator.sees(member.organisation_id)]
        spent = _spent(have, one.programme_id, balances)
        rows.append(
            {
                "programme": to("programmes", one.programme_id), "name": one.name, "tier": one.tier,
                "models": ", ".join(one.models), "pool": one.pool_micro_usd, "spent": spent,
                "active": sum(member.state is State.ACTIVE for member in seen),
                "waiting": sum(member.state in PENDING for member in seen),
            }
        )  # fmt: skip
    table = Table(
        name="programmes",
        columns=columns("programme", "name", "tier", "models", ("active", "count"), ("waiting", "count"),
                        ("pool", "usd"), ("spent", "usd")),
        rows=rows,
        empty=WORDS.programmes.empty,
    )  # fmt: skip
    origin = Origin(api="GET /v1/programmes", command=command("programme", "list"))
    return listing("programmes", table, origin)


def programme(visit: Visit) -> View:
    one: Programme = read(visit, "get_programme", path={"programme_id": visit.path("programme_id")})
    have, house = held(visit), visit.operator.organisation_id is None
    balances = visit.services.credits.balances(one.programme_id)
    terms = Table(
        name="terms",
        columns=columns("version", ("published", "time"), ("accept_by", "time"), ("sha256", "code")),
        rows=[
            {"version": held.version, "published": held.published_at_us, "accept_by": held.accept_by_us,
             "sha256": held.sha256}
            for held in reversed(one.terms)
        ],
    )  # fmt: skip
    requirements = Table(
        name="requirements",
        columns=columns(("code", "code"), "text"),
        rows=[{"code": held.code, "text": held.text} for held in one.requirements],
    )
    purposes = Table(
        name="purposes",
        columns=columns(("code", "code"), "text", "assets"),
        rows=[{"code": held.code, "text": held.title, "assets": ", ".join(held.assets)} for held in one.purposes],
    )
    history = history_table(visit.services.programmes.history(one.programme_id) if house else [])
    current = one.terms_at(visit.now_us)
    carved = sum(balance.committed for balance in balances.values())
    return {
        "one": one, "terms": terms, "requirements": requirements, "purposes": purposes, "history": history,
        "current": current, "carved": carved, "spent": sum(balance.spent for balance in balances.values()),
        "left": one.pool_micro_usd - carved, "house": house,
        "own": [member for member in have.memberships.values()
                if not house and member.programme_id == one.programme_id
                and visit.operator.sees(member.organisation_id)],
        "tables": [terms, requirements, purposes, history],
        "origin": Origin(
            api=f"GET /v1/programmes/{one.programme_id}", command=command("programme", "show", one.programme_id),
            sources=[Source(one.source)] if one.source else [],
        ),
    }  # fmt: skip


def members(visit: Visit) -> View:
    have = held(visit)
    state, programme_id, wanted = visit.asked("state"), visit.asked("programme"), visit.asked("organisation")
    rows = [
        one for one in have.memberships.values()
        if visit.operator.sees(one.organisation_id)
        and (state is None or one.state == state or (state == "waiting" and one.state in PENDING))
        and programme_id in (None, one.programme_id)
        and (wanted is None or wanted.casefold() in one.organisation_id.casefold())
    ]  # fmt: skip
    rows.sort(key=lambda one: (one.state not in PENDING, -one.since_us, one.membership_id))
    shown, following = window(visit, rows, lambda one: one.membership_id)
    table = members_table(visit, have, shown, following)
    filters = [
        Filter("organisation", WORDS.columns.organisation, wanted or ""),
        Filter("state", WORDS.members.state, state or "",
               options=[("", WORDS.members.all), ("waiting", WORDS.members.waiting), *((one, one) for one in State)]),
        Filter("programme", WORDS.columns.programme, programme_id or "",
               options=[("", WORDS.members.all), *((name, name) for name in sorted(have.programmes))]),
    ]  # fmt: skip
    return listing("members", table, ORIGINS["members"], filters, total=len(rows))


def members_table(visit: Visit, have: Held, shown: list[Membership], following: str | None = None) -> Table:
    """Memberships as rows."""
    return Table(
        name="members",
        columns=columns("organisation", "programme", "person", ("state", "badge"), ("since", "time"),
                        "applicant", "missing", ("membership", "code")),
        rows=[
            {
                "organisation": to("organisations", one.organisation_id),
                "programme": to("programmes", one.programme_id),
                "person": one.person_id, "state": badge(standing.code), "since": one.since_us,
                "applicant": one.applicant, "missing": ", ".join(standing.missing),
                "membership": to("members", one.membership_id),
            }
            for one in shown for standing in (have.standing(one, visit.now_us),)
        ],
        next_page=following,
        empty=WORDS.members.empty,
    )  # fmt: skip


def member(visit: Visit) -> View:
    membership_id = visit.path("membership_id")
    have = held(visit)
    found = have.memberships.get(membership_id)
    sponsor = visit.may(Permission.SPONSOR)
    if found is None or not visit.operator.sees(found.organisation_id):
        if found is None or not sponsor:
            raise not_found("membership", membership_id)
        # A sponsor acts on the id that the applicant gave them, and learns where the application stands alone.
        return {"one": None, "standing": have.standing(found, visit.now_us), "membership_id": membership_id,
                "can": {"sponsor"} if found.state is State.APPLIED else set(), "tables": [],
                "origin": None}  # fmt: skip
    view = read(visit, "get_membership", path={"membership_id": membership_id})
    one: Membership = view.membership
    programme = have.programmes[one.programme_id]
    current = programme.terms_at(visit.now_us)
    wanted = Table(
        name="requirements",
        columns=columns(("code", "code"), "text", ("sha256", "code")),
        rows=[{"code": held.code, "text": held.text, "sha256": one.met.get(held.code)}
              for held in programme.requirements],
    )  # fmt: skip
    purposes = Table(
        name="purposes",
        columns=columns(("purpose", "code"), ("code", "code"), ("state", "badge")),
        rows=[{"purpose": to("purposes", held.purpose_id), "code": held.code, "state": badge(purpose_state(held))}
              for held in have.purposes.values() if held.membership_id == membership_id],
    )  # fmt: skip
    history = history_table(visit.services.memberships.history(membership_id))
    return {
        "one": one, "standing": view.standing, "membership_id": membership_id, "programme": programme,
        "current": current, "can": _can(visit, one, current is not None and current.version != one.terms_version),
        "tables": [wanted, purposes, history], "wanted": wanted, "purposes": purposes, "history": history,
        "unmet": [(held.code, held.code) for held in programme.requirements if held.code not in one.met],
        "origin": Origin(
            api=f"GET /v1/memberships/{membership_id}/history", command=command("member", "history", membership_id)
        ),
    }  # fmt: skip


def purpose_state(purpose: msgspec.Struct) -> str:
    """`declared`, `accepted` or `withdrawn`."""
    if getattr(purpose, "withdrawn_at_us", None) is not None:
        return "withdrawn"
    return "accepted" if getattr(purpose, "accepted_by", None) is not None else "declared"


def _can(visit: Visit, one: Membership, new_terms: bool) -> set[str]:
    """What this visitor may do about a membership in its state."""
    allowed = {
        "sponsor": Permission.SPONSOR, "review": Permission.REVIEW, "suspend": Permission.REVOKE,
        "resume": Permission.REVIEW, "end": Permission.REVOKE, "meet": Permission.APPLY,
    }  # fmt: skip
    can = {name for name, permission in allowed.items() if visit.may(permission) and one.state in TRANSITIONS[name]}
    if visit.may(Permission.APPLY):
        can |= {"withdraw"} if one.state in TRANSITIONS["end"] else set()
        can |= {"accept_terms"} if new_terms and one.state in TRANSITIONS["accept_terms"] else set()
    if visit.may(Permission.APPEAL) and one.state in TRANSITIONS["reinstate"]:
        can.add("appeal")
    return can


def _spent(have: Held, programme_id: str, balances: dict[str, Balance]) -> int | None:
    if not balances:
        return None
    lines = (one.line_id for one in have.lines.values() if one.programme_id == programme_id)
    return sum(balances[line].spent for line in lines if line in balances)


PAGES: Final = (
    page("/admission/programmes", "list", programmes),
    page("/admission/programmes/{programme_id}", "programme", programme),
    page("/admission/members", "list", members),
    page("/admission/members/{membership_id}", "member", member),
)
