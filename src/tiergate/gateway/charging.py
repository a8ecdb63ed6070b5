"""Credit around a request: reserved before the upstream is asked, settled by what it used, released when it fails.

Each step writes to the control database and waits for other processes' turns at it and for the disk, so a thread of its
own does it, for all requests that wait at once.
"""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Callable
from functools import partial
from typing import Final, TypeVar, cast

import sqlalchemy as sa

from tiergate.admission.credit_rows import MOST_MICRO_USD
from tiergate.admission.credits import Credits
from tiergate.admission.known_facts import GrantFact, ModelFact, Standing
from tiergate.clock import Clock
from tiergate.errors import LedgerError, StateError, TiergateError
from tiergate.gateway.dialects.common import Usage
from tiergate.gateway.metering.prices import PriceTable, Tariff
from tiergate.gateway.metering.usage import Demand
from tiergate.gateway.metering.usage import Usage as Used

R = TypeVar("R")
INPUT_PRICE: Final = 15_000_000
OUTPUT_PRICE: Final = 75_000_000
"""Micro-dollars for a million tokens where nobody states a price: above what the dearest public models cost."""

Work = Callable[[sa.Connection], object]
_log = logging.getLogger(__name__)


def tariff_of(prices: PriceTable, model: ModelFact, at_us: int) -> Tariff:
    """What a model costs: as exchanges are priced, else by half a price in `models.toml`, else dearly."""
    stated = prices.at(model.model, at_us)
    if stated is not None:
        return stated
    into = INPUT_PRICE if model.input_price is None else model.input_price
    out = OUTPUT_PRICE if model.output_price is None else model.output_price
    return Tariff(input=into, cached_input=into, cache_write=into, output=out, reasoning=out, from_us=0)


def estimate(tariff: Tariff, demand: Demand) -> int:
    """What a request may cost, in micro-dollars."""
    return min(max(1, tariff.bound(demand)), MOST_MICRO_USD)


class Charge:
    """Credit that is set aside for one request. Closed once, whatever comes after."""

    def __init__(self, till: Till, reservation_id: str, tariff: Tariff, micro_usd: int) -> None:
        self._till = till
        self._reservation_id = reservation_id
        self._tariff = tariff
        self._micro_usd = micro_usd
        self._closed = False

    async def settle(self, cost: int | None, usage: Usage | None = None, tokens_seen: int = 0) -> None:
        """Charge an answer.

        :param cost: what its exchange costs, in micro-dollars. None where nothing is priced: then it costs its usage,
            and one whose use the upstream does not say what was set aside, or ``tokens_seen`` of output where that is
            more.

        Raises `LedgerError` when it cannot be written; the reservation then runs out by itself.
        """
        if self._closed:
            return
        self._closed = True
        due = cost
        if due is None:
            due = max(self._micro_usd, self._cost(0, tokens_seen))
            if usage is not None and usage.input_tokens is not None and usage.output_tokens is not None:
                due = self._cost(max(0, usage.input_tokens), max(0, usage.output_tokens))
        try:
            await self._till.settle(self._reservation_id, min(due, MOST_MICRO_USD))
        except StateError as error:
            raise LedgerError(f"an answer cannot be charged: {error}") from error

    async def release(self) -> None:
        """Give it back, as there was no answer."""
        if self._closed:
            return
        self._closed = True
        try:
            await self._till.release(self._reservation_id)
        except TiergateError as error:
            _log.error("credit is given back when its time is up: %s", error)

    def _cost(self, input_tokens: int, output_tokens: int) -> int:
        return self._tariff.cost(Used(input_tokens=input_tokens, output_tokens=output_tokens))


class Till:
    """Credit lines as the gateway uses them: what waits together is written as one transaction, by one thread."""

    def __init__(self, credits: Credits, clock: Clock, loop: asyncio.AbstractEventLoop) -> None:  # noqa: A002
        self.credits = credits
        self._clock = clock
        self._loop = loop
        self._pending: list[tuple[Work, asyncio.Future[object]]] = []
        self._mutex = threading.Lock()
        self._wake = threading.Event()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._write_all, name="tiergate-credit", daemon=True)
        self._thread.start()

    async def covers(self, grant: GrantFact | None, micro_usd: int) -> bool | None:
        """Whether a grant's line has so much left; None where that is not known. Nothing is set aside."""
        if grant is None or grant.credit_line is None:
            return None
        try:
            balance = await asyncio.to_thread(self.credits.balance, grant.credit_line)
        except Exception as error:
            _log.error("a balance cannot be read: %s", error)
            return None
        return not balance.closed and balance.available >= micro_usd

    async def reserve(
        self, grant: GrantFact, standing: Standing, tariff: Tariff, purpose: str, micro_usd: int
    ) -> Charge | bool | None:
        """Set credit aside; False where the line has too little left, None where that is not known."""
        line, member = grant.credit_line, standing.workload_id or standing.person_id
        if line is None or member is None:
            return None
        now_us = self._clock.now_us()
        work = self.credits.reserving(line, micro_usd, member_id=member, purpose_id=purpose, now_us=now_us)
        try:
            made = await self.write(work)
            if made is None:
                # Credit of requests that never ended may still be set aside there.
                again = partial(self.credits.reserve, line, micro_usd, member_id=member, purpose_id=purpose)
                made = await asyncio.to_thread(again, now_us=now_us)
        except StateError:
            return False
        except Exception as error:
            _log.error("credit cannot be set aside: %s", error)
            return None
        return Charge(self, made.reservation_id, tariff, micro_usd)

    async def settle(self, reservation_id: str, micro_usd: int) -> None:
        """Charge ``micro_usd``. Raises `LedgerError` when it cannot be written."""
        await self.write(self.credits.settling(reservation_id, micro_usd, now_us=self._clock.now_us()))

    async def release(self, reservation_id: str) -> None:
        """Give a reservation back. Raises `LedgerError` when it cannot be written."""
        await self.write(self.credits.releasing(reservation_id, now_us=self._clock.now_us()))

    async def write(self, work: Callable[[sa.Connection], R]) -> R:
        """The result of ``work`` once it is written. Raises what it raises, and `LedgerError` for all else."""
        future: asyncio.Future[object] = self._loop.create_future()
        with self._mutex:
            if self._stop.is_set():
                raise LedgerError("the credit lines are closed")
            self._pending.append((work, future))
        self._wake.set()
        return cast("R", await future)

    async def close(self) -> None:
        """Write what waits."""
        with self._mutex:
            self._stop.set()
        self._wake.set()
        await asyncio.to_thread(self._thread.join)

    def _write_all(self) -> None:
        while True:
            self._wake.wait()
            self._wake.clear()
            with self._mutex:
                batch, self._pending = self._pending, []
            if not batch and self._stop.is_set():
                return
            if batch:
                self._write(batch)
                if self._stop.is_set():
                    self._wake.set()

    def _write(self, batch: list[tuple[Work, asyncio.Future[object]]]) -> None:
        results: list[object]
        try:
            results = self.credits.together([work for work, _ in batch])
        except Exception as error:
            # This thread must outlive any one request, or none would ever be paid again.
            _log.error("credit cannot be written: %s", error)
            failure = LedgerError(f"the credit lines cannot be used: {type(error).__name__}: {error}")
            results = [failure] * len(batch)
        self._loop.call_soon_threadsafe(_settle, [future for _, future in batch], results)


def _settle(futures: list[asyncio.Future[object]], results: list[object]) -> None:
    for future, result in zip(futures, results, strict=True):
        if future.done():
            continue  # its request was cancelled meanwhile: what it set aside runs out by itself
        if isinstance(result, Exception):
            future.set_exception(result)
        else:
            future.set_result(result)
