"""A request that upstreams answer: they are asked one after another, and the answer is passed on.

An answer is finished only when its exchange is recorded: a complete one is sent after the record, the end of a
streamed one is held back for it. A stream's beginning is recorded before its first byte goes out, so that even an
answer cut by the death of this process shows in the log.
"""

from __future__ import annotations

import asyncio
import logging
import math
import time
from collections.abc import Callable
from typing import Final

from tiergate.errors import LedgerError, UpstreamError
from tiergate.gateway.calls import Call, is_answer
from tiergate.gateway.charging import Charge
from tiergate.gateway.dialects.common import UPSTREAM_ERROR, Usage
from tiergate.gateway.dialects.sse import EventStream
from tiergate.gateway.dialects.summarised import SummarisedStream, summarised_answer
from tiergate.gateway.metered import seen_in_stream, seen_whole
from tiergate.gateway.metering.meter import Charge as Metered
from tiergate.gateway.replies import ClientGoneError, Scope, Send, reply
from tiergate.gateway.routing.failures import Failure, Kind, retry_after_s
from tiergate.gateway.routing.router import Refusal as RouteRefusal
from tiergate.gateway.upstreams.answer import Answer
from tiergate.gateway.upstreams.upstream import returned_headers
from tiergate.gateway.ways import Way, Ways

_log = logging.getLogger(__name__)
JSON_TYPE: Final = (b"content-type", b"application/json")
FALLBACK: Final = b"x-tiergate-fallback"
CLIENT_GONE: Final = 499
"""Status recorded when the caller hung up before the answer (nginx's number; no standard has one)."""


class AnsweredCall(Call):
    """A call that upstreams answer."""

    _charge: Charge | None = None

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
        if is_answer(status):
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
        if self._charge is not None and self.surface.recorded and is_answer(status):
            await self._charge.settle(cost, usage, tokens_seen)

    async def _record_stream(
        self, status: int, way: Way, stream: EventStream, finish: str | None, begun: Metered | None
    ) -> None:
        """Record a streamed answer, with ``finish`` where it did not end by itself."""
        try:
            cost = await self.record_answer(
                status,
                way.model,
                seen_in_stream(stream, complete=finish is None) if is_answer(status) else None,
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


def _unfit(error: Exception) -> UpstreamError:
    """What is met where an answer cannot be passed on, for whatever reason: it must be on record all the same."""
    if isinstance(error, UpstreamError):
        return error
    _log.error("an upstream's answer cannot be passed on", exc_info=error)
    return UpstreamError("the upstream model's answer cannot be passed on", status=502)
