"""The way of a request: key -> body -> admission -> upstream -> record -> answer. A raw ASGI application.

It finds in the scope, besides what ASGI has there, ``gone``: a future that is done when the caller hangs up.
"""

from __future__ import annotations

import time
from contextlib import suppress

from tiergate.admission.decision import INVALID_KEY, Decision, admit
from tiergate.admission.engine import TierDecision
from tiergate.errors import InputError, LedgerError, UpstreamError
from tiergate.gateway.callers import CallerReader, presented_key
from tiergate.gateway.calls import Call, Services
from tiergate.gateway.charging import Charge
from tiergate.gateway.chat import UNREADABLE, ChatRequest, decode_request, error_body, with_one_model
from tiergate.gateway.classified import ClassifiedTier
from tiergate.gateway.limits import CaseBudgets
from tiergate.gateway.notices import gate_notice, notice
from tiergate.gateway.replies import ClientGoneError, Receive, Scope, Send, refuse, reply
from tiergate.gateway.snapshot import Snapshot
from tiergate.gateway.tiers import NOT_LISTED_DECISION, Ruling, TierGate, details_of, message_of, status_of
from tiergate.gateway.upstreams.upstream import returned_headers
from tiergate.ledger.verdicts import Action
from tiergate.parties.registry import Credential


class Gateway:
    """Serves requests from a snapshot of the control database that `snapshot` holds and its owner replaces."""

    def __init__(
        self, services: Services, snapshot: Snapshot, public_url: str, tiers: TierGate, classified: ClassifiedTier
    ) -> None:
        self.snapshot = snapshot
        self._classified = classified
        self._tiers = tiers
        self._services = services
        self._settings = services.settings
        self._public_url = public_url
        self._callers = CallerReader(services.settings)
        self._budgets = CaseBudgets()
        self._under_way = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        method, path = scope["method"], scope["path"]
        if method == "POST" and path == "/v1/chat/completions":
            await self._limited(scope, receive, send)
        elif method == "GET" and path == "/v1/models":
            await self._models(scope, send)
        elif method == "GET" and path == "/healthz":
            await reply(send, 200, b'{"status":"ok"}')
        elif method == "GET" and path.startswith("/verdicts/"):
            await self._notice(scope, path.removeprefix("/verdicts/"), send)
        elif method == "GET" and path.startswith("/decisions/"):
            await self._gate_notice(scope, path.removeprefix("/decisions/"), send)
        else:
            await reply(send, 404, error_body(404, "not_found", f"there is no {method} {path[:200]} here"))

    async def _limited(self, scope: Scope, receive: Receive, send: Send) -> None:
        if self._under_way >= self._settings.max_concurrency:
            body = error_body(503, "overloaded", "too many requests are under way; try again shortly")
            await reply(send, 503, body, [(b"retry-after", b"1")])
            return
        self._under_way += 1
        try:
            await self._chat(scope, receive, send)
        except ClientGoneError:
            pass
        finally:
            self._under_way -= 1

    async def _chat(self, scope: Scope, receive: Receive, send: Send) -> None:
        headers = dict(scope["headers"])
        credential = self.snapshot.credential(presented_key(headers))
        if credential is None or credential.revoked_at is not None:
            await refuse(send, INVALID_KEY, None)
            return
        body = await _read_body(receive, headers, self._settings.max_body_bytes)
        if body is None:
            message = f"the request body is larger than {self._settings.max_body_bytes} bytes"
            await reply(send, 413, error_body(413, "request_too_large", message), [(b"connection", b"close")])
            return
        try:
            request = decode_request(body)
        except UNREADABLE as error:
            message = f"the body is not a chat completion request: {error}"
            await reply(send, 400, error_body(400, "invalid_request", message))
            return
        call = Call(self._services, credential, request, self._callers.read(scope), headers.get(b"x-session-id"))
        decision = self._decide(credential)
        if not decision.allowed:
            # A refusal holds without its record, unlike an answer: nothing was given away.
            with suppress(LedgerError):
                await call.record(decision.status, finish_reason=decision.code)
            link = f"{self._public_url}/verdicts/{decision.verdict.verdict_id}" if decision.verdict else None
            await refuse(send, decision, link, call.id_header)
            return
        charge: Charge | None = None
        if self.snapshot.models.tiers_in_force:
            try:
                body = with_one_model(body, request.model)
            except InputError as error:
                await reply(send, 400, error_body(400, "invalid_request", str(error)))
                return
            try:
                tier, charge = await self._tier(call, credential, request, headers, decision.code, body)
            except LedgerError:
                await call.refuse_unrecorded(send)
                return
            if not tier.allowed:
                await self._refuse_tier(call, tier, send)
                return
        await call.answer(scope["headers"], body, scope["gone"], send, charge)

    async def _tier(
        self, call: Call, credential: Credential, request: ChatRequest, headers: dict[bytes, bytes], code: str,
        body: bytes,
    ) -> tuple[TierDecision, Charge | None]:  # fmt: skip
        """The tier's decision; for the classified tier it is on record, and paid for."""
        certificate, name = call.caller.client_certificate, request.model
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
        admitted = await self._classified.decide(judge, request, body, call.exchange_id)
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
        body = error_body(status, code, message_of(tier), **details_of(tier, self._public_url))
        await reply(send, status, body, headers)

    def _decide(self, credential: Credential) -> Decision:
        verdict = self.snapshot.verdict(credential.account_id, self._services.clock.now_us())
        wait = None
        active = credential.account_status == "active"
        # A closed account is refused anyway: it must not use up the budget of the others.
        if active and verdict is not None and verdict.action is Action.LIMIT:
            wait = self._budgets.wait_s(verdict, time.monotonic())
        return admit(credential, verdict, case_wait_s=wait)

    async def _models(self, scope: Scope, send: Send) -> None:
        credential = self.snapshot.credential(presented_key(dict(scope["headers"])))
        verdict = self.snapshot.verdict(credential.account_id, self._services.clock.now_us()) if credential else None
        # Listing models spends no budget: a limited case may look.
        decision = admit(credential, verdict, case_wait_s=0)
        if not decision.allowed:
            link = f"{self._public_url}/verdicts/{decision.verdict.verdict_id}" if decision.verdict else None
            await refuse(send, decision, link)
            return
        try:
            async with self._services.upstream.call("GET", "/models", scope["headers"], None) as answer:
                await reply(send, answer.status, await answer.read(), returned_headers(answer), kind=None)
        except UpstreamError as error:
            await reply(send, error.status, error_body(error.status, "upstream_error", str(error)))

    async def _notice(self, scope: Scope, verdict_id: str, send: Send) -> None:
        verdict = self.snapshot.notices.get(verdict_id)
        if verdict is None or self.snapshot.verdict(verdict.account_id, self._services.clock.now_us()) is None:
            await reply(send, 404, error_body(404, "no_such_notice", "no notice in force has this address"))
            return
        as_html = b"text/html" in dict(scope["headers"]).get(b"accept", b"")
        body, kind = notice(verdict, self._settings.appeal_contact, as_html=as_html)
        await reply(send, 200, body, kind=kind)

    async def _gate_notice(self, scope: Scope, code: str, send: Send) -> None:
        gate = self._tiers.gate(code)
        if gate is None:
            await reply(send, 404, error_body(404, "no_such_notice", "no gate has this code"))
            return
        as_html = b"text/html" in dict(scope["headers"]).get(b"accept", b"")
        body, kind = gate_notice(gate, self._settings.appeal_contact, as_html=as_html)
        await reply(send, 200, body, kind=kind)


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
