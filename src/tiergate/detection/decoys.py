"""Decoys: what score does chance reach on this platform?

A decoy platform keeps every account's traffic and tool evidence, and deals places, customers and conduct to other
accounts of the same plan and volume, each as one piece. What belongs together for an ordinary reason (one tool's
prompt and client, one office's addresses) stays together; agreement *between* causes is destroyed. Clusters are
then looked for and scored exactly as before. The expected number of decoy clusters at or above a score estimates
how many of the real ones are chance (target-decoy estimation: Elias and Gygi 2007, with the plus one of Barber and
Candès 2015, so that a finite number of decoys never claims certainty).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

I64 = npt.NDArray[np.int64]
F64 = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Calibration:
    """Scores of decoy clusters over ``rounds`` decoy platforms, and of the real clusters."""

    decoys: F64
    targets: F64
    rounds: int

    def expected(self, score: float) -> float:
        """Clusters of chance expected at or above ``score`` in one run."""
        return (float((self.decoys >= score).sum()) + 1) / self.rounds

    def q_value(self, score: float) -> float:
        """Estimated false discovery rate of opening every cluster at or above ``score``."""
        scores = self.targets[self.targets <= score]
        rates = [min(1.0, self.expected(s) / max(int((self.targets >= s).sum()), 1)) for s in scores]
        return min(rates, default=1.0)

    def confidence(self, score: float) -> float:
        """Probability that a cluster at ``score`` is coordinated, if half a campaign a run is expected beforehand."""
        return 1 / (1 + 2 * self.expected(score))


def deal(stratum: I64, rng: np.random.Generator) -> I64:
    """A random permutation of accounts within strata: ``result[a]`` receives what ``a`` had."""
    order = np.lexsort((rng.permutation(len(stratum)), stratum))
    to = np.empty(len(stratum), np.int64)
    to[np.argsort(stratum, kind="stable")] = order
    return to
