"""Repeated looks: evidence that a platform is looked at every day, and that a case was seen before.

One look gives each case a p-value: the expected number of chance clusters at or above its score bounds the probability
that there is any (Markov), so ``p = min(1, expected)`` is below ``u`` with probability at most ``u`` for *every* chance
cluster of that look at once. Looking each day and believing the best day would break that promise; e-values keep it.

**From p to e.** A calibrator is a decreasing ``f`` on (0, 1] with integral 1 at most; then ``E[f(p)] <= 1`` (Vovk and
Wang 2021, "E-values: calibration, combination and applications"). `calibrated` is 1/p as far as it can be integrated:
``1 / (c (1 + log(1 / c)))`` up to ``p = c`` and ``1 / (p (1 + log(1 / c)))`` beyond. It is the power calibrator
``kappa p^(kappa - 1)`` for kappa to 0, held level below ``c``. As no look claims less than ``c``, nothing is lost
there, and 0.002 is worth 69, where the usual kappa of 1/2 gives 11, too little to convict at 5% however often it is
repeated.

**Over looks.** A case first seen at look b has at look t the running sum ``e_b w_1 + ... + e_t w_(t-b+1)``, with
weights ``w_a = 1 / (a (a + 1))`` fixed beforehand (they sum to 1) and ``e_s = 0`` where look s did not see it. Claim:
for a fixed b, *whatever rule follows the case from look to look and whenever one stops*, the sum of a chance case has
expectation 1 at most. For let ``F_s`` be the e-value of the best chance cluster of look s, 0 if there is none.
Whichever chance cluster look s adds to the case, ``e_s <= F_s``, hence at all times the sum is at most
``E_b = F_b w_1 + F_(b+1) w_2 + ...``, one random variable that knows nothing of the rule, with
``E[E_b] <= w_1 + w_2 + ... = 1``, by linearity alone: looks at nearly the same exchanges may depend on each other as
they like. (A sum and not a product: products need looks that are new given the past, which overlapping logs are not.)

**Over cases.** `e_bh` (Wang and Ramdas 2022, "False discovery rate control with e-values") among the K cases first
seen at one look: the false share of those accepted is at most ``level * (sum of chance e-values) / K <= level * E_b``,
so its expectation is at most ``level``, at any stopping time. K may depend on the data, as all chance cases lie below
one ``E_b``. The promise is made cohort by cohort: over many cohorts it bounds the mean of their false shares.

What it does not cover: the p-value is as good as the decoys it comes from, and a case that mixes real and chance
members counts as real. A group that coordinates for an ordinary reason is no chance cluster: `confidence` weighs that.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np
import numpy.typing as npt

from tiergate.detection.decoys import LEAST_EXPECTED

F64 = npt.NDArray[np.float64]

LEVEL: Final = 0.05
"""False discovery rate at which cases stand."""


def p_value(expected: float) -> float:
    """Of a cluster at or above whose score ``expected`` clusters of chance are expected in one look."""
    return min(1.0, expected)


def calibrated(p: float, least: float = LEAST_EXPECTED) -> float:
    """E-value of the p-value ``p``: 1/p, level below ``least``, scaled to integrate to 1.

    ``least`` must not depend on the data. Raises `ValueError` unless ``p`` is from 0 to 1 and ``least`` in (0, 1].
    """
    if not 0 <= p <= 1 or not 0 < least <= 1:
        raise ValueError(f"expected 0 <= p <= 1 and 0 < least <= 1, not p = {p} and least = {least}")
    return float(1 / (max(p, least) * (1 - np.log(least))))


def weight(age: int) -> float:
    """Weight of a case's look number ``age``, counted in looks from the one that first saw it (1): sums to 1 over all.

    Raises `ValueError` when ``age`` is below 1.
    """
    if age < 1:
        raise ValueError(f"a case's first look has age 1, not {age}")
    return 1 / (age * (age + 1))


def e_bh(e_values: Sequence[float], level: float = LEVEL) -> npt.NDArray[np.bool_]:
    """Which of K hypotheses (K,) to reject with a false discovery rate of ``level`` under any dependence.

    Those with the k largest e-values, for the largest k of which the k-th is at least ``K / (level * k)``.
    """
    e = np.asarray(e_values, np.float64)
    order = np.argsort(-e, kind="stable")
    good = np.flatnonzero(e[order] * np.arange(1, len(e) + 1) * level >= len(e))
    rejected = np.zeros(len(e), bool)
    rejected[order[: good[-1] + 1 if len(good) else 0]] = True
    return rejected
