"""Accounting for workers that died: what they used is what their exchanges cost, to the micro-dollar.

A worker saves what was used every few seconds, and its exchanges before they are answered. So what a dead worker used
of a budget is read from the exchange log, and what it held beyond that is free again. That it is dead is no guess by a
clock: the operating system releases the lock of its spool.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any, cast

import pyarrow as pa
import pyarrow.compute as pc

from tiergate.gateway.metering.limits import Limit, Limits, Payer, Scope
from tiergate.gateway.metering.shares import ShareStore
from tiergate.gateway.metering.windows import window
from tiergate.ledger.log import adopt, is_log, read_log, read_writer, writer_is_gone


def recover(shares: ShareStore, log: Path, now_us: int) -> list[str]:
    """End workers that died; returns them. Raises `LedgerError` when the log or the database cannot be used."""
    adopt(log)
    gone = [worker for worker in shares.workers() if writer_is_gone(log, worker)]
    for worker in gone:
        costs: dict[tuple[Scope, str], list[tuple[int, int]]] = defaultdict(list)
        for batch in read_writer(log, worker, [*Payer._fields, "started_at", "cost_micro_usd"]):
            for *names, at_us, cost in _rows(batch):
                for counted in Payer(*names).subjects() if cost else ():
                    costs[counted].append((at_us, cost))
        shares.end(worker, now_us, partial(_sum, costs))
    return gone


def spent_before(log: Path, limit: Limit, now_us: int) -> dict[str, int]:
    """What was spent in the window of a moment by each subject that a limit on money holds for; micro-dollars."""
    begin, _ = window(limit.measure.split("/")[1], now_us)
    sums: dict[str, int] = defaultdict(int)
    limits = Limits([limit])
    columns = [*Payer._fields, "started_at", "cost_micro_usd"]
    for batch in read_log(log, columns=columns, from_us=begin) if is_log(log) else ():
        began = batch.column("started_at").cast(pa.int64())
        for *names, _, cost in _rows(batch.filter(pc.greater_equal(began, begin))):
            for met in limits.of(Payer(*names)) if cost else ():
                sums[met.subject] += cost
    return sums


def _rows(batch: pa.RecordBatch) -> Iterator[tuple[Any, ...]]:
    columns = [batch.column(name) for name in Payer._fields]
    columns += [batch.column("started_at").cast(pa.int64()), batch.column("cost_micro_usd")]
    return zip(*(column.to_pylist() for column in columns), strict=True)


def _sum(costs: dict[tuple[Scope, str], list[tuple[int, int]]], counter: str, window_us: int, since_us: int) -> int:
    """Micro-dollars of exchanges that began in a window, ``since_us`` or later."""
    measure, scope, subject = counter.split(" ", 2)
    begin, end = window(measure.split("/")[1], window_us)
    rows = costs.get((cast("Scope", scope), subject), [])
    return sum(cost for at_us, cost in rows if max(begin, since_us) <= at_us < end)
