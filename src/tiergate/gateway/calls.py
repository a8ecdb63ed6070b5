"""One admitted or refused request: what limits say of it, and its record."""

from __future__ import annotations

import os
import time
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Final

import msgspec

from tiergate.clock import Clock
from tiergate.errors import LedgerError
from tiergate.gateway.callers import Caller, Headers
from tiergate.gateway.dialects.common import Asked
from tiergate.gateway.dialects.errors import error_body
from tiergate.gateway.dialects.surfaces import Surface
from tiergate.gateway.metered import as_raw, demand_of, limit_headers, payer_of
from tiergate.gateway.metering.meter import Charge as Metered
from tiergate.gateway.metering.meter import Ticket
from tiergate.gateway.metering.refusals import Refusal
from tiergate.gateway.metering.usage import Seen
from tiergate.gateway.metering.worker import Metering
from tiergate.gateway.recorder import Recorder
from tiergate.gateway.replies import Send, fail, reply
from tiergate.gateway.routed import Routing
from tiergate.gateway.telemetry.trace_context import TraceContext
from tiergate.gateway.telemetry.watch import Watch
from tiergate.gateway.upstreams.upstream import Upstream
from tiergate.parties.registry import Credential
from tiergate.records.schema import Exchange
from tiergate.settings import Settings

LONGEST_NAME: Final = 256
MOST_TOOLS: Final = 1_000
"""Of names that callers choose, so much is recorded and counted by: a body has room for millions of characters."""

LIMITS_NOT_KNOWN: Final = "limits cannot be looked up right now, so the request is refused"


@dataclass(frozen=True, slots=True)
class Services:
    """What every call works with. ``upstream``: of the settings, asked where no file has routes."""

    settings: Settings
    upstream: Upstream | None
    routing: Routing
    recorder: Recorder
    metering: Metering
    watch: Watch
    clock: Clock


class Call:
    """One admitted or refused request, up to its record."""

    def __init__(
        self, services: Services, credential: Credential, surface: Surface, asked: Asked, caller: Caller,
        headers: Headers,
    ) -> None:  # fmt: skip
        self._services = services
        self.surface = surface
        self._asked = asked
        self._keep_text = services.settings.retention == "text" or services.settings.otlp_text
        self._began = time.perf_counter()
        started = services.clock.now_us() if caller.replayed_us is None else caller.replayed_us
        # Sortable by time, with 80 random bits: unique without asking anybody.
        self._id = f"ex_{services.clock.now_us() // 1000:012x}{os.urandom(10).hex()}"
        self.exchange_id = self._id
        self.caller = caller
        self.started_us = started
        self.id_header = (b"x-tiergate-exchange-id", self._id.encode())
        self.headers = [self.id_header]
        """What goes out with every answer."""
        self._ticket: Ticket | None = None
        self._routed: dict[str, str | int | None] = {}
        self.trace: TraceContext | None = None
        """The trace it belongs to, where exchanges are traced."""
        self.summarised = False
        """Whether the answer goes out without reasoning and log-probabilities."""
        self._first_token_s: float | None = None
        self.exchange = Exchange(
            exchange_id=self._id,
            started_at=started,
            account_id=credential.account_id,
            organization_id=credential.organization_id,
            credential_id=credential.credential_id,
            end_user_id=asked.end_user[:LONGEST_NAME] if asked.end_user is not None else None,
            project_id=_name(headers, b"x-tiergate-project"),
            session_id=_name(headers, b"x-session-id"),
            provider=services.settings.provider,
            operation=surface.operation,
            request_model=asked.model,
            stream=asked.stream,
            temperature=asked.temperature,
            max_tokens=asked.max_tokens,
            tool_names=[name[:LONGEST_NAME] for name in asked.tool_names[:MOST_TOOLS]] if asked.tool_names else None,
            message_count=asked.message_count,
            system_text=asked.system_text,
            prompt_text=asked.prompt_text,
            status=200,
            client_address=caller.address,
            user_agent=caller.user_agent,
            tls_fingerprint=caller.tls_fingerprint,
        )

    async def record(self, status: int, **fields: Any) -> None:
        """Record the exchange as it ended."""
        if not self.surface.recorded:
            return
        latency_ms = round((time.perf_counter() - self._began) * 1000, 3)
        columns = {"status": status, "latency_ms": latency_ms} | self._routed | fields
        exchange = msgspec.structs.replace(self.exchange, **columns)
        try:
            await self._services.recorder.record(exchange)
        except LedgerError:
            self._services.watch.counters.unrecorded += 1
            raise
        self._services.watch.finished(exchange, self._first_token_s, self.trace)

    async def begin(self, status: int, model: str | None = None) -> Metered | None:
        """Record that an answer begins; returns what it is on record with."""
        begun = self._ticket.begun(model) if self._ticket is not None and is_answer(status) else None
        if self.surface.recorded:
            columns = self._routed | (begun.columns() if begun is not None else {})
            await self._services.recorder.begin(msgspec.structs.replace(self.exchange, **columns))
        return begun

    async def refuse_unrecorded(self, send: Send) -> None:
        """Refuse what could not be written down first."""
        message = "the decision on this request could not be recorded, so it is refused"
        with suppress(LedgerError):
            await self.record(503, finish_reason="decision_not_recorded")
        await self.fail(send, 503, "decision_not_recorded", message, (b"retry-after", b"1"))

    async def fail(self, send: Send, status: int, code: str, message: str, *more: tuple[bytes, bytes]) -> None:
        """Answer with an error of ours."""
        await fail(send, self.surface.dialect, status, code, message, [*self.headers, *more])

    async def refuse(
        self, send: Send, status: int, code: str, message: str, details: dict[str, Any], *more: tuple[bytes, bytes]
    ) -> None:
        """Record a refusal, and answer with it. It holds without its record: nothing was given away."""
        with suppress(LedgerError):
            await self.record(status, finish_reason=code)
        body = error_body(self.surface.dialect, status, code, message, **details)
        await reply(send, status, body, [*self.headers, *more])

    def release(self) -> None:
        """Give back what limits still set aside for it."""
        if self._ticket is not None:
            self._ticket.release()

    def forget_text(self) -> None:
        """Drop what was asked, of which the beginning on record has the sketches."""
        self._asked = msgspec.structs.replace(self._asked, system_text=None, prompt_text=None)
        self.exchange = msgspec.structs.replace(self.exchange, system_text=None, prompt_text=None)

    async def admit(self, models: tuple[str, ...], body: bytes, send: Send) -> bool:
        """Whether limits and prices let the request through; it is answered where they do not."""
        exchange = self.exchange
        try:
            admitted = await self._services.metering.admit(
                payer_of(exchange), models, demand_of(self._asked, body), exchange.started_at
            )
        except LedgerError:
            await self.refuse(send, 503, "limits_not_known", LIMITS_NOT_KNOWN, {}, (b"retry-after", b"1"))
            return False
        if isinstance(admitted, Refusal):
            headers = as_raw(admitted.headers())
            await self.refuse(
                send, admitted.status, admitted.code, admitted.message, admitted.details(), *headers
            )  # fmt: skip
            return False
        self.headers += limit_headers(self.surface.dialect, admitted, self._services.clock.now_us())
        if models:
            self._ticket = admitted
        else:
            admitted.release()  # no model answers, so there is nothing to settle
        return True

    async def record_answer(
        self, status: int, model: str | None, seen: Seen | None, begun: Metered | None = None, **fields: Any
    ) -> int | None:
        """Record an answer with what it used and cost, which is settled before and taken back where the record fails.
        The cost in micro-dollars; None where nothing is priced, and of an error.

        :param seen: what passed of it, None for what is no answer; ``begun``: what its beginning is on record with.
        """
        ticket = self._ticket
        if ticket is None or seen is None:
            await self.record(status, **fields)
            return None
        charge = ticket.settle(seen, model)
        columns = charge.columns()
        try:
            await self.record(status, **fields, **columns)
        except LedgerError:
            ticket.void((begun.cost_micro_usd if begun is not None else None) or 0)
            raise
        return charge.cost_micro_usd


def _name(headers: Headers, header: bytes) -> str | None:
    """What a caller calls something by, None where it is empty or not there."""
    value = headers.get(header)
    return value.decode("latin-1")[:LONGEST_NAME] if value else None


def is_answer(status: int) -> bool:
    """Whether a model answered, so that it costs something: an error or a redirect is nothing that anyone asked for."""
    return 200 <= status < 300
