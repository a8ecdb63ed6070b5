"""Plain numbers of this process that finished exchanges add to. A scrape reads them; nothing else does.

Adding an exchange costs about a microsecond: three look-ups and a few additions, without a lock, as all of it happens
in the event loop.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable
from typing import Final

from tiergate.records.schema import Exchange

BUCKETS_S: Final = (0.01, 0.02, 0.04, 0.08, 0.16, 0.32, 0.64, 1.28, 2.56, 5.12, 10.24, 20.48, 40.96, 81.92)
"""Upper bounds of durations, in seconds, as the OpenTelemetry GenAI conventions advise."""

MOST_NAMES: Final = 100
LONGEST_NAME: Final = 128
OTHER: Final = "other"

CUT: Final = frozenset(("client_disconnected", "upstream_broke_off"))
"""What an answer that began can end with before its end."""


class Names:
    """Names that may be labels: those that the deployment's files have, and as many others as were earned before there
    were ``most``. Callers choose what they ask for, and must not be able to make series without end."""

    def __init__(self, most: int = MOST_NAMES) -> None:
        self._most = most
        self._taken: set[str] = set()

    def know(self, names: Iterable[str]) -> None:
        """Names that are few, whoever asks for them."""
        self._taken.update(name for name in names if len(name) <= LONGEST_NAME)

    def label(self, name: str, *, earned: bool) -> str:
        """``name``, or `other`. ``earned``: not everybody could have brought it up."""
        if name in self._taken:
            return name
        if not earned or len(self._taken) >= self._most or len(name) > LONGEST_NAME:
            return OTHER
        self._taken.add(name)
        return name


class Durations:
    """A histogram of seconds: how many fell into each bucket, the last without a bound, and their sum."""

    __slots__ = ("counts", "sum")

    def __init__(self) -> None:
        self.counts = [0] * (len(BUCKETS_S) + 1)
        self.sum = 0.0

    def add(self, seconds: float) -> None:
        self.counts[bisect_left(BUCKETS_S, seconds)] += 1
        self.sum += seconds


class Series:
    """Exchanges of one surface and model, streamed or not. ``outcomes``: how many by status and code."""

    __slots__ = (
        "cache_write_tokens", "cached_input_tokens", "cost_micro_usd", "durations", "estimated_usages", "first_tokens",
        "input_tokens", "outcomes", "output_tokens", "reasoning_tokens", "retries",
    )  # fmt: skip

    def __init__(self) -> None:
        self.outcomes: dict[tuple[int, str], int] = {}
        self.durations, self.first_tokens = Durations(), Durations()
        self.input_tokens = self.output_tokens = self.reasoning_tokens = 0
        self.cached_input_tokens = self.cache_write_tokens = 0
        self.cost_micro_usd = self.estimated_usages = self.retries = 0


class Counters:
    """All series of a process, by surface, model and whether the answer was streamed."""

    def __init__(self) -> None:
        self.series: dict[tuple[str, str, bool], Series] = {}
        self.models, self.codes = Names(), Names()
        self.unrecorded = 0
        """Exchanges that could not be recorded, and whose answers were withheld."""

    def add(self, exchange: Exchange, first_token_s: float | None) -> None:
        """Count a recorded exchange. ``first_token_s``: seconds until a streamed answer's first content."""
        status, reason = exchange.status, exchange.finish_reason
        answered = status < 400
        model = self.models.label(exchange.route_model or exchange.request_model, earned=answered)
        key = exchange.operation, model, exchange.stream is True
        series = self.series.get(key)
        if series is None:
            series = self.series[key] = Series()
        code = ""
        if reason is not None and (not answered or reason in CUT):
            code = self.codes.label(reason, earned=True)
        outcome = status, code
        series.outcomes[outcome] = series.outcomes.get(outcome, 0) + 1
        series.durations.add((exchange.latency_ms or 0.0) / 1000)
        if first_token_s is not None:
            series.first_tokens.add(first_token_s)
        if exchange.attempts is not None and exchange.attempts > 1:
            series.retries += exchange.attempts - 1
        if exchange.input_tokens is not None:
            series.input_tokens += exchange.input_tokens
            series.output_tokens += exchange.output_tokens or 0
            series.cached_input_tokens += exchange.cached_input_tokens or 0
            series.cache_write_tokens += exchange.cache_write_tokens or 0
            series.reasoning_tokens += exchange.reasoning_tokens or 0
            series.cost_micro_usd += exchange.cost_micro_usd or 0
            series.estimated_usages += exchange.usage_source == "estimate"
