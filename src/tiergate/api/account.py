"""Operations on oneself: signing in and out, who one is, passkeys; and, for those who may, who the operators are."""

from __future__ import annotations

from typing import Annotated, Any, Final

import msgspec
from starlette.concurrency import run_in_threadpool
from starlette.responses import RedirectResponse, Response

from tiergate.api.operations import Call, Operation
from tiergate.api.operators import ALLOWS, Operator, Permission
from tiergate.api.paging import Page, PageQuery, page
from tiergate.api.passkeys import Passkey, action_of
from tiergate.api.problems import ProblemError
from tiergate.api.sessions import Session
from tiergate.api.sign_in import LASTS_US, SignIn
from tiergate.clock import HOUR, SECOND

BROWSER_COOKIE: Final = "tiergate_sign_in"
Text = Annotated[str, msgspec.Meta(max_length=4096)]


class Me(msgspec.Struct, frozen=True, kw_only=True):
    """Who calls, and what they may do. ``csrf`` is for a browser's changes, None where a token was sent."""

    operator: Operator
    permissions: list[Permission]
    csrf: str | None


class Returned(msgspec.Struct, frozen=True, kw_only=True):
    """What the provider sends the browser back with. Other fields are its own business."""

    state: Text = ""
    code: Text | None = None
    error: Text | None = None


class Credential(msgspec.Struct, frozen=True):
    """What `navigator.credentials` gave, as its `toJSON()` has it."""

    credential: dict[str, Any]


class Action(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The request that a passkey shall consent to. ``body_sha256``: of the body's bytes, as 64 hexadecimal digits."""

    method: Annotated[str, msgspec.Meta(pattern="^(POST|PUT|PATCH|DELETE)$")]
    path: Annotated[str, msgspec.Meta(pattern="^/", max_length=1024)]
    body_sha256: Annotated[str, msgspec.Meta(pattern="^[0-9a-fA-F]{64}$")]


class Ticket(msgspec.Struct, frozen=True):
    """A consent, good once, for five minutes, for the request that it was given for."""

    ticket: str


def _sign_in(call: Call) -> SignIn:
    if call.services.sign_in is None:
        raise ProblemError(404, "no_sign_in", "this deployment has no OpenID provider", "use a token, or set one up")
    return call.services.sign_in


async def begin_sign_in(call: Call) -> Response:
    address, browser = await _sign_in(call).begin(call.now_us)
    answer = RedirectResponse(address, 303)
    # Lax: the way back from the provider is a navigation from another site.
    secure = call.services.secure
    answer.set_cookie(
        BROWSER_COOKIE, browser, LASTS_US // SECOND, path="/v1/sign-in", secure=secure, httponly=True, samesite="lax"
    )
    return answer


async def end_sign_in(call: Call) -> Response:
    sign_in, services, returned = _sign_in(call), call.services, call.query
    if returned.code is None:
        raise ProblemError(
            401,
            "sign_in_refused",
            f"the provider said `{returned.error or 'nothing'}`",
            "begin again at GET /v1/sign-in",
        )
    browser = call.request.cookies.get(BROWSER_COOKIE)
    operator = await sign_in.finish(returned.code, returned.state, browser, services.operators, call.now_us)
    lasts_us = int(services.settings.session_hours * HOUR)
    cookie = await run_in_threadpool(services.sessions.begin, operator.operator_id, call.now_us, lasts_us)
    # A page, not a redirect: browsers send a `SameSite=Strict` cookie only on ways that begin on our own site.
    answer = Response('<meta http-equiv="refresh" content="0;url=/">', media_type="text/html")
    answer.delete_cookie(BROWSER_COOKIE, path="/v1/sign-in")
    answer.set_cookie(
        services.session_cookie,
        cookie,
        lasts_us // SECOND,
        secure=services.secure,
        httponly=True,
        samesite="strict",
    )
    return answer


def who_am_i(call: Call) -> Me:
    session = _session(call) if call.by_session else None
    allowed = {permission for role in call.operator.roles for permission in ALLOWS[role]}
    return Me(operator=call.operator, permissions=sorted(allowed), csrf=session.csrf if session else None)


def _session(call: Call) -> Session | None:
    cookie = call.request.cookies.get(call.services.session_cookie)
    return call.services.sessions.find(cookie, call.now_us) if cookie else None


def sign_out(call: Call) -> Response:
    cookie = call.request.cookies.get(call.services.session_cookie)
    if call.by_session and cookie:
        call.services.sessions.end(cookie, call.now_us)
    answer = Response(status_code=204)
    answer.delete_cookie(call.services.session_cookie, secure=call.services.secure, httponly=True, samesite="strict")
    return answer


def list_operators(call: Call) -> Page[Operator]:
    return page(call.services.operators.every(), lambda operator: operator.operator_id, call.query)


def begin_registration(call: Call) -> dict[str, Any]:
    passkeys, operator = call.services.passkeys, call.operator
    if passkeys.of(operator.operator_id):
        # Else whoever got hold of a token could add a passkey of their own, and consent with it.
        call.require_passkey()
    elif call.services.passwords.has(operator.operator_id):
        # Nor must an open session be enough: the console asks for the password.
        raise ProblemError(
            403, "password_needed", "who has a password registers the first passkey with it",
            "register it on the console's page about you",
        )  # fmt: skip
    elif call.services.sign_in is not None and not call.by_session:
        raise ProblemError(403, "sign_in_needed", "the first passkey is registered by a person", "sign in first")
    elif call.by_session and (session := _session(call)) is not None:
        session.require_fresh(call.now_us)
    return passkeys.begin_registration(operator.operator_id, operator.name, call.now_us)


def register(call: Call) -> Passkey:
    return call.services.passkeys.register(call.operator.operator_id, call.body.credential, call.now_us)


def begin_consent(call: Call) -> dict[str, Any]:
    asked: Action = call.body
    action = action_of(asked.method, asked.path, asked.body_sha256)
    return call.services.passkeys.begin_consent(call.operator.operator_id, action, call.now_us)


def consent(call: Call) -> Ticket:
    return Ticket(call.services.passkeys.consent(call.operator.operator_id, call.body.credential, call.now_us))


OPERATIONS: Final = (
    Operation(
        method="GET", path="/v1/sign-in", name="begin_sign_in", subject="account", handler=begin_sign_in,
        summary="Go to the OpenID provider", gives=RedirectResponse, known=False, status=303,
    ),
    Operation(
        method="GET", path="/v1/sign-in/return", name="end_sign_in", subject="account", handler=end_sign_in,
        summary="Come back from the OpenID provider, into a session", gives=Response, known=False, query=Returned,
        media_type="text/html",
    ),
    Operation(
        method="GET", path="/v1/session", name="who_am_i", subject="account", handler=who_am_i,
        summary="Who calls, what they may do, and their CSRF token", gives=Me,
    ),
    Operation(
        method="DELETE", path="/v1/session", name="sign_out", subject="account", handler=sign_out,
        summary="End the session", gives=None, status=204,
    ),
    Operation(
        method="GET", path="/v1/operators", name="list_operators", subject="account", handler=list_operators,
        summary="Who may use this API", gives=Page[Operator], query=PageQuery, permission=Permission.LIST_OPERATORS,
    ),
    Operation(
        method="POST", path="/v1/passkeys/registration", name="begin_registration", subject="passkeys",
        handler=begin_registration, summary="Options for `navigator.credentials.create()`", gives=dict[str, Any],
        step_up="from the second passkey on",
    ),
    Operation(
        method="POST", path="/v1/passkeys", name="register_passkey", subject="passkeys", handler=register,
        summary="Keep the passkey that was made", takes=Credential, gives=Passkey, status=201,
    ),
    Operation(
        method="POST", path="/v1/passkeys/challenge", name="begin_consent", subject="passkeys", handler=begin_consent,
        summary="Options for `navigator.credentials.get()`, for one request", takes=Action, gives=dict[str, Any],
    ),
    Operation(
        method="POST", path="/v1/passkeys/consent", name="consent", subject="passkeys", handler=consent,
        summary="A ticket for the request that was consented to", takes=Credential, gives=Ticket,
        shown_once=True,
    ),
)  # fmt: skip
