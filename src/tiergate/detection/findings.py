"""Findings: clusters with their pooled workload tested, and one score for both."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from tiergate.detection.arrays import gathered
from tiergate.detection.clusters import Cluster, Holdings, find_clusters, membership, telling_tokens
from tiergate.detection.evidence import Evidence
from tiergate.detection.intake import Traffic
from tiergate.detection.links import Links
from tiergate.detection.workload import Statistic, WorkloadTest

I64 = npt.NDArray[np.int64]
F64 = npt.NDArray[np.float64]

CEILING: Final = 12.0
"""Nats that links alone can bring, however many accounts: as much as the workload test can take away again."""

COMMON_TOKEN: Final = 0.3
"""Share of members who hold a piece of template for it to be the group's."""

WORKLOAD_SHARE: Final = 0.2
"""Share of members' exchanges that must come from their common template for it to be their workload."""


@dataclass(frozen=True, slots=True)
class Finding:
    """A cluster with its pooled workload.

    ``membership`` (members,) probabilities; ``rows``: exchanges of the workload, ascending; ``score``: nats;
    ``power``: how well, 0 to 1, the workload tests can tell a queue from strangers on this platform.
    """

    cluster: Cluster
    membership: F64
    rows: I64
    statistics: list[Statistic]
    score: float
    power: float = 1.0


def find(
    links: Links, holdings: Holdings, evidence: Evidence, traffic: Traffic, test: WorkloadTest, seed: int
) -> list[Finding]:
    """Cluster the accounts, test each cluster's pooled workload, and score it.

    The score is the links' strength, which saturates at `CEILING`, plus the workload test's log-odds.
    """
    findings = []
    for cluster in find_clusters(links, holdings, seed):
        rows = _workload_rows(cluster, holdings, evidence, traffic, test.rows_of(cluster.members))
        statistics = test.measure(rows)
        strength = cluster.strength / (1 + cluster.strength / CEILING)
        score = strength + sum(one.log_odds for one in statistics)
        findings.append(Finding(cluster, membership(cluster, holdings), rows, statistics, score, test.power))
    return findings


def _workload_rows(cluster: Cluster, holdings: Holdings, evidence: Evidence, traffic: Traffic, member_rows: I64) -> I64:
    """Exchanges (ascending rows) of members that belong to what the group has in common.

    Those that carry a piece of a template which members share, or two words of its vocabulary, where they share one;
    all of theirs otherwise.
    """
    shared = telling_tokens(cluster, holdings, "template", COMMON_TOKEN)
    if not len(shared):
        return member_rows
    common = np.zeros(len(holdings.families["template"].rate) + 1, bool)
    common[shared] = True
    system, template, words = (common[column] for column in evidence.template_columns)
    # Words are for instructions that are worded anew each time: members' own subjects have words in common too.
    fixed = system.any() or template.any()
    parts = (
        [(traffic.system, system, 1.0), (traffic.template, template, 1.0)] if fixed else [(traffic.words, words, 0.5)]
    )
    carried = np.zeros(len(member_rows))
    for part, ours, worth in parts:
        length = np.diff(part.start)[member_rows]
        hit = ours[gathered(part.code, part.start[member_rows], length)]
        carried += worth * np.bincount(np.repeat(np.arange(len(member_rows)), length), hit, len(member_rows))
    rows = member_rows[carried >= 1]
    return rows if len(rows) >= WORKLOAD_SHARE * len(member_rows) else member_rows
