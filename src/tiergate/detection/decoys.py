"""Decoys: what score does chance reach on this platform?

A decoy platform keeps every account's traffic and tool evidence, and deals places, customers and conduct to other
accounts of the same plan and volume, each as one piece. What belongs together for an ordinary reason (one tool's
prompt and client, one office's addresses) stays together; agreement *between* causes is destroyed. Clusters are
then looked for and scored exactly as before. The expected number of decoy clusters at or above a score estimates
how many of the real ones are chance (target-decoy estimation: Elias and Gygi 2007, with the plus one of Barber and
Candès 2015, so that a finite number of decoys never claims certainty).

Real campaigns' accounts are among the decoys with their own traffic, and groups that they form score high in the
workload test: that says how far a campaign stands from its own shuffled self, not how far chance gets. So a finding is
compared with the decoy clusters whose tested exchanges were not mostly sent by accounts of its own or of findings whose
workload speaks for a queue. (Of a decoy's members others may be most: those who were dealt a campaign's cards. The
workload that gave it its score is the campaign's all the same.) For a chance finding this changes nothing to speak of:
its few accounts have no reason to meet again when everything is dealt anew.

**Beyond the best decoy.** Counting cannot say less than one over the decoys made, so the count is extrapolated, as
permutation p-values are (Knijnenburg et al. 2009), by peaks over a threshold (Pickands 1975; Balkema and de Haan 1974).
Not by those of the score: it is a sum, of what links bring, which saturates, and of what the workload says, and what
fits the one where decoys are many says nothing of the other. Decoys deal what makes links without looking at the
exchanges that make the workload test. So each decoy cluster is taken with its links as they are and any decoy cluster's
workload: `expected` sums the probabilities that the workload makes up for what the links lack. Where links and workload
depend on each other they do so to the safe side, as many strangers are linked more strongly and told from a queue more
surely than few. The tail of the workload is exponential, which is safe as log-odds here are bounded (a shape below 0),
with the scale's upper limit of confidence in place of the scale. It is never steeper than 1 nat: log-odds that keep
their promise reach w among strangers with probability exp(-w) at most (Royall 2000). One more chance cluster is put
among the decoys', linked as strongly as can be. Where decoys reached the score they are counted; where they have
`LEAST_PEAKS` clusters or fewer, they are counted with one added and nothing is extrapolated; and nothing is put below
`LEAST_EXPECTED`.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any, Final

import numpy as np
import numpy.typing as npt
from scipy.special import gammaincinv

from tiergate.detection.carrying import Carrying
from tiergate.detection.evidence import Evidence
from tiergate.detection.findings import CEILING, Finding, find
from tiergate.detection.holdings import Holdings
from tiergate.detection.intake import Traffic
from tiergate.detection.links import Join, join, link
from tiergate.detection.workload import WorkloadTest

I64 = npt.NDArray[np.int64]
F64 = npt.NDArray[np.float64]
Owners = npt.NDArray[np.integer[Any]]

MOST_PROCESSES: Final = 8
_FORKING: Final = sys.platform == "linux"
"""Elsewhere forking is absent, or unsafe beside the system's own threads: decoys are then scored one by one."""


MOST_ACCOUNTS: Final = 60_000
"""Accounts of a decoy: more would take longer and say the same."""

LEAST_EXPECTED: Final = 0.002
LEAST_PEAKS: Final = 8
MOST_PEAKS: Final = 40
DOUBT: Final = 0.025
"""Probability that the true scale of the tail is above the one that is used."""


@dataclass(frozen=True, slots=True)
class Decoy:
    """A cluster of a decoy platform: nats that its ``links`` and its ``workload`` bring, and the ``accounts`` that sent
    the exchanges of that workload. ``grown``: nats of its links, had it grown with the platform that decoys are a
    sample of."""

    links: float
    grown: float
    workload: float
    accounts: tuple[int, ...]

    @classmethod
    def of(cls, found: Finding, owner: Owners, share: float) -> Decoy:
        """What was found among a ``share`` of the accounts. ``owner``: the account of each exchange."""
        strengths = found.cluster.strength * np.array([1.0, 1 / np.sqrt(share)])
        links, grown = (strengths / (1 + strengths / CEILING)).tolist()
        workload = sum(one.log_odds for one in found.statistics)
        return cls(links, grown, workload, tuple(np.unique(owner[found.rows]).tolist()))

    @property
    def score(self) -> float:
        return self.links + self.workload


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

        Chance makes two kinds of groups. Large ones, a share of the platform, are as many in a sample, with that share
        of their members: what naming them costs and saves by the member stays, and their strength, which goes with the
        root of the members, falls by the root of the share. Small ones keep their strength. Where rare things are held
        as often as by Zipf's law, of which a sample is a smaller copy, a sample has its share of them. As it is not
        known which is which, a cluster of the sample stands for one that has grown with the platform and for as many
        others like itself as make up for the share: no fewer than of either kind.
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
        return [Decoy.of(one, self.traffic.account, self.share) for one in found]


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
    threading.Thread(target=_end_with, args=(os.getppid(),), daemon=True).start()


def _end_with(parent: int) -> None:
    """A pool's processes hear nothing of a parent that was killed, and would wait for work for ever."""
    while os.getppid() == parent:
        time.sleep(1)
    os._exit(1)


def _decoy(which: tuple[int, int]) -> list[Decoy]:
    return _shared[0].decoy(*which)


@dataclass(frozen=True, slots=True)
class Significance:
    """Of one finding: clusters of chance ``expected`` at or above its score in one run; ``confidence``, the probability
    that its accounts work off one queue; ``q_value``, the false discovery rate of opening it and all above it."""

    expected: float
    confidence: float
    q_value: float


def calibrate(findings: list[Finding], decoys: list[Decoy], rounds: int, share: float = 1.0) -> list[Significance]:
    """Significance of ``findings``, best first, against the clusters of ``rounds`` decoy platforms, each made of a
    ``share`` of the accounts.

    A finding is false when its accounts met by chance, or for an ordinary reason (an office, a class, a tool). Decoys
    measure the first, the workload tests the second, with prior odds against a queue as far as they have the power to
    answer; confidence is the product of both. The q-value is the greater of two estimates: decoys over findings, and
    the mean of 1 - confidence over the findings as good as this one (the Bayesian rate of Efron 2008).
    """
    parts = np.array([(one.links, one.grown, one.workload) for one in decoys]).reshape(-1, 3)
    queues = {account for one in findings if one.queue > 0 for account in one.cluster.members.tolist()}
    rates: list[float] = []
    made: list[tuple[float, float]] = []
    for number, finding in enumerate(findings):
        own = queues | set(finding.cluster.members.tolist())
        apart = np.array([len(own.intersection(one.accounts)) < len(one.accounts) / 2 for one in decoys], bool)
        if not finding.linked:
            # Who sends the same instruction does not do so by chance: only ordinary reasons are left to be wrong about,
            # and decoys, which keep instructions where they are, have no p-value for it.
            made.append((1.0, confidence(finding, 0.0)))
            rates.append(rates[-1] if rates else 0.0)
            continue
        expected = _expected(parts[apart], finding.score, rounds, share)
        made.append((expected, confidence(finding, expected)))
        rates.append(min(1.0, expected / (number + 1)))
    chance = np.minimum.accumulate(np.array([*rates, 1.0])[::-1])[::-1]
    sure = np.array([one for _, one in made])
    as_good = [float(np.mean(1 - sure[sure >= one])) for one in sure]
    return [
        Significance(expected, one, float(max(by_chance, by_reason)))
        for (expected, one), by_chance, by_reason in zip(made, chance, as_good, strict=False)
    ]


def at_best(finding: Finding) -> Significance:
    """The most that any decoys could say for a finding: with it the confidence is no lower and the q-value no higher
    than `calibrate` would have them."""
    expected = LEAST_EXPECTED if finding.linked else 0.0
    return Significance(expected or 1.0, confidence(finding, expected), 0.0)


def confidence(finding: Finding, expected: float) -> float:
    """Probability that a finding's accounts work off one queue, where chance clusters ``expected`` reach its score."""
    return float(1 / (1 + np.exp(-finding.queue))) / (1 + 2 * expected)


def _expected(decoys: F64, score: float, rounds: int, share: float) -> float:
    """Chance clusters at or above ``score`` in one run: counted, or beyond the best decoy by the workload's tail.

    ``decoys`` (clusters, 3): nats of links, of links grown with the platform, and of the workload.
    """
    links, grown, workload = decoys.T
    # Of the clusters of all accounts that one of a sample stands for, one has grown with them.
    stands_for = np.array([[1 / share - 1], [1.0]])
    reached = float((stands_for * (np.stack([links, grown]) + workload >= score)).sum())
    counted = (reached + 1 / share) / rounds
    peaks = min(MOST_PEAKS, max(len(links) // 4, LEAST_PEAKS), len(links) - 1)
    if peaks < LEAST_PEAKS:
        return max(LEAST_EXPECTED, counted)
    lacking = score - np.stack([np.append(links, CEILING), np.append(grown, CEILING)])
    ordered = np.sort(workload)
    threshold = ordered[-peaks - 1]
    # Excesses of an exponential tail add up to a gamma variable, whose quantile gives the scale's upper limit.
    scale = max(float((ordered[-peaks:] - threshold).sum() / gammaincinv(peaks, DOUBT)), 1.0)
    seen = (len(ordered) - np.searchsorted(ordered, lacking)) / len(ordered)
    tail = peaks / len(ordered) * np.exp(-np.maximum(lacking - threshold, 0) / scale)
    made_up = float((stands_for * np.where(lacking > threshold, np.maximum(seen, tail), seen)).sum())
    return max(LEAST_EXPECTED, min(counted, max(reached, made_up) / rounds))


def deal(stratum: I64, rng: np.random.Generator) -> I64:
    """A random permutation of accounts within strata: ``result[a]`` receives what ``a`` had."""
    order = np.lexsort((rng.permutation(len(stratum)), stratum))
    to = np.empty(len(stratum), np.int64)
    to[np.argsort(stratum, kind="stable")] = order
    return to
