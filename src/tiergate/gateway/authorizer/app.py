"""Decides about requests that another gateway forwards: an ASGI application.

A check is the caller's own request below `/authorize`: its method, path, headers and body. The answer is 200 where it
may pass, with headers for the upstream, and else what to tell the caller. That is what Envoy's ext_authz asks over
HTTP.
"""

from __future__ import annotations

import hmac
import re
from typing import Final
from urllib.parse import quote

from tiergate.admission.decision import INVALID_KEY, Decision
from tiergate.errors import InputError, LedgerError
from tiergate.gateway.admitting import Admission
from tiergate.gateway.authorizer.passed import Passed, PassedRequests
from tiergate.gateway.authorizer.reports import PATH as REPORTS
from tiergate.gateway.authorizer.reports import Reports
from tiergate.gateway.callers import CallerReader, Headers, presented_key, spoken
from tiergate.gateway.calls import Call, Services
from tiergate.gateway.dialects.bodies import refuse_other_models
from tiergate.gateway.dialects.common import UNREADABLE, Asked
from tiergate.gateway.dialects.surfaces import SURFACES, Surface
from tiergate.gateway.metered import demand_of
from tiergate.gateway.notices import PAGES, Notices
from tiergate.gateway.replies import ClientGoneError, RawHeaders, Receive, Scope, Send, fail, read_body, refuse, reply
from tiergate.gateway.telemetry.readiness import Readiness
from tiergate.parties.registry import Credential
from tiergate.settings import AuthorizerSettings

PREFIX: Final = "/authorize"
REMOVE: Final = b"x-envoy-auth-headers-to-remove"
"""Envoy takes these headers out of the request before it goes on."""

_OURS: Final = tuple(
    f"x-tiergate-{name}".encode() for name in ("exchange-id", "decision-id", "account-id", "organization-id", "model")
)
_REPORT_TOKEN: Final = b"x-tiergate-report-token"
_PRIVATE: Final = (
    b"authorization", b"x-api-key", _REPORT_TOKEN, b"x-tiergate-client-cert", b"x-tiergate-project",
    b"x-tiergate-purpose", b"x-tiergate-asset",
)  # fmt: skip
"""What the upstream need not see: the caller's key, and what was said to us alone."""

_NOT_SUMMARISED: Final = (
    "answers to this account come without reasoning while a case is reviewed, which cannot be done here; "
    "the notice says why and how to appeal"
)

# A name of dots alone, or in escapes, could lead to another path of the upstream's.
_LISTING: Final = re.compile(r"/v1/models(/(?!\.+(/|$))[\w.:@~+-]+)*")


class Authorizer:
    """Answers checks, reports of what came of them, and the links in refusals."""

    def __init__(
        self, services: Services, admission: Admission, settings: AuthorizerSettings, passed: PassedRequests,
        readiness: Readiness,
    ) -> None:  # fmt: skip
        self._services, self._admission, self._settings, self._passed = services, admission, settings, passed
        self._readiness = readiness
        self._callers = CallerReader(settings)
        self._notices = Notices(admission, services.clock, settings.appeal_contact)
        token = settings.report_token.get_secret_value().encode() if settings.report_token else None
        self._report_token = token
        self._reports = Reports(services, passed, settings)
        self._model_header = settings.model_header.lower().encode() if settings.model_header else None
        self.under_way = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        method, path = scope["method"], scope["raw_path"].decode("latin-1")
        if path.startswith(f"{PREFIX}/"):
            await self.check(scope, path.removeprefix(PREFIX), receive, send)
        elif method == "POST" and path == REPORTS:
            if await self._may_report(dict(scope["headers"]), send):
                await self._reports.answer(scope, receive, send)
        elif method == "GET" and path == "/healthz":
            await reply(send, 200, b'{"status":"ok"}')
        elif method == "GET" and path == "/readyz":
            await reply(send, *self._readiness.told())
        elif method == "GET" and path.startswith(PAGES):
            await self._notices.answer(scope, send)
        else:
            await fail(send, "openai", 404, "not_found", f"there is no {method} {path[:200]} here")

    async def check(self, scope: Scope, path: str, receive: Receive, send: Send) -> None:
        """Answer one check.

        :param scope: of the caller's request, as it was forwarded.
        :param path: the caller's, as it was sent: no escape in it is read.
        """
        if self.under_way >= self._settings.max_concurrency or self._passed.full:
            message = "too many requests are under way; try again shortly"
            await fail(send, spoken(scope), 503, "overloaded", message, [(b"retry-after", b"1")])
            return
        self.under_way += 1
        try:
            await self._decide(scope, path, receive, send)
        except ClientGoneError:
            pass
        finally:
            self.under_way -= 1

    async def _decide(self, scope: Scope, path: str, receive: Receive, send: Send) -> None:
        headers = dict(scope["headers"])
        surface = SURFACES.get(path) if scope["method"] == "POST" else None
        dialect = surface.dialect if surface is not None else spoken(scope)
        if _REPORT_TOKEN in headers and not await self._may_report(headers, send):
            return
        credential = self._admission.live(presented_key(headers))
        if credential is None:
            await refuse(send, dialect, INVALID_KEY, None)
        elif surface is not None:
            await self._call(surface, credential, scope, headers, receive, send)
        elif scope["method"] == "GET" and _LISTING.fullmatch(path):
            decision = self._admission.account(credential)
            if decision.allowed:
                await reply(send, 200, b"", _for_upstream(credential, [], None), kind=None)
            else:
                await self._admission.refuse_account(None, dialect, decision, send)
        else:
            message = f"{scope['method']} {path[:200]} is nothing that this gateway may pass"
            await fail(send, dialect, 404, "not_found", message)

    async def _call(
        self, surface: Surface, credential: Credential, scope: Scope, headers: Headers, receive: Receive, send: Send
    ) -> None:
        """Decide about a call of a model: in the gateway's order, by what it decides by."""
        body = await read_body(receive, headers, self._settings.max_body_bytes)
        if body is None or headers.get(b"x-envoy-auth-partial-body", b"false") != b"false":
            message = "the request body is larger than what is forwarded for a decision"
            await fail(send, surface.dialect, 413, "request_too_large", message, [(b"connection", b"close")])
            return
        # Sending the body takes its time: what was known before it may be past.
        fresh = self._admission.live(presented_key(headers))
        if fresh is None:
            await refuse(send, surface.dialect, INVALID_KEY, None)
            return
        try:
            asked = self._asked(surface, scope["headers"], body)
        except UNREADABLE as error:
            message = f"the body is not {surface.what}: {error}"
            await fail(send, surface.dialect, 400, "invalid_request", message)
            return
        except InputError as error:
            await fail(send, surface.dialect, 400, "invalid_request", str(error))
            return
        call = Call(self._services, fresh, surface, asked, self._callers.read(scope, headers), headers)
        decision = await self._admission.request(
            presented_key(headers), fresh, asked if body else None, summarises=False
        )
        if decision.allowed and decision.verdict is not None:
            decision = Decision(False, 403, "answers_not_summarised", _NOT_SUMMARISED, decision.verdict)
        if not decision.allowed:
            await self._admission.refuse_account(call, surface.dialect, decision, send)
            return
        snapshot, charge = self._admission.snapshot, None
        if snapshot.models.tiers_in_force:
            model = snapshot.models.by_name.get(asked.model)
            if not body and model is not None and model.tier == "classified":
                message = f"`{asked.model}` is classified: it is decided by the body, which was not forwarded"
                await call.refuse(send, 403, "body_not_forwarded", message, {})
                return
            try:
                tier, charge = await self._admission.tier(
                    call, fresh, asked, asked.model, headers, decision.code, body
                )  # fmt: skip
            except LedgerError:
                await call.refuse_unrecorded(send)
                return
            if not tier.allowed:
                await self._admission.refuse_tier(call, tier, send)
                return
        await self._pass(Passed(call, demand_of(asked, body), charge), credential, asked, body, headers, send)

    def _asked(self, surface: Surface, headers: RawHeaders, body: bytes) -> Asked:
        """What is asked, by the body; by the header that says the model where none came.

        Raises `InputError`, or what `Surface.read` raises.
        """
        name, said = self._model_header, None
        if name is not None:
            values = [value for header, value in headers if header == name]
            if len(values) > 1:
                raise InputError(f"`{name.decode()}` is given twice")
            said = values[0].decode("latin-1")[:1024] if values else None
        if not body:
            if not said:
                raise InputError("the request's body did not come along: let the gateway forward it")
            return Asked(model=said)
        asked = surface.asked(body)
        refuse_other_models(body, asked, surface.fields)
        if said is not None and said != asked.model:
            raise InputError("the body asks another model than the gateway says")
        return asked

    async def _pass(
        self, passed: Passed, credential: Credential, asked: Asked, body: bytes, headers: Headers, send: Send
    ) -> None:
        """Let a request through once limits do too and it is on record."""
        call = passed.call
        try:
            if not await call.admit((asked.model,) if call.surface.recorded else (), body, send):
                await passed.give_up()
                return
            await self._passed.add(passed, asked.model, reported=_REPORT_TOKEN in headers)
        except LedgerError:
            await passed.give_up()
            await call.fail(send, 503, "not_recorded", "the request could not be recorded, so it is refused")
            return
        except BaseException:
            await passed.give_up()
            raise
        await reply(send, 200, b"", _for_upstream(credential, call.headers, asked.model), kind=None)

    async def _may_report(self, headers: Headers, send: Send) -> bool:
        """Whether the token of reports came along; it is answered where it did not."""
        held, given = self._report_token, headers.get(_REPORT_TOKEN, b"")
        if held is not None and hmac.compare_digest(held, given):
            return True
        message = "the token of reports is missing or wrong; TIERGATE_REPORT_TOKEN has it"
        await fail(send, "openai", 401, "invalid_report_token", message)
        return False


def _for_upstream(credential: Credential, told: RawHeaders, model: str | None) -> RawHeaders:
    """Headers of a request that may pass: what we say, and what to take out, lest a caller say it."""
    said = {
        b"x-tiergate-account-id": credential.account_id,
        b"x-tiergate-organization-id": credential.organization_id,
        b"x-tiergate-model": model,
    }
    ours = [*told, *((name, quote(value, safe=":@/+,=").encode()) for name, value in said.items() if value)]
    given = {name for name, _ in ours}
    removed = [*_PRIVATE, *(name for name in _OURS if name not in given)]
    return [*ours, (REMOVE, b",".join(removed))]
