"""Who had a part in what a refusal rests on, by the change log: they do not review an appeal against it.

The policies refuse; people made the facts that they read. Who suspended the membership, revoked the grant, withdrew the
purpose, published the terms, changed the credit line or activated the rule pack is known, up to the change that the
decision had heard of. Who ended a key or an account is not in the change log.
"""

from __future__ import annotations

from typing import Final

import msgspec
import sqlalchemy as sa

from tiergate.admission.activations import ActivationStore
from tiergate.admission.changes import Changes
from tiergate.admission.credit_rows import CreditLine
from tiergate.admission.explain import about
from tiergate.admission.facts import closest_grant
from tiergate.admission.grants import Grant
from tiergate.admission.programmes import Programme
from tiergate.admission.purposes import Purpose
from tiergate.admission.replay import facts_of_record
from tiergate.admission.standing import Membership
from tiergate.ledger.decision_reader import Kept

_PARTS: Final[dict[type[msgspec.Struct], tuple[tuple[str, ...], tuple[str, ...]]]] = {
    Membership: (("membership_",), ("refuse", "suspend", "end")),
    Programme: (("terms_",), ("publish_terms",)),
    Purpose: (("purpose_", "asset_not", "grant_other_purpose"), ("accept", "withdraw")),
    Grant: (("grant_", "no_grant"), ("give", "revoke", "deprovision")),
    CreditLine: (("credit_",), ("open", "resize", "close")),
}
"""By kind of what was changed: beginnings of the codes that rest on it, and the actions that decide something."""
_OF_PACKS: Final = ("organisation_barred", "ownership_", "employer_", "person_")


def deciders(engine: sa.Engine, kept: Kept) -> tuple[str, ...]:
    """Names of those who had a part in a recorded refusal, sorted; none where its facts are not kept."""
    facts = facts_of_record(kept)
    if facts is None:
        return ()
    standing, model, codes = facts.standing, facts.model, kept.record.reasons
    holder = standing.workload_id or standing.person_id
    names: set[str] = set()
    changes = Changes(engine)
    for kind, (beginnings, actions) in _PARTS.items():
        if any(code.startswith(beginnings) for code in codes):
            whose = {
                Programme: {"subject_id": model.programme},
                Grant: {"holder_id": holder},
            }.get(kind, {"organisation_id": standing.organisation_id})
            names |= changes.authors(kind, actions, up_to=kept.record.epoch, **whose)
    grant = closest_grant(standing, model, facts.request)
    packs = {
        name.partition("@")[0]
        for code in codes
        if code.startswith(_OF_PACKS)
        for name in about(code, standing, model, facts.request, grant)
    }
    for row in ActivationStore(engine).history() if packs else ():
        if row.pack in packs and row.recorded_at <= kept.record.time_us:
            names |= {row.first_name, row.second_name}
    return tuple(sorted(names))
