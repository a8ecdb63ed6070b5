"""A grant admits exactly what it names, and nothing outlives whom it was given to."""

from __future__ import annotations

import re
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.admission.parties import HASH, admitted, authorised, founded, in_memory
from tiergate.admission import grants as module
from tiergate.admission.credits import Credits
from tiergate.admission.grants import Grant, Grants, HolderKind, Party, Request, Surface, check, live
from tiergate.admission.memberships import Memberships
from tiergate.admission.programmes import Programmes
from tiergate.admission.purposes import AssetKind, Purposes, asset
from tiergate.errors import InputError, StateError


class World:
    """A member with an accepted purpose, and its grants."""

    def __init__(self, organisation: str = "acme", engine: Any = None) -> None:
        self.engine = engine or in_memory()
        if engine is None:
            founded(self.engine)
        self.member = admitted(self.engine, organisation)
        self.purpose = authorised(self.engine, self.member)
        self.grants = Grants(self.engine)

    def give(self, **changed: Any) -> Grant:
        fields: dict[str, Any] = {
            "holder_kind": HolderKind.PERSON,
            "holder_id": "max",
            "project": "red",
            "model": "classified-1",
            "surface": Surface.API,
            "purpose_id": self.purpose.purpose_id,
            "from_us": 100,
            "to_us": 200,
            "author": "operator",
            "now_us": 10,
        }
        return self.grants.give(self.member.membership_id, **(fields | changed))


def asked(grant: Grant, **changed: Any) -> Request:
    fields = {name: getattr(grant, name) for name in Request.__struct_fields__ if name != "assets"}
    return Request(**(fields | changed))


def refusal(world: World, **changed: Any) -> str:
    version = world.grants.version()
    with pytest.raises(StateError) as caught:
        world.give(**changed)
    assert world.grants.version() == version
    return caught.value.code


WRONG = {
    "organisation_id": "grant_other_organisation",
    "holder_id": "grant_other_holder",
    "holder_kind": "grant_other_holder",
    "project": "grant_other_project",
    "model": "grant_other_model",
    "surface": "grant_other_surface",
    "purpose_id": "grant_other_purpose",
}
WORLD = World()
GIVEN = WORLD.give()


@given(st.sets(st.sampled_from(sorted(WRONG))), st.integers(0, 300), st.booleans())
def test_every_reason_is_told_and_no_other(wrong: set[str], now: int, revoked: bool) -> None:
    grant = msgspec.structs.replace(GIVEN, revoked_at_us=1 if revoked else None)
    other = {"holder_kind": HolderKind.WORKLOAD, "surface": Surface.CHAT}
    request = asked(grant, **{name: other.get(name, "other") for name in wrong})
    expected = {WRONG[name] for name in wrong}
    expected |= {"grant_revoked"} if revoked else set()
    expected |= {"grant_not_begun"} if now < 100 else {"grant_expired"} if now >= 200 else set()
    codes = check(grant, request, now)
    assert set(codes) == expected
    assert len(codes) == len(expected)


def test_documented_codes_are_those_that_are_given() -> None:
    table = (module.__doc__ or "").split("| code |")[1]
    documented = set(re.findall(r"`(grant_\w+)`", table))
    assert documented == {*WRONG.values(), "grant_pending", "grant_revoked", "grant_not_begun", "grant_expired"}


def test_a_grant_stops_with_its_membership_terms_and_purpose_and_resumes_with_them() -> None:
    world = World()
    grant = world.give()
    members, purposes = Memberships(world.engine), Purposes(world.engine)
    site = (asset(AssetKind.DOMAIN, "www.example.org"),)

    def codes(now: int = 150) -> list[str]:
        return world.grants.assess(grant.grant_id, asked(grant, assets=site), now)

    assert codes() == []
    members.suspend(world.member.membership_id, author="rob", code="c", reason="r", now_us=20)
    assert codes() == ["membership_suspended"]
    members.resume(world.member.membership_id, author="rob", reason="r", now_us=21)
    assert codes() == []
    Programmes(world.engine).publish_terms("consortium", "v1", HASH, accept_by_us=120, author="operator", now_us=22)
    assert codes() == ["terms_not_accepted"]
    assert codes(110) == []
    members.accept_terms(world.member.membership_id, "v1", author="ann", now_us=130)
    assert codes() == []
    assert codes(1_000_000) == ["authorisation_expired", "grant_expired"]
    purposes.withdraw(world.purpose.purpose_id, author="ann", now_us=23)
    world.grants.revoke(grant.grant_id, author="operator", reason="left", now_us=24)
    assert codes() == ["purpose_withdrawn", "grant_revoked"]


def test_nothing_is_granted_that_the_membership_does_not_hold() -> None:
    world = World()
    other = World("other", world.engine)
    pool = Credits(world.engine)
    ours, closed, theirs, triage = (
        pool.open_line("consortium", who, 10, purpose_code=code, author="operator", now_us=7)
        for who, code in (("acme", "test_own_systems"), ("acme", None), ("other", None), ("acme", "triage"))
    )
    pool.close_line(closed.line_id, author="operator", now_us=8)
    assert world.give(line_id=ours.line_id).line_id == ours.line_id
    for line in (theirs, closed, triage):
        assert refusal(world, line_id=line.line_id) == "line_not_allowed"
    assert refusal(world, model="other") == "model_not_allowed"
    assert refusal(world, purpose_id=other.purpose.purpose_id) == "purpose_not_allowed"
    assert refusal(world, now_us=2_000_000, to_us=3_000_000) == "authorisation_expired"
    for wrong in ({"project": " "}, {"holder_id": ""}, {"to_us": 100}, {"now_us": 200}):
        with pytest.raises(InputError):
            world.give(**wrong)
    Memberships(world.engine).suspend(world.member.membership_id, author="rob", code="c", reason="r", now_us=9)
    assert refusal(world) == "membership_suspended"


def test_two_people_give_a_grant_of_the_classified_tier_unless_the_programme_says_otherwise() -> None:
    engine = in_memory()
    founded(engine, grant_approvals=None)
    world = World(engine=engine)

    def code(grant: Grant, author: str, now_us: int = 20) -> str:
        with pytest.raises(StateError) as caught:
            world.grants.approve(grant.grant_id, author=author, now_us=now_us)
        return caught.value.code

    first, second, third = (world.give(author="gil") for _ in range(3))
    assert first.pending
    assert world.grants.every() == []  # whoever reads grants knows nothing of it
    assert world.grants.assess(first.grant_id, asked(first), 150) == ["grant_pending"]
    assert [code(first, name) for name in ("GIL ", "max", "Ann")] == [
        "second_reviewer_needed", "reviewer_not_independent", "reviewer_not_independent",
    ]  # fmt: skip
    assert code(first, "sue", 200) == "not_pending"
    world.grants.revoke(second.grant_id, author="gil", reason="a mistake", now_us=20)
    assert code(second, "sue") == "not_pending"
    given = world.grants.approve(first.grant_id, author="sue", now_us=20)
    assert (given.pending, given.approved_by, world.grants.every()) == (False, "sue", [given])
    assert world.grants.assess(first.grant_id, asked(first), 150) == []
    assert [one.grant_id for one in world.grants.proposed()] == [third.grant_id]
    assert code(first, "rita") == "not_pending"
    members = Memberships(engine)
    members.suspend(world.member.membership_id, author="rob", code="c", reason="r", now_us=21)
    assert code(third, "sue") == "membership_suspended"
    members.resume(world.member.membership_id, author="rob", reason="r", now_us=22)
    world.grants.deprovision(Party.PERSON, "max", author="scim", now_us=23)
    world.grants.reprovision(Party.PERSON, "max", author="scim", now_us=24)
    assert code(third, "sue", 25) == "not_pending"


def test_a_personal_membership_grants_to_that_person() -> None:
    engine = in_memory()
    founded(engine)
    member = admitted(engine, person_id="max")
    world = World.__new__(World)
    world.engine, world.member, world.grants = engine, member, Grants(engine)
    world.purpose = authorised(engine, member)
    assert refusal(world, holder_id="moe") == "holder_not_allowed"
    assert world.give().holder_id == "max"


def test_who_leaves_holds_nothing_and_gets_nothing() -> None:
    world = World()
    other = World("other", world.engine)
    mine = [world.give(), world.give(project="blue"), other.give()]
    workload = world.give(holder_kind=HolderKind.WORKLOAD, holder_id="max")
    before = world.grants.version()
    ended = world.grants.deprovision(Party.PERSON, "max", author="scim", now_us=50)
    assert set(ended) == {grant.grant_id for grant in mine}
    assert world.grants.version() > before
    assert live(world.grants.every(), 60) == [workload]
    for grant in mine:
        now = world.grants.get(grant.grant_id)
        assert now.epoch > grant.epoch
        assert check(now, asked(now), 150) == ["grant_revoked"]
    assert refusal(world) == refusal(other) == "deprovisioned"
    assert world.grants.deprovision(Party.PERSON, "max", author="scim", now_us=51) == []
    world.grants.reprovision(Party.PERSON, "max", author="scim", now_us=52)
    again = world.give()
    assert world.grants.deprovision(Party.ORGANISATION, "acme", author="scim", now_us=53) == [
        workload.grant_id,
        again.grant_id,
    ]
    assert refusal(world) == "deprovisioned"
    assert other.give().organisation_id == "other"
    assert live(world.grants.every("acme"), 60) == []
    with pytest.raises(StateError, match="revoked already"):
        world.grants.revoke(workload.grant_id, author="operator", reason="r", now_us=60)
    assert [change.action for change in world.grants.history(workload.grant_id)] == ["give", "deprovision"]
