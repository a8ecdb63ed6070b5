"""FRAUDAR (Hooi et al., KDD 2016): greedy densest blocks of the bipartite graph of accounts and objects.

Objects are client addresses, payment instruments, user agents, prompt openings (first 8 words) and system prompts;
an edge to an object with x accounts weighs 1/log(x + 5), so that popular objects count little and camouflage does not
help. Nodes of least weight are removed one by one; the block is the set at which weight per node was largest. Its
edges are taken out and the search repeats, up to 5 blocks.

Score: density of the first block that holds the account, ties broken by the order of removal (later is higher); an
account in no block scores below every block, by its order of removal in the first search. Simplified: repeated edges
count once, nodes carry no prior suspicion, and a lazy heap stands in for the paper's priority tree.
"""

from __future__ import annotations

import heapq
from typing import Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from benchmarks.detection.peers.common import (
    F64,
    I64,
    account_codes,
    account_index,
    codes,
    distinct_pairs,
    openings,
    stacked,
)

SOURCE: Final = "FRAUDAR, KDD 2016, https://doi.org/10.1145/2939672.2939747"

BLOCKS: Final = 5
BLOCK_ACCOUNTS: Final = 3
"""A block of fewer accounts is no group: it is passed over, though its edges are taken out."""


def score(exchanges: pa.Table, accounts: pa.Table) -> F64:
    """Density of each account's densest block, then order of removal (accounts,)."""
    names, account = account_index(exchanges)
    n = len(names)
    left, right = stacked(
        [
            *(distinct_pairs(account, codes(exchanges, c)[0]) for c in ("client_address", "user_agent", "system_text")),
            distinct_pairs(account, openings(exchanges)),
            distinct_pairs(np.arange(n), account_codes(accounts, names, "payment_hash")),
        ]
    )
    found, tie = np.zeros(n), np.zeros(n)
    for block in range(BLOCKS):
        if not len(left):
            break
        density, inside, order = densest_block(left, right, n)
        if not block:
            tie = order[:n] / max(len(order), 1)
        if inside[:n].sum() >= BLOCK_ACCOUNTS:
            found = np.where(inside[:n] & (found == 0), density + 1e-6 * order[:n] / len(order), found)
        outside = ~(inside[left] & inside[n + right])
        left, right = left[outside], right[outside]
    least = found[found > 0].min(initial=np.inf)
    return np.where(found > 0, found, tie * min(1e-6, least / 2))


def densest_block(left: I64, right: I64, n: int) -> tuple[float, npt.NDArray[np.bool_], I64]:
    """Greedy densest block of the pairs: its weight per node, who is in it, and when each node was removed.

    Nodes are the ``n`` accounts, then the objects; nodes without an edge are removed first.
    """
    m = int(right.max()) + 1
    column = 1 / np.log(np.bincount(right, minlength=m) + 5.0)
    edge = column[right]
    ends = np.concatenate([left, right + n])
    order = np.argsort(ends, kind="stable")
    neighbour = np.concatenate([right + n, left])[order].tolist()
    weight_of = np.concatenate([edge, edge])[order].tolist()
    degree = np.bincount(ends, minlength=n + m)
    start = np.concatenate([[0], np.cumsum(degree)]).tolist()
    weight = np.bincount(ends, np.concatenate([edge, edge]), minlength=n + m).tolist()
    removed: list[int] = np.flatnonzero(degree == 0).tolist()
    gone = (degree == 0).tolist()
    heap = [(w, node) for node, w in enumerate(weight) if not gone[node]]
    heapq.heapify(heap)
    total, alive = float(edge.sum()), len(heap)
    best, best_at = total / alive, len(removed)
    while heap:
        least, node = heapq.heappop(heap)
        if gone[node] or least > weight[node]:
            continue
        gone[node] = True
        removed.append(node)
        total -= weight[node]
        alive -= 1
        for k in range(start[node], start[node + 1]):
            other = neighbour[k]
            if not gone[other]:
                weight[other] -= weight_of[k]
                heapq.heappush(heap, (weight[other], other))
        if alive and total / alive > best:
            best, best_at = total / alive, len(removed)
    position = np.empty(n + m, np.int64)
    position[removed] = np.arange(n + m)
    return best, position >= best_at, position
