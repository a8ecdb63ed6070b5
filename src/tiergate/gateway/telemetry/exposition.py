"""`/metrics` in Prometheus' text format: counters and states of this process, read when they are asked for.

No label has a value that callers can choose freely, and none names an account: docs/telemetry.md has the table.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator, Mapping
from itertools import accumulate
from pathlib import Path
from typing import Final, NamedTuple

from prometheus_client import CollectorRegistry, GCCollector, ProcessCollector, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector

import tiergate
from tiergate.gateway.admitting import Admission
from tiergate.gateway.metering.worker import Metering
from tiergate.gateway.recorder import Recorder
from tiergate.gateway.replies import Door
from tiergate.gateway.routed import Routing
from tiergate.gateway.routing.breaker import State
from tiergate.gateway.serving.server import HttpServer
from tiergate.gateway.telemetry.counters import BUCKETS_S, Counters, Durations
from tiergate.gateway.telemetry.readiness import REASONS, WARNINGS, Readiness
from tiergate.gateway.telemetry.watch import Watch
from tiergate.gateway.upstreams.upstream import Upstream

BOUNDS: Final = (*map(str, BUCKETS_S), "+Inf")
COUNTED: Final = {
    "input_tokens": "Tokens that were asked, cached ones among them.",
    "output_tokens": "Tokens that were answered, reasoning among them.",
    "cached_input_tokens": "Tokens that were asked and read from a cache.",
    "cache_write_tokens": "Tokens that were asked and written to a cache.",
    "reasoning_tokens": "Tokens of reasoning that were answered.",
    "cost_micro_usd": "What answers cost, in micro-dollars.",
    "estimated_usages": "Answers whose tokens were estimated, as the upstream did not count them.",
    "retries": "Attempts at upstreams beyond the first.",
}
"""Sums of a series, with what they are."""


class Parts(NamedTuple):
    """Where the states come from. ``upstream``: the one of the settings, with its name."""

    watch: Watch
    door: Door
    admission: Admission
    server: HttpServer
    routing: Routing
    upstream: tuple[str, Upstream] | None
    recorder: Recorder
    metering: Metering
    readiness: Readiness
    data: Path


class Exposition(Collector):
    """Makes the families of metrics anew for each scrape, in whatever thread that is."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts
        self._registry = CollectorRegistry()
        self._registry.register(self)
        ProcessCollector(registry=self._registry)
        GCCollector(registry=self._registry)

    def text(self) -> bytes:
        """All metrics, as they are scraped."""
        return generate_latest(self._registry)

    def collect(self) -> Iterator[Metric]:
        parts = self._parts
        yield _requests(parts.server)
        yield from _exchanges(parts.watch.counters)
        yield from _upstreams(parts.routing, parts.upstream)
        yield from _states(parts)
        info = GaugeMetricFamily("tiergate_build_info", "1, with the version that runs.", labels=["version"])
        info.add_metric([tiergate.__version__], 1)
        yield info


def _requests(server: HttpServer) -> Metric:
    labels = ["path", "status"]
    found = CounterMetricFamily("tiergate_http_requests", "Requests to the API, by path and status.", labels=labels)
    for (path, status), count in sorted(dict(server.answers).items()):
        found.add_metric([path or "unreadable", str(status)], count)
    return found


def _exchanges(counters: Counters) -> Iterator[Metric]:
    labels = ["surface", "model", "stream"]
    outcomes = CounterMetricFamily(
        "tiergate_exchanges", "Recorded exchanges, by status and code of a refusal.", labels=[*labels, "status", "code"]
    )
    durations = HistogramMetricFamily("tiergate_exchange_duration_seconds", "Time until the end.", labels=labels)
    first = HistogramMetricFamily(
        "tiergate_time_to_first_token_seconds", "Time until a streamed answer's first content.", labels=labels
    )
    sums = {name: CounterMetricFamily(f"tiergate_{name}", text, labels=labels) for name, text in COUNTED.items()}
    for (surface, model, stream), series in list(counters.series.items()):
        key = [surface, model, "true" if stream else "false"]
        for (status, code), count in list(series.outcomes.items()):
            outcomes.add_metric([*key, str(status), code], count)
        _add(durations, key, series.durations)
        if stream:
            _add(first, key, series.first_tokens)
        for name, family in sums.items():
            family.add_metric(key, getattr(series, name))
    yield from (outcomes, durations, first, *sums.values())
    yield CounterMetricFamily(
        "tiergate_unrecorded", "Exchanges that could not be recorded: their answers were withheld.",
        value=counters.unrecorded,
    )  # fmt: skip


def _add(family: HistogramMetricFamily, key: list[str], found: Durations) -> None:
    buckets = list(zip(BOUNDS, map(float, accumulate(found.counts)), strict=True))
    family.add_metric(key, buckets, found.sum)


def _upstreams(routing: Routing, upstream: tuple[str, Upstream] | None) -> Iterator[Metric]:
    breaker = GaugeMetricFamily("tiergate_upstream_breaker", "1 for its breaker's state.", labels=["upstream", "state"])
    attempts = GaugeMetricFamily("tiergate_upstream_attempts_under_way", "Attempts now.", labels=["upstream"])
    pool = GaugeMetricFamily(
        "tiergate_upstream_connections", "Connections, by whether they are in use.", labels=["upstream", "state"]
    )
    waiting = GaugeMetricFamily("tiergate_upstream_waiting", "Requests that wait for one.", labels=["upstream"])
    counts: dict[str, tuple[int, int, int]] = {} if upstream is None else {upstream[0]: upstream[1].counts}
    for name, state, under_way, found in routing.states():
        for one in State:
            breaker.add_metric([name, one.value], one is state)
        attempts.add_metric([name], under_way)
        counts[name] = found
    for name, (used, idle, waits) in counts.items():
        pool.add_metric([name, "used"], used)
        pool.add_metric([name, "idle"], idle)
        waiting.add_metric([name], waits)
    yield from (breaker, attempts, pool, waiting)


def _states(parts: Parts) -> Iterator[Metric]:
    readiness, recorder = parts.readiness, parts.recorder
    held, short = parts.metering.meter.leases
    reasons, warnings = readiness.reasons(), readiness.warnings()
    disk = os.statvfs(parts.data)
    yield _by("tiergate_not_ready", "1 where it keeps requests away.", "reason", {r: r in reasons for r in REASONS})
    yield _by("tiergate_warning", "1 where an operator should look.", "code", {w: w in warnings for w in WARNINGS})
    rejected = {file: said is not None for file, said in readiness.complaints.items()}
    yield _by("tiergate_file_rejected", "1 where a newer file is wrong: the old one is in force.", "file", rejected)
    dropped = CounterMetricFamily("tiergate_telemetry_dropped", "What followers did not get.", labels=["follower"])
    for follower in parts.watch.followers:
        dropped.add_metric([follower.name], follower.dropped)
    yield dropped
    gauges = {
        "connections": ("Connections of callers.", len(parts.server.connections)),
        "requests_under_way": ("Requests that are being answered.", parts.door.under_way),
        "facts_age_seconds": ("Age of what is known of keys, verdicts and grants.", readiness.facts_age_s),
        "verdicts_in_force": ("Accounts under a verdict.", len(parts.admission.snapshot.verdicts)),
        "credentials": ("Keys that are known, revoked ones among them.", len(parts.admission.snapshot.credentials)),
        "log_waiting": ("Exchanges that are yet to be written.", recorder.waiting),
        "log_unsealed": ("Exchanges in the spool and in no segment.", recorder.unsealed),
        "log_seal_age_seconds": ("Time since all in the spool was sealed.", time.monotonic() - recorder.sealed_s),
        "log_free_bytes": ("Room on the disk of the data folder.", disk.f_bavail * disk.f_frsize),
        "leases_held": ("Shares of limits that this process holds.", held),
        "leases_short": ("Shares that wait to be filled.", short),
    }
    for name, (text, value) in gauges.items():
        yield GaugeMetricFamily(f"tiergate_{name}", text, value=float(value))


def _by(name: str, text: str, label: str, values: Mapping[str, bool]) -> Metric:
    family = GaugeMetricFamily(name, text, labels=[label])
    for value, holds in values.items():
        family.add_metric([value], holds)
    return family
