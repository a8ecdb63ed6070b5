"""Findings: clusters with their pooled workload tested, and one score for both."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from tiergate.detection.clusters import Cluster, Holdings, find_clusters, membership
from tiergate.detection.evidence import Evidence
from tiergate.detection.intake import Traffic
from tiergate.detection.links import Links
from tiergate.detection.workload import Statistic, WorkloadTest

I64 = npt.NDArray[np.int64]
F64 = npt.NDArray[np.float64]

CEILING: Final = 12.0
"""Nats that links alone can bring, however many accounts: as much as the workload test can take away again."""

WORKLOAD_SHARE: Final = 0.2
"""Share of members' exchanges that must come from their common template for it to be their workload."""


@dataclass(frozen=True, slots=True)
class Finding:
    """A cluster with its pooled workload.

    ``membership`` (members,) probabilities; ``rows``: exchanges of the workload, ascending; ``score``: nats.
    """

    cluster: Cluster
    membership: F64
    rows: I64
    statistics: list[Statistic]
    score: float


def find(
    links: Links, holdings: Holdings, evidence: Evidence, traffic: Traffic, test: WorkloadTest, seed: int
) -> list[Finding]:
    """Cluster the accounts, test each cluster's pooled workload, and score it.

    The score is the links' strength, which saturates at `CEILING`, plus the workload test's log-odds.
    """
    findings = []
    for cluster in find_clusters(links, holdings, seed):
        rows = _workload_rows(cluster, evidence, traffic, test.rows_of(cluster.members))
        statistics = test.measure(rows)
        strength = cluster.strength / (1 + cluster.strength / CEILING)
        score = strength + sum(one.log_odds for one in statistics)
        findings.append(Finding(cluster, membership(cluster, holdings), rows, statistics, score))
    return findings


def _workload_rows(cluster: Cluster, evidence: Evidence, traffic: Traffic, member_rows: I64) -> I64:
    """Exchanges (ascending rows) of members that belong to what the group has in common.

    Those made from a template that members share, where they share one; all of theirs otherwise.
    """
    template = evidence.of("template")
    if not template:
        return member_rows
    held = template[0].holds[cluster.members]
    count = np.bincount(held.indices, minlength=held.shape[1])
    common = count >= max(2, 0.3 * len(cluster.members))
    if not common.any():
        return member_rows
    carrying = np.zeros(traffic.rows, bool)
    carrying[evidence.template_of[common[evidence.template_of[:, 1]], 0]] = True
    rows = member_rows[carrying[member_rows]]
    return rows if len(rows) >= WORKLOAD_SHARE * len(member_rows) else member_rows
