"""Groups of a platform that look like one queue, and the cases that they are when chance has been counted.

Looking for groups and testing them is most of the work where accounts are many, scoring decoys where they are few.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from tiergate.detection.carrying import Carrying
from tiergate.detection.cases import CHARGED, Case, name_case, opens
from tiergate.detection.decoys import Decoy, Platform, Significance, at_best, calibrate, decoy_clusters
from tiergate.detection.evidence import Evidence
from tiergate.detection.exchanges import ExchangeMixture
from tiergate.detection.findings import MOSTLY, Finding, find, find_queues, grown
from tiergate.detection.holdings import Holdings
from tiergate.detection.intake import Traffic
from tiergate.detection.links import Join, Links, join, link
from tiergate.detection.membership import worded_anew
from tiergate.detection.pivot import synchrony
from tiergate.detection.ties import tie
from tiergate.detection.weights import Weights
from tiergate.detection.workload import WorkloadTest

Progress = Callable[[str, float], None]


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a detection found: cases, best first; all findings and the clusters of ``rounds`` decoy platforms, for the
    calibration picture."""

    cases: list[Case]
    findings: list[Finding]
    decoys: list[Decoy]
    links: Links
    ties: pa.Table
    weights: Weights
    holdings: Holdings
    rounds: int


@dataclass(frozen=True, slots=True)
class Search:
    """A platform's groups, tested, before chance is counted. ``findings``: best first."""

    traffic: Traffic
    evidence: Evidence
    seed: int
    findings: list[Finding]
    _joined: Join
    _links: Links
    _holdings: Holdings
    _carrying: Carrying
    _test: WorkloadTest
    _rng: np.random.Generator

    @classmethod
    def of(cls, traffic: Traffic, evidence: Evidence, seed: int, progress: Progress) -> Search:
        """Link, cluster and test."""
        rng = np.random.default_rng(seed)
        accounts = len(traffic.account_ids)
        progress("linking accounts", 0.0)
        joined = join(evidence, accounts, rng)
        holdings = Holdings.of(evidence, accounts)
        test = WorkloadTest(traffic, evidence.closed_us, rng, evidence.speaks_for_others)
        carrying = Carrying(traffic, evidence)
        links = link(joined)
        findings = find(links, holdings, carrying, traffic, test, seed)
        findings += find_queues(findings, holdings, carrying, test, seed)
        findings.sort(key=lambda one: -one.score)
        return cls(traffic, evidence, seed, findings, joined, links, holdings, carrying, test, rng)

    def calibrated(self, rounds: int, progress: Progress) -> Outcome:
        """Cases by what ``rounds`` decoy platforms say of chance. To be asked once."""
        everybody = np.arange(len(self.traffic.account_ids))
        platform = Platform(
            self._joined, self._holdings, self.evidence, self.traffic, self._test, self._carrying, everybody
        ).sampled(self._rng)
        progress("scoring decoys", 0.0)
        decoys: list[Decoy] = []
        for done, some in enumerate(decoy_clusters(platform, self.seed, rounds)):
            progress("scoring decoys", done / rounds)
            decoys += some
        progress("describing cases", 0.0)
        return self._outcome(calibrate(self.findings, decoys, rounds, platform.share), decoys, rounds)

    def at_best(self) -> Outcome:
        """Cases as they would be if chance were as rare as decoys may ever claim: whatever decoys say, no case is surer
        or permits more than here."""
        return self._outcome([at_best(one) for one in self.findings], [], 0)

    def _outcome(self, chances: list[Significance], decoys: list[Decoy], rounds: int) -> Outcome:
        traffic, test, holdings = self.traffic, self._test, self._holdings
        mixture = ExchangeMixture(traffic)
        cases: list[Case] = []
        taken = np.zeros(len(traffic.account_ids), bool)
        for found, chance in zip(self.findings, chances, strict=True):
            if not opens(found, chance.confidence):
                continue
            one = grown(found, holdings, self._carrying, traffic, test)
            if rounds and taken[one.cluster.members].mean() >= MOSTLY:
                # A second pool that the first one's case has let in; which of them opens is not known at best.
                continue
            rows = test.rows_of(one.cluster.members)
            belief = mixture.membership(rows, one.rows)
            in_workload = np.isin(rows, one.rows)
            charged = belief >= CHARGED
            if not worded_anew(one.cluster, holdings):
                # What does not carry a fixed instruction is somebody's own, however much it resembles the others.
                charged &= in_workload | (len(one.rows) == len(rows))
            charged = charged if charged.any() else in_workload
            statistics = test.permuted(one.statistics, one.rows, np.random.default_rng(self.seed))
            turning = synchrony(
                one.cluster.members, self.evidence.releases, self.evidence.stratum, np.random.default_rng(1)
            )
            used = np.isin(one.cluster.members, traffic.account[rows[charged]])
            members = one.cluster.members[used]
            taken[members] = True
            cases.append(
                Case(
                    name_case(members, traffic),
                    one,
                    members,
                    one.membership[used],
                    chance.confidence,
                    chance.q_value,
                    rows[charged],
                    belief[charged],
                    statistics,
                    chance.expected,
                    sum(statistic.log_odds for statistic in found.statistics) - found.queue,
                    turning,
                )
            )
        ties = tie(cases, holdings, traffic)
        return Outcome(cases, self.findings, decoys, self._links, ties, self._joined.weights, holdings, rounds)
