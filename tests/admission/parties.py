"""A programme and its people, for tests of what rests on them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import sqlalchemy as sa

from tiergate.admission.memberships import Memberships
from tiergate.admission.programmes import Programme, Programmes, read_programme
from tiergate.admission.purposes import AssetKind, Evidence, Purpose, Purposes, asset
from tiergate.admission.standing import Membership
from tiergate.database import open_database

HASH = "ab" * 32
FOUNDING = msgspec.structs.replace(read_programme("consortium"), grant_approvals=1)
MET = {requirement.code: HASH for requirement in FOUNDING.requirements}


def in_memory() -> sa.Engine:
    return sa.create_engine("sqlite://", poolclass=sa.StaticPool)


def on_disk(folder: Path) -> sa.Engine:
    return open_database(folder / "control.sqlite")


def founded(engine: sa.Engine, **changed: Any) -> Programme:
    programme = msgspec.structs.replace(FOUNDING, **changed)
    Programmes(engine).create(programme, author="operator", now_us=0)
    return programme


def admitted(engine: sa.Engine, organisation: str = "acme", **fields: Any) -> Membership:
    """An active membership of the founding programme."""
    store = Memberships(engine)
    held = store.apply("consortium", organisation, applicant="ann", met=MET, now_us=1, **fields)
    store.sponsor(held.membership_id, sponsor="sue", organisation_id="operator", now_us=2)
    store.approve(held.membership_id, reviewer="rob", now_us=3)
    return store.approve(held.membership_id, reviewer="rita", now_us=4)


def authorised(engine: sa.Engine, membership: Membership, *, until_us: int = 1_000_000) -> Purpose:
    """An accepted purpose to test `*.example.org`."""
    store = Purposes(engine)
    purpose = store.declare(
        membership.membership_id,
        "test_own_systems",
        assets=[asset(AssetKind.DOMAIN, "*.example.org")],
        evidence=[Evidence(sha256=HASH, issuer="acme legal", expires_at_us=until_us)],
        author="ann",
        now_us=5,
    )
    return store.accept(purpose.purpose_id, author="rob", now_us=6)
