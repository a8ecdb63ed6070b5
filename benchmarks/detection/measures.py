"""Measures of detection as pure functions: recall at a false-positive rate, false discoveries, calibration, justice.

Wherever scores or counts leave a choice, it goes against the detector.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final

import numpy as np
import numpy.typing as npt
from benchmarks.detection.results import CaseOutcome, Charged, Recall, Share
from scipy import stats

F64 = npt.NDArray[np.float64]
Flags = npt.NDArray[np.bool_]

RATES: Final = (1e-4, 1e-3)
NOMINAL_Q: Final = 0.05
CONFIDENCE_EDGES: Final = (0.4, 0.6, 0.8, 0.9, 0.95, 0.99, 1.0)
_STEPS: Final = (1, 2, 3, 5, 7)


def account_log_odds(membership: F64, confidence: F64) -> F64:
    """Log-odds (n,) that an account is in a campaign: its membership times the confidence of its case.

    Probabilities near 1 differ in their distance from it, which a product in floating point loses.
    """
    with np.errstate(divide="ignore"):
        odds: F64 = np.log(membership * confidence) - np.log((1 - membership) + membership * (1 - confidence))
    return odds


def bar(innocent: F64, allowed: int) -> float:
    """The score to beat, so that at most ``allowed`` innocents beat it; whoever ties with it is not found."""
    if allowed >= len(innocent):
        return -np.inf
    return float(np.partition(innocent, len(innocent) - allowed - 1)[len(innocent) - allowed - 1])


def recall_at(guilty: F64, innocent: F64, rate: float) -> Recall:
    """Recall at an account false-positive rate; with fewer innocents than 1 / rate, no innocent is allowed."""
    allowed = int(len(innocent) * rate + 1e-9)
    threshold = bar(innocent, allowed)
    found = Share(int((guilty > threshold).sum()), len(guilty))
    return Recall(rate, allowed, int((innocent > threshold).sum()), found)


def roc(guilty: F64, innocent: F64) -> list[tuple[int, int]]:
    """Points of the curve: innocents allowed, and campaign accounts found; up to a tenth of all innocents."""
    counts = [0, *(step * 10**power for power in range(9) for step in _STEPS)]
    return [(n, int((guilty > bar(innocent, n)).sum())) for n in counts if n <= len(innocent) / 10]


def shares(labels: Sequence[str], counted: Flags, among: Flags) -> dict[str, Share]:
    """Of the accounts ``among``, how many of each label are ``counted``."""
    names = np.asarray(labels)
    return {
        str(name): Share(int((counted & among & (names == name)).sum()), int((among & (names == name)).sum()))
        for name in np.unique(names[among])
    }


def false_discoveries(cases: Iterable[CaseOutcome], q: float = NOMINAL_Q) -> Share:
    """Of the cases opened at false discovery rate ``q``, those that do not hold mostly campaign accounts."""
    opened = [case for case in cases if case.q_value <= q]
    return Share(sum(not case.right for case in opened), len(opened))


def upper_limit(share: Share, level: float = 0.95) -> float:
    """One-sided upper confidence limit of a share (Clopper and Pearson 1934); 1 where nothing was counted."""
    if share.part >= share.of:
        return 1.0
    return float(stats.beta.ppf(level, share.part + 1, share.of - share.part))


def calibration(
    cases: Sequence[CaseOutcome], edges: Sequence[float] = CONFIDENCE_EDGES
) -> list[tuple[float, float, Share]]:
    """By bin of confidence: upper edge, mean confidence, and cases that are right of all; empty bins are left out.

    A bin holds its lower edge, the last one both.
    """
    bins = np.clip(np.searchsorted(edges, [case.confidence for case in cases], side="right") - 1, 0, len(edges) - 2)
    rows = []
    for number in np.unique(bins).tolist():
        inside = [case for case, place in zip(cases, bins.tolist(), strict=True) if place == number]
        mean = float(np.mean([case.confidence for case in inside]))
        rows.append((edges[number + 1], mean, Share(sum(case.right for case in inside), len(inside))))
    return rows


def charged(exchanges: Iterable[str], campaign: frozenset[str]) -> Charged:
    """Justice of charging ``exchanges`` (ids, in whatever case) when the ``campaign``'s are those."""
    accused = frozenset(exchanges)
    right = len(accused & campaign)
    return Charged(Share(len(accused) - right, len(accused)), Share(right, len(campaign)))
