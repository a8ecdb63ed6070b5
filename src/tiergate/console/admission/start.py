"""What waits for somebody, and where things stand."""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from tiergate.admission.activations import day_of
from tiergate.admission.rule_packs import load_packs
from tiergate.admission.standing import State
from tiergate.api.operators import Permission
from tiergate.console.admission.appeals import appeals_table, visible
from tiergate.console.admission.common import ORIGINS, WORDS, page
from tiergate.console.admission.grants import grants_table, waiting_grants
from tiergate.console.admission.held import held
from tiergate.console.admission.members import PENDING, members_table
from tiergate.console.visits import View, Visit

SHOWN: Final = 8


def start(visit: Visit) -> View:
    have, services = held(visit), visit.services
    mine = [one for one in have.memberships.values() if visit.operator.sees(one.organisation_id)]
    waiting = sorted((one for one in mine if one.state in PENDING), key=lambda one: one.since_us)
    contested = sorted((one for one in visible(visit) if one.outcome is None), key=lambda one: one.due_at_us)
    pending = waiting_grants(visit, visit.operator.organisation_id)
    store = services.activations
    known = store.with_kept(load_packs(services.settings.packs))
    balances = services.credits.balances()
    spent = [balances[one.line_id] for one in have.lines.values()
             if visit.operator.sees(one.organisation_id) and one.line_id in balances]  # fmt: skip
    tables = (
        members_table(visit, have, waiting[:SHOWN]), appeals_table(visit, contested[:SHOWN]),
        grants_table(visit, pending[:SHOWN]),
    )  # fmt: skip
    members, appeals, grants = (replace(one, empty=WORDS.start.nothing) for one in tables)
    return {
        "programmes": len(have.programmes),
        "active": sum(one.state is State.ACTIVE for one in mine),
        "waiting": len(waiting),
        "contested": len(contested),
        "overdue": sum(one.due_at_us <= visit.now_us for one in contested),
        "pending": len(pending),
        "binding": [one.pack.name for one in store.active(known, day_of(visit.now_us))],
        "proposals": services.proposals.every(visit.now_us) if visit.may(Permission.PREVIEW_PACK) else [],
        "spent": sum(one.spent for one in spent) if spent else None,
        "committed": sum(one.committed for one in spent) if spent else None,
        "members": members, "appeals": appeals, "grants": grants, "tables": [members, appeals, grants],
        "origins": ORIGINS,
    }  # fmt: skip


PAGES: Final = (page("/admission", "start", start),)
