"""What people do on a page: a form becomes an operation of the control API, in this process, as who is signed in.

So a person may do here exactly what their token may do there, under the same rules, and every form can say which call
it is. An operation with consequences is confirmed on a page that shows them; one that needs a passkey's consent (see
`api.passkeys`) asks for it there, or for the password again where somebody has no passkey.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final
from urllib.parse import urlencode

import msgspec
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from tiergate.api.app import OPERATIONS
from tiergate.api.audit import DONE
from tiergate.api.operations import SAFE, Operation, not_allowed
from tiergate.api.operators import Operator
from tiergate.api.passkeys import action_hash
from tiergate.api.problems import ProblemError, from_error
from tiergate.api.services import Services
from tiergate.api.sessions import Session
from tiergate.clock import SECOND
from tiergate.console.calls import call_by
from tiergate.console.forms import Form, check_token, local, one, read_form
from tiergate.console.rendering import Renderer
from tiergate.console.tables import Table
from tiergate.console.visits import signed_in, to_sign_in
from tiergate.errors import TiergateError

BY_NAME: Final[Mapping[str, Operation]] = {one.name: one for one in OPERATIONS if one.method not in SAFE}
OURS: Final = frozenset({"csrf", "next", "confirmed", "password", "credential"})
"""Fields of a form that are no part of the request."""
_PARTS: Final = re.compile(r"\{(\w+)(?::path)?\}")


@dataclass(frozen=True, kw_only=True)
class Deed:
    """One operation that somebody wants done. ``path`` has the parts of its path, ``values`` its body as fields."""

    operation: Operation
    path: Mapping[str, str]
    values: Mapping[str, Any]

    @property
    def api_path(self) -> str:
        """The path of the call."""
        return _PARTS.sub(lambda found: self.path[found[1]], self.operation.path)

    @property
    def content(self) -> bytes:
        """The body of the call: what a passkey consents to."""
        return msgspec.json.encode(self.values, order="sorted") if self.operation.takes is not None else b""


@dataclass(frozen=True, kw_only=True)
class Consequence:
    """What would come of a deed, told before it is done. ``consent``: the call would ask for a passkey's, so it is
    asked for together with it."""

    sentences: Sequence[str]
    tables: Sequence[Table] = ()
    consent: bool = False


Foretold = Callable[[Services, Deed, int], Consequence]
"""Says what would come of a deed: services, the deed, and the time (microseconds since the epoch)."""


def endpoint(services: Services, renderer: Renderer, foretold: Mapping[str, Foretold]) -> Callable[[Request], Any]:
    """The endpoint of every form; operations that ``foretold`` names are confirmed first."""

    async def run(request: Request) -> Response:
        try:
            form = await read_form(request, services)
            return await run_in_threadpool(_run, services, renderer, foretold, request, form)
        except ProblemError as error:
            who = await run_in_threadpool(signed_in, services, request, services.clock.now_us())
            return renderer.problem(request, error, who)

    return run


def _run(
    services: Services, renderer: Renderer, foretold: Mapping[str, Foretold], request: Request, form: Form
) -> Response:
    now_us = services.clock.now_us()
    who = signed_in(services, request, now_us)
    if who is None:
        return to_sign_in(services, request)
    operator, session = who
    check_token(form, session)
    operation = BY_NAME.get(request.path_params["operation"])
    if operation is None:
        raise ProblemError(404, "not_found", "no form here does that", "open the page again and try again")
    if operation.permission is not None and not operator.may(operation.permission):
        raise not_allowed(operator, operation.permission)
    deed = Deed(operation=operation, path=_path(operation, form), values=_values(operation, form))
    ask = _Asking(services, renderer, deed, operator, session, form, now_us, foretold.get(operation.name))
    if not one(form, "confirmed") and (ask.foretold is not None or operation.step_up == "always"):
        return ask.page(consent=operation.step_up == "always")
    return _done(ask)


@dataclass(frozen=True)
class _Asking:
    services: Services
    renderer: Renderer
    deed: Deed
    operator: Operator
    session: Session
    form: Form
    now_us: int
    foretold: Foretold | None

    def page(self, *, consent: bool, wrong: str = "") -> Response:
        """The page that says what will come of it, and asks."""
        deed, services, operator = self.deed, self.services, self.operator
        try:
            expected = self.foretold(services, deed, self.now_us) if self.foretold else Consequence(sentences=())
        except TiergateError as error:
            raise from_error(error) from error
        options: dict[str, Any] | None = None
        way = ""
        if consent or expected.consent:
            way = "passkey" if services.passkeys.of(operator.operator_id) else "password"
            if way == "passkey":
                action = action_hash(deed.operation.method, deed.api_path, deed.content)
                options = services.passkeys.begin_consent(operator.operator_id, action, self.now_us)
            elif not services.passwords.has(operator.operator_id):
                way = "none"
        context = {
            **self.renderer.around(operator, self.session), "deed": deed, "expected": expected, "way": way,
            "options": options, "wrong": wrong, "next": local(one(self.form, "next")),
            "fields": [(name, value) for name, values in self.form.items() if name not in OURS for value in values],
            "body": deed.content.decode(),
        }  # fmt: skip
        return self.renderer.html("confirm", context, 403 if wrong else 200)

    def consented(self) -> bool:
        """Whether they consented to exactly this. Raises `ProblemError` where they did and it does not hold."""
        credential, password = one(self.form, "credential"), one(self.form, "password")
        operator_id = self.operator.operator_id
        held = self.services.passkeys.of(operator_id)
        if credential and held:
            try:
                given = msgspec.json.decode(credential, type=dict[str, Any])
            except msgspec.MsgspecError:
                raise ProblemError(403, "passkey_refused", "this is no passkey's answer", "try again") from None
            ticket = self.services.passkeys.consent(operator_id, given, self.now_us)
            action = action_hash(self.deed.operation.method, self.deed.api_path, self.deed.content)
            return self.services.passkeys.redeem(ticket, operator_id, action, self.now_us)
        if password and not held:
            self.services.passwords.check(
                self.services.operators, self.operator.name, password, self.now_us, use="consent"
            )
            return True
        return False


def _done(ask: _Asking) -> Response:
    deed, outcome = ask.deed, DONE
    try:
        try:
            consented = ask.consented()
        except ProblemError as error:
            outcome = error.problem.code
            return ask.page(consent=True, wrong=error.problem.detail)
        answer = perform(deed, ask.services, ask.operator, ask.now_us, consented=consented)
    except ProblemError as error:
        outcome = error.problem.code
        if outcome == "passkey_required":
            return ask.page(consent=True)
        raise
    except BaseException:
        outcome = "internal_error"
        raise
    finally:
        ask.services.audit.note(
            ask.now_us, ask.operator.operator_id, ask.operator.name, way="console", operation=deed.operation.name,
            path=deed.api_path, outcome=outcome,
        )  # fmt: skip
    following = local(one(ask.form, "next"))
    if deed.operation.shown_once:
        shown = msgspec.to_builtins(answer)
        context = {"deed": deed, "shown": shown, "next": following}
        return ask.renderer.html("shown_once", ask.renderer.around(ask.operator, ask.session) | context)
    joint = "&" if "?" in following else "?"
    return RedirectResponse(f"{following}{joint}{urlencode({'done': deed.operation.name})}", 303)


def perform(deed: Deed, services: Services, operator: Operator, now_us: int, *, consented: bool) -> Any:
    """Do it as the control API would; returns what its handler gives. Raises `ProblemError` for a refusal."""
    try:
        body = (
            None if deed.operation.takes is None else msgspec.convert(deed.values, deed.operation.takes, strict=False)
        )
    except msgspec.ValidationError as error:
        raise ProblemError(422, "unfit_body", str(error), "go back, mend the field and send it again") from None
    call = call_by(
        operator, services, deed.operation, now_us, address=deed.api_path, path=deed.path, content=deed.content,
        body=body, consented=consented,
    )  # fmt: skip
    try:
        return deed.operation.handler(call)
    except TiergateError as error:
        raise from_error(error) from error


def _path(operation: Operation, form: Form) -> dict[str, str]:
    return {name: one(form, f"path.{name}") for name in _PARTS.findall(operation.path)}


def _values(operation: Operation, form: Form) -> dict[str, Any]:
    """The body's fields as the form has them: an empty one is left out, several values are a list."""
    if operation.takes is None:
        return {}
    fields = {field.encode_name: field for field in msgspec.inspect.type_info(operation.takes).fields}  # type: ignore[attr-defined]
    values: dict[str, Any] = {}
    for name, given in form.items():
        field = fields.get(name)
        if field is None or name in OURS:
            continue
        kinds = {type(kind).__name__ for kind in getattr(field.type, "types", (field.type,))}
        if given == [""]:
            # Some fields must say that there is nothing: an assignee, or the end of a clearing.
            if field.required and "NoneType" in kinds:
                values[name] = None
            continue
        if "ListType" in kinds or "VarTupleType" in kinds or "SetType" in kinds:
            values[name] = [part for value in given for part in value.replace(",", "\n").split() if part]
        elif "BoolType" in kinds:
            values[name] = given[-1] in ("on", "true", "1")
        elif "IntType" in kinds and name.endswith(("_us", "_at")) and "-" in given[-1][1:]:
            values[name] = _moment(name, given[-1])
        else:
            values[name] = given[-1]
    return values


def _moment(name: str, text: str) -> int:
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        raise ProblemError(422, "unfit_body", f"`{name}` is no time", "give one such as 2026-12-01T12:00") from None
    return round((at if at.tzinfo else at.replace(tzinfo=UTC)).timestamp() * SECOND)
