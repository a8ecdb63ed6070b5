"""Blocking: which pairs of accounts are worth comparing.

Accounts that hold a token are a block. A block of up to `FULL_JOIN` accounts proposes all its pairs. A larger one
proposes each account's neighbours in two orders of its holders, by conduct and at random (the sorted neighbourhood of
record linkage, Hernández and Stolfo 1995): enough to keep a group connected, however many accounts share it.

Pairs are never held: they are generated batch by batch from the blocks, so memory is that of the tokens held. Their
number is bounded by `PROPOSALS_PER_ACCOUNT`, by joining only smaller blocks in full and by fewer neighbours where a
platform's tokens would propose more; a large block always has its nearest neighbours in both orders.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp

I32 = npt.NDArray[np.int32]
I64 = npt.NDArray[np.int64]
F32 = npt.NDArray[np.float32]

FULL_JOIN: Final = 96
BY_CONDUCT: Final = 0
AT_RANDOM: Final = 1
SCHEDULE: Final = tuple((order, step) for step in (1, 2, 3, 5) for order in (BY_CONDUCT, AT_RANDOM))
"""Neighbours that a large block proposes: in which order, and how many places away; the first ones first."""

PROPOSALS_PER_ACCOUNT: Final = 8
FEW_PROPOSALS: Final = 1 << 22
"""Proposals of one family, repeats counted: so many in all, or so many an account if that is more."""

BATCH: Final = 1 << 20

Batch = tuple[I32, I32, F32]
"""Pairs as two accounts each (pairs,), (pairs,), and the surprise (pairs,) of the token that proposes them."""


@dataclass(frozen=True, slots=True)
class Blocks:
    """Blocks of one family. Rows are those of the family's matrix; who has which row is an argument of `pairs`.

    ``small``: blocks of one size each as ``members`` (blocks, size) with ``surprise`` (blocks,); ``large`` (rows,
    blocks) CSR with ``surprise`` (blocks,); ``schedule``: the part of `SCHEDULE` that is within bounds.
    """

    small: tuple[tuple[I32, F32], ...]
    large: sp.csr_array
    surprise: F32
    schedule: tuple[tuple[int, int], ...]

    @classmethod
    def of(cls, holds: sp.csr_array, surprise: F32, least: float) -> Blocks:
        """Blocks of the tokens of ``holds`` (rows, tokens) whose ``surprise`` (tokens,) is ``least`` or more."""
        rows, tokens = holds.shape
        size = np.bincount(holds.indices, minlength=tokens)
        telling = (surprise >= least) & (size >= 2)
        budget = max(FEW_PROPOSALS, PROPOSALS_PER_ACCOUNT * rows)
        sizes = np.arange(FULL_JOIN + 1)
        number = np.bincount(size[telling & (size <= FULL_JOIN)], minlength=FULL_JOIN + 1)
        joined = np.cumsum(number * (sizes * (sizes - 1) // 2))
        full = max(2, int(np.searchsorted(joined, budget // 2, side="right")) - 1)
        held = int(size[telling & (size > full)].sum())
        steps = int(np.clip((budget - int(joined[full])) // max(held, 1), 2, len(SCHEDULE)))
        by_token = _columns(holds, np.flatnonzero(telling & (size <= full))).tocsc()
        kept_size, kept_surprise = np.diff(by_token.indptr), surprise[telling & (size <= full)]
        small = []
        for some in np.flatnonzero(number[: full + 1]).tolist():
            at = np.flatnonzero(kept_size == some)
            members = by_token.indices[by_token.indptr[at][:, None] + np.arange(some)]
            small.append((members.astype(np.int32), kept_surprise[at]))
        large = np.flatnonzero(telling & (size > full))
        return cls(tuple(small), _columns(holds, large), surprise[large], SCHEDULE[:steps])

    def count(self, orders: tuple[int, ...] = (BY_CONDUCT, AT_RANDOM)) -> int:
        """Pairs that `pairs` proposes in ``orders``, repeats counted (nearly: the ends of blocks aside)."""
        small = sum(members.shape[0] * (members.shape[1] * (members.shape[1] - 1) // 2) for members, _ in self.small)
        return int(small + self.large.nnz * sum(order in orders for order, _ in self.schedule))

    def pairs(self, account: I64, orders: dict[int, I64], least: float) -> Iterator[Batch]:
        """Proposed pairs, with repeats.

        :param account: (rows,) the account that has each row.
        :param orders: accounts (accounts,) in the orders to be used.
        :param least: surprise that a token needs.
        """
        who = account.astype(np.int32)
        for members, surprise in self.small:
            telling = surprise >= least
            first, second = np.triu_indices(members.shape[1], 1)
            named, weight = who[members[telling]], surprise[telling]
            blocks = max(1, BATCH // len(first))
            for at in range(0, len(named), blocks):
                some = named[at : at + blocks]
                one, other = some[:, first].ravel(), some[:, second].ravel()
                yield one, other, np.repeat(weight[at : at + blocks], len(first))
        kept = np.flatnonzero(self.surprise >= least)
        if len(kept):
            large = self.large if len(kept) == len(self.surprise) else _columns(self.large, kept)
            yield from self._neighbours(large, self.surprise[kept], account, orders)

    def _neighbours(self, large: sp.csr_array, surprise: F32, account: I64, orders: dict[int, I64]) -> Iterator[Batch]:
        row = np.empty(len(account), np.int64)
        row[account] = np.arange(len(account))
        for order, line in orders.items():
            # With rows put in this order, each block comes out of the conversion sorted by it, in linear time.
            by_token = large[row[line]].tocsc()
            holder = line.astype(np.int32)[by_token.indices]
            token = np.repeat(np.arange(len(surprise), dtype=np.int32), np.diff(by_token.indptr))
            del by_token
            for step in (step for which, step in self.schedule if which == order):
                for at in range(0, len(holder) - step, BATCH):
                    end = min(at + BATCH, len(holder) - step)
                    of = token[at:end]
                    same = of == token[at + step : end + step]
                    yield holder[at:end][same], holder[at + step : end + step][same], surprise[of[same]]


def _columns(holds: sp.csr_array, columns: I64) -> sp.csr_array:
    """Some columns, renumbered in order. One pass over the entries: scipy's own slicing sorts and copies more."""
    number = np.full(holds.shape[1], -1, np.int32)
    number[columns] = np.arange(len(columns))
    index = number[holds.indices]
    kept = index >= 0
    indptr = np.concatenate([[0], np.cumsum(kept, dtype=np.int64)])[holds.indptr]
    index = index[kept]
    data = np.ones(len(index), np.int8)
    return sp.csr_array((data, index, indptr.astype(holds.indptr.dtype)), shape=(holds.shape[0], len(columns)))
