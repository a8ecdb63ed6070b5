"""Ids of the exchanges: which of them repeat, and what they are, without a Python object or a hash table for each."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from tiergate.detection.numbering import Places, recurring
from tiergate.ledger.sketches import mix

I64 = npt.NDArray[np.int64]
U64 = npt.NDArray[np.uint64]


class ExchangeIds:
    """Ids as they were read, in an order of their own: ``order`` (rows,) says which stands where, None for as read."""

    def __init__(self, ids: pa.ChunkedArray, order: I64 | None) -> None:
        self._ids = ids
        self._order = order

    def __len__(self) -> int:
        return len(self._ids) if self._order is None else len(self._order)

    def take(self, rows: pa.Array) -> pa.ChunkedArray:
        """Ids of ``rows``."""
        return self._ids.take(rows if self._order is None else pa.array(self._order[np.asarray(rows)]))

    def to_pylist(self) -> list[str]:
        """All ids, in order."""
        return list(self.take(pa.array(np.arange(len(self)))).to_pylist())


def fingerprints(ids: pa.StringArray) -> I64:
    """A 64-bit hash of each id (rows,), not keyed: equal ids have equal ones, others nearly always different ones."""
    _, offsets, data = ids.buffers()
    begin = np.frombuffer(offsets, np.int32)[ids.offset : ids.offset + len(ids) + 1].astype(np.int64)
    text = np.frombuffer(data, np.uint8) if data is not None else np.empty(0, np.uint8)
    length = np.diff(begin)
    hashed = np.empty(len(ids), np.uint64)
    for size in np.unique(length).tolist():
        rows = np.flatnonzero(length == size)
        padded = np.zeros((len(rows), -(-size // 8) * 8), np.uint8)
        if len(rows) == len(ids):
            padded[:, :size] = text[begin[0] : begin[-1]].reshape(len(ids), size)
        else:
            padded[:, :size] = text[begin[rows][:, None] + np.arange(size)]
        state = np.full(len(rows), size, np.uint64)
        for word in padded.view("<u8").T:
            state = mix(state ^ word)
        hashed[rows] = state
    return hashed.view(np.int64)


def candidates(parts: Sequence[I64]) -> I64:
    """Rows (ascending) whose fingerprint, of ``parts`` end to end, is another row's too."""
    places = Places(recurring(parts))
    return np.flatnonzero(np.concatenate([places.of(part) >= 0 for part in parts]))


def chronological(time: I64, ids: pa.ChunkedArray) -> I64 | None:
    """Rows in order of time, then id, each id once: the earliest stands for all. None when that is the order given."""
    sorted_already = bool((time[1:] > time[:-1]).all())
    order = np.arange(len(time)) if sorted_already else _by_time(time, ids)
    suspects = candidates([fingerprints(chunk) for chunk in ids.chunks])
    if not len(suspects):
        return None if sorted_already else order
    rank = np.empty(len(order), np.int64)
    rank[order] = np.arange(len(order))
    suspects = suspects[np.argsort(rank[suspects])]
    code = np.asarray(ids.take(pa.array(suspects)).combine_chunks().dictionary_encode().indices)
    repeated = np.ones(len(suspects), bool)
    repeated[np.unique(code, return_index=True)[1]] = False
    if not repeated.any():
        return None if sorted_already else order
    kept = np.ones(len(order), bool)
    kept[rank[suspects[repeated]]] = False
    return order[kept]


def _by_time(time: I64, ids: pa.ChunkedArray) -> I64:
    order = np.argsort(time, kind="stable")
    tied = np.diff(time[order], prepend=-1) == 0
    tied |= np.append(tied[1:], False)
    some = order[tied]
    if len(some):
        table = pa.table({"time": time[some], "id": ids.take(pa.array(some))})
        order[tied] = some[np.asarray(pc.sort_indices(table, [("time", "ascending"), ("id", "ascending")]))]
    return order
