"""Operations on programmes: their terms and their pool."""

from __future__ import annotations

from typing import Annotated, Any, Final

import msgspec

from tiergate.admission.programmes import Programme
from tiergate.api.members import Given, Id
from tiergate.api.operations import Call, Operation
from tiergate.api.operators import Permission
from tiergate.api.problems import not_found
from tiergate.errors import InputError

MicroUsd = Annotated[int, msgspec.Meta(ge=0, le=2**62 - 1)]


class NewTerms(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Terms to publish. ``sha256`` is the document's; members accept them before ``accept_by_us``, microseconds since
    the epoch, or pause then."""

    version: Id
    sha256: Id
    accept_by_us: int


class Pool(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A pool's new size, not below what its lines hold."""

    micro_usd: MicroUsd
    reason: Given


def get_programme(call: Call) -> Programme:
    return _programme(call)


def publish_terms(call: Call) -> Programme:
    programme, asked = _programme(call), call.body
    return call.services.programmes.publish_terms(
        programme.programme_id,
        asked.version,
        asked.sha256,
        accept_by_us=asked.accept_by_us,
        author=call.operator.name,
        now_us=call.now_us,
    )


def resize_pool(call: Call) -> Programme:
    programme, asked = _programme(call), call.body
    return call.services.credits.resize_pool(
        programme.programme_id, asked.micro_usd, author=call.operator.name, now_us=call.now_us, reason=asked.reason
    )


def _programme(call: Call) -> Programme:
    programme_id = call.path("programme_id")
    try:
        return call.services.programmes.get(programme_id)
    except InputError:
        raise not_found("programme", programme_id) from None


def _operation(method: str, path: str, name: str, summary: str, permission: Permission, **more: Any) -> Operation:
    return Operation(
        method=method, path=f"/v1/programmes/{{programme_id}}{path}", name=name, summary=summary,
        permission=permission, subject="members", gives=Programme, **more,
    )  # fmt: skip


OPERATIONS: Final = (
    _operation("GET", "", "get_programme", "A programme, its terms and purposes", Permission.READ,
               handler=get_programme),
    _operation("POST", "/terms", "publish_terms", "Publish terms that members must accept by a date",
               Permission.RUN_PROGRAMME, handler=publish_terms, takes=NewTerms),
    _operation("POST", "/pool", "resize_pool", "Give a programme's pool of credit another size",
               Permission.RUN_PROGRAMME, handler=resize_pool, takes=Pool),
)  # fmt: skip
