"""Reading what operators did."""

from __future__ import annotations

from typing import Annotated, Final

import msgspec

from tiergate.api.audit import Entry
from tiergate.api.operations import Call, Operation
from tiergate.api.operators import Permission


class AuditQuery(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which entries are wanted. ``before``: `next` of the page before; ``operator_id``: of one operator."""

    limit: Annotated[int, msgspec.Meta(ge=1, le=1000)] = 50
    before: Annotated[int, msgspec.Meta(ge=0, lt=2**53)] | None = None
    operator_id: Annotated[str, msgspec.Meta(max_length=64)] | None = None


class AuditPage(msgspec.Struct, frozen=True, kw_only=True):
    """Entries, the newest first; ``next`` asks for those before them, None at the end."""

    items: list[Entry]
    next: int | None = None


def list_audit(call: Call) -> AuditPage:
    asked: AuditQuery = call.query
    found = call.services.audit.newest(before=asked.before, limit=asked.limit, operator_id=asked.operator_id)
    return AuditPage(items=found, next=found[-1].number if len(found) == asked.limit else None)


OPERATIONS: Final = (
    Operation(method="GET", path="/v1/audit", name="list_audit", summary="What operators did, refusals included",
              subject="audit", permission=Permission.SEE_AUDIT, handler=list_audit, query=AuditQuery,
              gives=AuditPage),
)  # fmt: skip
