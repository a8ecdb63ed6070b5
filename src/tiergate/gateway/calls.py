"""One admitted or refused request, from its body to its record.

An answer is finished only when its exchange is recorded: a complete one is sent after the record, the end of a
streamed one is held back for it. A stream's beginning is recorded before its first byte goes out, so that even an
answer cut by the death of this process shows in the log.
"""

from __future__ import annotations

import asyncio
import secrets
import time
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Final

import msgspec

from tiergate.clock import Clock
from tiergate.errors import LedgerError, UpstreamError
from tiergate.gateway.callers import Caller
from tiergate.gateway.charging import Charge
from tiergate.gateway.dialects.adapters import Adapter
from tiergate.gateway.dialects.common import UPSTREAM_ERROR, Asked, Usage
from tiergate.gateway.dialects.sse import EventStream
from tiergate.gateway.dialects.surfaces import Surface
from tiergate.gateway.recorder import Recorder
from tiergate.gateway.replies import ClientGoneError, RawHeaders, Send, fail, reply
from tiergate.gateway.upstreams.answer import Answer
from tiergate.gateway.upstreams.upstream import Upstream, returned_headers
from tiergate.parties.registry import Credential
from tiergate.records.schema import Exchange
from tiergate.settings import Settings

JSON_TYPE: Final = (b"content-type", b"application/json")
CLIENT_GONE: Final = 499
"""Status recorded when the caller hung up before the answer (nginx's number; no standard has one)."""


@dataclass(frozen=True, slots=True)
class Services:
    """What every call works with."""

    settings: Settings
    upstream: Upstream
    recorder: Recorder
    clock: Clock


class Call:
    """One admitted or refused request, from its body to its record."""

    def __init__(
        self, services: Services, credential: Credential, surface: Surface, asked: Asked, caller: Caller,
        session: bytes | None,
    ) -> None:  # fmt: skip
        self._services = services
        self.surface = surface
        self._asked = asked
        self._keep_text = services.settings.retention == "text"
        self._began = time.perf_counter()
        started = services.clock.now_us() if caller.replayed_us is None else caller.replayed_us
        # Sortable by time, with 80 random bits: unique without asking anybody.
        self._id = f"ex_{services.clock.now_us() // 1000:012x}{secrets.token_hex(10)}"
        self.exchange_id = self._id
        self.caller = caller
        self.id_header = (b"x-tiergate-exchange-id", self._id.encode())
        self.headers = [self.id_header]
        """What goes out with every answer."""
        self._charge: Charge | None = None
        self._exchange = Exchange(
            exchange_id=self._id,
            started_at=started,
            account_id=credential.account_id,
            organization_id=credential.organization_id,
            credential_id=credential.credential_id,
            end_user_id=asked.end_user,
            session_id=session.decode("latin-1")[:256] if session else None,
            provider=services.settings.provider,
            operation=surface.operation,
            request_model=asked.model,
            stream=asked.stream,
            temperature=asked.temperature,
            max_tokens=asked.max_tokens,
            tool_names=asked.tool_names,
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
        fields |= {"status": status, "latency_ms": round((time.perf_counter() - self._began) * 1000, 3)}
        await self._services.recorder.record(msgspec.structs.replace(self._exchange, **fields))

    async def refuse_unrecorded(self, send: Send) -> None:
        """Refuse what could not be written down first."""
        message = "the decision on this request could not be recorded, so it is refused"
        with suppress(LedgerError):
            await self.record(503, finish_reason="decision_not_recorded")
        await self.fail(send, 503, "decision_not_recorded", message, (b"retry-after", b"1"))

    async def fail(self, send: Send, status: int, code: str, message: str, *more: tuple[bytes, bytes]) -> None:
        """Answer with an error of ours."""
        await fail(send, self.surface.dialect, status, code, message, [*self.headers, *more])

    async def answer(
        self, adapter: Adapter, headers: RawHeaders, body: bytes, gone: asyncio.Future[None], send: Send,
        charge: Charge | None = None,
    ) -> None:  # fmt: skip
        """Ask the upstream and pass its answer on, recording it whatever happens.

        :param body: what the upstream is asked.
        :param gone: done when the caller hangs up.
        :param charge: what pays for it.
        """
        self._charge = charge
        call = self._services.upstream.call("POST", adapter.path, headers, body, self._exchange.account_id)
        # Who hangs up ends the upstream's work too; what waits for its answer then meets an `UpstreamError`.
        gone.add_done_callback(call.call_off)
        try:
            async with call as answer:
                if answer.content_type == "text/event-stream":
                    await self._stream(adapter, answer, gone, send)
                else:
                    await self._whole(adapter, answer, send)
        except UpstreamError as error:
            if gone.done():
                await self.record(CLIENT_GONE, finish_reason="client_disconnected")
                raise ClientGoneError from error
            await self.record(error.status, finish_reason=UPSTREAM_ERROR)
            await self.fail(send, error.status, UPSTREAM_ERROR, str(error))
        except LedgerError:
            message = "the exchange could not be recorded, so its answer is withheld"
            await self.fail(send, 503, "not_recorded", message)
        finally:
            gone.remove_done_callback(call.call_off)
            if charge is not None:
                await charge.release()

    async def _whole(self, adapter: Adapter, answer: Answer, send: Send) -> None:
        body = await answer.read()
        passed, said = adapter.answer(answer.status, body, self._services.clock.now_us())
        await self.record(
            answer.status,
            finish_reason=said.finish_reason,
            response_model=said.model,
            response_text=said.text if self._keep_text else None,
            **_tokens(said.usage),
        )
        await self._settle(answer.status, said.usage)
        headers = returned_headers(answer)
        if passed is not body:
            headers = [JSON_TYPE, *(header for header in headers if header[0] != b"content-type")]
        await reply(send, answer.status, passed, [*headers, *self.headers], kind=None)

    async def _stream(self, adapter: Adapter, answer: Answer, gone: asyncio.Future[None], send: Send) -> None:
        if self.surface.recorded:
            await self._services.recorder.begin(self._exchange)
        headers = [*returned_headers(answer), (b"cache-control", b"no-store"), *self.headers]
        await send({"type": "http.response.start", "status": answer.status, "headers": headers})
        stream = adapter.stream(self._asked, self._keep_text, self._services.clock.now_us())
        finish, recorded = None, False
        try:
            while True:
                piece = await answer.readany()
                if not piece:
                    break
                passed = stream.feed(piece)
                if stream.done and not recorded:
                    await self._record_stream(answer.status, stream, None)
                    recorded = True
                if passed:
                    await send({"type": "http.response.body", "body": passed, "more_body": True})
        except UpstreamError:
            finish = "client_disconnected" if gone.done() else "upstream_broke_off"
        rest = stream.end() if finish is None else b""
        if not recorded:
            await self._record_stream(answer.status, stream, finish)
        if finish == "upstream_broke_off":
            # Ending the chunked body properly would pass a cut answer off as a whole one.
            raise ClientGoneError
        await send({"type": "http.response.body", "body": rest, "more_body": False})

    async def _settle(self, status: int, usage: Usage | None, tokens_seen: int = 0) -> None:
        """Charge an answer before it is whole in the caller's hands. An error of the upstream's costs nothing."""
        if self._charge is not None and self.surface.recorded and status < 400:
            await self._charge.settle(usage, tokens_seen)

    async def _record_stream(self, status: int, stream: EventStream, finish: str | None) -> None:
        """Record a streamed answer, with ``finish`` where it did not end by itself."""
        try:
            await self.record(
                status,
                finish_reason=finish or stream.finish_reason,
                response_model=stream.model,
                response_text=stream.text,
                **_tokens(stream.usage),
            )
            # What a stream says of its use on the way is not yet all: whoever hangs up must not pay for less.
            usage = None if finish == "client_disconnected" else stream.usage
            await self._settle(status, usage, stream.pieces)
        except LedgerError as error:
            # Too late for a 503: the end stays withheld, and the beginning is in the log.
            raise ClientGoneError from error


def _tokens(usage: Usage | None) -> dict[str, int | None]:
    if usage is None:
        return {}
    return {
        "input_tokens": usage.input_tokens,
        "output_tokens": usage.output_tokens,
        "cached_input_tokens": usage.cached_input_tokens,
        "reasoning_tokens": usage.reasoning_tokens,
    }
