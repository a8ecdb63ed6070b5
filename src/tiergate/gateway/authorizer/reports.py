"""What came of requests that passed, as another gateway tells it: JSON lines in the exchange log's columns."""

from __future__ import annotations

import asyncio
from typing import Any, Final

import msgspec
import pyarrow as pa

from tiergate.errors import InputError, LedgerError
from tiergate.gateway.authorizer.passed import Passed, PassedRequests
from tiergate.gateway.calls import Services
from tiergate.gateway.dialects.common import UNREADABLE, Usage
from tiergate.gateway.metering.usage import Seen
from tiergate.gateway.replies import Receive, Scope, Send, fail, read_body, reply
from tiergate.records.convert import rows_to_batch
from tiergate.records.refused import RefusedRows
from tiergate.records.schema import EXCHANGE_SCHEMA, Exchange
from tiergate.settings import AuthorizerSettings

PATH: Final = "/exchanges"
MOST_ROWS: Final = 1_000
REMEMBERED: Final = 100_000
"""Ids that were recorded last: the same told again is recorded once."""

_COST: Final = ("cost_micro_usd", "usage_source")
"""Columns that only we say."""

_decode = msgspec.json.Decoder(dict[str, Any]).decode


class Reports:
    """Answers `POST /exchanges`."""

    def __init__(self, services: Services, passed: PassedRequests, settings: AuthorizerSettings) -> None:
        self._services, self._passed = services, passed
        self._limit = settings.max_body_bytes
        self._keep_text = settings.retention == "text"
        self._recorded: dict[str, None] = {}

    async def answer(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Record what a body tells: all of it, or nothing where a row is wrong."""
        body = await read_body(receive, dict(scope["headers"]), self._limit)
        if body is None:
            message = f"the body is larger than {self._limit} bytes: send fewer exchanges at once"
            await fail(send, "openai", 413, "request_too_large", message, [(b"connection", b"close")])
            return
        try:
            told = self._judged(exchanges_of(body))
        except InputError as error:
            await fail(send, "openai", 400, "invalid_request", str(error))
            return
        results = await asyncio.gather(*(self._record(one) for one in told), return_exceptions=True)
        failures = [one for one in results if isinstance(one, BaseException)]
        if failures:
            if not isinstance(failures[0], LedgerError):
                raise failures[0]
            message = "not all exchanges could be recorded; send them again"
            await fail(send, "openai", 503, "not_recorded", message, [(b"retry-after", b"1")])
            return
        new = sum(map(bool, results))
        await reply(send, 200, msgspec.json.encode({"recorded": new, "repeated": len(results) - new}))

    def _judged(self, told: list[Exchange]) -> list[Exchange]:
        """The exchanges, of which none may be of another account than the one that was let through."""
        for row, one in enumerate(told, 1):
            began = self._passed.exchange(one.exchange_id)
            if began is not None and began.account_id != one.account_id:
                raise InputError(f"row {row}: `account_id` is not the one that was let through")
        return told

    async def _record(self, told: Exchange) -> bool:
        """Whether it is new."""
        if told.exchange_id in self._recorded:
            return False
        if len(self._recorded) >= REMEMBERED:
            self._recorded.pop(next(iter(self._recorded)))
        self._recorded[told.exchange_id] = None
        passed = self._passed.take(told.exchange_id)
        try:
            if passed is None:
                await self._services.recorder.record(told)
            else:
                await self._end(passed, told)
        except BaseException:
            self._recorded.pop(told.exchange_id, None)
            raise
        return True

    async def _end(self, passed: Passed, told: Exchange) -> None:
        usage = Usage(
            input_tokens=told.input_tokens, output_tokens=told.output_tokens,
            cached_input_tokens=told.cached_input_tokens, cache_write_tokens=told.cache_write_tokens,
            reasoning_tokens=told.reasoning_tokens,
        )  # fmt: skip
        said = told.response_text or ""
        seen = Seen(
            **msgspec.structs.asdict(usage), text_bytes=len(said.encode("utf-8", "replace")), text_chars=len(said),
            complete=usage.output_tokens is not None,
        )  # fmt: skip
        columns: dict[str, Any] = {"finish_reason": told.finish_reason, "response_model": told.response_model}
        if told.latency_ms is not None:
            columns["latency_ms"] = told.latency_ms
        if self._keep_text:
            columns["response_text"] = told.response_text
        await passed.end(told.status, usage, seen if told.status < 400 else None, **columns)


def exchanges_of(body: bytes) -> list[Exchange]:
    """The exchanges of JSON lines, checked as those of a file are. What only we say of cost is left out.

    Raises `InputError`, with the row's number from 1.
    """
    lines = [line for line in body.split(b"\n") if line.strip()]
    if not 0 < len(lines) <= MOST_ROWS:
        raise InputError(f"give 1 to {MOST_ROWS:,} exchanges, each a JSON object on a line")
    rows: list[dict[str, Any]] = []
    for number, line in enumerate(lines, 1):
        try:
            rows.append({name: value for name, value in _decode(line).items() if name not in _COST})
        except UNREADABLE as error:
            raise InputError(f"row {number} is no JSON object: {error}") from None
    with RefusedRows(None) as refused:
        batch = rows_to_batch(rows, list(range(1, len(rows) + 1)), EXCHANGE_SCHEMA, "the body", refused)
        if batch.num_rows < len(rows):
            raise InputError(refused.told)
    at = batch.schema.get_field_index("started_at")
    batch = batch.set_column(at, "started_at", batch.column(at).cast(pa.int64()))
    return [Exchange(**row) for row in batch.to_pylist()]
