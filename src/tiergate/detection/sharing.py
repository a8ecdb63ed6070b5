"""How often exchanges share a feature, within labels and between them: what the label tests count.

Counting pairs by feature, not pair by pair, makes everything linear in exchanges.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from tiergate.detection.arrays import Ints, runs

I32 = npt.NDArray[np.int32]
I64 = npt.NDArray[np.int64]
F64 = npt.NDArray[np.float64]

UNKNOWN: Final = 10.0
"""Standard error of a ratio that nothing is known of."""

INFORMED: Final = 10.0
"""Expected shared pairs from which an account's own ratio weighs no more."""


@dataclass(frozen=True, slots=True)
class Features:
    """Feature items of all exchanges, row ``r`` having ``code[start[r]:start[r + 1]]``; those in more than a share
    ``common`` of a group's exchanges are left out."""

    start: Ints
    code: I32 | I64
    common: float


def sharing(feature: Features, rows: I64, label: I64) -> tuple[F64, F64, F64, F64]:
    """By label, ascending (labels,): pairs of its exchanges that share a feature, all such pairs; pairs with other
    labels' exchanges that share one, and all of those."""
    begin = feature.start[rows]
    length = feature.start[rows + 1] - begin
    # Dense codes make counting a matter of additions.
    _, code = np.unique(feature.code[runs(begin, length)], return_inverse=True)
    _, dense = np.unique(label, return_inverse=True)
    labels = int(dense.max(initial=-1)) + 1
    times = np.bincount(code, minlength=1)
    rare = times <= feature.common * len(rows)
    pair = np.repeat(dense, length)[rare[code]] * np.int64(len(times)) + code[rare[code]]
    pair, own = np.unique(pair, return_counts=True)
    of_label, item = np.divmod(pair, len(times))
    volume = np.bincount(dense, minlength=labels).astype(np.float64)
    same = np.bincount(of_label, own * (own - 1.0) / 2, labels).astype(np.float64)
    different = np.bincount(of_label, own * (times[item] - own), labels).astype(np.float64)
    return same, volume * (volume - 1) / 2, different, volume * (len(rows) - volume)


def median_ratio(same: F64, expected: F64) -> tuple[float, float]:
    """Median over accounts of the log ratio of the pairs of their own that share something to those ``expected`` if
    they were anybody's, weighted by how many that is (to `INFORMED`), and its standard error."""
    ratio = np.log((same + 0.5) / (expected + 0.5))
    weight = np.minimum(expected, INFORMED)
    order = np.argsort(ratio, kind="stable")
    reach = np.cumsum(weight[order])
    if reach[-1] == 0:
        return 0.0, UNKNOWN
    value = float(ratio[order][np.searchsorted(reach, reach[-1] / 2)])
    number = reach[-1] ** 2 / float((weight**2).sum())
    spread = float(np.average(np.abs(ratio - value), weights=weight))
    # 1.25 mean deviations are a standard deviation, and a median's error is 1.25 times a mean's. Accounts with next to
    # no pairs say less than their spread: a group of them is credited with what its pairs could tell.
    return value, float(np.hypot(1.57 * spread / np.sqrt(number), 1 / np.sqrt(reach[-1] + 0.25)))


def pairs(counts: I64) -> float:
    numbers = counts.astype(np.float64)
    return float((numbers * (numbers - 1) / 2).sum())
