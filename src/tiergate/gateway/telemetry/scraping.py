"""What a running gateway says of itself at its address for operators, made into figures of the last seconds.

It is asked when somebody looks and at most once a second; rates are between two answers, so the first look has none.
"""

from __future__ import annotations

import http.client
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping
from typing import Any, Final
from urllib.parse import urlsplit

import msgspec
from prometheus_client.parser import text_string_to_metric_families

from tiergate.errors import TiergateError

TIMEOUT_S: Final = 1.0
AT_MOST_EVERY_S: Final = 1.0
SPAN_S: Final = 10.0
"""Rates are of about so long."""
MOST_BYTES: Final = 16 << 20
Labels = tuple[tuple[str, str], ...]


class Errors(msgspec.Struct, frozen=True, kw_only=True):
    """Answers with a status from 400 on: how many in the span, and since the gateway's start."""

    status: int
    reason: str | None
    recent: int | None
    total: int


class UpstreamState(msgspec.Struct, frozen=True, kw_only=True):
    """One upstream: its breaker (`closed`, `open`, `half_open`; None where it has none), attempts now, connections."""

    name: str
    breaker: str | None
    under_way: int | None
    used: int
    idle: int
    waiting: int


class Live(msgspec.Struct, frozen=True, kw_only=True):
    """A gateway now. ``fault``: why it could not be asked, and nothing else is known then. Rates and latencies are of
    the ``span_s`` seconds before ``at_us`` (microseconds since the epoch, UTC), None where nothing is known of them."""

    at_us: int
    fault: str | None = None
    version: str | None = None
    span_s: float | None = None
    requests_per_s: float | None = None
    latency_p50_s: float | None = None
    latency_p95_s: float | None = None
    under_way: int | None = None
    connections: int | None = None
    facts_age_s: float | None = None
    log_unsealed: int | None = None
    log_free_bytes: int | None = None
    verdicts_in_force: int | None = None
    not_ready: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
    rejected_files: tuple[str, ...] = ()
    errors: tuple[Errors, ...] = ()
    upstreams: tuple[UpstreamState, ...] = ()


class _Scrape(msgspec.Struct, frozen=True):
    at_s: float
    samples: dict[str, dict[Labels, float]]


class Gateway:
    """One gateway's address for operators. Threads may share it.

    :param url: such as `http://127.0.0.1:9090`, without a path; ``token``: what its readers must have, None for none.
    """

    def __init__(self, url: str, token: str | None = None, *, now_s: Callable[[], float] = time.monotonic) -> None:
        parts = urlsplit(url)
        self._https, self._host = parts.scheme == "https", parts.netloc
        self._headers = {} if token is None else {"authorization": f"Bearer {token}"}
        self._now_s = now_s
        self._held: deque[_Scrape] = deque(maxlen=32)
        self._lock = threading.Lock()

    def live(self, now_us: int) -> Live:
        """How it is now."""
        with self._lock:
            if not self._held or self._now_s() - self._held[-1].at_s >= AT_MOST_EVERY_S:
                try:
                    self._held.append(_Scrape(self._now_s(), _read(self._ask())))
                except (OSError, http.client.HTTPException, ValueError, TiergateError) as error:
                    self._held.clear()
                    return Live(at_us=now_us, fault=str(error) or type(error).__name__)
            newest = self._held[-1]
            # The one from which the span is nearest to what is wanted; a gateway that began anew counts from nothing.
            before = min(
                (one for one in self._held if one is not newest and not _restarted(one, newest)),
                key=lambda one: abs(newest.at_s - one.at_s - SPAN_S),
                default=None,
            )
        return _live(newest, before, now_us)

    def _ask(self) -> str:
        kind = http.client.HTTPSConnection if self._https else http.client.HTTPConnection
        connection = kind(self._host, timeout=TIMEOUT_S)
        try:
            connection.request("GET", "/metrics", headers=self._headers)
            with connection.getresponse() as answer:
                body = answer.read(MOST_BYTES)
                if answer.status != 200:
                    raise TiergateError(f"it answered {answer.status}: check `metrics_url` and `metrics_token`")
                return body.decode()
        finally:
            connection.close()


def _read(text: str) -> dict[str, dict[Labels, float]]:
    found: dict[str, dict[Labels, float]] = {}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            found.setdefault(sample.name, {})[tuple(sorted(sample.labels.items()))] = sample.value
    return found


def _restarted(before: _Scrape, newest: _Scrape) -> bool:
    name = "process_start_time_seconds"
    return before.samples.get(name) != newest.samples.get(name)


def _live(newest: _Scrape, before: _Scrape | None, now_us: int) -> Live:
    samples = newest.samples
    earlier = {} if before is None else before.samples
    span_s = None if before is None else newest.at_s - before.at_s
    asked = _sum(samples, "tiergate_http_requests_total") - _sum(earlier, "tiergate_http_requests_total")
    buckets = _buckets(samples, earlier)
    outcomes = _by(samples, "tiergate_exchanges_total", "status", "code")
    outcomes_before = _by(earlier, "tiergate_exchanges_total", "status", "code")
    errors = [
        Errors(
            status=int(key[0]), reason=key[1] or None, total=int(count),
            recent=None if before is None else int(count - outcomes_before.get(key, 0)),
        )
        for key, count in outcomes.items() if int(key[0]) >= 400
    ]  # fmt: skip
    return Live(
        at_us=now_us,
        version=next((label for (label,) in _by(samples, "tiergate_build_info", "version")), None),
        span_s=span_s,
        requests_per_s=None if not span_s else asked / span_s,
        latency_p50_s=None if before is None else _quantile(buckets, 0.5),
        latency_p95_s=None if before is None else _quantile(buckets, 0.95),
        under_way=_whole(samples, "tiergate_requests_under_way"),
        connections=_whole(samples, "tiergate_connections"),
        facts_age_s=_only(samples, "tiergate_facts_age_seconds"),
        log_unsealed=_whole(samples, "tiergate_log_unsealed"),
        log_free_bytes=_whole(samples, "tiergate_log_free_bytes"),
        verdicts_in_force=_whole(samples, "tiergate_verdicts_in_force"),
        not_ready=_that_hold(samples, "tiergate_not_ready", "reason"),
        warnings=_that_hold(samples, "tiergate_warning", "code"),
        rejected_files=_that_hold(samples, "tiergate_file_rejected", "file"),
        errors=tuple(sorted(errors, key=lambda one: (-(one.recent or 0), -one.total, one.status))),
        upstreams=_upstreams(samples),
    )


def _upstreams(samples: Mapping[str, Any]) -> tuple[UpstreamState, ...]:
    states = _by(samples, "tiergate_upstream_breaker", "upstream", "state")
    attempts = _by(samples, "tiergate_upstream_attempts_under_way", "upstream")
    connections = _by(samples, "tiergate_upstream_connections", "upstream", "state")
    waiting = _by(samples, "tiergate_upstream_waiting", "upstream")
    names = dict.fromkeys([name for name, _ in states] + [name for name, _ in connections])
    return tuple(
        UpstreamState(
            name=name,
            breaker=next((state for (one, state), holds in states.items() if one == name and holds), None),
            under_way=None if (name,) not in attempts else int(attempts[name,]),
            used=int(connections.get((name, "used"), 0)),
            idle=int(connections.get((name, "idle"), 0)),
            waiting=int(waiting.get((name,), 0)),
        )
        for name in names
    )


def _buckets(samples: Mapping[str, Any], earlier: Mapping[str, Any]) -> dict[float, float]:
    """How many exchanges took as long as each bound or less, since ``earlier``."""
    name = "tiergate_exchange_duration_seconds_bucket"
    before = _by(earlier, name, "le")
    return {float(key[0]): count - before.get(key, 0) for key, count in _by(samples, name, "le").items()}


def _quantile(buckets: Mapping[float, float], share: float) -> float | None:
    """As Prometheus' `histogram_quantile`: even within a bucket; beyond the last bound, that bound."""
    bounds = sorted(buckets)
    total = buckets[bounds[-1]] if bounds else 0
    if not total:
        return None
    wanted, low, below = share * total, 0.0, 0.0
    for bound in bounds:
        if buckets[bound] >= wanted:
            if bound == float("inf"):
                return low
            return low + (bound - low) * (wanted - below) / ((buckets[bound] - below) or 1)
        low, below = bound, buckets[bound]
    return low


def _by(samples: Mapping[str, Any], name: str, *labels: str) -> dict[tuple[str, ...], float]:
    sums: dict[tuple[str, ...], float] = {}
    for held, value in samples.get(name, {}).items():
        key = tuple(dict(held).get(label, "") for label in labels)
        sums[key] = sums.get(key, 0) + value
    return sums


def _sum(samples: Mapping[str, Any], name: str) -> float:
    return float(sum(samples.get(name, {}).values()))


def _only(samples: Mapping[str, Any], name: str) -> float | None:
    return next(iter(samples.get(name, {}).values()), None)


def _whole(samples: Mapping[str, Any], name: str) -> int | None:
    value = _only(samples, name)
    return None if value is None else int(value)


def _that_hold(samples: Mapping[str, Any], name: str, label: str) -> tuple[str, ...]:
    return tuple(key[0] for key, holds in _by(samples, name, label).items() if holds)
