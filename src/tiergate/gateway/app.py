"""The way of a request: key -> body -> admission -> upstream -> record -> answer. A raw ASGI application.

It finds in the scope, besides what ASGI has there, ``gone``, a future that is done when the caller hangs up, and
``pass_on``, which sends a piece of a streamed answer without waiting (`tiergate.gateway.serving.request`).
"""

from __future__ import annotations

from collections import Counter

import msgspec

from tiergate.admission.decision import INVALID_KEY
from tiergate.errors import InputError, LedgerError
from tiergate.gateway.admitting import Admission
from tiergate.gateway.answering import AnsweredCall
from tiergate.gateway.appealing import PATH as APPEALS
from tiergate.gateway.appealing import Appealing
from tiergate.gateway.bodies import Bodies, BodyRefusedError, Room
from tiergate.gateway.callers import CallerReader, presented_key, spoken
from tiergate.gateway.calls import Services
from tiergate.gateway.charging import Charge
from tiergate.gateway.dialects.bodies import with_one_model, without_stream_options
from tiergate.gateway.dialects.common import UNREADABLE, Asked
from tiergate.gateway.dialects.summarised import summarised_request
from tiergate.gateway.dialects.surfaces import SURFACES, Surface
from tiergate.gateway.listing import PATH, Listing
from tiergate.gateway.notices import PAGES, Notices
from tiergate.gateway.replies import ClientGoneError, Receive, Scope, Send, fail, refuse, reply
from tiergate.gateway.telemetry.readiness import Readiness
from tiergate.gateway.telemetry.trace_context import continued
from tiergate.gateway.tiers import NOT_LISTED
from tiergate.gateway.ways import OnlyWay, Way
from tiergate.parties.registry import Credential


class Gateway:
    """Serves requests that `admission` lets through."""

    def __init__(
        self, services: Services, admission: Admission, readiness: Readiness, appealing: Appealing | None = None
    ) -> None:
        self._admission = admission
        self._appealing = appealing
        self._services = services
        self._settings = services.settings
        self._speaks = services.settings.upstream_dialect
        self._callers = CallerReader(services.settings)
        self._listing = Listing(services)
        self._notices = Notices(admission, services.clock, services.settings.appeal_contact, here=appealing is not None)
        self._readiness = readiness
        self._bodies = Bodies(self._settings.max_body_bytes, self._settings.max_held_bytes)
        self.under_way = 0
        self._of_account: Counter[str] = Counter()
        """Requests under way by account: none may have all that there is room for."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        method, path = scope["method"], scope["path"]
        if method == "POST" and path in SURFACES:
            await self._limited(SURFACES[path], scope, receive, send)
        elif method == "GET" and (path == PATH or path.startswith(f"{PATH}/")):
            await self._models(scope, send)
        elif method == "GET" and path == "/healthz":
            await reply(send, 200, b'{"status":"ok"}')
        elif method == "GET" and path == "/readyz":
            status, body = self._readiness.told()
            await reply(send, status, body)
        elif method in ("GET", "POST") and path == APPEALS and self._appealing is not None:
            await self._appealing.answer(scope, receive, send)
        elif method == "GET" and path.startswith(PAGES):
            await self._notices.answer(scope, send)
        else:
            await fail(send, spoken(scope), 404, "not_found", f"there is no {method} {path[:200]} here")

    async def _limited(self, surface: Surface, scope: Scope, receive: Receive, send: Send) -> None:
        if self.under_way >= self._settings.max_concurrency:
            message = "too many requests are under way; try again shortly"
            await fail(send, surface.dialect, 503, "overloaded", message, [(b"retry-after", b"1")])
            return
        self.under_way += 1
        room = Room(self._bodies)
        try:
            await self._exchange(surface, scope, receive, send, room)
        except BodyRefusedError as refused:
            await fail(send, surface.dialect, refused.status, refused.code, refused.message, refused.headers)
        except ClientGoneError:
            pass
        finally:
            self.under_way -= 1
            room.leave()

    async def _exchange(self, surface: Surface, scope: Scope, receive: Receive, send: Send, room: Room) -> None:
        headers, dialect = dict(scope["headers"]), surface.dialect
        key = presented_key(headers)
        credential = self._admission.live(key)
        if credential is None:
            await refuse(send, dialect, INVALID_KEY, None)
            return
        if self._of_account[credential.account_id] >= self._settings.max_account_concurrency:
            message = "too many requests of this account are under way; wait for some of them"
            await fail(send, dialect, 429, "too_many_at_once", message, [(b"retry-after", b"1")])
            return
        self._of_account[credential.account_id] += 1
        try:
            await self._answer(surface, key, credential, headers, scope, receive, send, room)
        finally:
            self._of_account[credential.account_id] -= 1
            if not self._of_account[credential.account_id]:
                del self._of_account[credential.account_id]

    async def _answer(
        self, surface: Surface, key: str | None, credential: Credential, headers: dict[bytes, bytes], scope: Scope,
        receive: Receive, send: Send, room: Room,
    ) -> None:  # fmt: skip
        dialect, admission = surface.dialect, self._admission
        snapshot = admission.snapshot
        body = await room.read(receive, headers)
        # Sending the body can take as long as the caller likes: what was known before it may be past.
        if admission.snapshot is not snapshot:
            live = admission.live(key)
            if live is None:
                await refuse(send, dialect, INVALID_KEY, None)
                return
            credential = live
        try:
            asked = surface.asked(body)
        except UNREADABLE as error:
            await fail(send, dialect, 400, "invalid_request", f"the body is not {surface.what}: {error}")
            return
        except InputError as error:
            await fail(send, dialect, 400, "invalid_request", str(error))
            return
        call = AnsweredCall(self._services, credential, surface, asked, self._callers.read(scope, headers), headers)
        if self._services.watch.tracing:
            call.trace = continued(scope["headers"])
        decision = await admission.request(key, credential, asked)
        if not decision.allowed:
            await admission.refuse_account(call, dialect, decision, send)
            return
        if decision.verdict is not None:
            body, call.summarised = summarised_request(surface.operation, body), True
            call.headers += [(b"x-tiergate-verdict", b"summarise"), admission.notice_header(decision.verdict)]
        if self._services.routing.routes is not None:
            await self._by_routes(call, credential, asked, scope, headers, body, decision.code, send)
            return
        tiers_in_force, adapter = admission.snapshot.models.tiers_in_force, surface.adapters.get(self._speaks)
        if adapter is None:
            message = f"the upstream speaks {self._speaks}'s API, which has no equal of {scope['path']}"
            await call.fail(send, 404, "not_supported_by_upstream", message)
            return
        try:
            if tiers_in_force or self._services.metering.meter.prices.in_force:
                body = with_one_model(body, asked, surface.fields)
            upstream_body = adapter.request(body, asked)
            if not self._settings.upstream_stream_usage:
                upstream_body = without_stream_options(upstream_body)
        except InputError as error:
            await call.fail(send, 400, "invalid_request", str(error))
            return
        charge: Charge | None = None
        if tiers_in_force:
            try:
                tier, charge = await admission.tier(call, credential, asked, asked.model, headers, decision.code, body)
            except LedgerError:
                await call.refuse_unrecorded(send)
                return
            if not tier.allowed:
                await admission.refuse_tier(call, tier, send)
                return
        assert self._services.upstream is not None
        way = OnlyWay(Way(self._services.upstream, adapter, upstream_body), asked.model)
        await call.answer(way, scope, body, send, charge)

    async def _by_routes(
        self, call: AnsweredCall, credential: Credential, asked: Asked, scope: Scope, headers: dict[bytes, bytes],
        body: bytes, code: str, send: Send,
    ) -> None:  # fmt: skip
        """Let the candidates of what the caller names answer, as the file of routes has them."""
        routing = self._services.routing
        group = routing.group(asked.model)
        if group is None:
            message = f"this gateway knows no model `{asked.model[:200]}`: ask one that GET /v1/models lists"
            await call.refuse(send, 404, NOT_LISTED.code, message, {})
            return
        alone = group.candidates[0] if len(group.candidates) == 1 else None
        judged = group.offered if alone else (*group.candidates, *group.offered)
        barred = self._admission.barred(judged, credential, headers, code, call.caller.client_certificate)
        try:
            ways = routing.ways(
                group, call.surface, credential, asked, body, scope["headers"], call.started_us, barred
            )  # fmt: skip
        except InputError as error:
            await call.refuse(send, 400, "invalid_request", str(error), {})
            return
        if not ways.models:
            await call.refuse_route(ways.refusal(), send)
            return
        charge: Charge | None = None
        if alone and self._admission.snapshot.models.tiers_in_force:
            try:
                tier, charge = await self._admission.tier(call, credential, asked, alone.name, headers, code, body)
            except LedgerError:
                await call.refuse_unrecorded(send)
                return
            if not tier.allowed:
                # What is offered must be a name that the file has.
                offer = ways.offer() or (tier.fallback if routing.group(tier.fallback or "") else None)
                await self._admission.refuse_tier(call, msgspec.structs.replace(tier, fallback=offer), send)
                return
        await call.answer(ways, scope, body, send, charge)

    async def _models(self, scope: Scope, send: Send) -> None:
        dialect, headers = spoken(scope), dict(scope["headers"])
        credential = self._admission.live(presented_key(headers))
        # Listing models spends no budget: a limited case may look.
        decision = INVALID_KEY if credential is None else self._admission.account(credential)
        if credential is None or not decision.allowed:
            await self._admission.refuse_account(None, dialect, decision, send)
            return
        caller, snapshot = self._callers.read(scope, headers), self._admission.snapshot
        now_us, holder = self._services.clock.now_us(), credential

        def may(name: str) -> bool:
            made = self._admission.tiers.decide(
                snapshot, holder, name, headers, decision.code, now_us,
                certificate=caller.client_certificate, credit=True,
            )  # fmt: skip
            return made is None or made.allowed

        await self._listing.answer(scope, dialect, holder, may, send)
