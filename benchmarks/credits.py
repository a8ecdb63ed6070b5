"""How many requests a credit line can stand: reservations and settlements a second, by one process and by eight.

    python -m benchmarks.credits --seconds 5

Every round is a reservation and its settlement, two durable transactions (WAL, `synchronous` as SQLite has it by
default, FULL) on one SQLite file. `one line`: all processes charge the same line. `own lines`: each its own, which
SQLite serialises all the same. Afterwards every balance is held against what the processes say they were charged.
Prints a table and one JSON line.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

from tiergate.admission.credits import Credits
from tiergate.admission.programmes import Programmes, read_programme
from tiergate.database import open_database

RESERVED, COST = 50_000, 31_337


_together: dict[str, Any] = {}


def ready(barrier: Any) -> None:
    """Let a process know where all wait for one another: starting Python takes seconds on a busy machine."""
    _together["barrier"] = barrier


def spend(where: Path, line_id: str, member: str, seconds: float) -> tuple[int, list[float]]:
    """Reserve and settle until the time is over; returns micro-dollars charged and seconds of each transaction."""
    engine = open_database(where)
    store = Credits(engine)
    charged, took = 0, []
    _together["barrier"].wait()
    end = time.perf_counter() + seconds
    while time.perf_counter() < end:
        started = time.perf_counter()
        made = store.reserve(line_id, RESERVED, member_id=member, purpose_id="pur_1", now_us=1)
        half = time.perf_counter()
        charged += store.settle(made.reservation_id, COST, now_us=2).charged or 0
        took += [half - started, time.perf_counter() - half]
    engine.dispose()
    return charged, took


def measure(processes: int, lines: int, seconds: float) -> dict[str, Any]:
    """Figures of so many processes on so many lines."""
    with tempfile.TemporaryDirectory() as folder:
        where = Path(folder) / "control.sqlite"
        engine = open_database(where)
        programme = read_programme("consortium")
        Programmes(engine).create(programme, author="operator", now_us=0)
        store = Credits(engine)
        ids = [store.open_line("consortium", "acme", 10**12, author="operator", now_us=0).line_id for _ in range(lines)]
        engine.dispose()
        context = multiprocessing.get_context("spawn")
        with context.Pool(processes, ready, (context.Barrier(processes),)) as pool:
            given = [(where, ids[n % lines], f"m{n}", seconds) for n in range(processes)]
            done = pool.starmap(spend, given, chunksize=1)
        exact = all(
            (store.balance(line).spent, store.balance(line).reserved) == (sum(one[0] for one in done[n::lines]), 0)
            and sum(row.spent for row in store.statement([line])) == store.balance(line).spent
            for n, line in enumerate(ids)
        )
        engine.dispose()
    took = 1000 * np.concatenate([one[1] for one in done])
    return {
        "processes": processes,
        "lines": lines,
        "rounds_per_s": round(len(took) / 2 / seconds, 1),
        "transactions_per_s": round(len(took) / seconds, 1),
        "p50_ms": round(float(np.percentile(took, 50)), 2),
        "p99_ms": round(float(np.percentile(took, 99)), 2),
        "max_ms": round(float(took.max()), 1),
        "exact": exact,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--seconds", type=float, default=5.0)
    parser.add_argument("--processes", type=int, nargs="+", default=[1, 8])
    asked = parser.parse_args()
    load = os.getloadavg()[0]
    rows = [
        measure(processes, lines, asked.seconds) for processes in asked.processes for lines in sorted({1, processes})
    ]
    print("processes  lines  rounds/s  transactions/s  p50 ms  p99 ms   max ms  exact")
    for row in rows:
        print(
            f"{row['processes']:>9}  {row['lines']:>5}  {row['rounds_per_s']:>8}  {row['transactions_per_s']:>14}  "
            f"{row['p50_ms']:>6}  {row['p99_ms']:>6}  {row['max_ms']:>7}  {row['exact']}"
        )
    print(json.dumps({"benchmark": "credits", "load": round(load, 1), "cpus": os.cpu_count(), "rows": rows}))


if __name__ == "__main__":
    main()
