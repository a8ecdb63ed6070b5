"""What a page reads by an operation of the control API, in this process, as who is signed in."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import msgspec

from tiergate.api.app import OPERATIONS
from tiergate.api.operations import Call, Operation
from tiergate.api.problems import ProblemError
from tiergate.console.calls import call_by
from tiergate.console.visits import Visit

BY_NAME: Final[Mapping[str, Operation]] = {one.name: one for one in OPERATIONS}


def call_of(
    visit: Visit, name: str, *, path: Mapping[str, str] | None = None, query: Mapping[str, Any] | None = None
) -> Call:
    """The call of an operation that this visit may make. Raises `ProblemError` where it may not, or for a query that
    does not fit."""
    operation = BY_NAME[name]
    asked = None
    if operation.query is not None:
        given = {key: value for key, value in (query or {}).items() if value is not None}
        try:
            asked = msgspec.convert(given, operation.query, strict=False)
        except msgspec.ValidationError as error:
            raise ProblemError(400, "unfit_query", str(error), "mend the field and ask again") from None
    return call_by(
        visit.operator, visit.services, operation, visit.now_us, address=operation.path, path=path or {}, query=asked
    )


def read(
    visit: Visit, name: str, *, path: Mapping[str, str] | None = None, query: Mapping[str, Any] | None = None
) -> Any:
    """What an operation gives this visit; see `call_of`."""
    call = call_of(visit, name, path=path, query=query)
    return call.operation.handler(call)
