"""SCIM 2.0 for Users (RFC 7643, RFC 7644): an organisation's directory says who is there, and who left.

Whoever left loses, in one call: the grants they hold, the API keys of their accounts, their tokens and sessions as an
operator. A directory that is not sure whether it was heard says it again, and all of it is done again. The
provisioner's token decides which organisation is spoken of; a directory cannot name another one's people.
"""

from __future__ import annotations

import re
from contextlib import suppress
from datetime import UTC, datetime
from typing import Annotated, Any, Final, Literal

import msgspec
from starlette.responses import Response

from tiergate.admission.changes import same
from tiergate.admission.grants import HolderKind, Party
from tiergate.api.operations import Call, Operation
from tiergate.api.operators import Permission
from tiergate.api.people import Person
from tiergate.api.problems import ProblemError, not_found
from tiergate.errors import InputError

KIND: Final = "application/scim+json"
USER: Final = "urn:ietf:params:scim:schemas:core:2.0:User"
_LIST: Final = "urn:ietf:params:scim:api:messages:2.0:ListResponse"
_ERROR: Final = "urn:ietf:params:scim:api:messages:2.0:Error"
_CONFIG: Final = "urn:ietf:params:scim:schemas:core:2.0:ServiceProviderConfig"
_FILTER: Final = re.compile(r'\s*username\s+eq\s+("(?:[^"\\]|\\.)*")\s*', re.IGNORECASE)
GONE: Final = "the organisation's directory says that this person left"
_TYPES: Final = {409: "uniqueness", 400: "invalidValue", 422: "invalidValue"}
"""`scimType` of an error by its HTTP status (RFC 7644, table 9)."""

Name = Annotated[str, msgspec.Meta(min_length=1, max_length=256)]


class Meta(msgspec.Struct, frozen=True, kw_only=True):
    """Facts of a resource. Times are RFC 3339."""

    resourceType: str  # noqa: N815 - SCIM's own spelling
    created: str
    lastModified: str  # noqa: N815
    location: str


class NewUser(msgspec.Struct, frozen=True, kw_only=True):
    """A user as a directory sends one. Attributes that are not kept are passed over, as RFC 7644 allows."""

    userName: Name  # noqa: N815
    externalId: Name | None = None  # noqa: N815
    active: bool = True


class User(msgspec.Struct, frozen=True, kw_only=True):
    """A user as it is kept."""

    schemas: list[str]
    id: str
    userName: str  # noqa: N815
    externalId: str | None  # noqa: N815
    active: bool
    meta: Meta


class Users(msgspec.Struct, frozen=True, kw_only=True):
    """A page of users."""

    schemas: list[str]
    totalResults: int  # noqa: N815
    startIndex: int  # noqa: N815
    itemsPerPage: int  # noqa: N815
    Resources: list[User]


class ScimError(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A refusal (RFC 7644, section 3.12). ``status`` is a text there."""

    schemas: list[str]
    status: str
    detail: str
    scimType: str | None = None  # noqa: N815


class UsersQuery(msgspec.Struct, frozen=True, kw_only=True):
    """Which users are wanted. ``filter``: `userName eq "..."` and no other. ``startIndex`` counts from 1."""

    filter: Annotated[str, msgspec.Meta(max_length=1024)] | None = None
    startIndex: int = 1  # noqa: N815
    count: int = 100


class Change(msgspec.Struct, frozen=True, kw_only=True):
    """One change of a PATCH. ``op`` is read without regard to case: some directories send `Replace`."""

    op: str
    path: str | None = None
    value: Any = None


class Patch(msgspec.Struct, frozen=True, kw_only=True):
    """Changes of a user, in order."""

    Operations: Annotated[list[Change], msgspec.Meta(min_length=1, max_length=100)]


class ServiceProviderConfig(msgspec.Struct, frozen=True, kw_only=True):
    """What of SCIM is here (RFC 7643, section 5)."""

    schemas: list[str]
    patch: dict[Literal["supported"], bool]
    bulk: dict[str, bool | int]
    filter: dict[str, bool | int]
    changePassword: dict[Literal["supported"], bool]  # noqa: N815
    sort: dict[Literal["supported"], bool]
    etag: dict[Literal["supported"], bool]
    authenticationSchemes: list[dict[str, str]]  # noqa: N815


def refuse(error: ProblemError) -> Response:
    """An error as SCIM has it (RFC 7644, section 3.12)."""
    status = 400 if error.problem.status == 422 else error.problem.status
    body = ScimError(schemas=[_ERROR], status=str(status), detail=error.problem.detail, scimType=_TYPES.get(status))
    return Response(msgspec.json.encode(body), status, error.headers | {"cache-control": "no-store"}, KIND)


def create(call: Call) -> Response:
    asked: NewUser = call.body
    organisation = _organisation(call)
    if call.services.people.every(organisation, asked.userName):
        raise ProblemError(409, "user_exists", f"`{asked.userName}` is in the directory already", "change that one")
    person = call.services.people.add(organisation, asked.userName, asked.externalId, call.now_us, active=asked.active)
    if not asked.active:
        _deprovision(call, person)
    user = _user(call, person)
    return Response(msgspec.json.encode(user), 201, {"location": user.meta.location}, KIND)


def get(call: Call) -> User:
    return _user(call, _person(call))


def list_users(call: Call) -> Users:
    asked: UsersQuery = call.query
    name = None
    if asked.filter is not None:
        found = _FILTER.fullmatch(asked.filter)
        if found is None:
            raise ProblemError(400, "unfit_filter", 'the only filter is `userName eq "..."`', "list without a filter")
        name = msgspec.json.decode(found[1], type=str)
    people = call.services.people.every(_organisation(call), name)
    start, count = max(1, asked.startIndex), min(max(0, asked.count), 200)
    taken = people[start - 1 : start - 1 + count]
    return Users(
        schemas=[_LIST],
        totalResults=len(people),
        startIndex=start,
        itemsPerPage=len(taken),
        Resources=[_user(call, person) for person in taken],
    )


def patch(call: Call) -> User:
    person, wanted = _person(call), [_active(change) for change in call.body.Operations]
    for active in wanted:
        if active is None:
            continue
        person = call.services.people.set_active(person, active, call.now_us)
        if active:
            _reprovision(call, person)
        else:
            _deprovision(call, person)
    return _user(call, person)


def delete(call: Call) -> None:
    person = _person(call)
    # First barred, then gone: should the second fail, the directory can ask for it again.
    call.services.people.set_active(person, False, call.now_us)
    _deprovision(call, person)
    call.services.people.delete(person, call.now_us)


def config(_call: Call) -> ServiceProviderConfig:
    return ServiceProviderConfig(
        schemas=[_CONFIG],
        patch={"supported": True},
        bulk={"supported": False, "maxOperations": 0, "maxPayloadSize": 0},
        filter={"supported": True, "maxResults": 200},
        changePassword={"supported": False},
        sort={"supported": False},
        etag={"supported": False},
        authenticationSchemes=[
            {"type": "oauthbearertoken", "name": "Token", "description": "A provisioner's token, `tgo_...`"}
        ],
    )


def _organisation(call: Call) -> str:
    assert call.operator.organisation_id is not None  # a provisioner has one: `operators` sees to it
    return call.operator.organisation_id


def _person(call: Call) -> Person:
    person = call.services.people.get(_organisation(call), call.path("user_id"))
    if person is None:
        raise not_found("user", call.path("user_id"))
    return person


def _active(change: Change) -> bool | None:
    """What a change says of `active`, None for another attribute. Raises `ProblemError` for what it cannot mean."""
    op, path, value = change.op.lower(), (change.path or "").lower().removeprefix(USER.lower() + ":"), change.value
    if not path and isinstance(value, dict):
        value = next((value[name] for name in value if name.lower() == "active"), None)
        path = "" if value is None else "active"
    if path != "active" or op not in ("add", "replace"):
        return None
    if isinstance(value, str) and value.lower() in ("true", "false"):
        # Microsoft Entra sends booleans as text.
        return value.lower() == "true"
    if not isinstance(value, bool):
        raise ProblemError(400, "unfit_value", "`active` is true or false", "send a boolean")
    return value


def _deprovision(call: Call, person: Person) -> None:
    services, now_us, author = call.services, call.now_us, call.operator.name
    services.grants.deprovision(Party.PERSON, person.person_id, author=author, now_us=now_us, reason=GONE)
    # A user name is another organisation's to give, too: by name, only this organisation's grants end.
    whose = person.organisation_id
    for grant in (*services.grants.every(whose), *services.grants.proposed(whose)):
        by_name = grant.holder_kind is HolderKind.PERSON and _is(person, grant.holder_id)
        if by_name and grant.revoked_at_us is None:
            services.grants.revoke(grant.grant_id, author=author, reason=GONE, now_us=now_us)
    _revoke_keys(call, person)
    operator = services.operators.named(person.user_name)
    if operator is not None and operator.organisation_id == person.organisation_id:
        services.operators.end(operator.operator_id, now_us)
        services.sessions.end_all(operator.operator_id, now_us)


def _revoke_keys(call: Call, person: Person) -> None:
    """Keys of accounts that are called after a person, and keys that they hold for themselves."""
    registry, now_us = call.services.registry, call.now_us
    holders = [one for one in call.services.holders.every() if one.organisation_id == person.organisation_id]
    own = [one for one in holders if one.workload_id is None and one.person_id and _is(person, one.person_id)]
    # A holder of one key counts before the account's.
    keys = {one.subject_id for one in own if one.subject == "credential"}
    others = {one.subject_id for one in holders if one.subject == "credential"} - keys
    accounts = {one for one in registry.accounts_of(person.organisation_id) if _is(person, one)}
    for account in accounts | {one.subject_id for one in own if one.subject == "account"}:
        registry.revoke_keys(account, now_us, but=others)
    for key in keys:
        with suppress(InputError):  # revoked already
            registry.revoke_key(key, now_us)


def _reprovision(call: Call, person: Person) -> None:
    """Grants may be given again; nothing that ended comes back by itself."""
    call.services.grants.reprovision(
        Party.PERSON, person.person_id, author=call.operator.name, now_us=call.now_us, reason="back in the directory"
    )


def _is(person: Person, name: str) -> bool:
    return same(name, person.person_id, person.user_name)


def _user(call: Call, person: Person) -> User:
    return User(
        schemas=[USER],
        id=person.person_id,
        userName=person.user_name,
        externalId=person.external_id,
        active=person.active,
        meta=Meta(
            resourceType="User",
            created=_moment(person.created_at),
            lastModified=_moment(person.changed_at),
            location=f"{call.services.public_url}/scim/v2/Users/{person.person_id}",
        ),
    )


def _moment(time_us: int) -> str:
    return datetime.fromtimestamp(time_us / 1e6, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _operation(method: str, path: str, name: str, summary: str, **more: Any) -> Operation:
    return Operation(
        method=method,
        path=f"/scim/v2{path}",
        name=name,
        summary=summary,
        subject="scim",
        permission=Permission.PROVISION,
        media_type=KIND,
        refuse=refuse,
        refuses=ScimError,
        refusal_type=KIND,
        **more,
    )


OPERATIONS: Final = (
    _operation("POST", "/Users", "create_user", "Add a user", handler=create, takes=NewUser, gives=User, status=201),
    _operation("GET", "/Users", "list_users", "List users", handler=list_users, query=UsersQuery, gives=Users),
    _operation("GET", "/Users/{user_id}", "get_user", "Look a user up", handler=get, gives=User),
    _operation(
        "PATCH", "/Users/{user_id}", "patch_user", "Say whether a user is there", handler=patch, takes=Patch, gives=User
    ),
    _operation(
        "DELETE", "/Users/{user_id}", "delete_user", "Take a user out", handler=delete, gives=None, status=204
    ),
    _operation(
        "GET", "/ServiceProviderConfig", "scim_config", "What of SCIM is here", handler=config,
        gives=ServiceProviderConfig,
    ),
)  # fmt: skip
