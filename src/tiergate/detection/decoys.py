"""Decoys: what score does chance reach on this platform?

A decoy platform keeps every account's traffic and tool evidence, and deals places, customers and conduct to other
accounts of the same plan and volume, each as one piece. What belongs together for an ordinary reason (one tool's
prompt and client, one office's addresses) stays together; agreement *between* causes is destroyed. Clusters are
then looked for and scored exactly as before. The expected number of decoy clusters at or above a score estimates
how many of the real ones are chance (target-decoy estimation: Elias and Gygi 2007, with the plus one of Barber and
Candès 2015, so that a finite number of decoys never claims certainty).

A real campaign's accounts are among the decoys with their own traffic, and groups that they form by chance score high
in the workload test. That errs on the safe side: a campaign must stand out from its own shuffled self.
"""

from __future__ import annotations

import multiprocessing
import os
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from tiergate.detection.clusters import Holdings
from tiergate.detection.evidence import Evidence
from tiergate.detection.findings import find
from tiergate.detection.intake import Traffic
from tiergate.detection.links import Join, link
from tiergate.detection.workload import WorkloadTest

I64 = npt.NDArray[np.int64]
F64 = npt.NDArray[np.float64]

MOST_PROCESSES: Final = 8
_FORKING: Final = sys.platform == "linux"
"""Elsewhere forking is absent, or unsafe beside the system's own threads: decoys are then scored one by one."""


@dataclass(frozen=True, slots=True)
class Platform:
    """What decoys are made from: the platform as it is."""

    joined: Join
    holdings: Holdings
    evidence: Evidence
    traffic: Traffic
    test: WorkloadTest

    def decoy(self, seed: int, number: int) -> list[float]:
        """Scores of the clusters of decoy ``number``; the same whatever was scored before."""
        rng = np.random.default_rng([seed, number])
        places, customers, conducts = (deal(self.evidence.stratum, rng) for _ in range(3))
        moved = self.holdings.permuted({"place": places, "customer": customers, "conduct": conducts})
        links = link(self.joined.permuted(places, customers, conducts))
        leiden = int(rng.integers(1 << 31))
        return [one.score for one in find(links, moved, self.evidence, self.traffic, self.test, leiden)]


_shared: list[Platform] = []


def decoy_scores(platform: Platform, seed: int, rounds: int) -> Iterator[list[float]]:
    """Scores of ``rounds`` decoys, in order, computed on all processors where processes can be forked.

    Forked children read the parent's arrays in place; they touch numpy and scipy only, which hold no locks then.
    """
    processes = min(len(os.sched_getaffinity(0)), MOST_PROCESSES, rounds) if _FORKING else 1
    if processes == 1:
        yield from (platform.decoy(seed, number) for number in range(rounds))
        return
    _shared.append(platform)
    try:
        with multiprocessing.get_context("fork").Pool(processes) as pool:
            yield from pool.imap(_decoy, [(seed, number) for number in range(rounds)])
    finally:
        _shared.clear()


def _decoy(which: tuple[int, int]) -> list[float]:
    return _shared[0].decoy(*which)


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
