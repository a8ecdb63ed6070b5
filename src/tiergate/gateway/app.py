"""The way of a request: key -> body -> admission -> upstream -> record -> answer. A raw ASGI application.

It finds in the scope, besides what ASGI has there, ``gone``, a future that is done when the caller hangs up, and
``pass_on``, which sends a piece of a streamed answer without waiting (`tiergate.gateway.serving.request`).
"""

from __future__ import annotations

import time
from contextlib import suppress

import msgspec

from tiergate.admission.decision import INVALID_KEY, Decision, admit
from tiergate.admission.engine import TierDecision
from tiergate.errors import InputError, LedgerError
from tiergate.gateway.callers import CallerReader, presented_key
from tiergate.gateway.calls import Call, Services
from tiergate.gateway.charging import Charge
from tiergate.gateway.classified import ClassifiedTier
from tiergate.gateway.dialects.bodies import with_one_model, without_stream_options
from tiergate.gateway.dialects.common import UNREADABLE, Asked
from tiergate.gateway.dialects.errors import error_body
from tiergate.gateway.dialects.surfaces import SURFACES, Surface
from tiergate.gateway.limits import CaseBudgets
from tiergate.gateway.listing import PATH, Listing
from tiergate.gateway.notices import gate_notice, notice
from tiergate.gateway.replies import ClientGoneError, Receive, Scope, Send, fail, refuse, reply
from tiergate.gateway.routing.candidates import Candidate
from tiergate.gateway.routing.requirements import Exclusion
from tiergate.gateway.snapshot import Snapshot
from tiergate.gateway.telemetry.readiness import Readiness
from tiergate.gateway.telemetry.trace_context import continued
from tiergate.gateway.tiers import NOT_LISTED, NOT_LISTED_DECISION, Ruling, TierGate, details_of, message_of, status_of
from tiergate.gateway.ways import OnlyWay, Way
from tiergate.ledger.verdicts import Action
from tiergate.parties.registry import Credential
from tiergate.settings import Dialect


class Gateway:
    """Serves requests from a snapshot of the control database that `snapshot` holds and its owner replaces."""

    def __init__(
        self, services: Services, snapshot: Snapshot, public_url: str, tiers: TierGate, classified: ClassifiedTier,
        readiness: Readiness,
    ) -> None:  # fmt: skip
        self.snapshot = snapshot
        self._classified = classified
        self._tiers = tiers
        self._services = services
        self._settings = services.settings
        self._speaks = services.settings.upstream_dialect
        self._public_url = public_url
        self._callers = CallerReader(services.settings)
        self._listing = Listing(services)
        self._budgets = CaseBudgets()
        self._readiness = readiness
        self.under_way = 0

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
        elif method == "GET" and path.startswith("/verdicts/"):
            await self._notice(scope, path.removeprefix("/verdicts/"), send)
        elif method == "GET" and path.startswith("/decisions/"):
            await self._gate_notice(scope, path.removeprefix("/decisions/"), send)
        else:
            await fail(send, _spoken(scope), 404, "not_found", f"there is no {method} {path[:200]} here")

    async def _limited(self, surface: Surface, scope: Scope, receive: Receive, send: Send) -> None:
        if self.under_way >= self._settings.max_concurrency:
            message = "too many requests are under way; try again shortly"
            await fail(send, surface.dialect, 503, "overloaded", message, [(b"retry-after", b"1")])
            return
        self.under_way += 1
        try:
            await self._exchange(surface, scope, receive, send)
        except ClientGoneError:
            pass
        finally:
            self.under_way -= 1

    async def _exchange(self, surface: Surface, scope: Scope, receive: Receive, send: Send) -> None:
        headers, dialect = dict(scope["headers"]), surface.dialect
        key, snapshot = presented_key(headers), self.snapshot
        credential = self._live(key)
        if credential is None:
            await refuse(send, dialect, INVALID_KEY, None)
            return
        body = await _read_body(receive, headers, self._settings.max_body_bytes)
        if body is None:
            message = f"the request body is larger than {self._settings.max_body_bytes} bytes"
            await fail(send, dialect, 413, "request_too_large", message, [(b"connection", b"close")])
            return
        # Sending the body can take as long as the caller likes: what was known before it may be past.
        if self.snapshot is not snapshot:
            credential = self._live(key)
        if credential is None:
            await refuse(send, dialect, INVALID_KEY, None)
            return
        try:
            asked = surface.read(body)
        except UNREADABLE as error:
            await fail(send, dialect, 400, "invalid_request", f"the body is not {surface.what}: {error}")
            return
        except InputError as error:
            await fail(send, dialect, 400, "invalid_request", str(error))
            return
        call = Call(
            self._services, credential, surface, asked, self._callers.read(scope), headers.get(b"x-session-id"),
            headers.get(b"x-tiergate-project"),
        )  # fmt: skip
        if self._services.watch.tracing:
            call.trace = continued(scope["headers"])
        decision = self._decide(credential)
        if not decision.allowed:
            # A refusal holds without its record, unlike an answer: nothing was given away.
            with suppress(LedgerError):
                await call.record(decision.status, finish_reason=decision.code)
            link = f"{self._public_url}/verdicts/{decision.verdict.verdict_id}" if decision.verdict else None
            await refuse(send, dialect, decision, link, call.id_header)
            return
        if self._services.routing.routes is not None:
            await self._by_routes(call, credential, asked, scope, body, decision.code, send)
            return
        tiers_in_force, adapter = self.snapshot.models.tiers_in_force, surface.adapters.get(self._speaks)
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
                tier, charge = await self._tier(call, credential, asked, asked.model, headers, decision.code, body)
            except LedgerError:
                await call.refuse_unrecorded(send)
                return
            if not tier.allowed:
                await self._refuse_tier(call, tier, send)
                return
        assert self._services.upstream is not None
        way = OnlyWay(Way(self._services.upstream, adapter, upstream_body), asked.model)
        await call.answer(way, scope, body, send, charge)

    async def _by_routes(
        self, call: Call, credential: Credential, asked: Asked, scope: Scope, body: bytes, code: str, send: Send
    ) -> None:
        """Let the candidates of what the caller names answer, as the file of routes has them."""
        routing, headers = self._services.routing, dict(scope["headers"])
        group = routing.group(asked.model)
        if group is None:
            message = f"this gateway knows no model `{asked.model[:200]}`: ask one that GET /v1/models lists"
            await call.refuse(send, 404, NOT_LISTED.code, message, {})
            return
        alone = group.candidates[0] if len(group.candidates) == 1 else None
        judged = group.offered if alone else (*group.candidates, *group.offered)
        barred = self._barred(judged, credential, headers, code, call.caller.client_certificate)
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
        if alone and self.snapshot.models.tiers_in_force:
            try:
                tier, charge = await self._tier(call, credential, asked, alone.name, headers, code, body)
            except LedgerError:
                await call.refuse_unrecorded(send)
                return
            if not tier.allowed:
                # What is offered must be a name that the file has.
                offer = ways.offer() or (tier.fallback if routing.group(tier.fallback or "") else None)
                await self._refuse_tier(call, msgspec.structs.replace(tier, fallback=offer), send)
                return
        await call.answer(ways, scope, body, send, charge)

    def _barred(
        self, candidates: tuple[Candidate, ...], credential: Credential, headers: dict[bytes, bytes], code: str,
        certificate: str | None,
    ) -> dict[str, Exclusion]:  # fmt: skip
        """Candidates that the caller is not admitted to, with the first gate that failed."""
        snapshot, now_us = self.snapshot, self._services.clock.now_us()
        if not snapshot.models.tiers_in_force:
            return {}
        barred = {}
        for one in candidates:
            listed = snapshot.models.by_name.get(one.name)
            if listed is not None and (listed.tier != one.tier or one.tier == "classified"):
                # models.toml changed since the routes were read, and they could not be read again.
                barred[one.name] = Exclusion("tier_changed", "its tier is another one than its group was made with")
                continue
            made = self._tiers.decide(
                snapshot, credential, one.name, headers, code, now_us, certificate=certificate, credit=None
            )
            if made is not None and not made.allowed:
                gate = made.reasons[0].gate
                barred[one.name] = Exclusion(gate.code, gate.text)
        return barred

    def _live(self, key: str | None) -> Credential | None:
        """The credential behind a key, None for an unknown or revoked one."""
        credential = self.snapshot.credential(key)
        return None if credential is None or credential.revoked_at is not None else credential

    async def _tier(
        self, call: Call, credential: Credential, asked: Asked, name: str, headers: dict[bytes, bytes], code: str,
        body: bytes,
    ) -> tuple[TierDecision, Charge | None]:  # fmt: skip
        """The tier's decision on the model ``name``; for the classified tier it is on record, and paid for."""
        certificate = call.caller.client_certificate
        model = self.snapshot.models.by_name.get(name)
        if model is None:
            return NOT_LISTED_DECISION, None
        at_first = model

        def judge(credit: bool | None) -> Ruling:
            # By the facts of this moment, which may have changed since the request came.
            snapshot, now_us = self.snapshot, self._services.clock.now_us()
            listed = snapshot.models.by_name.get(name, at_first)
            return self._tiers.rule(
                snapshot, credential, listed, headers, code, now_us, certificate=certificate, credit=credit
            )

        if model.tier != "classified":
            return judge(None).decision, None
        admitted = await self._classified.decide(judge, asked, body, call.exchange_id, call.started_us)
        call.headers.append((b"x-tiergate-decision-id", admitted.decision_id.encode()))
        return admitted.decision, admitted.charge

    async def _refuse_tier(self, call: Call, tier: TierDecision, send: Send) -> None:
        status, code = status_of(tier), tier.reasons[0].code
        with suppress(LedgerError):
            await call.record(status, finish_reason=code)
        headers = [*call.headers]
        if tier.fallback is not None:
            headers.append((b"x-tiergate-fallback", tier.fallback.encode()))
        if status == 503:
            headers.append((b"retry-after", b"1"))
        details = details_of(tier, self._public_url)
        await reply(send, status, error_body(call.surface.dialect, status, code, message_of(tier), **details), headers)

    def _decide(self, credential: Credential) -> Decision:
        verdict = self.snapshot.verdict(credential.account_id, self._services.clock.now_us())
        wait = None
        active = credential.account_status == "active"
        # A closed account is refused anyway: it must not use up the budget of the others.
        if active and verdict is not None and verdict.action in (Action.LIMIT, Action.SUMMARISE):
            wait = self._budgets.wait_s(verdict, time.monotonic())
        return admit(credential, verdict, case_wait_s=wait)

    async def _models(self, scope: Scope, send: Send) -> None:
        dialect = _spoken(scope)
        credential = self.snapshot.credential(presented_key(dict(scope["headers"])))
        verdict = self.snapshot.verdict(credential.account_id, self._services.clock.now_us()) if credential else None
        # Listing models spends no budget: a limited case may look.
        decision = admit(credential, verdict, case_wait_s=0)
        if credential is None or not decision.allowed:
            link = f"{self._public_url}/verdicts/{decision.verdict.verdict_id}" if decision.verdict else None
            await refuse(send, dialect, decision, link)
            return
        caller, snapshot, headers = self._callers.read(scope), self.snapshot, dict(scope["headers"])
        now_us, holder = self._services.clock.now_us(), credential

        def may(name: str) -> bool:
            made = self._tiers.decide(
                snapshot, holder, name, headers, decision.code, now_us,
                certificate=caller.client_certificate, credit=True,
            )  # fmt: skip
            return made is None or made.allowed

        await self._listing.answer(scope, dialect, holder, may, send)

    async def _notice(self, scope: Scope, verdict_id: str, send: Send) -> None:
        verdict = self.snapshot.notices.get(verdict_id)
        if verdict is None or self.snapshot.verdict(verdict.account_id, self._services.clock.now_us()) is None:
            await fail(send, "openai", 404, "no_such_notice", "no notice in force has this address")
            return
        as_html = b"text/html" in dict(scope["headers"]).get(b"accept", b"")
        body, kind = notice(verdict, self._settings.appeal_contact, as_html=as_html)
        await reply(send, 200, body, kind=kind)

    async def _gate_notice(self, scope: Scope, code: str, send: Send) -> None:
        gate = self._tiers.gate(code)
        if gate is None:
            await fail(send, "openai", 404, "no_such_notice", "no gate has this code")
            return
        as_html = b"text/html" in dict(scope["headers"]).get(b"accept", b"")
        body, kind = gate_notice(gate, self._settings.appeal_contact, as_html=as_html)
        await reply(send, 200, body, kind=kind)


def _spoken(scope: Scope) -> Dialect:
    """The dialect of who asks what both APIs have: every client of Anthropic's says its version."""
    return "anthropic" if b"anthropic-version" in dict(scope["headers"]) else "openai"


async def _read_body(receive: Receive, headers: dict[bytes, bytes], limit: int) -> bytes | None:
    """The whole body, or None when it is larger than ``limit``."""
    with suppress(ValueError):
        if int(headers.get(b"content-length", b"0")) > limit:
            return None
    pieces, size = [], 0
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise ClientGoneError
        pieces.append(message.get("body", b""))
        size += len(pieces[-1])
        if size > limit:
            return None
        if not message.get("more_body"):
            return b"".join(pieces)
