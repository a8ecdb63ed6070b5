"""A worker's meter beside its event loop: limits that change, databases that fail, workers that come and go."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest
import sqlalchemy as sa

from tests.gateway.conftest import GIVE_UP_S
from tiergate.clock import SystemClock
from tiergate.database import open_database
from tiergate.errors import LedgerError
from tiergate.gateway.metering import worker as worker_module
from tiergate.gateway.metering.limits import Limit, LimitStore, Payer
from tiergate.gateway.metering.meter import Ticket
from tiergate.gateway.metering.prices import PriceTable
from tiergate.gateway.metering.refusals import Refusal
from tiergate.gateway.metering.shares import ShareStore
from tiergate.gateway.metering.usage import Demand, Seen
from tiergate.gateway.metering.worker import Metering
from tiergate.gateway.routing.prices import Price
from tiergate.ledger.log import ExchangeLog
from tiergate.ledger.sketches import Sketcher

PRICES = PriceTable({"m": [Price(from_us=0, input=1_000_000, output=1_000_000)]})
PAYER = Payer("acct", "key_1")
DEMAND = Demand(input_bytes=10, max_output_tokens=10)
DAY_LIMIT = Limit(scope="key", subject="key_1", measure="usd/day", amount=1_000)


def run(folder: Path, story: Callable[[Metering, sa.Engine], Awaitable[None]], *limits: Limit) -> None:
    """Let ``story`` happen with a worker on a new deployment, and end the worker."""
    engine = open_database(folder / "control.sqlite")
    for limit in limits:
        LimitStore(engine).put(limit, author="ann", now_us=1)

    async def whole() -> None:
        log = ExchangeLog.open(folder / "log", sketcher=Sketcher(bytes(32)))
        metering = Metering(engine, folder / "log", log.writer, PRICES, SystemClock())
        try:
            await story(metering, engine)
        finally:
            await metering.close()
            log.close()
        assert ShareStore(engine).workers() == []

    asyncio.run(whole())
    engine.dispose()


async def ask(metering: Metering) -> Ticket | Refusal:
    return await metering.admit(PAYER, ("m",), DEMAND, SystemClock().now_us())


async def until(metering: Metering, fits: Callable[[Ticket | Refusal], bool]) -> Ticket | Refusal:
    """Ask until the answer fits; what was admitted is released."""
    give_up = time.monotonic() + GIVE_UP_S
    while not fits(answer := await ask(metering)):
        if isinstance(answer, Ticket):
            answer.release()
        assert time.monotonic() < give_up, answer
        await asyncio.sleep(0.02)
    return answer


def test_a_limit_that_is_set_changed_and_removed_is_obeyed_by_a_running_worker(tmp_path: Path) -> None:
    async def story(metering: Metering, engine: sa.Engine) -> None:
        store = LimitStore(engine)
        first = await ask(metering)
        assert isinstance(first, Ticket)
        lower = Limit(scope="key", subject="*", measure="usd/day", amount=5)
        await asyncio.to_thread(store.put, lower, author="ann", now_us=1)
        refused = await until(metering, lambda answer: isinstance(answer, Refusal))
        assert isinstance(refused, Refusal)
        assert refused.code == "request_too_large"
        first.settle(Seen(input_tokens=1, output_tokens=1))
        await asyncio.to_thread(store.remove, lower, author="ann", now_us=2)
        last = await until(metering, lambda answer: isinstance(answer, Ticket))
        assert isinstance(last, Ticket)
        last.release()

    run(tmp_path, story)


def test_many_requests_that_wait_together_are_filled_together(tmp_path: Path) -> None:
    async def story(metering: Metering, engine: sa.Engine) -> None:
        answers = await asyncio.gather(*(ask(metering) for _ in range(100)))
        tickets = [one for one in answers if isinstance(one, Ticket)]
        assert len(tickets) == 50, "each sets 20 of 1,000 aside"
        for ticket in tickets:
            ticket.settle(Seen(input_tokens=1, output_tokens=1))
        assert isinstance(await until(metering, lambda answer: isinstance(answer, Ticket)), Ticket)

    run(tmp_path, story, DAY_LIMIT)


def test_no_request_passes_while_the_database_cannot_be_used_and_nothing_is_lost(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object) -> None:
        raise sa.exc.OperationalError("move", {}, Exception("disk I/O error"))

    async def story(metering: Metering, engine: sa.Engine) -> None:
        with monkeypatch.context() as patch:
            patch.setattr(metering._shares, "move", broken)
            for _ in range(2):
                with pytest.raises(LedgerError, match="limits cannot be kept: OperationalError"):
                    await ask(metering)
        ticket = await ask(metering)
        assert isinstance(ticket, Ticket)
        ticket.settle(Seen(input_tokens=7, output_tokens=1))

    run(tmp_path, story, DAY_LIMIT)
    engine = open_database(tmp_path / "control.sqlite")
    with engine.connect() as connection:
        rows = connection.execute(sa.text("select worker, held, used, overrun from metering_shares")).all()
    engine.dispose()
    assert [tuple(row) for row in rows] == [("", 0, 8, 0)]


def test_a_worker_that_died_is_found_by_another_that_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(worker_module, "RECOVERED_EVERY", 2)

    async def story(metering: Metering, engine: sa.Engine) -> None:
        shares = ShareStore(engine)
        shares.begin("dead", 1)
        give_up = time.monotonic() + GIVE_UP_S
        while "dead" in await asyncio.to_thread(shares.workers):
            assert time.monotonic() < give_up
            await asyncio.sleep(0.05)

    run(tmp_path, story)
