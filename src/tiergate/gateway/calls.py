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
from tiergate.gateway.chat import UNREADABLE, ChatAnswer, ChatRequest, Usage, decode_answer, error_body
from tiergate.gateway.recorder import Recorder
from tiergate.gateway.replies import ClientGoneError, RawHeaders, Send, reply
from tiergate.gateway.sse import AnswerReader
from tiergate.gateway.upstreams.answer import Answer
from tiergate.gateway.upstreams.upstream import Upstream, returned_headers
from tiergate.parties.registry import Credential
from tiergate.records.schema import Exchange
from tiergate.settings import Settings

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
        self, services: Services, credential: Credential, request: ChatRequest, caller: Caller, session: bytes | None
    ) -> None:
        self._services = services
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
        limit = request.max_completion_tokens if request.max_tokens is None else request.max_tokens
        self._exchange = Exchange(
            exchange_id=self._id,
            started_at=started,
            account_id=credential.account_id,
            organization_id=credential.organization_id,
            credential_id=credential.credential_id,
            end_user_id=request.user,
            session_id=session.decode("latin-1")[:256] if session else None,
            provider=services.settings.provider,
            operation="chat",
            request_model=request.model,
            stream=bool(request.stream),
            temperature=request.temperature,
            max_tokens=limit,
            tool_names=request.tool_names(),
            message_count=len(request.messages),
            system_text=request.system_text(),
            prompt_text=request.prompt_text(),
            status=200,
            client_address=caller.address,
            user_agent=caller.user_agent,
            tls_fingerprint=caller.tls_fingerprint,
        )

    async def record(self, status: int, **fields: Any) -> None:
        """Record the exchange as it ended."""
        fields |= {"status": status, "latency_ms": round((time.perf_counter() - self._began) * 1000, 3)}
        await self._services.recorder.record(msgspec.structs.replace(self._exchange, **fields))

    async def refuse_unrecorded(self, send: Send) -> None:
        """Refuse what could not be written down first."""
        message = "the decision on this request could not be recorded, so it is refused"
        with suppress(LedgerError):
            await self.record(503, finish_reason="decision_not_recorded")
        await reply(
            send, 503, error_body(503, "decision_not_recorded", message), [*self.headers, (b"retry-after", b"1")]
        )

    async def answer(
        self, headers: RawHeaders, body: bytes, gone: asyncio.Future[None], send: Send, charge: Charge | None = None
    ) -> None:
        """Ask the upstream and pass its answer on, recording it whatever happens.

        :param gone: done when the caller hangs up.
        :param charge: what pays for it.
        """
        self._charge = charge
        call = self._services.upstream.call("POST", "/chat/completions", headers, body)
        # Who hangs up ends the upstream's work too; what waits for its answer then meets an `UpstreamError`.
        gone.add_done_callback(call.call_off)
        try:
            async with call as answer:
                if answer.content_type == "text/event-stream":
                    await self._stream(answer, gone, send)
                else:
                    await self._whole(answer, send)
        except UpstreamError as error:
            if gone.done():
                await self.record(CLIENT_GONE, finish_reason="client_disconnected")
                raise ClientGoneError from error
            await self.record(error.status, finish_reason="upstream_error")
            await reply(send, error.status, error_body(error.status, "upstream_error", str(error)), self.headers)
        except LedgerError:
            message = "the exchange could not be recorded, so its answer is withheld"
            await reply(send, 503, error_body(503, "not_recorded", message), self.headers)
        finally:
            gone.remove_done_callback(call.call_off)
            if charge is not None:
                await charge.release()

    async def _whole(self, answer: Answer, send: Send) -> None:
        body = await answer.read()
        try:
            read = decode_answer(body)
        except UNREADABLE:
            read = ChatAnswer()
        choice = read.choices[0] if read.choices else None
        text = choice.message.content if choice and choice.message and self._keep_text else None
        finish = choice.finish_reason if choice else None
        await self.record(
            answer.status, finish_reason=finish, response_model=read.model, response_text=text, **_tokens(read.usage)
        )
        await self._settle(answer.status, read.usage)
        await reply(send, answer.status, body, [*returned_headers(answer), *self.headers], kind=None)

    async def _stream(self, answer: Answer, gone: asyncio.Future[None], send: Send) -> None:
        await self._services.recorder.begin(self._exchange)
        headers = [*returned_headers(answer), (b"cache-control", b"no-store"), *self.headers]
        await send({"type": "http.response.start", "status": answer.status, "headers": headers})
        reader = AnswerReader(keep_text=self._keep_text)
        finish, recorded = None, False
        try:
            while True:
                piece = await answer.readany()
                if not piece:
                    break
                reader.feed(piece)
                if reader.done and not recorded:
                    await self._record_stream(answer.status, reader, None)
                    recorded = True
                await send({"type": "http.response.body", "body": piece, "more_body": True})
        except UpstreamError:
            finish = "client_disconnected" if gone.done() else "upstream_broke_off"
        if not recorded:
            await self._record_stream(answer.status, reader, finish)
        if finish == "upstream_broke_off":
            # Ending the chunked body properly would pass a cut answer off as a whole one.
            raise ClientGoneError
        await send({"type": "http.response.body", "body": b"", "more_body": False})

    async def _settle(self, status: int, usage: Usage | None) -> None:
        """Charge an answer before it is whole in the caller's hands. An error of the upstream's costs nothing."""
        if self._charge is not None and status < 400:
            await self._charge.settle(usage)

    async def _record_stream(self, status: int, reader: AnswerReader, finish: str | None) -> None:
        """Record a streamed answer, with ``finish`` where it did not end by itself."""
        try:
            await self.record(
                status,
                finish_reason=finish or reader.finish_reason,
                response_model=reader.model,
                response_text=reader.text,
                **_tokens(reader.usage),
            )
            await self._settle(status, reader.usage)
        except LedgerError as error:
            # Too late for a 503: the end stays withheld, and the beginning is in the log.
            raise ClientGoneError from error


def _tokens(usage: Usage | None) -> dict[str, int | None]:
    if usage is None:
        return {}
    prompt, completion = usage.prompt_tokens_details, usage.completion_tokens_details
    return {
        "input_tokens": usage.prompt_tokens,
        "output_tokens": usage.completion_tokens,
        "cached_input_tokens": prompt.cached_tokens if prompt else None,
        "reasoning_tokens": completion.reasoning_tokens if completion else None,
    }
