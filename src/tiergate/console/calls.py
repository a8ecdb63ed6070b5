"""An operation of the control API called in this process, as who is signed in: the same handler, without HTTP."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from starlette.requests import Request

from tiergate.api.operations import Call, Operation, not_allowed
from tiergate.api.operators import Operator
from tiergate.api.services import Services


def call_by(
    operator: Operator,
    services: Services,
    operation: Operation,
    now_us: int,
    *,
    address: str,
    path: Mapping[str, str],
    **more: Any,
) -> Call:
    """The call that ``operator`` makes at ``now_us`` (microseconds since the epoch).

    :param address: the path as it is called; ``path`` has the parts of it by their names.
    :param more: further fields of the `Call`: query, body, content, consent.
    Raises `ProblemError` where the operator may not.
    """
    if operation.permission is not None and not operator.may(operation.permission):
        raise not_allowed(operator, operation.permission)
    scope = {
        "type": "http", "method": operation.method, "path": address, "headers": [], "query_string": b"",
        "path_params": dict(path), "server": ("localhost", 80), "scheme": "http",
    }  # fmt: skip
    fields = {"content": b"", **more}
    return Call(
        services=services, request=Request(scope), operation=operation, now_us=now_us, caller=operator,
        by_session=True, **fields,
    )  # fmt: skip
