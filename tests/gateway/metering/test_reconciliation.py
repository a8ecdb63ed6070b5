"""A hundred thousand requests that end in every way: what exchanges cost is what was spent, and nothing stays reserved.

Processes and threads share one deployment. Each worker answers a few requests at once and writes its exchanges to the
log as the gateway does: a record before the answer, a settlement taken back where it fails.
"""

from __future__ import annotations

import asyncio
import multiprocessing
import random
import threading
import time
from collections import Counter, defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa

from tests.gateway.conftest import GIVE_UP_S
from tiergate.clock import DAY, HOUR, SystemClock
from tiergate.database import open_database
from tiergate.gateway.metering.limits import Limit, LimitStore, Payer
from tiergate.gateway.metering.meter import Ticket
from tiergate.gateway.metering.prices import PriceTable
from tiergate.gateway.metering.recovery import recover
from tiergate.gateway.metering.shares import ShareStore
from tiergate.gateway.metering.spend import BY, COLUMNS, spent
from tiergate.gateway.metering.usage import Demand, Seen, Usage
from tiergate.gateway.metering.windows import window
from tiergate.gateway.metering.worker import Metering
from tiergate.gateway.routing.prices import Price
from tiergate.ledger.log import ExchangeLog, is_log, read_log
from tiergate.ledger.sketches import Sketcher
from tiergate.records.schema import Exchange

BEGAN = 1_795_500_000_000_000 // DAY * DAY + 12 * HOUR
"""A noon; requests are spread over the next 24 hours, so that a day ends while others are under way."""

PRICES = PriceTable(
    {
        "small": [Price(from_us=0, input=150_000, cached_input=75_000, output=600_000)],
        "large": [Price(from_us=0, input=3_000_001, cache_write=3_750_000, output=15_000_007, reasoning=16_000_000)],
        "gift": [Price(from_us=0, input=0, output=0)],
    }
)
LIMITS = [
    Limit(scope="organisation", subject="*", measure="usd/month", amount=900_000_000),
    Limit(scope="account", subject="acct-0", measure="usd/week", amount=90_000_000),
    Limit(scope="project", subject="*", measure="usd/day", amount=300_000_000),
    Limit(scope="key", subject="key_3", measure="usd/day", amount=20_000_000),
    Limit(scope="end_user", subject="*", measure="usd/day", amount=90_000_000),
    Limit(scope="key", subject="*", measure="tokens/minute", amount=10**9),
    Limit(scope="organisation", subject="*", measure="requests/minute", amount=10**7),
]
LIMITED = {"organisation", "account", "project", "key", "end_user"}


class Worker:
    """One worker of the deployment: its log, its meter, and what it did by lot."""

    def __init__(self, folder: Path, seed: int) -> None:
        self.folder, self.lot = folder, random.Random(seed)
        self.engine = open_database(folder / "control.sqlite")
        self.log = ExchangeLog.open(folder / "log", sketcher=Sketcher(bytes(32)))
        self.rows: list[Exchange] = []
        self.done: Counter[str] = Counter()
        self.number = 0

    async def run(self, requests: int) -> Counter[str]:
        self.metering = Metering(self.engine, self.folder / "log", self.log.writer, PRICES, SystemClock())
        self.left = requests
        await asyncio.gather(*(self.lane() for _ in range(20)))
        self.write()
        await self.metering.close()
        self.log.close()
        self.engine.dispose()
        return self.done

    async def lane(self) -> None:
        while self.left > 0:
            self.left -= 1
            self.number += 1
            await self.request(self.number, BEGAN + DAY * self.number // 40_000 % DAY)

    async def request(self, number: int, at_us: int) -> None:
        who = self.lot.randrange(12)
        payer = Payer(f"acct-{who % 6}", f"key_{who}", *[(f"org-{who % 3}" if who % 4 else None), *self.names()])
        models = self.lot.choice([("small",), ("large", "small"), ("large",), ("gift",)])
        demand = Demand(input_bytes=self.lot.randrange(20_000), max_output_tokens=self.lot.choice([None, 50, 2_000]))
        ticket = await self.metering.admit(payer, models, demand, at_us)
        row: dict[str, Any] = payer._asdict() | {
            "exchange_id": f"ex_{self.log.writer}_{number:08d}",
            "started_at": at_us,
            "operation": "chat",
            "request_model": models[0],
        }
        if not isinstance(ticket, Ticket):
            self.done[ticket.code] += 1
            self.put(Exchange(**row, status=ticket.status, finish_reason=ticket.code))
            return
        how = self.lot.choices(
            ["answered", "uncounted", "cut", "retried", "failed", "hung up", "cancelled", "unrecorded"],
            [60, 10, 10, 5, 5, 5, 3, 2],
        )[0]
        self.done[how] += 1
        try:
            await self.answer(ticket, how, models, row)
        except asyncio.CancelledError:
            pass
        finally:
            ticket.release()

    async def answer(self, ticket: Ticket, how: str, models: tuple[str, ...], row: dict[str, Any]) -> None:
        if self.lot.random() < 0.2:
            await asyncio.sleep(0)
        if how == "cancelled":
            raise asyncio.CancelledError
        if how in ("failed", "hung up"):
            self.put(Exchange(**row, status=502 if how == "failed" else 499))
            return
        size = self.lot.randrange(12_000)
        seen = Seen(text_bytes=size, text_chars=size, events=size // 5, complete=how != "cut")
        if how not in ("uncounted", "cut"):
            seen.input_tokens, seen.output_tokens = self.lot.randrange(20_000), size // 4
            seen.cached_input_tokens, seen.cache_write_tokens = self.lot.randrange(9_000), self.lot.randrange(2_000)
            seen.reasoning_tokens = self.lot.randrange(500)
        model = models[-1] if how == "retried" else models[0]
        charge = ticket.settle(seen, model)
        if how == "unrecorded":
            ticket.void()
            return
        told = {"route_model": model, "attempts": 1 + (how == "retried")} | charge.columns()
        self.put(Exchange(**row, status=200, **told))

    def names(self) -> tuple[str | None, str | None]:
        return self.lot.choice([None, "red", "blue"]), self.lot.choice([None, "alice", "bob", "a/b"])

    def put(self, row: Exchange) -> None:
        self.rows.append(row)
        if len(self.rows) == 200:
            self.write()

    def write(self) -> None:
        rows, self.rows = self.rows, []
        self.log.append(rows)


def work(folder: Path, seed: int, requests: int) -> Counter[str]:
    return asyncio.run(Worker(folder, seed).run(requests))


def work_for_ever(folder: Path, seed: int) -> None:
    work(folder, seed, 10**9)


def deployment(folder: Path, limits: list[Limit]) -> None:
    engine = open_database(folder / "control.sqlite")
    store = LimitStore(engine)
    for limit in limits:
        store.put(limit, author="ann", now_us=1)
    engine.dispose()


def exchanges(folder: Path) -> Iterator[pa.RecordBatch]:
    return read_log(folder / "log", columns=[*COLUMNS, "cache_write_tokens", "reasoning_tokens", "route_model"])


def rows_of(folder: Path) -> int:
    return sum(batch.num_rows for batch in exchanges(folder)) if is_log(folder / "log") else 0


def wait_for_rows(folder: Path, rows: int) -> None:
    """Wait until the log has so many rows."""
    give_up = time.monotonic() + GIVE_UP_S
    while rows_of(folder) < rows:
        assert time.monotonic() < give_up
        time.sleep(0.05)


def repriced(row: dict[str, Any]) -> int:
    """What an exchange of the log costs by the prices of its time."""
    tariff = PRICES.at(row["route_model"], round(row["started_at"].timestamp() * 1_000_000))
    assert tariff is not None
    counts = ("input_tokens", "output_tokens", "cached_input_tokens", "cache_write_tokens", "reasoning_tokens")
    return tariff.cost(Usage(**{name: row[name] for name in counts}))


def check(folder: Path) -> int:
    """Hold what was spent against the sum of exchanges, for every counter of money, and each cost against the prices;
    returns the sum."""
    costs: dict[tuple[str, int], int] = defaultdict(int)
    total = 0
    for batch in exchanges(folder):
        for row in batch.to_pylist():
            cost = row["cost_micro_usd"] or 0
            total += cost
            if row["cost_micro_usd"] is not None:
                assert repriced(row) == cost
            names = [row[name] for name in ("account_id", "credential_id", "organization_id", "project_id")]
            at_us = int(row["started_at"].timestamp() * 1_000_000)
            for scope, subject in Payer(*names, row["end_user_id"]).subjects() if cost else ():
                for span in ("day", "week", "month"):
                    costs[f"usd/{span} {scope} {subject}", window(span, at_us)[0]] += cost
    engine = open_database(folder / "control.sqlite")
    shares = ShareStore(engine)
    assert shares.workers() == []
    standing = shares.standing(costs)
    engine.dispose()
    caps = {(one.measure, one.scope, one.subject): one.amount for one in LIMITS}
    assert len(standing) > 10
    for key, share in standing.items():
        measure, scope, subject = key[0].split(" ", 2)
        cap = caps.get((measure, scope, subject)) or caps[measure, scope, "*"]  # type: ignore[index]
        assert share.held == 0
        assert share.used + share.overrun == costs[key], key
        assert share.used <= (cap or 0)
    for by in BY:
        assert sum(one.cost_micro_usd for one in spent(exchanges(folder), [by])) == total
    return total


def test_a_hundred_thousand_mixed_requests_reconcile_to_the_micro_dollar(tmp_path: Path) -> None:
    deployment(tmp_path, LIMITS)
    done: Counter[str] = Counter()
    context = multiprocessing.get_context("spawn")
    with context.Pool(2) as pool:
        processes = pool.starmap_async(work, [(tmp_path, 1, 36_000), (tmp_path, 2, 36_000)])
        threads = [
            threading.Thread(target=lambda seed=seed: done.update(work(tmp_path, seed, 14_000))) for seed in (3, 4)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        for one in processes.get(240):
            done.update(one)
    assert sum(done.values()) == 100_000
    assert {"answered", "uncounted", "cut", "retried", "failed", "hung up", "cancelled", "unrecorded"} <= set(done)
    assert done["budget_exhausted"] > 1_000
    assert check(tmp_path) > 0
    assert rows_of(tmp_path) == 100_000 - done["cancelled"] - done["unrecorded"]


def test_a_worker_that_is_killed_is_accounted_for_by_its_exchanges(tmp_path: Path) -> None:
    deployment(tmp_path, LIMITS)
    engine = open_database(tmp_path / "control.sqlite")
    shares = ShareStore(engine)
    for seed in (1, 2):
        before = rows_of(tmp_path)
        process = multiprocessing.get_context("spawn").Process(target=work_for_ever, args=(tmp_path, seed), daemon=True)
        process.start()
        try:
            wait_for_rows(tmp_path, before + 1_500)
        finally:
            process.kill()
            process.join()
            process.close()
        assert len(recover(shares, tmp_path / "log", BEGAN)) == 1
        assert recover(shares, tmp_path / "log", BEGAN) == []
    engine.dispose()
    assert check(tmp_path) > 0


def test_processes_never_spend_more_than_a_budget_between_them(tmp_path: Path) -> None:
    amount = 1_500_000
    deployment(tmp_path, [Limit(scope="organisation", subject="org-1", measure="usd/month", amount=amount)])
    with multiprocessing.get_context("spawn").Pool(2) as pool:
        done = sum(pool.starmap(work, [(tmp_path, seed, 1_500) for seed in range(2)]), Counter())
    assert done["budget_exhausted"] + done["budget_reserved"] > 100
    rows = [row for batch in exchanges(tmp_path) for row in batch.to_pylist() if row["organization_id"] == "org-1"]
    engine = open_database(tmp_path / "control.sqlite")
    key = ("usd/month organisation org-1", window("month", BEGAN)[0])
    share = ShareStore(engine).standing([key])[key]
    engine.dispose()
    assert share.used + share.overrun == sum(row["cost_micro_usd"] or 0 for row in rows)
    assert 0.9 * amount <= share.used <= amount
