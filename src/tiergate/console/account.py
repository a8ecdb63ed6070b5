"""Signing in and out, the first administrator, one's own passkeys and password."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import msgspec
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from tiergate.api.audit import DONE
from tiergate.api.operators import Operator
from tiergate.api.passwords import NOT_LOOKED_AT
from tiergate.api.problems import ProblemError, from_error
from tiergate.api.services import Services
from tiergate.api.sessions import Session
from tiergate.clock import HOUR, SECOND
from tiergate.console.forms import Form, check_token, local, one, read_form
from tiergate.console.rendering import Renderer
from tiergate.console.visits import Page, View, Visit, signed_in, to_sign_in
from tiergate.errors import InputError, TiergateError

Handler = Callable[[Services, Renderer, Request, Form], Response]


def me(visit: Visit) -> View:
    services, operator = visit.services, visit.operator
    return {
        "passkeys": services.passkeys.of(operator.operator_id),
        "has_password": services.passwords.has(operator.operator_id),
    }


PAGES: Final = (Page(path="/account", name="account", section="account", template="account", handler=me),)


def routes(services: Services, renderer: Renderer) -> list[Route]:
    """The pages that one sees without being signed in, and the forms that are no operation of the API."""

    async def sign_in_page(request: Request) -> Response:
        target = local(request.query_params.get("next", "/"))
        return await run_in_threadpool(_sign_in_page, services, renderer, target, ended="ended" in request.query_params)

    async def first_page(request: Request) -> Response:
        context = {"operator": None, "token": request.query_params.get("token", "")[:200], "wrong": ""}
        return await run_in_threadpool(renderer.html, "first_run", context)

    def form(handler: Handler) -> Callable[[Request], Any]:
        async def run(request: Request) -> Response:
            try:
                return await run_in_threadpool(handler, services, renderer, request, await read_form(request, services))
            except ProblemError as error:
                return renderer.problem(request, error)
            except TiergateError as error:
                return renderer.problem(request, from_error(error))

        return run

    return [
        Route("/sign-in", sign_in_page),
        Route("/sign-in", form(_sign_in), methods=["POST"]),
        Route("/sign-out", form(_sign_out), methods=["POST"]),
        Route("/first-run", first_page),
        Route("/first-run", form(_first_run), methods=["POST"]),
        Route("/account/password", form(_own(_set_password)), methods=["POST"]),
        Route("/account/passkeys/options", form(_own(_passkey_options)), methods=["POST"]),
        Route("/account/passkeys", form(_own(_add_passkey)), methods=["POST"]),
    ]


def _sign_in_page(
    services: Services, renderer: Renderer, target: str, *, ended: bool = False, wrong: str = "", status: int = 200
) -> Response:
    context = {
        "operator": None, "next": target, "ended": ended, "wrong": wrong,
        "provider": services.sign_in is not None, "nobody": services.first_run.token is not None,
    }  # fmt: skip
    return renderer.html("sign_in", context, status)


def _sign_in(services: Services, renderer: Renderer, _request: Request, form: Form) -> Response:
    now_us, name = services.clock.now_us(), one(form, "name")
    outcome, operator = DONE, None
    try:
        operator = services.passwords.check(services.operators, name, one(form, "password"), now_us)
    except ProblemError as error:
        outcome = error.problem.code
        wrong = f"{error.problem.detail}; {error.problem.what_to_do}"
        return _sign_in_page(services, renderer, local(one(form, "next")), wrong=wrong, status=error.problem.status)
    finally:
        if outcome not in NOT_LOOKED_AT:
            services.audit.note(
                now_us, operator.operator_id if operator else None, name, way="console", operation="sign_in",
                path="/sign-in", outcome=outcome,
            )  # fmt: skip
    return _begun(services, operator, local(one(form, "next")), now_us)


def _begun(services: Services, operator: Operator, target: str, now_us: int) -> Response:
    """A new session, and on to the page that was wanted."""
    lasts_us = int(services.settings.session_hours * HOUR)
    cookie = services.sessions.begin(operator.operator_id, now_us, lasts_us)
    answer = RedirectResponse(target, 303)
    answer.set_cookie(
        services.session_cookie, cookie, lasts_us // SECOND, secure=services.secure, httponly=True, samesite="strict"
    )
    return answer


def _sign_out(services: Services, _renderer: Renderer, request: Request, form: Form) -> Response:
    now_us = services.clock.now_us()
    who = signed_in(services, request, now_us)
    if who is not None:
        check_token(form, who[1])
        services.sessions.end(request.cookies[services.session_cookie], now_us)
    answer = RedirectResponse("/sign-in", 303)
    answer.delete_cookie(services.session_cookie, secure=services.secure, httponly=True, samesite="strict")
    return answer


def _first_run(services: Services, renderer: Renderer, _request: Request, form: Form) -> Response:
    now_us, token = services.clock.now_us(), one(form, "token")
    try:
        if one(form, "password") != one(form, "again"):
            raise InputError("the two passwords differ")
        operator = services.first_run.finish(token, one(form, "name"), one(form, "password"), now_us)
    except InputError as error:
        return renderer.html("first_run", {"operator": None, "token": token, "wrong": str(error)}, 422)
    services.audit.note(
        now_us, operator.operator_id, operator.name, way="console", operation="first_run", path="/first-run"
    )
    return _begun(services, operator, "/", now_us)


def _own(handler: Callable[[Services, Operator, Session, Form, int], Response]) -> Handler:
    """A form about oneself: of somebody who is signed in, and noted."""

    def run(services: Services, _renderer: Renderer, request: Request, form: Form) -> Response:
        now_us, outcome = services.clock.now_us(), DONE
        who = signed_in(services, request, now_us)
        if who is None:
            return to_sign_in(services, request)
        operator, session = who
        check_token(form, session)
        try:
            return handler(services, operator, session, form, now_us)
        except ProblemError as error:
            outcome = error.problem.code
            raise
        except TiergateError as error:
            outcome = from_error(error).problem.code
            raise
        finally:
            services.audit.note(
                now_us, operator.operator_id, operator.name, way="console", operation=handler.__name__.strip("_"),
                path=request.url.path, outcome=outcome,
            )  # fmt: skip

    return run


def _set_password(services: Services, operator: Operator, session: Session, form: Form, now_us: int) -> Response:
    _again(services, operator, session, form, now_us)
    if one(form, "password") != one(form, "again"):
        raise InputError("the two new passwords differ")
    services.passwords.set(operator.operator_id, one(form, "password"), now_us)
    # Whoever else uses the old one is out.
    services.sessions.end_all(operator.operator_id, now_us)
    return _begun(services, operator, "/account?done=set_password", now_us)


def _passkey_options(services: Services, operator: Operator, session: Session, form: Form, now_us: int) -> Response:
    if services.passkeys.of(operator.operator_id):
        # Else a password that was found out would be as good as the passkey that is asked for in its place.
        raise _consent_needed()
    _again(services, operator, session, form, now_us)
    options = services.passkeys.begin_registration(operator.operator_id, operator.name, now_us)
    return Response(msgspec.json.encode(options), media_type="application/json", headers={"cache-control": "no-store"})


def _add_passkey(services: Services, operator: Operator, _session: Session, form: Form, now_us: int) -> Response:
    # Only what `_passkey_options` began can be ended: the challenge is bound to the operator and used up.
    try:
        credential = msgspec.json.decode(one(form, "credential"), type=dict[str, Any])
    except msgspec.MsgspecError:
        raise ProblemError(422, "passkey_refused", "this is no passkey's answer", "try again") from None
    services.passkeys.register(operator.operator_id, credential, now_us)
    return RedirectResponse("/account?done=register_passkey", 303)


def _again(services: Services, operator: Operator, session: Session, form: Form, now_us: int) -> None:
    """Somebody else at an open session must not make it theirs for good."""
    if services.passwords.has(operator.operator_id):
        services.passwords.check(services.operators, operator.name, one(form, "current"), now_us, use="consent")
    elif services.passkeys.of(operator.operator_id):
        raise _consent_needed()
    else:
        session.require_fresh(now_us)


def _consent_needed() -> ProblemError:
    return ProblemError(
        403, "passkey_required", "this needs the consent of a passkey that you have",
        "register a further one by the control API, with a ticket",
    )  # fmt: skip
