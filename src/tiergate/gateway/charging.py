"""Credit around a request: reserved before the upstream is asked, settled by what it used, released when it fails.

Each step writes to the control database and may wait for others' turns at it, so it runs in threads of its own.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Final, TypeVar

from tiergate.admission.credits import Credits
from tiergate.admission.known_facts import GrantFact, ModelFact, Standing
from tiergate.clock import Clock
from tiergate.errors import InputError, LedgerError, StateError
from tiergate.gateway.chat import ChatRequest, Usage

R = TypeVar("R")
INPUT_PRICE: Final = 15_000_000
OUTPUT_PRICE: Final = 75_000_000
"""Micro-dollars for a million tokens where `models.toml` states none: above what the dearest public models cost."""

OUTPUT_TOKENS: Final = 4_096
"""Tokens of an answer to set credit aside for, where the request sets no limit."""

THREADS: Final = 8
_log = logging.getLogger(__name__)


def estimate(model: ModelFact, request: ChatRequest, body_bytes: int) -> int:
    """What a request may cost, in micro-dollars: no text has more tokens than bytes."""
    limit = request.max_completion_tokens if request.max_tokens is None else request.max_tokens
    output = max(0, OUTPUT_TOKENS if limit is None else limit) * max(1, request.n or 1)
    return max(1, cost(model, body_bytes, output))


def cost(model: ModelFact, input_tokens: int, output_tokens: int) -> int:
    """Micro-dollars, rounded up."""
    into = INPUT_PRICE if model.input_price is None else model.input_price
    out = OUTPUT_PRICE if model.output_price is None else model.output_price
    return -(-(input_tokens * into + output_tokens * out) // 1_000_000)


class Charge:
    """Credit that is set aside for one request. Closed once, whatever comes after."""

    def __init__(self, till: Till, reservation_id: str, model: ModelFact, micro_usd: int) -> None:
        self._till = till
        self._reservation_id = reservation_id
        self._model = model
        self._micro_usd = micro_usd
        self._closed = False

    async def settle(self, usage: Usage | None) -> None:
        """Charge an answer. One whose use the upstream does not say costs what was set aside.

        Raises `LedgerError` when it cannot be written; the reservation then runs out by itself.
        """
        if self._closed:
            return
        self._closed = True
        known = usage is not None and usage.prompt_tokens is not None and usage.completion_tokens is not None
        due = self._micro_usd
        if usage is not None and known:
            due = cost(self._model, max(0, usage.prompt_tokens or 0), max(0, usage.completion_tokens or 0))
        await self._till.run(lambda now_us: self._till.credits.settle(self._reservation_id, due, now_us=now_us))

    async def release(self) -> None:
        """Give it back, as there was no answer."""
        if self._closed:
            return
        self._closed = True
        try:
            await self._till.run(lambda now_us: self._till.credits.release(self._reservation_id, now_us=now_us))
        except LedgerError as error:
            _log.error("credit is given back when its time is up: %s", error)


class Till:
    """Credit lines as the gateway uses them."""

    def __init__(self, credits: Credits, clock: Clock) -> None:  # noqa: A002
        self.credits = credits
        self._clock = clock
        self._threads = ThreadPoolExecutor(THREADS, "tiergate-credit")

    async def covers(self, grant: GrantFact | None, micro_usd: int) -> bool | None:
        """Whether a grant's line has so much left; None where that is not known. Nothing is set aside."""
        if grant is None or grant.credit_line is None:
            return None
        line = grant.credit_line
        try:
            balance = await self.run(lambda _now_us: self.credits.balance(line))
        except (InputError, LedgerError):
            return None
        return not balance.closed and balance.available >= micro_usd

    async def reserve(
        self, grant: GrantFact, standing: Standing, model: ModelFact, purpose: str, micro_usd: int
    ) -> Charge | bool | None:
        """Set credit aside; False where the line has too little left, None where that is not known."""
        line, member = grant.credit_line, standing.workload_id or standing.person_id
        if line is None or member is None:
            return None
        take = partial(self.credits.reserve, line, micro_usd, member_id=member, purpose_id=purpose)
        try:
            made = await self.run(lambda now_us: take(now_us=now_us))
        except StateError:
            return False
        except (InputError, LedgerError) as error:
            _log.error("credit cannot be set aside: %s", error)
            return None
        return Charge(self, made.reservation_id, model, micro_usd)

    async def run(self, work: Callable[[int], R]) -> R:
        """Run ``work`` in a thread. Raises what it raises, and `LedgerError` for whatever else went wrong in it."""
        try:
            return await asyncio.get_running_loop().run_in_executor(self._threads, lambda: work(self._clock.now_us()))
        except (InputError, LedgerError, StateError):
            raise
        except Exception as error:
            raise LedgerError(f"the credit lines cannot be used: {type(error).__name__}: {error}") from error

    def close(self) -> None:
        """Wait for what is under way."""
        self._threads.shutdown()
