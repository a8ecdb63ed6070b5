"""HTTP of the key server and the hub: who calls, bodies within their limit, refusals as problems (RFC 9457)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec
from starlette.concurrency import run_in_threadpool
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Route

from tiergate.errors import InputError, StateError, TiergateError
from tiergate.sharing.tokens.group import Group, Member

Handler = Callable[[Member, Request, bytes], Response]


def route(path: str, method: str, group: Group, handler: Handler, most_bytes: int = 0) -> Route:
    """A route that labs of ``group`` may use, with a body of ``most_bytes`` at most. ``handler`` runs in a thread."""

    async def serve(request: Request) -> Response:
        member = group.who(request.headers.get("authorization", ""))
        if member is None:
            return problem(401, "unknown_token", "show the token of your lab as `Authorization: Bearer TOKEN`")
        try:
            body = await _body(request, most_bytes)
        except ClientDisconnect:
            return Response(status_code=400)
        if body is None:
            return problem(413, "too_large", f"send {most_bytes} bytes at the most")
        try:
            return await run_in_threadpool(handler, member, request, body)
        except StateError as error:
            return problem(429 if error.code == "quota_used_up" else 409, error.code, str(error))
        except InputError as error:
            return problem(422, "unfit_value", str(error))
        except TiergateError as error:
            return problem(500, "failed", str(error))

    return Route(path, serve, methods=[method])


def answer(value: Any) -> Response:
    """A value as JSON that nobody keeps."""
    return Response(msgspec.json.encode(value), headers={"cache-control": "no-store"}, media_type="application/json")


def problem(status: int, code: str, detail: str) -> Response:
    """A refusal."""
    told = {"type": f"urn:tiergate:problem:{code}", "status": status, "code": code, "detail": detail}
    return Response(msgspec.json.encode(told), status, {"cache-control": "no-store"}, "application/problem+json")


def number_of(request: Request, name: str) -> int:
    """A whole number in the path. Raises `InputError`."""
    text = request.path_params[name]
    if not (text.isascii() and text.isdigit() and len(text) < 16):
        raise InputError(f"`{text[:32]}` is no number of the path: see docs/sharing.md")
    return int(text)


async def _body(request: Request, most_bytes: int) -> bytes | None:
    """The body, None where it is larger than allowed; what is beyond is not read."""
    body = bytearray()
    async for piece in request.stream():
        body += piece
        if len(body) > most_bytes:
            return None
    return bytes(body)
