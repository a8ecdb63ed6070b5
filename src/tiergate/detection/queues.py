"""Queues: accounts that have one instruction in common and nothing else, judged by the workload made from it alone.

A reseller's account carries a campaign's queue beside the traffic of its customers: card, address, client and hours are
the reseller's, so nothing links it to the others but the instruction. Who shares an instruction is commonly a user of
one tool; whether those exchanges are one queue dealt out is for the workload test to say, so every instruction that
enough accounts share is put to it. Instructions are told apart by who holds their pieces: pieces with the same smallest
hash of a holder (min-wise hashing, Broder 1997), and about as many, have much the same holders.
"""

from __future__ import annotations

from typing import Final

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp

from tiergate.detection.holdings import Family

I64 = npt.NDArray[np.int64]

FEWEST: Final = 8
"""Accounts that must share an instruction: fewer say too little about a queue."""

LARGEST_SHARE: Final = 1 / 3
MOST: Final = 200
"""Instructions put to the test, those of most accounts first."""

CONSIDERED: Final = 2_000
ALIKE: Final = 0.5
"""Jaccard similarity of holders from which two pieces are one instruction's."""

CONTAINED: Final = 0.8
MANY_TIMES: Final = 4
"""Share of a piece's holders among another's, of at most so many times as many, from which it is a part seldom seen."""


def instructions(template: Family, accounts: int, rng: np.random.Generator) -> list[tuple[I64, I64]]:
    """Groups of accounts (ascending) that share an instruction, with its pieces: tokens of ``template``, ascending;
    largest first.

    :param template: the template family of tokens; only kind `template`, fixed pieces, counts.
    """
    holders = np.diff(template.held.indptr)
    fixed = np.array([name == "template" for name in template.kinds], bool)[template.kind]
    pieces = np.flatnonzero(fixed & (holders >= FEWEST) & (holders <= LARGEST_SHARE * accounts))
    if not len(pieces):
        return []
    order = rng.permutation(accounts)
    smallest = np.minimum.reduceat(order[template.held.indices], template.held.indptr[:-1])[pieces].astype(np.int64)
    # A piece that few hold is no variant of one that many hold, though the same holder may come first in both.
    smallest = smallest * 64 + np.log2(holders[pieces]).astype(np.int64)
    by_size = np.lexsort((pieces, -holders[pieces]))
    _, first, sharing = np.unique(smallest[by_size], return_index=True, return_inverse=True)
    variants = np.split(pieces[by_size][np.argsort(sharing, kind="stable")], np.cumsum(np.bincount(sharing))[:-1])
    first = np.sort(first)[:CONSIDERED]
    chosen, of = pieces[by_size[first]], sharing[first]
    together = sp.csr_array(template.held[:, chosen].T @ template.held[:, chosen])
    size = holders[chosen]
    kept: list[int] = []
    found: list[tuple[I64, I64]] = []
    for at in range(len(chosen)):
        row = slice(together.indptr[at], together.indptr[at + 1])
        other, both = together.indices[row], together.data[row]
        least, most = np.minimum(size[at], size[other]), np.maximum(size[at], size[other])
        within = (both >= CONTAINED * least) & (most <= MANY_TIMES * least)
        alike = other[(both >= ALIKE * (size[at] + size[other] - both)) | within]
        if not np.isin(alike, kept).any():
            kept.append(at)
            near = np.concatenate([variants[of[one]] for one in alike.tolist()])
            near = near[2 * holders[near] >= size[at]]
            found.append((np.sort(template.holders(chosen[at : at + 1])), np.sort(near)))
            if len(found) == MOST:
                break
    return found
