"""Grants: who may call which model, through what, what for and until when."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from tiergate.admission.grants import Grant, HolderKind, ProposedGrant, Request, Surface
from tiergate.admission.standing import State
from tiergate.api.operators import Permission
from tiergate.console.admission.common import (
    MOST,
    ORIGINS,
    SIZE,
    WORDS,
    Filter,
    badge,
    columns,
    history_table,
    listing,
    page,
    to,
)
from tiergate.console.admission.held import held
from tiergate.console.origins import Origin, command
from tiergate.console.reading import read
from tiergate.console.tables import Table
from tiergate.console.visits import View, Visit

LOOKED_AT: Final = 2_000
"""Proposals, the newest, among which those that wait are looked for."""


def grants(visit: Visit) -> View:
    own = visit.operator.organisation_id
    organisation, holder = own or visit.asked("organisation"), visit.asked("holder")
    most = MOST if visit.csv else SIZE
    found = visit.services.changes.newest(
        Grant, most=most, before=visit.place("before"),
        organisation_id=organisation, holder_id=holder,
    )  # fmt: skip
    following = visit.here(before=found[-1][0]) if len(found) == most and visit.csv is None else None
    table = grants_table(visit, [one for _, one in found], following)
    pending = grants_table(visit, waiting_grants(visit, organisation), name="pending")
    filters = [Filter("holder", WORDS.columns.holder, holder or "")]
    if own is None:
        filters.insert(0, Filter("organisation", WORDS.columns.organisation, organisation or ""))
    origin = ORIGINS["grants"]
    more = {"pending": pending, "tables": [table, pending], "give": _choices(visit)}
    return listing("grants", table, origin, filters, **more)


def grant(visit: Visit) -> View:
    one: Grant = read(visit, "get_grant", path={"grant_id": visit.path("grant_id")})
    asked = Request(organisation_id=one.organisation_id, holder_kind=one.holder_kind, holder_id=one.holder_id,
                    project=one.project, model=one.model, surface=one.surface, purpose_id=one.purpose_id)  # fmt: skip
    against = visit.services.grants.assess(one.grant_id, asked, visit.now_us)
    history = history_table(visit.services.grants.history(one.grant_id))
    ended = one.revoked_at_us is not None
    return {
        "one": one, "state": badge(state_of(one, visit.now_us)), "against": against, "history": history,
        "can_revoke": visit.may(Permission.REVOKE) and not ended,
        "can_approve": visit.may(Permission.GRANT) and one.pending and not ended,
        "tables": [history],
        "origin": Origin(api=f"GET /v1/grants/{one.grant_id}", command=command("grant", "list")),
    }  # fmt: skip


def grants_table(visit: Visit, shown: Sequence[Grant], following: str | None = None, name: str = "grants") -> Table:
    """Grants as rows."""
    return Table(
        name=name,
        columns=columns(("grant", "code"), "organisation", ("holder", "code"), "model", "project", "surface",
                        ("state", "badge"), ("from", "time"), ("to", "time"), "given_by"),
        rows=[
            {
                "grant": to("grants", one.grant_id), "organisation": to("organisations", one.organisation_id),
                "holder": one.holder_id, "model": one.model, "project": one.project, "surface": one.surface.value,
                "state": badge(state_of(one, visit.now_us)), "from": one.from_us, "to": one.to_us,
                "given_by": one.given_by,
            }
            for one in shown
        ],
        next_page=following,
        empty=WORDS.grants.empty,
    )  # fmt: skip


def waiting_grants(visit: Visit, organisation: str | None) -> list[Grant]:
    """Those that wait for a second person, of the newest proposals."""
    found = visit.services.changes.newest(ProposedGrant, most=LOOKED_AT, organisation_id=organisation)
    return [one.grant for _, one in found if one.closed_at_us is None and visit.now_us < one.grant.to_us]


def state_of(one: Grant, now_us: int) -> str:
    """Where a grant stands by itself; what else speaks against its use is on its page."""
    if one.revoked_at_us is not None:
        return "revoked"
    if one.pending:
        return "waits"
    return "active" if one.from_us <= now_us < one.to_us else "expired" if now_us >= one.to_us else "not begun"


def _choices(visit: Visit) -> View | None:
    """What a grant can be given for: one membership is chosen first, the others follow from it. None where this
    visitor gives none."""
    if not visit.may(Permission.GRANT):
        return None
    have = held(visit)
    active = [one for one in have.memberships.values() if one.state is State.ACTIVE]
    chosen = have.memberships.get(visit.asked("membership") or "")
    choices: dict[str, object] = {
        "memberships": [("", ""), *((one.membership_id, f"{one.organisation_id} ({one.programme_id})")
                                    for one in sorted(active, key=lambda one: one.organisation_id)[:500])],
        "chosen": chosen,
        "kinds": [(one.value, one.value) for one in HolderKind],
        "surfaces": [(one.value, one.value) for one in (Surface.CHAT, Surface.API, Surface.CODE)],
    }  # fmt: skip
    if chosen is not None:
        programme = have.programmes[chosen.programme_id]
        choices |= {
            "programme": programme,
            "models": [(name, name) for name in programme.models],
            "purposes": [(one.purpose_id, one.code) for one in have.purposes.values()
                         if one.membership_id == chosen.membership_id and one.accepted_by is not None
                         and one.withdrawn_at_us is None],
            "lines": [("", ""), *((one.line_id, one.line_id) for one in have.lines.values()
                                  if (one.programme_id, one.organisation_id)
                                  == (chosen.programme_id, chosen.organisation_id) and one.closed_at_us is None)],
        }  # fmt: skip
    return choices


PAGES: Final = (
    page("/admission/grants", "grants", grants),
    page("/admission/grants/{grant_id}", "grant", grant),
)
