"""Findings: clusters with their pooled workload tested, and one score for both."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final

import numpy as np
import numpy.typing as npt

from tiergate.clock import DAY
from tiergate.detection.arrays import Ints
from tiergate.detection.carrying import Carrying, shares
from tiergate.detection.clusters import find_clusters
from tiergate.detection.description import SMALLEST, Cluster, describe
from tiergate.detection.holdings import Holdings
from tiergate.detection.intake import Traffic
from tiergate.detection.links import Links
from tiergate.detection.membership import LET_IN, admitted, membership, worded_anew
from tiergate.detection.queues import instructions
from tiergate.detection.workload import LABEL_TESTS, RATE_TESTS, Statistic, WorkloadTest

I64 = npt.NDArray[np.int64]
F64 = npt.NDArray[np.float64]

CEILING: Final = 12.0
"""Nats that links alone can bring, however many accounts: as much as the workload test can take away again."""

ORDINARY: Final = 3.0
"""Nats of prior odds that accounts which hang together do so for an ordinary reason: twenty offices, classes and tools
to one campaign."""

UNLINKED: Final = 5.0
"""The same for accounts that have an instruction in common and nothing else: most instructions are some tool's."""

STRONG_LINKS: Final = 20.0
"""Strength of links from which accounts hang together; with less the prior odds lie between the two."""

FEWEST_APART: Final = 5
"""Members who hardly send the group's workload from which they are a group of their own."""

LEAST_QUEUE: Final = 7.0
"""Log-odds of the workload from which a queue is worth a finding: both label tests must speak for it."""

RECENT_US: Final = 2 * DAY
"""Before the end of the log: whose first exchange came later has just come."""

LEAST_OF_WORKLOAD: Final = 0.25
"""Times the median member's share of exchanges that are the workload which a member needs."""

MOSTLY: Final = 0.5
"""Share of a group's members among another's from which it is the same group."""


@dataclass(frozen=True, slots=True)
class Finding:
    """A cluster with its pooled workload.

    ``membership`` (members,) probabilities; ``rows``: exchanges of the workload, ascending; ``score``: nats;
    ``power``: how well, 0 to 1, the workload tests can tell a queue from strangers on this platform; ``linked``:
    whether the accounts have more in common than an instruction.
    """

    cluster: Cluster
    membership: F64
    rows: I64
    statistics: list[Statistic]
    score: float
    power: float = 1.0
    linked: bool = True

    @property
    def queue(self) -> float:
        """Nats that the workload speaks for one queue, after what ordinary reasons have for themselves."""
        links = min(self.cluster.strength / STRONG_LINKS, 1.0) if self.linked else 0.0
        ordinary = links * ORDINARY + (1 - links) * UNLINKED
        # Label tests that have no power need no prior against them; rates do.
        rates = any(one.log_odds > 0 for one in self.statistics if one.name in RATE_TESTS)
        return sum(one.log_odds for one in self.statistics) - ordinary * (1.0 if rates else self.power)


def find(
    links: Links,
    holdings: Holdings,
    carrying: Carrying,
    traffic: Traffic,
    test: WorkloadTest,
    seed: int,
    ids: I64 | None = None,
) -> list[Finding]:
    """Cluster the accounts, test each cluster's pooled workload, and score it.

    :param ids: the accounts of ``traffic`` that are looked at, where not all are: accounts of ``links`` and
        ``holdings`` are numbered by them.

    The score is the links' strength, which saturates at `CEILING`, plus the workload test's log-odds.
    """
    findings = []
    waiting = find_clusters(links, holdings, seed)
    while waiting:
        cluster = waiting.pop(0)
        accounts = cluster.members if ids is None else ids[cluster.members]
        sent = test.rows_of(accounts)
        rows = carrying.workload(cluster, holdings, sent)
        apart = cluster.members[~np.isin(accounts, _taking_part(traffic.account[rows], traffic.account[sent]))]
        if len(apart) >= FEWEST_APART and not worded_anew(cluster, holdings):
            # Two instructions are two workloads, however alike their accounts behave.
            parts = [describe(part, holdings) for part in (np.setdiff1d(cluster.members, apart), apart)]
            waiting = [part for part in parts if part is not None and part.worth > 0] + waiting
            continue
        statistics = test.measure(rows)
        strength = cluster.strength / (1 + cluster.strength / CEILING)
        score = strength + sum(one.log_odds for one in statistics)
        findings.append(Finding(cluster, membership(cluster, holdings), rows, statistics, score, test.power))
    return findings


def grown(finding: Finding, holdings: Holdings, carrying: Carrying, traffic: Traffic, test: WorkloadTest) -> Finding:
    """The finding with its members as its workload, once believed, shows them.

    Small accounts are let in (`membership.admitted`), except where the instruction is worded anew each time and a few
    exchanges show too little of it. What each account sends is then compared with the queue: who has subjects of its
    own is less of a member, and none below even odds.
    """
    if finding.queue <= 0:
        return finding
    cluster, believed, rows = finding.cluster, finding.membership, finding.rows
    if finding.linked and not worded_anew(cluster, holdings):
        recent = traffic.time_us[traffic.rows_of[traffic.edge[:-1]]] >= traffic.time_us[-1] - RECENT_US
        members, believed = admitted(cluster, holdings, recent)
        come = recent[members] & ~np.isin(members, cluster.members)
        if come.any():
            sent = carrying.workload(cluster, holdings, test.rows_of(members[come]))
            if any(one.log_odds < 0 for one in test.measure(sent) if one.name in LABEL_TESTS):
                # They use the group's instruction, for subjects and in sittings of their own.
                members, believed = members[~come], believed[~come]
        cluster = replace(cluster, members=members)
    if finding.linked:
        rows = carrying.workload(cluster, holdings, test.rows_of(cluster.members))
    accounts, dealt = test.dealt(rows)
    odds = np.log(believed / (1 - believed))
    if not finding.linked:
        # An instruction is easily copied, or public: each account must show that it was dealt what it sends.
        odds = np.minimum(odds, LET_IN)
    at = np.searchsorted(accounts, cluster.members)
    known = np.append(accounts, -1)[at] == cluster.members
    odds = odds + np.where(known, np.append(dealt, 0.0)[at], 0.0)
    kept = odds > 0
    if finding.linked:
        asked = traffic.account[test.rows_of(cluster.members)]
        kept &= np.isin(cluster.members, _taking_part(traffic.account[rows], asked))
    members = cluster.members[kept]
    rows = rows[np.isin(traffic.account[rows], members)]
    if len(members) < SMALLEST or not len(rows):
        return finding
    cluster = describe(members, holdings) or replace(cluster, members=members)
    return replace(finding, cluster=cluster, membership=1 / (1 + np.exp(-odds[kept])), rows=rows)


def _taking_part(workload: Ints, every: Ints) -> Ints:
    """Accounts, ascending, that send enough of the workload to be its members, from the account of each exchange: one
    phrase in common, of a list that both were made from, does not make them so."""
    share = shares(workload, every)
    return np.unique(every)[(share > 0) & (share >= LEAST_OF_WORKLOAD * float(np.median(share)))]


def find_queues(
    known: list[Finding], holdings: Holdings, carrying: Carrying, test: WorkloadTest, seed: int
) -> list[Finding]:
    """Queues (see `queues`) among accounts that no finding of ``known`` accounts for, by the workload."""
    if "template" not in holdings.families:
        return []
    taken = np.zeros(holdings.accounts, bool)
    for finding in known:
        if finding.queue > 0:
            taken[finding.cluster.members] = True
    findings = []
    rng = np.random.default_rng(seed)
    for members, pieces in instructions(holdings.families["template"], holdings.accounts, rng):
        cluster = None if taken[members].mean() >= MOSTLY else describe(members[~taken[members]], holdings)
        if cluster is None:
            continue
        rows = carrying.pieces(pieces, test.rows_of(cluster.members))
        statistics = test.measure(rows)
        score = sum(one.log_odds for one in statistics)
        if score >= LEAST_QUEUE:
            taken[cluster.members] = True
            believed = membership(cluster, holdings, prior=score)
            findings.append(Finding(cluster, believed, rows, statistics, score, test.power, linked=False))
    return findings
