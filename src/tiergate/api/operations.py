"""What an operation of the API is, and the one way of a request through it.

body within its limit -> who calls -> may they -> is it a browser of ours -> what is asked -> was it done before -> do
it. Whatever is not said to be allowed is refused. Operations are data, so the document that describes the API
(`openapi`) is made of what is served.
"""

from __future__ import annotations

import hmac
import inspect
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

import msgspec
from starlette.concurrency import run_in_threadpool
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response

from tiergate.api.audit import DONE
from tiergate.api.idempotency import fingerprint
from tiergate.api.operators import Operator, Permission
from tiergate.api.passkeys import TICKET_HEADER, action_hash
from tiergate.api.problems import KIND as REFUSAL
from tiergate.api.problems import Problem, ProblemError, from_error, response
from tiergate.api.services import Services
from tiergate.errors import TiergateError

SAFE: Final = frozenset({"GET", "HEAD"})


@dataclass(frozen=True, kw_only=True)
class Operation:
    """One method of one path.

    A part of ``path`` that may hold slashes is written `{name:path}`, as Starlette has it.
    ``permission`` None lets anybody in who is ``known`` (an operator), and everybody where that is False. ``takes``
    and ``query`` are Structs of the body and the query; ``gives`` is what the handler returns, None for no body, a
    `Response` subclass where the handler builds the answer itself. ``step_up`` says when a passkey is asked for;
    ``shown_once`` that the answer is a secret, never kept to be given again. ``refuse`` makes the answer of a refusal,
    whose body is a ``refuses`` and its media type ``refusal_type``. ``of_peers``: it is for other labs, whose tokens
    its handler checks.
    """

    method: str
    path: str
    name: str
    summary: str
    subject: str
    handler: Callable[[Call], Any]
    gives: Any
    permission: Permission | None = None
    known: bool = True
    takes: Any = None
    query: Any = None
    status: int = 200
    step_up: str | None = None
    shown_once: bool = False
    media_type: str = "application/json"
    refuse: Callable[[ProblemError], Response] = response
    refuses: Any = Problem
    refusal_type: str = REFUSAL
    of_peers: bool = False

    @property
    def described_path(self) -> str:
        """The path as OpenAPI writes it."""
        return self.path.replace(":path}", "}")

    @property
    def needs_somebody(self) -> bool:
        """Whether one must be an operator."""
        return not self.of_peers and (self.known or self.permission is not None)


@dataclass(frozen=True, kw_only=True)
class Call:
    """One request under way. ``operator`` is who calls, ``by_session`` whether a browser's cookie said so.
    ``consented``: the console asked them for exactly this request, by their passkey or password."""

    services: Services
    request: Request
    operation: Operation
    now_us: int
    content: bytes
    body: Any = None
    query: Any = None
    caller: Operator | None = None
    by_session: bool = False
    consented: bool = False

    @property
    def operator(self) -> Operator:
        """Who calls. Only operations that need nobody have none."""
        assert self.caller is not None
        return self.caller

    def path(self, name: str) -> str:
        """A part of the path."""
        return str(self.request.path_params[name])

    def require_passkey(self) -> None:
        """Go on only with a ticket for exactly this request; see `passkeys`. Raises `ProblemError` otherwise."""
        if self.consented:
            return
        ticket = self.request.headers.get(TICKET_HEADER)
        action = action_hash(self.operation.method, self.request.url.path, self.content)
        if ticket is None or not self.services.passkeys.redeem(ticket, self.operator.operator_id, action, self.now_us):
            raise ProblemError(
                403,
                "passkey_required",
                "this needs a passkey's consent to exactly this request, once and not older than five minutes",
                f"ask for a challenge at POST /v1/passkeys/challenge, then send the ticket as {TICKET_HEADER}",
            )


def endpoint(operation: Operation, services: Services) -> Callable[[Request], Any]:
    """A Starlette endpoint for an operation."""

    async def run(request: Request) -> Response:
        try:
            return await _run(operation, services, request)
        except ClientDisconnect:
            return Response(status_code=400)  # nobody reads it
        except ProblemError as error:
            return operation.refuse(error)
        except TiergateError as error:
            return operation.refuse(from_error(error))

    return run


async def _run(operation: Operation, services: Services, request: Request) -> Response:
    content = await _content(request, services.settings.max_body_bytes)
    now_us = services.clock.now_us()
    caller, by_session = await run_in_threadpool(_authenticate, operation, services, request, now_us)
    if operation.method in SAFE or caller is None:
        return await _answer(operation, services, request, content, now_us, caller, by_session)
    outcome = DONE
    try:
        return await _answer(operation, services, request, content, now_us, caller, by_session)
    except ProblemError as error:
        outcome = error.problem.code
        raise
    except TiergateError as error:
        outcome = from_error(error).problem.code
        raise
    except BaseException:
        outcome = "internal_error"
        raise
    finally:
        await run_in_threadpool(
            services.audit.note, now_us, caller.operator_id, caller.name, way="api", operation=operation.name,
            path=request.url.path, outcome=outcome,
        )  # fmt: skip


async def _answer(
    operation: Operation,
    services: Services,
    request: Request,
    content: bytes,
    now_us: int,
    caller: Operator | None,
    by_session: bool,
) -> Response:
    call = Call(
        services=services,
        request=request,
        operation=operation,
        now_us=now_us,
        content=content,
        body=_body(operation, content),
        query=_query(operation, request),
        caller=caller,
        by_session=by_session,
    )
    if inspect.iscoroutinefunction(operation.handler):
        answer: Response = _encode(operation, await operation.handler(call))
        return answer
    return await run_in_threadpool(_once, call)


def _once(call: Call) -> Response:
    """Do it, unless the same key did it before."""
    operation, request = call.operation, call.request
    key = request.headers.get("idempotency-key")
    if operation.method != "POST" or key is None or call.caller is None:
        return _encode(operation, operation.handler(call))
    if not 0 < len(key) <= 255:
        raise ProblemError(400, "bad_idempotency_key", "an idempotency key has 1 to 255 characters", "shorten it")
    kept, operator_id = call.services.kept_answers, call.caller.operator_id
    before = kept.begin(operator_id, key, fingerprint(operation.method, request.url.path, call.content), call.now_us)
    if before is not None:
        return Response(before.body, before.status, {"idempotent-replayed": "true"} | _HEADERS, operation.media_type)
    try:
        answer = _encode(operation, operation.handler(call))
    except (ProblemError, TiergateError):
        kept.release(operator_id, key)
        raise
    kept.done(operator_id, key, answer.status_code, None if operation.shown_once else bytes(answer.body))
    return answer


def _authenticate(
    operation: Operation, services: Services, request: Request, now_us: int
) -> tuple[Operator | None, bool]:
    if not operation.needs_somebody:
        return None, False
    scheme, _, secret = request.headers.get("authorization", "").partition(" ")
    by_session = False
    if scheme:
        caller = services.operators.authenticate(secret.strip(), now_us) if scheme.lower() == "bearer" else None
    else:
        caller, by_session = _of_session(operation, services, request, now_us), True
    if caller is None:
        raise ProblemError(
            401,
            "not_authenticated",
            "the token or session is missing, unknown, expired or revoked",
            "send `Authorization: Bearer tgo_...`, or sign in",
            www_authenticate="Bearer",
        )
    if operation.permission is not None and not caller.may(operation.permission):
        raise not_allowed(caller, operation.permission)
    return caller, by_session


def not_allowed(operator: Operator, permission: Permission) -> ProblemError:
    """What somebody is told whose roles do not suffice."""
    return ProblemError(
        403,
        "role_does_not_allow",
        f"`{permission}` is not allowed to {', '.join(operator.roles)}",
        "ask somebody whose role allows it, or an administrator for another role",
    )


def _of_session(operation: Operation, services: Services, request: Request, now_us: int) -> Operator | None:
    cookie = request.cookies.get(services.session_cookie)
    session = services.sessions.find(cookie, now_us) if cookie else None
    if session is None:
        return None
    if operation.method not in SAFE:
        shown, origin = request.headers.get("x-csrf-token", ""), request.headers.get("origin")
        ours = origin is None or origin == services.public_url
        if not ours or not hmac.compare_digest(shown.encode(), session.csrf.encode()):
            raise ProblemError(
                403,
                "csrf_token_missing",
                "a browser's change needs our page's token",
                "send `csrf` of GET /v1/session as X-CSRF-Token",
            )
    operator = services.operators.get(session.operator_id)
    return operator if operator is not None and operator.ended_at is None else None


async def _content(request: Request, limit: int) -> bytes:
    pieces, size = [], 0
    async for piece in request.stream():
        size += len(piece)
        if size > limit:
            detail = f"the request body is larger than {limit} bytes"
            raise ProblemError(413, "request_too_large", detail, "send less at a time", connection="close")
        pieces.append(piece)
    return b"".join(pieces)


def _body(operation: Operation, content: bytes) -> Any:
    if operation.takes is None:
        return None
    try:
        return msgspec.json.decode(content, type=operation.takes)
    except msgspec.MsgspecError as error:
        # Both kinds of fault, malformed and unfit, say where in the body they lie.
        raise ProblemError(422, "unfit_body", _sentence(error), "see the schema in /openapi.json") from None
    except RecursionError:
        raise ProblemError(422, "unfit_body", "the body nests too deep", "see the schema in /openapi.json") from None


def _query(operation: Operation, request: Request) -> Any:
    if operation.query is None:
        return None
    try:
        return msgspec.convert(dict(request.query_params), operation.query, strict=False)
    except msgspec.ValidationError as error:
        raise ProblemError(400, "unfit_query", _sentence(error), "see the parameters in /openapi.json") from None


def _sentence(error: Exception) -> str:
    text = str(error)
    return text[:1].lower() + text[1:500]


_HEADERS: Final = {"cache-control": "no-store", "x-content-type-options": "nosniff"}


def _encode(operation: Operation, given: Any) -> Response:
    if isinstance(given, Response):
        given.headers.update(_HEADERS)
        return given
    if operation.gives is None:
        return Response(status_code=operation.status, headers=_HEADERS)
    return Response(msgspec.json.encode(given), operation.status, _HEADERS, operation.media_type)
