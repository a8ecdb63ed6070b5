"""Exchanges added up: by when they began and by what they have in common."""

from __future__ import annotations

import math
from collections.abc import Callable, Collection
from typing import Any, Final, NamedTuple

import pyarrow as pa
import pyarrow.compute as pc

from tiergate.clock import DAY, HOUR, MINUTE
from tiergate.gateway.telemetry.counters import CUT, LONGEST_NAME, OTHER
from tiergate.ledger.log import INTERRUPTED

COLUMNS: Final = (
    "started_at", "request_model", "route_model", "upstream", "status", "finish_reason", "latency_ms",
    "input_tokens", "output_tokens", "cached_input_tokens", "usage_source", "cost_micro_usd",
)  # fmt: skip
"""Columns of the exchange log that are read."""
SUMS: Final = (
    "exchanges", "input_tokens", "output_tokens", "cached_input_tokens", "cost_micro_usd", "estimated", "unpriced",
)  # fmt: skip
"""As in `metering.spend.Spent`."""
UNITS: Final = (MINUTE, HOUR, DAY)
MOST_NAMES: Final = 1_000
"""Of models, upstreams and reasons each. Callers and upstreams choose some of them, and must not fill the disk."""
GROWTH: Final = 1.2
"""Each latency bucket's bound is so many times the one before, so that a quantile is off by 10 % at most (DDSketch:
Masson, Rim, Lee, VLDB 2019)."""


class Series(NamedTuple):
    """What exchanges have in common. Names that are not given are empty; ``reason`` is why an answer was refused,
    failed or broke off."""

    model: str
    route_model: str
    upstream: str
    status: int
    reason: str


Key = tuple[int, Series]
"""Beginning of a minute, an hour or a day (microseconds since the epoch, UTC), and a series."""


class Names:
    """Names that are told apart. A model's is one that files of the deployment have, or that was answered for; of
    anything more than `MOST_NAMES`, `other` is left."""

    def __init__(self, known: Callable[[], Collection[str]] = frozenset) -> None:
        self._known = known
        self._models: set[str] = set()
        self._others: dict[str, set[str]] = {"upstream": set(), "reason": set()}

    def learn(self, series: Collection[Series]) -> None:
        """Names that were told apart before."""
        for one in series:
            self._models |= {one.model, one.route_model}
            self._others["upstream"].add(one.upstream)
            self._others["reason"].add(one.reason)

    def of_models(self, column: pa.Array, answered: pa.Array) -> pa.Array:
        earned = {*pc.unique(column.filter(answered)).to_pylist(), *self._known()}
        return self._told(column, self._models, earned)

    def of(self, kind: str, column: pa.Array) -> pa.Array:
        return self._told(column, self._others[kind], pc.unique(column).to_pylist())

    def _told(self, column: pa.Array, taken: set[str], earned: Collection[str]) -> pa.Array:
        taken.add("")
        for name in sorted(earned):
            if len(taken) < MOST_NAMES and len(name) <= LONGEST_NAME:
                taken.add(name)
        return pc.if_else(pc.is_in(column, pa.array(sorted(taken), pa.string())), column, OTHER)


class Sums:
    """Sums by time and series, and how many answers fell into which bucket of latency."""

    def __init__(self) -> None:
        self.exchanges: dict[Key, list[int]] = {}
        self.latencies: dict[Key, dict[int, int]] = {}

    def add(self, table: pa.Table, unit_us: int) -> None:
        """Add exchanges as `keyed` has them, by the unit of time that each began in."""
        minute = table.column("minute_us")
        at = minute if unit_us == MINUTE else pc.multiply(pc.divide(minute, unit_us), unit_us)
        table = table.append_column("at", at)
        by = ["at", *Series._fields]
        for row in table.group_by(by).aggregate([(name, "sum") for name in SUMS]).to_pylist():
            held = self.exchanges.setdefault(_key(row), [0] * len(SUMS))
            for place, name in enumerate(SUMS):
                held[place] += row[f"{name}_sum"] or 0
        timed = table.filter(pc.is_valid(table.column("bucket")))
        for row in timed.group_by([*by, "bucket"]).aggregate([("exchanges", "sum")]).to_pylist():
            buckets = self.latencies.setdefault(_key(row), {})
            buckets[row["bucket"]] = buckets.get(row["bucket"], 0) + row["exchanges_sum"]


class Rollup:
    """The same exchanges by minute, hour and day; by minute those alone that began from ``minutes_from_us`` on."""

    def __init__(self, minutes_from_us: int = 0) -> None:
        self._minutes_from_us = minutes_from_us
        self.by: dict[int, Sums] = {unit: Sums() for unit in UNITS}

    def copy(self) -> Rollup:
        """The same sums, to be added to."""
        made = Rollup(self._minutes_from_us)
        for unit_us, sums in self.by.items():
            made.by[unit_us].exchanges = {key: list(held) for key, held in sums.exchanges.items()}
            made.by[unit_us].latencies = {key: dict(held) for key, held in sums.latencies.items()}
        return made

    def add(self, batch: pa.RecordBatch, names: Names) -> None:
        """Add exchanges with `COLUMNS`."""
        if not batch.num_rows:
            return
        table = keyed(batch, names)
        for unit_us, sums in self.by.items():
            recent = table
            if unit_us == MINUTE and self._minutes_from_us:
                recent = table.filter(pc.greater_equal(table.column("minute_us"), self._minutes_from_us))
            sums.add(recent, unit_us)


def keyed(batch: pa.RecordBatch, names: Names) -> pa.Table:
    """For each exchange the minute that it began in, its series, its bucket of latency if it was answered, and what is
    added up."""
    status, cost = batch.column("status"), batch.column("cost_micro_usd")
    answered = pc.less(status, 400)
    reason = pc.fill_null(batch.column("finish_reason"), "")
    told = pc.or_(pc.invert(answered), pc.is_in(reason, pa.array([*CUT, INTERRUPTED])))
    latency = batch.column("latency_ms").cast(pa.float64())
    timed = pc.and_(answered, pc.and_(pc.greater(latency, 0), pc.is_finite(latency)))
    bucket = pc.ceil(pc.divide(pc.ln(pc.if_else(timed, latency, None)), math.log(GROWTH)))
    columns: dict[str, Any] = {
        "minute_us": pc.multiply(pc.divide(batch.column("started_at").cast(pa.int64()), MINUTE), MINUTE),
        "model": names.of_models(batch.column("request_model"), answered),
        "route_model": names.of_models(pc.fill_null(batch.column("route_model"), ""), answered),
        "upstream": names.of("upstream", pc.fill_null(batch.column("upstream"), "")),
        "status": status,
        "reason": names.of("reason", pc.if_else(told, reason, "")),
        "bucket": bucket.cast(pa.int64()),
        "exchanges": pa.array([1] * batch.num_rows, pa.int64()),
        "estimated": pc.equal(batch.column("usage_source"), "estimate").cast(pa.int64()),
        "unpriced": pc.and_(pc.is_null(cost), answered).cast(pa.int64()),
        "cost_micro_usd": cost,
    }
    for name in ("input_tokens", "output_tokens", "cached_input_tokens"):
        columns[name] = batch.column(name)
    return pa.table(columns)


def quantile_s(buckets: dict[int, int], share: float) -> float | None:
    """The latency, in seconds, that ``share`` of the answers counted in ``buckets`` did not exceed; None of none."""
    left = share * sum(buckets.values())
    for bucket in sorted(buckets):
        left -= buckets[bucket]
        if left <= 0:
            # The value from which neither bound of the bucket is further than its share of error.
            return float(2 * GROWTH**bucket / (GROWTH + 1)) / 1000
    return None


def _key(row: dict[str, Any]) -> Key:
    return row["at"], Series(row["model"], row["route_model"], row["upstream"], row["status"], row["reason"])
