"""One admitted or refused request, from its body to its record.

An answer is finished only when its exchange is recorded: a complete one is sent after the record, the end of a
streamed one is held back for it. A stream's beginning is recorded before its first byte goes out, so that even an
answer cut by the death of this process shows in the log.
"""

from __future__ import annotations

import asyncio
import logging
import math
import os
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Final

import msgspec

from tiergate.clock import Clock
from tiergate.errors import LedgerError, UpstreamError
from tiergate.gateway.callers import Caller, Headers
from tiergate.gateway.charging import Charge
from tiergate.gateway.dialects.common import UPSTREAM_ERROR, Asked, Usage
from tiergate.gateway.dialects.errors import error_body
from tiergate.gateway.dialects.sse import EventStream
from tiergate.gateway.dialects.summarised import SummarisedStream, summarised_answer
from tiergate.gateway.dialects.surfaces import Surface
from tiergate.gateway.metered import as_raw, demand_of, limit_headers, payer_of, seen_in_stream, seen_whole
from tiergate.gateway.metering.meter import Charge as Metered
from tiergate.gateway.metering.meter import Ticket
from tiergate.gateway.metering.refusals import Refusal
from tiergate.gateway.metering.usage import Seen
from tiergate.gateway.metering.worker import Metering
from tiergate.gateway.recorder import Recorder
from tiergate.gateway.replies import ClientGoneError, Scope, Send, fail, reply
from tiergate.gateway.routed import Routing
from tiergate.gateway.routing.failures import Failure, Kind, retry_after_s
from tiergate.gateway.routing.router import Refusal as RouteRefusal
from tiergate.gateway.telemetry.trace_context import TraceContext
from tiergate.gateway.telemetry.watch import Watch
from tiergate.gateway.upstreams.answer import Answer
from tiergate.gateway.upstreams.upstream import Upstream, returned_headers
from tiergate.gateway.ways import Way, Ways
from tiergate.parties.registry import Credential
from tiergate.records.schema import Exchange
from tiergate.settings import Settings

_log = logging.getLogger(__name__)
JSON_TYPE: Final = (b"content-type", b"application/json")
LONGEST_NAME: Final = 256
MOST_TOOLS: Final = 1_000
"""Of names that callers choose, so much is recorded and counted by: a body has room for millions of characters."""

FALLBACK: Final = b"x-tiergate-fallback"
LIMITS_NOT_KNOWN: Final = "limits cannot be looked up right now, so the request is refused"
CLIENT_GONE: Final = 499
"""Status recorded when the caller hung up before the answer (nginx's number; no standard has one)."""


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
    """One admitted or refused request, from its body to its record."""

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
        self._charge: Charge | None = None
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
        begun = self._ticket.begun(model) if self._ticket is not None and _is_answer(status) else None
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

    async def answer(self, ways: Ways, scope: Scope, body: bytes, send: Send, charge: Charge | None = None) -> None:
        """Ask upstreams and pass the answer on, recording it whatever happens.

        :param body: the caller's.
        :param charge: what pays for it.
        """
        self._charge = charge
        try:
            if await self.admit(ways.models if self.surface.recorded else (), body, send):
                await self._ask(ways, scope, send)
        except LedgerError:
            message = "the exchange could not be recorded, so its answer is withheld"
            await self.fail(send, 503, "not_recorded", message)
        finally:
            ways.close()
            self._services.recorder.ended(self.exchange_id)
            self.release()
            if charge is not None:
                await charge.release()

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

    async def _ask(self, ways: Ways, scope: Scope, send: Send) -> None:
        gone: asyncio.Future[None] = scope["gone"]
        if self.surface.recorded:
            self._services.recorder.awaits(self.exchange)
        traced = self.trace.headers() if self.trace is not None else []
        while (way := ways.next()) is not None:
            if ways.wait_s > 0:
                await asyncio.wait([gone], timeout=ways.wait_s)
            self._routed = ways.columns()
            call = way.upstream.call(
                "POST", way.adapter.path, scope["headers"], way.body, self.exchange.account_id, traced
            )  # fmt: skip
            # Who hangs up ends the upstream's work too; what waits for its answer then meets an `UpstreamError`.
            gone.add_done_callback(call.call_off)
            if gone.done():
                # The callback comes with the loop's next turn, and the request could be sent before.
                call.call_off()
            try:
                async with call as answer:
                    if answer.status >= 400 and ways.failed(self._failure(answer)):
                        continue
                    self._offer(ways, answer.status)
                    if answer.content_type == "text/event-stream":
                        await self._stream(ways, way, answer, scope, send)
                    else:
                        await self._whole(ways, way, answer, send)
                    return
            except UpstreamError as error:
                if gone.done():
                    await self.record(CLIENT_GONE, finish_reason="client_disconnected")
                    raise ClientGoneError from error
                if ways.failed(Failure(Kind.UNANSWERED if error.reached else Kind.UNREACHED)):
                    continue
                self._offer(ways, error.status)
                await self.record(error.status, finish_reason=UPSTREAM_ERROR)
                await self.fail(send, error.status, UPSTREAM_ERROR, str(error))
                return
            finally:
                gone.remove_done_callback(call.call_off)
        await self.refuse_route(ways.refusal(), send)

    async def refuse_route(self, refusal: RouteRefusal, send: Send) -> None:
        """Say why no candidate could be asked."""
        more = [] if refusal.offer is None else [(FALLBACK, refusal.offer.encode())]
        if refusal.retry_after_s is not None:
            more.append((b"retry-after", str(max(1, math.ceil(refusal.retry_after_s))).encode()))
        await self.refuse(send, refusal.status, refusal.code, refusal.message, refusal.details(), *more)

    def _failure(self, answer: Answer) -> Failure:
        wait_s = retry_after_s(answer.header(b"retry-after"), self._services.clock.now_us())
        return Failure(Kind.STATUS, answer.status, wait_s)

    def _offer(self, ways: Ways, status: int) -> None:
        """Name a model of a lower tier with a failure that ends all attempts."""
        if (status >= 500 or status == 429) and (offer := ways.offer()) is not None:
            self.headers.append((FALLBACK, offer.encode()))

    async def _whole(self, ways: Ways, way: Way, answer: Answer, send: Send) -> None:
        body, status = await answer.read(), answer.status
        try:
            passed, said = way.adapter.answer(status, body, self._services.clock.now_us())
            if self.summarised and status < 400:
                passed = summarised_answer(self.surface.operation, passed)
        except Exception as error:
            raise _unfit(error) from error
        seen = None
        if status < 400:
            ways.answered(status)
            ways.ended(said.usage.output_tokens if said.usage else None)
        if _is_answer(status):
            seen = seen_whole(self._asked, said.usage, said.text, body)
        cost = await self.record_answer(
            status,
            way.model,
            seen,
            finish_reason=said.finish_reason,
            response_model=said.model,
            response_text=said.text if self._keep_text else None,
        )
        await self._settle(status, cost, said.usage)
        headers = returned_headers(answer)
        if passed is not body:
            headers = [JSON_TYPE, *(header for header in headers if header[0] != b"content-type")]
        await reply(send, status, passed, [*headers, *self.headers], kind=None)

    async def _stream(self, ways: Ways, way: Way, answer: Answer, scope: Scope, send: Send) -> None:
        status = answer.status
        if status < 400:
            ways.answered(status)
        begun = await self.begin(status, way.model)
        headers = [*returned_headers(answer), (b"cache-control", b"no-store"), *self.headers]
        await send({"type": "http.response.start", "status": status, "headers": headers})
        stream = way.adapter.stream(self._asked, self._keep_text, self._services.clock.now_us())
        summarised = SummarisedStream(self.surface.operation) if self.summarised else None
        finish, rest, recorded, told, held = None, b"", False, status >= 400, b""
        pass_on: Callable[[bytes], bool] = scope["pass_on"]

        def take(piece: bytes) -> bool:
            """Pass a piece on; False where what follows has to wait: for the record, or for the caller."""
            nonlocal told, held
            try:
                passed = stream.feed(piece)
                if summarised is not None:
                    passed = summarised.feed(passed)
            except Exception as error:
                raise _unfit(error) from error
            if not told and stream.pieces:
                told = True
                self._first_token_s = time.perf_counter() - self._began
                ways.first_token()
            if stream.done and not recorded:
                held = passed
                return False
            return not passed or pass_on(passed)

        try:
            while await answer.relay(take):
                if stream.done and not recorded:
                    await self._record_stream(status, way, stream, None, begun)
                    recorded = True
                await send({"type": "http.response.body", "body": held, "more_body": True})
                held = b""
            rest = stream.end()
            if summarised is not None:
                rest = summarised.feed(rest) + summarised.end()
        except UpstreamError:
            finish = "client_disconnected" if scope["gone"].done() else "upstream_broke_off"
        stream.catch_up()
        if status < 400 and finish != "client_disconnected":
            output = stream.usage.output_tokens if stream.usage else None
            ways.ended(output, broke_off=finish is not None and not recorded)
        if not recorded:
            await self._record_stream(status, way, stream, finish, begun)
        if finish == "upstream_broke_off":
            # Ending the chunked body properly would pass a cut answer off as a whole one.
            raise ClientGoneError
        await send({"type": "http.response.body", "body": rest, "more_body": False})

    async def _settle(self, status: int, cost: int | None, usage: Usage | None, tokens_seen: int = 0) -> None:
        """Charge an answer before it is whole in the caller's hands. What is none of the upstream's costs nothing."""
        if self._charge is not None and self.surface.recorded and _is_answer(status):
            await self._charge.settle(cost, usage, tokens_seen)

    async def _record_stream(
        self, status: int, way: Way, stream: EventStream, finish: str | None, begun: Metered | None
    ) -> None:
        """Record a streamed answer, with ``finish`` where it did not end by itself."""
        try:
            cost = await self.record_answer(
                status,
                way.model,
                seen_in_stream(stream, complete=finish is None) if _is_answer(status) else None,
                begun,
                finish_reason=finish or stream.finish_reason,
                response_model=stream.model,
                response_text=stream.text,
            )
            # What a stream says of its use on the way is not yet all: whoever hangs up must not pay for less.
            usage = None if finish == "client_disconnected" else stream.usage
            await self._settle(status, cost, usage, stream.pieces)
        except LedgerError as error:
            # Too late for a 503: the end stays withheld, and the beginning is in the log.
            raise ClientGoneError from error

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


def _is_answer(status: int) -> bool:
    """Whether a model answered, so that it costs something: an error or a redirect is nothing that anyone asked for."""
    return 200 <= status < 300


def _unfit(error: Exception) -> UpstreamError:
    """What is met where an answer cannot be passed on, for whatever reason: it must be on record all the same."""
    if isinstance(error, UpstreamError):
        return error
    _log.error("an upstream's answer cannot be passed on", exc_info=error)
    return UpstreamError("the upstream model's answer cannot be passed on", status=502)
