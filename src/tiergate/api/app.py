"""The control API as an ASGI application: every operation under its path, and the document that describes them."""

from __future__ import annotations

from typing import Final

import msgspec
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Match, Route

from tiergate.api import (
    account,
    appeals,
    audit_log,
    budgets,
    case_exports,
    cases,
    credit_lines,
    decisions,
    grants,
    keys,
    market,
    members,
    overview,
    ownership,
    packs,
    programmes,
    scim,
    sharing,
    taxii,
    traffic,
)
from tiergate.api.openapi import PATH, document
from tiergate.api.operations import Operation, endpoint
from tiergate.api.problems import ProblemError, response
from tiergate.api.services import Services
from tiergate.api.taxii_requests import DISCOVERY

OPERATIONS: Final[tuple[Operation, ...]] = (
    *account.OPERATIONS,
    *members.OPERATIONS,
    *programmes.OPERATIONS,
    *grants.OPERATIONS,
    *credit_lines.OPERATIONS,
    *packs.OPERATIONS,
    *ownership.OPERATIONS,
    *decisions.OPERATIONS,
    *appeals.OPERATIONS,
    *cases.OPERATIONS,
    *overview.OPERATIONS,
    *traffic.OPERATIONS,
    *keys.OPERATIONS,
    *budgets.OPERATIONS,
    *audit_log.OPERATIONS,
    *case_exports.OPERATIONS,
    *market.OPERATIONS,
    *sharing.OPERATIONS,
    *scim.OPERATIONS,
    *taxii.OPERATIONS,
)


def control_app(services: Services) -> Starlette:
    """The application over one deployment."""
    described = msgspec.json.encode(document(OPERATIONS))

    async def openapi(_request: Request) -> Response:
        return Response(described, media_type="application/json")

    async def health(_request: Request) -> Response:
        return Response(b'{"status":"ok"}', media_type="application/json")

    routes = [
        Route(operation.path, endpoint(operation, services), methods=[operation.method], name=operation.name)
        for operation in OPERATIONS
    ]
    routes += [Route(PATH, openapi), Route("/healthz", health)]
    handlers = {HTTPException: _no_such_way, Exception: _fault}
    return Starlette(routes=routes, exception_handlers=handlers)  # type: ignore[arg-type]


async def _no_such_way(request: Request, error: HTTPException) -> Response:
    where = f"{request.method} {request.url.path[:200]}"
    if error.status_code == 405:
        # Starlette names the methods of the first route alone, and each operation is a route (RFC 9110, 15.5.6).
        routes = (route for route in request.app.routes if route.matches(request.scope)[0] is not Match.NONE)
        allow = ", ".join(sorted(method for route in routes for method in route.methods))
        told = ProblemError(405, "method_not_allowed", f"there is no {where} here", f"see {PATH}", allow=allow)
    else:
        told = ProblemError(404, "not_found", f"there is no {where} here", f"see {PATH}")
    return taxii.refuse(told) if request.url.path.startswith(DISCOVERY) else response(told)


async def _fault(_request: Request, _error: Exception) -> Response:
    # What went wrong is written where the server runs; outside it could help somebody to look for weaknesses.
    return response(ProblemError(500, "internal_error", "this went wrong on our side", "try again, then report it"))
