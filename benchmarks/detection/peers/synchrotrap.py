"""SynchroTrap (Cao, Yang, Yu, Palow, CCS 2014): accounts that do the same things at about the same time.

An action is (object, time bin); the similarity of two accounts is the Jaccard index of their actions on one kind of
object, and pairs above a threshold are joined by single linkage. Kinds of object here: client address and prompt
template (its first 8 words), as the paper has address and page. Score: cluster size times the mean similarity of its
joined pairs, the larger over the two kinds.

Simplified: one pass over the whole log instead of daily similarities that are added up; actions match within one
hour bin, not within a sliding hour; an action that more than `MOST_HOLDERS` accounts share is skipped, which bounds
the pairs; accounts with fewer than `LEAST_ACTIONS` matching actions in common are not joined (the paper, too, drops
accounts that did too little). The threshold is low because one campaign account does little in an hour; it was chosen
on tuning worlds in this peer's favour (at 0.1 it finds less, from 0.2 on nothing).
"""

from __future__ import annotations

from typing import Final

import numpy as np
import pyarrow as pa
from benchmarks.detection.peers.common import (
    F64,
    HOUR,
    I64,
    account_index,
    codes,
    distinct_pairs,
    held_by,
    openings,
    times,
)
from scipy import sparse
from scipy.sparse.csgraph import connected_components

SOURCE: Final = "SynchroTrap, CCS 2014, https://doi.org/10.1145/2660267.2660269"

THRESHOLD: Final = 0.05
LEAST_ACTIONS: Final = 2
MOST_HOLDERS: Final = 100


def score(exchanges: pa.Table, accounts: pa.Table) -> F64:  # noqa: ARG001 - every peer takes both tables
    """Cluster size times mean similarity (accounts,), the larger over the kinds of object."""
    names, account = account_index(exchanges)
    hour = times(exchanges) // HOUR
    kinds = [codes(exchanges, "client_address")[0], openings(exchanges)]
    both: F64 = np.max([_clusters(len(names), account, kind, hour) for kind in kinds], axis=0)
    return both


def _clusters(n: int, account: I64, thing: I64, hour: I64) -> F64:
    known = thing >= 0
    if not known.any():
        return np.zeros(n)
    start = int(hour.min())
    width = int(hour.max()) - start + 1
    _, action = np.unique(thing[known] * width + (hour[known] - start), return_inverse=True)
    left, right = distinct_pairs(account[known], action.astype(np.int64))
    size = np.bincount(left, minlength=n).astype(np.float64)
    kept = held_by(right, 2, MOST_HOLDERS)
    ones = np.ones(int(kept.sum()), np.int32)
    actions = sparse.csr_array((ones, (left[kept], right[kept])), shape=(n, int(right.max()) + 1))
    common = sparse.coo_array(actions @ actions.T)
    enough = (common.row < common.col) & (common.data >= LEAST_ACTIONS)
    a, b, shared = common.row[enough], common.col[enough], common.data[enough].astype(np.float64)
    similarity = shared / (size[a] + size[b] - shared)
    near = similarity >= THRESHOLD
    graph = sparse.coo_matrix((similarity[near], (a[near], b[near])), shape=(n, n))
    cluster = connected_components(graph, directed=False)[1]
    edges = np.bincount(cluster[a[near]], minlength=n)
    mean = np.bincount(cluster[a[near]], similarity[near], minlength=n) / np.maximum(edges, 1)
    result: F64 = (np.bincount(cluster, minlength=n) * mean)[cluster]
    return result
