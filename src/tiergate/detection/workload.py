"""The pooled-workload test: is the account label uninformative?

A dispatcher deals one queue out to many accounts, so two of the campaign's exchanges are as likely to share a
subject, or to fall into the same minutes, whether or not one account sent them. People are not like that: what one
account asks resembles what it asked before, and it asks in sittings. For a feature (content words; ten-minute
bins) the statistic is the log ratio of two rates: how often pairs of exchanges *of one account* share the feature,
and how often pairs *of different accounts* do. It is 0 for a dealt-out queue and large for independent people,
also when they all use one tool and one system prompt.

The evidence compares squared distances, each in its own standard deviations: to 0, and to what groups of other
accounts of this platform show. This is a normal log-likelihood ratio with both peaks set level, so that where those
groups are themselves near 0 (as in traffic without sittings) the test says nothing. Counting pairs by feature makes
it linear in exchanges.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from tiergate.clock import MINUTE
from tiergate.detection.intake import Traffic

I64 = npt.NDArray[np.int64]
F64 = npt.NDArray[np.float64]

BIN_US: Final = 10 * MINUTE
COMMON_SHARE: Final = 0.2
"""Words in a fifth of the pooled messages belong to the template, not to what was filled in."""

DEALING_SLACK: Final = 0.2
"""Standard deviation allowed around 0 beyond counting error: real dispatchers are not perfectly random."""

LEAST_SPREAD: Final = 0.5
"""Smallest standard deviation credited to the reference: it is estimated from few groups."""

STRONGEST: Final = 6.0
"""Nats that one statistic may add or take: a single test is never more than 400 to 1."""

REFERENCE_GROUPS: Final = 48
REFERENCE_SIZE: Final = 24


@dataclass(frozen=True, slots=True)
class Statistic:
    """One feature's log ratio ``value`` with its standard ``error``, the reference's ``mean`` and ``spread``, and
    ``log_odds`` (nats) of a dealt-out queue against independent accounts."""

    name: str
    value: float
    error: float
    mean: float
    spread: float
    log_odds: float


@dataclass(frozen=True, slots=True)
class Features:
    """Feature items of all exchanges: ``row`` (items,) ascending and ``code`` (items,)."""

    row: I64
    code: I64
    common: float


class WorkloadTest:
    """Measures groups of accounts against a reference drawn from the same platform."""

    def __init__(self, traffic: Traffic, rng: np.random.Generator) -> None:
        self._account = traffic.account
        self._rows_of = np.argsort(traffic.account, kind="stable")
        self._start = np.searchsorted(traffic.account[self._rows_of], np.arange(len(traffic.account_ids) + 1))
        every = np.arange(traffic.rows)
        self._features = {
            "subject": Features(traffic.words.row, traffic.words.code, COMMON_SHARE),
            "minutes": Features(every, traffic.time_us // BIN_US - traffic.time_us.min() // BIN_US, 1.1),
        }
        self._first = {n: np.searchsorted(f.row, np.arange(traffic.rows + 1)) for n, f in self._features.items()}
        self._reference = self._measure_reference(rng)

    def measure(self, rows: I64) -> list[Statistic]:
        """Test the pooled exchanges ``rows`` of one group."""
        statistics = []
        for name in self._features:
            value, error = self._ratio(name, rows)
            mean, spread = self._reference[name]
            dealt = (value / np.hypot(error, DEALING_SLACK)) ** 2
            independent = ((value - mean) / np.hypot(error, spread)) ** 2
            odds = float(np.clip((independent - dealt) / 2, -STRONGEST, STRONGEST))
            statistics.append(Statistic(name, value, error, mean, spread, odds))
        return statistics

    def rows_of(self, accounts: I64) -> I64:
        """Exchanges (ascending) of ``accounts``."""
        parts = [self._rows_of[self._start[a] : self._start[a + 1]] for a in accounts.tolist()]
        return np.sort(np.concatenate(parts)) if parts else np.empty(0, np.int64)

    def _measure_reference(self, rng: np.random.Generator) -> dict[str, tuple[float, float]]:
        volume = np.diff(self._start)
        busy = np.flatnonzero(volume >= 5)
        reference = {}
        groups = [
            self.rows_of(rng.choice(busy, REFERENCE_SIZE, replace=False))
            for _ in range(REFERENCE_GROUPS if len(busy) >= 2 * REFERENCE_SIZE else 0)
        ]
        for name in self._features:
            values = np.array([value for value, error in (self._ratio(name, rows) for rows in groups) if error < 2])
            enough = len(values) >= 8
            spread = max(float(np.std(values)), LEAST_SPREAD) if enough else 10.0
            reference[name] = (float(np.mean(values)) if enough else 0.0, spread)
        return reference

    def _ratio(self, name: str, rows: I64) -> tuple[float, float]:
        """Log ratio of sharing within and between accounts over ``rows``, and its standard error."""
        feature, first = self._features[name], self._first[name]
        length = first[rows + 1] - first[rows]
        item = np.repeat(first[rows] - np.concatenate([[0], np.cumsum(length)[:-1]]), length) + np.arange(length.sum())
        code, owner = feature.code[item], self._account[np.repeat(rows, length)]
        distinct, code, times = np.unique(code, return_inverse=True, return_counts=True)
        common = times > feature.common * len(rows)
        code, owner = code[~common[code]], owner[~common[code]]
        all_pairs = _pairs(times[~common])
        own = np.unique(code * (self._account.max() + 1) + owner, return_counts=True)[1]
        same = _pairs(own)
        volume = np.bincount(self._account[rows])
        same_possible = _pairs(volume)
        possible = _pairs(np.array([len(rows)])) - same_possible
        different = all_pairs - same
        if same_possible == 0 or possible == 0 or len(distinct) == 0:
            return 0.0, 10.0
        value = np.log((same + 0.5) / same_possible) - np.log((different + 0.5) / possible)
        # Pairs that share an exchange are not independent: the number of exchanges bounds the information.
        counted = min(same, len(rows) / 2), min(different, len(rows) / 2)
        return float(value), float(np.sqrt(1 / (counted[0] + 0.5) + 1 / (counted[1] + 0.5)))


def _pairs(counts: I64) -> float:
    numbers = counts.astype(np.float64)
    return float((numbers * (numbers - 1) / 2).sum())
