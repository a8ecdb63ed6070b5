"""Decoys: what score does chance reach on this platform?

A decoy platform keeps every account's traffic and tool evidence, and deals places, customers and conduct to other
accounts of the same plan and volume, each as one piece. What belongs together for an ordinary reason (one tool's
prompt and client, one office's addresses) stays together; agreement *between* causes is destroyed. Clusters are
then looked for and scored exactly as before. The expected number of decoy clusters at or above a score estimates
how many of the real ones are chance (target-decoy estimation: Elias and Gygi 2007, with the plus one of Barber and
Candès 2015, so that a finite number of decoys never claims certainty).

Real campaigns' accounts are among the decoys with their own traffic, and groups that they form score high in the
workload test: that says how far a campaign stands from its own shuffled self, not how far chance gets. So a finding is
compared with the decoy clusters that are not mostly accounts of its own or of findings whose workload speaks for a
queue. For a chance finding this changes nothing to speak of: its few accounts have no reason to meet again when
everything is dealt anew.

Beyond the highest decoy the expected number is extrapolated by an exponential tail (peaks over a threshold: Pickands
1975, with shape 0), its scale widened by two standard errors, and never below `LEAST_EXPECTED`.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import sys
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Final

import numpy as np
import numpy.typing as npt

from tiergate.detection.carrying import Carrying
from tiergate.detection.evidence import Evidence
from tiergate.detection.findings import Finding, find
from tiergate.detection.holdings import Holdings
from tiergate.detection.intake import Traffic
from tiergate.detection.links import Join, join, link
from tiergate.detection.workload import WorkloadTest

I64 = npt.NDArray[np.int64]
F64 = npt.NDArray[np.float64]

MOST_PROCESSES: Final = 8
_FORKING: Final = sys.platform == "linux"
"""Elsewhere forking is absent, or unsafe beside the system's own threads: decoys are then scored one by one."""


MOST_ACCOUNTS: Final = 60_000
"""Accounts of a decoy: more would take longer and say the same."""

LEAST_EXPECTED: Final = 0.002
LEAST_PEAKS: Final = 8
MOST_PEAKS: Final = 40


@dataclass(frozen=True, slots=True)
class Decoy:
    """A cluster of a decoy platform."""

    score: float
    members: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Platform:
    """What decoys are made from: the platform as it is, or a sample of its accounts. ``ids`` (accounts,), ascending,
    numbers them in ``traffic``."""

    joined: Join
    holdings: Holdings
    evidence: Evidence
    traffic: Traffic
    test: WorkloadTest
    carrying: Carrying
    ids: I64

    @property
    def share(self) -> float:
        """Share of the accounts that decoys are made of."""
        return len(self.ids) / len(self.traffic.account_ids)

    def sampled(self, rng: np.random.Generator) -> Platform:
        """The same on `MOST_ACCOUNTS` accounts drawn at random, where it has more.

        A group of the sample has the share of its members and of everybody, so that what naming it costs and saves by
        the member stays; fewer members make it weaker by the root of the share, and small ones are lost. Both are made
        up for: expected numbers are multiplied by the whole share, as if every group of chance were a small one.
        """
        if len(self.ids) <= MOST_ACCOUNTS:
            return self
        ids = np.sort(rng.choice(len(self.ids), MOST_ACCOUNTS, replace=False))
        kinds = tuple(replace(kind, holds=kind.holds[ids]) for kind in self.evidence.kinds)
        organization, stratum = self.evidence.organization[ids], self.evidence.stratum[ids]
        evidence = replace(self.evidence, kinds=kinds, organization=organization, stratum=stratum)
        joined = replace(join(evidence, len(ids), rng), weights=self.joined.weights)
        return replace(self, joined=joined, holdings=Holdings.of(evidence, len(ids)), evidence=evidence, ids=ids)

    def decoy(self, seed: int, number: int) -> list[Decoy]:
        """Clusters of decoy ``number``; the same whatever was scored before."""
        rng = np.random.default_rng([seed, number])
        places, customers, conducts = (deal(self.evidence.stratum, rng) for _ in range(3))
        moved = self.holdings.permuted({"place": places, "customer": customers, "conduct": conducts})
        links = link(self.joined.permuted(places, customers, conducts))
        leiden = int(rng.integers(1 << 31))
        found = find(links, moved, self.carrying, self.traffic, self.test, leiden, self.ids)
        return [Decoy(one.score, tuple(self.ids[one.cluster.members].tolist())) for one in found]


_shared: list[Platform] = []


def decoy_clusters(platform: Platform, seed: int, rounds: int) -> Iterator[list[Decoy]]:
    """Clusters of ``rounds`` decoys, in order, computed on all processors where processes can be forked.

    Forked children read the parent's arrays in place; they touch numpy and scipy only, which hold no locks then.
    """
    processes = min(len(os.sched_getaffinity(0)), MOST_PROCESSES, rounds) if _FORKING else 1
    if processes == 1:
        yield from (platform.decoy(seed, number) for number in range(rounds))
        return
    _shared.append(platform)
    try:
        with multiprocessing.get_context("fork").Pool(processes, _end_quietly) as pool:
            yield from pool.imap(_decoy, [(seed, number) for number in range(rounds)])
    finally:
        _shared.clear()


def _end_quietly() -> None:
    """The command line's handlers say what an interruption means; a child that is ended has nothing to say."""
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.SIG_IGN)


def _decoy(which: tuple[int, int]) -> list[Decoy]:
    return _shared[0].decoy(*which)


@dataclass(frozen=True, slots=True)
class Significance:
    """Of one finding: clusters of chance ``expected`` at or above its score in one run; ``confidence``, the probability
    that its accounts work off one queue; ``q_value``, the false discovery rate of opening it and all above it."""

    expected: float
    confidence: float
    q_value: float


def calibrate(findings: list[Finding], decoys: list[Decoy], rounds: float) -> list[Significance]:
    """Significance of ``findings``, best first, against the clusters of ``rounds`` decoy platforms; of less than one
    platform where decoys are made of a share of it.

    A finding is false when its accounts met by chance, or for an ordinary reason (an office, a class, a tool). Decoys
    measure the first, the workload tests the second, with prior odds against a queue as far as they have the power to
    answer; confidence is the product of both. The q-value is the greater of two estimates: decoys over findings, and
    the mean of 1 - confidence over the findings as good as this one (the Bayesian rate of Efron 2008).
    """
    scores = np.array([one.score for one in decoys])
    queues = {account for one in findings if one.queue > 0 for account in one.cluster.members.tolist()}
    rates: list[float] = []
    made: list[tuple[float, float]] = []
    for number, finding in enumerate(findings):
        own = queues | set(finding.cluster.members.tolist())
        apart = np.array([len(own.intersection(one.members)) < len(one.members) / 2 for one in decoys], bool)
        queue = float(1 / (1 + np.exp(-finding.queue)))
        if not finding.linked:
            # Who sends the same instruction does not do so by chance: only ordinary reasons are left to be wrong about,
            # and decoys, which keep instructions where they are, have no p-value for it.
            made.append((1.0, queue))
            rates.append(rates[-1] if rates else 0.0)
            continue
        expected = _expected(scores[apart], finding.score, rounds)
        made.append((expected, queue / (1 + 2 * expected)))
        rates.append(min(1.0, expected / (number + 1)))
    chance = np.minimum.accumulate(np.array([*rates, 1.0])[::-1])[::-1]
    sure = np.array([confidence for _, confidence in made])
    as_good = [float(np.mean(1 - sure[sure >= one])) for one in sure]
    return [
        Significance(expected, confidence, float(max(by_chance, by_reason)))
        for (expected, confidence), by_chance, by_reason in zip(made, chance, as_good, strict=False)
    ]


def _expected(scores: F64, score: float, rounds: float) -> float:
    """Chance clusters at or above ``score`` in one run, by counting, or by the tail where that is less."""
    counted = (float((scores >= score).sum()) + 1) / rounds
    peaks = min(MOST_PEAKS, max(len(scores) // 4, LEAST_PEAKS), len(scores) - 1)
    if peaks < LEAST_PEAKS:
        return counted
    top = np.sort(scores)[-peaks - 1 :]
    scale = float((top[1:] - top[0]).mean()) * (1 + 2 / np.sqrt(peaks))
    tail = peaks / rounds * np.exp(-(score - top[0]) / max(scale, 1e-6)) if score > top[0] else counted
    return float(max(LEAST_EXPECTED, min(counted, tail)))


def deal(stratum: I64, rng: np.random.Generator) -> I64:
    """A random permutation of accounts within strata: ``result[a]`` receives what ``a`` had."""
    order = np.lexsort((rng.permutation(len(stratum)), stratum))
    to = np.empty(len(stratum), np.int64)
    to[np.argsort(stratum, kind="stable")] = order
    return to
