"""Operations on API keys: list them without their secret, create and revoke them."""

from __future__ import annotations

from typing import Annotated, Final

import msgspec

from tiergate.api.members import Id
from tiergate.api.operations import Call, Operation
from tiergate.api.operators import Permission
from tiergate.api.problems import ProblemError
from tiergate.parties.on_file import not_on_file
from tiergate.parties.registry import Credential


class KeyQuery(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which keys are wanted: of an account, or of all. ``before`` is `next` of the page before."""

    account_id: Annotated[str, msgspec.Meta(max_length=512)] | None = None
    limit: Annotated[int, msgspec.Meta(ge=1, le=200)] = 50
    before: Annotated[int, msgspec.Meta(ge=0, lt=2**53)] | None = None


class Keys(msgspec.Struct, frozen=True, kw_only=True):
    """Keys, the newest first; ``next`` asks for those before them, None at the end. Times in microseconds, UTC."""

    items: list[Credential]
    next: int | None = None


class NewKey(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A key for an account, which is registered where there is none of that id. ``organisation_id``: whose the account
    is, for good. ``without_party``: also an organisation of which the facts of parties know nothing."""

    account_id: Id
    label: Annotated[str, msgspec.Meta(max_length=256)] = ""
    organisation_id: Id | None = None
    without_party: bool = False


class MadeKey(msgspec.Struct, frozen=True, kw_only=True):
    """A key with its secret, for the only time."""

    account_id: str
    label: str
    key: str


def list_keys(call: Call) -> Keys:
    asked: KeyQuery = call.query
    found = call.services.registry.newest_keys(before=asked.before, account_id=asked.account_id, limit=asked.limit)
    return Keys(items=[one for _, one in found], next=found[-1][0] if len(found) == asked.limit else None)


def create(call: Call) -> MadeKey:
    asked, registry = call.body, call.services.registry
    organisation, data = asked.organisation_id, call.services.settings.data
    if organisation is not None and not asked.without_party and not_on_file(data, [organisation]):
        raise ProblemError(
            422, "no_such_party", f"the facts of parties know no `{organisation}`: rule packs would refuse it",
            "give the `pty_...` of a party, or set `without_party`",
        )  # fmt: skip
    if registry.has_account(asked.account_id):
        # Whoever has the key calls as that customer: a session or token alone must not give it.
        call.require_passkey()
    else:
        registry.add_account({"account_id": asked.account_id, "created_at": call.now_us})
    if asked.organisation_id is not None:
        registry.join(asked.account_id, asked.organisation_id)
    key = registry.issue_key(asked.account_id, asked.label, call.now_us)
    return MadeKey(account_id=asked.account_id, label=asked.label, key=key)


def revoke(call: Call) -> None:
    call.services.registry.revoke_key(call.path("credential_id"), call.now_us)


OPERATIONS: Final = (
    Operation(method="GET", path="/v1/keys", name="list_keys", summary="API keys, without their secret",
              subject="gateway", permission=Permission.SEE_KEYS, handler=list_keys, query=KeyQuery, gives=Keys),
    Operation(method="POST", path="/v1/keys", name="create_key", summary="Create an API key", subject="gateway",
              permission=Permission.MANAGE_KEYS, handler=create, takes=NewKey, gives=MadeKey, status=201,
              shown_once=True, step_up="for an account that is there already"),
    Operation(method="POST", path="/v1/keys/{credential_id}/revocation", name="revoke_key",
              summary="Revoke an API key for good", subject="gateway", permission=Permission.MANAGE_KEYS,
              handler=revoke, gives=None, status=204),
)  # fmt: skip
