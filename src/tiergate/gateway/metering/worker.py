"""A gateway process's meter, kept up: leases are filled, saved and given back by one thread beside the event loop."""

from __future__ import annotations

import asyncio
import logging
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Final

import sqlalchemy as sa

from tiergate.clock import Clock
from tiergate.errors import LedgerError
from tiergate.gateway.metering.accounts import Move, Moved
from tiergate.gateway.metering.limits import Limits, LimitStore, Payer
from tiergate.gateway.metering.meter import Meter, Ticket
from tiergate.gateway.metering.prices import PriceTable
from tiergate.gateway.metering.recovery import recover
from tiergate.gateway.metering.refusals import Refusal
from tiergate.gateway.metering.shares import ShareStore
from tiergate.gateway.metering.usage import Demand

TICK_S: Final = 1.0
RECOVERED_EVERY: Final = 30
FORGOTTEN_EVERY: Final = 3_600
"""Ticks between looks for workers that died, and for what is over."""

_log = logging.getLogger(__name__)


class Metering:
    """Meters the requests of one event loop. Each worker of a deployment has its own, on the same database and log.

    :param log: folder of the exchange log, by which workers that died are accounted for.
    :param worker: the writer of that log whose exchanges are metered here (`ExchangeLog.writer`).
    """

    def __init__(self, engine: sa.Engine, log: Path, worker: str, prices: PriceTable, clock: Clock) -> None:
        self._log, self._worker, self._clock = log, worker, clock
        self._shares, self._limits = ShareStore(engine), LimitStore(engine)
        self._version = self._limits.version()
        self.failure: str | None = None
        """Why limits could not be kept when that was last tried, None where they were."""
        self.meter = Meter(prices, Limits(self._limits.all()), clock.now_us)
        self._shares.begin(worker, clock.now_us())
        self._loop = asyncio.get_running_loop()
        self._thread = ThreadPoolExecutor(1, "tiergate-metering")
        self._wanted, self._ending, self._ticks = asyncio.Event(), False, 0
        self._round: asyncio.Future[LedgerError | None] = self._loop.create_future()
        self._keeping = self._loop.create_task(self._keep())

    async def admit(self, payer: Payer, models: tuple[str, ...], demand: Demand, at_us: int) -> Ticket | Refusal:
        """See `Meter.admit`. Waits for the database only where a lease is short.

        Raises `LedgerError` when that cannot be filled.
        """
        while True:
            answer = self.meter.admit(payer, models, demand, at_us)
            if answer is not None:
                return answer
            self._wanted.set()
            failure = await asyncio.shield(self._round)
            if failure is not None:
                raise failure

    async def close(self) -> None:
        """Save what was used and give back what is held. The exchange log is to be closed after this, not before."""
        self._ending = True
        self._wanted.set()
        await self._keeping
        failure = await self._move(end=True)
        if failure is None:
            await self._loop.run_in_executor(self._thread, self._shares.end, self._worker, self._clock.now_us())
        self._thread.shutdown()

    async def _keep(self) -> None:
        tick_at = self._loop.time() + TICK_S
        while not self._ending:
            with suppress(TimeoutError):
                await asyncio.wait_for(self._wanted.wait(), max(0, tick_at - self._loop.time()))
            self._wanted.clear()
            is_tick = self._loop.time() >= tick_at
            if is_tick:
                tick_at = self._loop.time() + TICK_S
            await self._move(tick=is_tick)

    async def _move(self, *, tick: bool = False, end: bool = False) -> LedgerError | None:
        done, self._round = self._round, self._loop.create_future()
        moves = self.meter.due(tick=tick, end=end)
        failure = None
        try:
            results = await self._loop.run_in_executor(self._thread, self._write, [move for _, move in moves])
            self.meter.moved(moves, results)
            if tick:
                limits = await self._loop.run_in_executor(self._thread, self._look)
                if limits is not None:
                    self.meter.replace(limits=limits)
        except Exception as error:
            # Whatever is wrong with the database, the next request must find this task alive.
            self.meter.not_moved(moves)
            failure = LedgerError(f"limits cannot be kept: {type(error).__name__}: {error}")
            _log.error("%s", failure)
        self.failure = None if failure is None else str(failure)
        done.set_result(failure)
        return failure

    def _write(self, moves: list[Move]) -> list[Moved]:
        return self._shares.move(self._worker, moves, self._clock.now_us())

    def _look(self) -> Limits | None:
        """Other limits, where they changed; and now and then, what workers that died had in hand."""
        self._ticks += 1
        if self._ticks % RECOVERED_EVERY == 1:
            recover(self._shares, self._log, self._clock.now_us())
        if self._ticks % FORGOTTEN_EVERY == 1:
            self._shares.forget(self._clock.now_us())
        version = self._limits.version()
        if version == self._version:
            return None
        self._version = version
        return Limits(self._limits.all())
