"""Purposes: what members say a model is for, the assets it covers, and who authorised that."""

from __future__ import annotations

from typing import Final

from tiergate.admission.purposes import Purpose, check
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
from tiergate.console.admission.held import held
from tiergate.console.admission.members import purpose_state
from tiergate.console.tables import Table
from tiergate.console.visits import View, Visit


def purposes(visit: Visit) -> View:
    have, state = held(visit), visit.asked("state")
    rows = [one for one in have.purposes.values()
            if visit.operator.sees(one.organisation_id) and state in (None, purpose_state(one))]  # fmt: skip
    rows.sort(key=lambda one: (purpose_state(one) != "declared", -one.declared_at_us, one.purpose_id))
    shown, following = window(visit, rows, lambda one: one.purpose_id)
    table = Table(
        name="purposes",
        columns=columns(("purpose", "code"), "organisation", ("code", "code"), ("state", "badge"), "assets",
                        ("declared", "time"), "declared_by"),
        rows=[
            {
                "purpose": to("purposes", one.purpose_id), "organisation": to("organisations", one.organisation_id),
                "code": one.code, "state": badge(purpose_state(one)),
                "assets": ", ".join(held.value for held in one.assets), "declared": one.declared_at_us,
                "declared_by": one.declared_by,
            }
            for one in shown
        ],
        next_page=following,
        empty=WORDS.purposes.empty,
    )  # fmt: skip
    states = ("declared", "accepted", "withdrawn")
    filters = [Filter("state", WORDS.columns.state, state or "",
                      options=[("", WORDS.members.all), *((one, one) for one in states)])]  # fmt: skip
    origin = ORIGINS["purposes"]
    return listing("purposes", table, origin, filters)


def purpose(visit: Visit) -> View:
    name = visit.path("purpose_id")
    one: Purpose | None = held(visit).purposes.get(name)
    if one is None or not visit.operator.sees(one.organisation_id):
        raise not_found("purpose", name)
    assets = Table(
        name="assets",
        columns=columns("kind", ("value", "code")),
        rows=[{"kind": asset.kind.value, "value": asset.value} for asset in one.assets],
    )
    evidence = Table(
        name="evidence",
        columns=columns("issuer", ("sha256", "code"), ("to", "time")),
        rows=[{"issuer": held.issuer, "sha256": held.sha256, "to": held.expires_at_us} for held in one.evidence],
    )
    history = history_table(visit.services.purposes.history(name))
    state = purpose_state(one)
    return {
        "one": one, "state": badge(state), "against": check(one, visit.now_us), "assets": assets,
        "evidence": evidence, "history": history, "tables": [assets, evidence, history],
        "can_accept": visit.may(Permission.REVIEW) and state == "declared",
        "can_withdraw": visit.may(Permission.REVOKE) and state != "withdrawn",
        "origin": ORIGINS["purposes"],
    }  # fmt: skip


PAGES: Final = (
    page("/admission/purposes", "list", purposes),
    page("/admission/purposes/{purpose_id}", "purpose", purpose),
)
