"""Accounting for workers that died: what they used is what their exchanges cost, to the micro-dollar.

A worker saves what was used every few seconds, and its exchanges before they are answered. So what a dead worker used
of a budget is read from the exchange log, and what it held beyond that is free again. That it is dead is no guess by a
clock: the operating system releases the lock of its spool.
"""

from __future__ import annotations

from collections import defaultdict
from pathlib import Path

import pyarrow as pa

from tiergate.gateway.metering.limits import Payer
from tiergate.gateway.metering.shares import ShareStore
from tiergate.gateway.metering.windows import window
from tiergate.ledger.log import adopt, read_writer, writer_is_gone

_WHOSE = ("account_id", "credential_id", "organization_id", "project_id", "end_user_id")


def recover(shares: ShareStore, log: Path, now_us: int) -> list[str]:
    """End workers that died; returns them. Raises `LedgerError` when the log or the database cannot be used."""
    adopt(log)
    gone = [worker for worker in shares.workers() if writer_is_gone(log, worker)]
    for worker in gone:
        shares.end(worker, now_us, _Costs(log, worker).of)
    return gone


class _Costs:
    """Costs of one writer's exchanges, by whom they count for."""

    def __init__(self, log: Path, worker: str) -> None:
        self._costs: dict[tuple[str, str], list[tuple[int, int]]] = defaultdict(list)
        for batch in read_writer(log, worker, [*_WHOSE, "started_at", "cost_micro_usd"]):
            times = batch.column("started_at").cast(pa.int64()).to_pylist()
            costs = batch.column("cost_micro_usd").to_pylist()
            whose = zip(*(batch.column(name).to_pylist() for name in _WHOSE), strict=True)
            for at_us, cost, names in zip(times, costs, whose, strict=True):
                for counted in Payer(*names).subjects() if cost else ():
                    self._costs[counted].append((at_us, cost))

    def of(self, counter: str, window_us: int, since_us: int) -> int:
        """Micro-dollars of exchanges that began in a window, ``since_us`` or later."""
        measure, scope, subject = counter.split(" ", 2)
        begin, end = window(measure.split("/")[1], window_us)
        rows = self._costs.get((scope, subject), [])
        return sum(cost for at_us, cost in rows if max(begin, since_us) <= at_us < end)
