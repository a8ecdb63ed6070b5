"""Who had a part in a refusal is found in the change log, up to what the decision had heard of."""

from __future__ import annotations

import msgspec

from tests.admission.at_random import right
from tests.admission.parties import admitted, authorised, founded, in_memory
from tests.admission.test_replay import recorded
from tiergate.admission.deciders import deciders
from tiergate.admission.grants import Grants, HolderKind, Surface
from tiergate.admission.memberships import Memberships
from tiergate.admission.purposes import Purposes
from tiergate.ledger.decision_reader import Kept
from tiergate.ledger.decision_records import DecisionRecord, Opening


def kept(*codes: str, epoch: int, **changes: object) -> Kept:
    standing, model, request = right()
    whose = {"organisation_id": "acme", "person_id": "max", "workload_id": None}
    standing = msgspec.structs.replace(standing, **whose)  # type: ignore[arg-type]
    made = recorded((standing, msgspec.structs.replace(model, programme="consortium"), request))
    record = DecisionRecord(
        time_us=1, request="", inputs="", policy="", epoch=epoch, outcome="DENY", reasons=list(codes), packs={},
        commitments={},
    )  # fmt: skip
    openings = [Opening("facts", b"", msgspec.json.encode(made.personal["facts"]))]
    return Kept(0, record, [] if "facts" in changes else openings, True)


def test_whoever_changed_what_the_refusal_rests_on_had_a_part() -> None:
    engine = in_memory()
    founded(engine)
    members = Memberships(engine)
    membership = admitted(engine)
    other = admitted(engine, "other")
    purpose = authorised(engine, membership)
    grant = Grants(engine).give(
        membership.membership_id, holder_kind=HolderKind.PERSON, holder_id="max", project="red", model="classified-1",
        surface=Surface.CHAT, purpose_id=purpose.purpose_id, from_us=6, to_us=100, author="gil", now_us=6,
    )  # fmt: skip
    members.suspend(other.membership_id, author="elsewhere", code="c", reason="r", now_us=7)
    members.suspend(membership.membership_id, author="boss", code="c", reason="r", now_us=7)
    before = members.version()
    Grants(engine).revoke(grant.grant_id, author="rex", reason="r", now_us=8)
    Purposes(engine).withdraw(purpose.purpose_id, author="pam", now_us=9)
    now = members.version()

    assert deciders(engine, kept("membership_not_active", epoch=now)) == ("boss",)
    assert deciders(engine, kept("no_grant", epoch=before)) == ("gil",)
    assert deciders(engine, kept("no_grant", "purpose_not_allowed", epoch=now)) == ("gil", "pam", "rex", "rob")
    assert deciders(engine, kept("credential_not_bound", epoch=now)) == ()
    assert deciders(engine, kept("no_grant", epoch=now, facts=None)) == ()
