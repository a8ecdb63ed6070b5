"""Operations on grants: give, revoke, and ask what speaks against a request under one."""

from __future__ import annotations

from typing import Annotated, Any, Final

import msgspec

from tiergate.admission import purposes
from tiergate.admission.grants import Grant, HolderKind, Surface
from tiergate.admission.grants import Request as Asked
from tiergate.api.members import DeclaredAsset, Given, Id, membership_of
from tiergate.api.operations import Call, Operation
from tiergate.api.operators import Permission
from tiergate.api.paging import Page, PageQuery, page
from tiergate.api.problems import ProblemError, not_found
from tiergate.errors import InputError

CLASSIFIED: Final = "classified"


class NewGrant(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A grant to give, for ``from_us`` <= time < ``to_us``, microseconds since the epoch. A person is named by their id
    or user name in the organisation's directory, where it has one."""

    membership_id: Id
    holder_kind: HolderKind
    holder_id: Id
    project: Id
    model: Id
    surface: Surface
    purpose_id: Id
    from_us: int
    to_us: int
    line_id: Id | None = None


class Revocation(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Revokes a grant, with a reason that its holder reads."""

    reason: Given


class Question(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A request that somebody would make under a grant."""

    holder_kind: HolderKind
    holder_id: Id
    project: Id
    model: Id
    surface: Surface
    purpose_id: Id | None = None
    assets: Annotated[list[DeclaredAsset], msgspec.Meta(max_length=1000)] = []


class Assessment(msgspec.Struct, frozen=True, kw_only=True):
    """``codes``: everything that speaks against the request, none when nothing does."""

    grant_id: str
    allowed: bool
    codes: list[str]


def list_grants(call: Call) -> Page[Grant]:
    grants, organisation = call.services.grants, call.operator.organisation_id
    held = [*grants.every(organisation), *grants.proposed(organisation)]
    return page(held, lambda one: one.grant_id, call.query)


def get_grant(call: Call) -> Grant:
    return _grant(call)


def give(call: Call) -> Grant:
    asked: NewGrant = call.body
    membership = membership_of(call, asked.membership_id)
    if call.services.programmes.get(membership.programme_id).tier == CLASSIFIED:
        call.require_passkey()
    holder = asked.holder_id
    if asked.holder_kind is HolderKind.PERSON:
        holder = _known_person(call, membership.organisation_id, holder)
    terms = msgspec.structs.asdict(asked) | {"holder_id": holder}
    return call.services.grants.give(terms.pop("membership_id"), **terms, author=call.operator.name, now_us=call.now_us)


def approve(call: Call) -> Grant:
    grant = _grant(call)
    call.require_passkey()
    return call.services.grants.approve(grant.grant_id, author=call.operator.name, now_us=call.now_us)


def revoke(call: Call) -> Grant:
    grant = _grant(call)
    return call.services.grants.revoke(
        grant.grant_id, author=call.operator.name, reason=call.body.reason, now_us=call.now_us
    )


def assess(call: Call) -> Assessment:
    grant = _grant(call)
    assets = tuple(purposes.asset(one.kind, one.value) for one in call.body.assets)
    asked = Asked(organisation_id=grant.organisation_id, **msgspec.structs.asdict(call.body) | {"assets": assets})
    codes = call.services.grants.assess(grant.grant_id, asked, call.now_us)
    return Assessment(grant_id=grant.grant_id, allowed=not codes, codes=codes)


def _known_person(call: Call, organisation_id: str, name: str) -> str:
    """The id of a person. Where there is a directory it decides who is there, so that who leaves loses the grant."""
    people = call.services.people.every(organisation_id)
    if not people:
        return name
    for person in people:
        if person.active and name.lower() in (person.person_id, person.user_name):
            return person.person_id
    raise ProblemError(
        422,
        "holder_not_in_directory",
        f"`{organisation_id}` has a directory, and nobody active in it is called `{name}`",
        "name somebody by id or user name, or have the directory add them",
    )


def _grant(call: Call) -> Grant:
    grant_id = call.path("grant_id")
    try:
        grant = call.services.grants.get(grant_id)
    except InputError:
        raise not_found("grant", grant_id) from None
    if not call.operator.sees(grant.organisation_id):
        raise not_found("grant", grant_id)
    return grant


def _operation(method: str, path: str, name: str, summary: str, permission: Permission, **more: Any) -> Operation:
    return Operation(
        method=method, path=path, name=name, summary=summary, permission=permission, subject="grants", **more
    )


_ONE: Final = "/v1/grants/{grant_id}"

OPERATIONS: Final = (
    _operation("GET", "/v1/grants", "list_grants", "Grants, those that ended or wait too", Permission.READ,
               handler=list_grants, query=PageQuery, gives=Page[Grant]),
    _operation("POST", "/v1/grants", "grant", "Give a grant, or propose it where two must", Permission.GRANT,
               handler=give, takes=NewGrant, gives=Grant, status=201, step_up="for a programme of the classified tier"),
    _operation("POST", f"{_ONE}/approval", "approve_grant", "Approve a grant that another person proposed",
               Permission.GRANT, handler=approve, gives=Grant, step_up="always"),
    _operation("GET", _ONE, "get_grant", "A grant", Permission.READ, handler=get_grant, gives=Grant),
    _operation("POST", f"{_ONE}/revocation", "revoke", "Revoke a grant for good", Permission.REVOKE,
               handler=revoke, takes=Revocation, gives=Grant),
    _operation("POST", f"{_ONE}/assessment", "assess", "Everything that speaks against a request", Permission.EXPLAIN,
               handler=assess, takes=Question, gives=Assessment),
)  # fmt: skip
