"""Requests that were let through, until it is told or assumed what came of them.

Nobody but the other gateway sees the answer. Where it says that it will report it, the exchange is begun, and ends with
the report, or as `not_reported` when none comes. Where it does not, the exchange is recorded as `authorized` before the
request passes, and charged with what such requests are likely to use.
"""

from __future__ import annotations

import asyncio
import logging
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Final

from tiergate.errors import LedgerError
from tiergate.gateway.calls import Call, Services
from tiergate.gateway.charging import Charge
from tiergate.gateway.dialects.common import Usage
from tiergate.gateway.metering.meter import Charge as Metered
from tiergate.gateway.metering.usage import Demand, Seen
from tiergate.records.schema import Exchange

AUTHORIZED: Final = "authorized"
NOT_REPORTED: Final = "not_reported"
"""Finish reasons of exchanges whose answer nobody told us."""

MOST: Final = 100_000
MOST_BYTES: Final = 1 << 30
"""Requests that are waited for at once, and where text is kept their bodies; beyond it none is let through."""

LOOKS_EVERY_S: Final = 1.0
_log = logging.getLogger(__name__)


@dataclass(slots=True)
class Passed:
    """A request that was let through. ``charge``: credit that is set aside for it; ``begun``: what its beginning is on
    record with; ``until_s``: when nobody waits for its report any more, by the loop's clock."""

    call: Call
    demand: Demand
    charge: Charge | None
    begun: Metered | None = None
    until_s: float = 0.0

    async def end(self, status: int, usage: Usage | None, seen: Seen | None, **columns: Any) -> None:
        """Record and charge what came of it. ``seen``: what is known of the answer, None for an error.

        Raises `LedgerError` when it cannot be recorded.
        """
        try:
            cost = await self.call.record_answer(status, None, seen, self.begun, **columns)
            if self.charge is not None and seen is not None and self.call.surface.recorded:
                await self.charge.settle(cost, usage)
        finally:
            await self.give_up()

    async def give_up(self) -> None:
        """Give back what is still set aside."""
        self.call.release()
        if self.charge is not None:
            await self.charge.release()


class PassedRequests:
    """Those whose report is waited for, ``longest_s`` seconds. Belongs to the running event loop."""

    def __init__(self, services: Services, longest_s: float) -> None:
        self._services, self._longest_s = services, longest_s
        self._keep_text, self._bytes = services.settings.retention == "text", 0
        self._waiting: dict[str, Passed] = {}
        self._loop = asyncio.get_running_loop()
        self._looking = self._loop.create_task(self._look())

    @property
    def full(self) -> bool:
        """Whether no more can be waited for."""
        return len(self._waiting) >= MOST or (self._keep_text and self._bytes >= MOST_BYTES)

    async def add(self, passed: Passed, model: str, *, reported: bool) -> None:
        """Record a request that is about to pass. ``reported``: what came of it will be told.

        Raises `LedgerError` when it cannot be recorded: then it must not pass.
        """
        if reported and passed.call.surface.recorded:
            passed.begun = await passed.call.begin(200)
            if not self._keep_text:
                passed.call.forget_text()
            self._bytes += passed.demand.input_bytes
            passed.until_s = self._loop.time() + self._longest_s
            self._waiting[passed.call.exchange_id] = passed
        else:
            await self._assume(passed, model, AUTHORIZED)

    def take(self, exchange_id: str) -> Passed | None:
        """One that is waited for, which is not waited for any more."""
        passed = self._waiting.pop(exchange_id, None)
        self._bytes -= passed.demand.input_bytes if passed is not None else 0
        return passed

    def exchange(self, exchange_id: str) -> Exchange | None:
        """The exchange of one that is waited for, as it began."""
        passed = self._waiting.get(exchange_id)
        return None if passed is None else passed.call.exchange

    async def close(self) -> None:
        """End all that are waited for: a report comes too late now."""
        self._looking.cancel()
        with suppress(asyncio.CancelledError):
            await self._looking
        await self._give_up_on(list(self._waiting))

    async def _look(self) -> None:
        while True:
            await asyncio.sleep(LOOKS_EVERY_S)
            now_s, late = self._loop.time(), []
            for name, passed in self._waiting.items():
                if passed.until_s > now_s:
                    break  # in the order in which they passed
                late.append(name)
            await self._give_up_on(late)

    async def _give_up_on(self, names: list[str]) -> None:
        for name in names:
            passed = self.take(name)
            if passed is None:
                continue
            try:
                await self._assume(passed, passed.call.exchange.request_model, NOT_REPORTED)
            except LedgerError as error:
                # It is in the log as it began.
                _log.error("%s", error)

    async def _assume(self, passed: Passed, model: str, finish_reason: str) -> None:
        """End one with what is likely, marked as an estimate."""
        estimator = self._services.metering.meter.estimator
        answer = estimator.foresee(model, passed.demand) - estimator.asked(model, passed.demand)
        seen = Seen(output_tokens=answer, complete=False)
        await passed.end(200, None, seen, finish_reason=finish_reason, latency_ms=None)
