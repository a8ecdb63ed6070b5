"""Ids of the exchanges: which of them repeat, and what they are, without a Python object or a hash table for each."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from tiergate.detection.numbering import Places, recurring
from tiergate.ledger.sketches import mix

I64 = npt.NDArray[np.int64]
U64 = npt.NDArray[np.uint64]
Parts = Sequence[pa.Array] | Sequence[npt.NDArray[Any]]

BLOCK_ROWS: Final = 1 << 17


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


def chronological(time: I64, ids: pa.ChunkedArray, content: Callable[[I64], U64]) -> I64 | None:
    """Rows in order of time, then id, each id once: the earliest stands for all. None when that is the order given.

    :param content: hashes of what the given rows (ascending) hold; asked only of rows that have id and time in common,
        of which the one with the least hash stands for all.
    """
    sorted_already = bool((time[1:] > time[:-1]).all())
    order = np.arange(len(time)) if sorted_already else _by_time(time, ids)
    suspects = candidates([fingerprints(chunk) for chunk in ids.chunks])
    if not len(suspects):
        return None if sorted_already else order
    rank = np.empty(len(order), np.int64)
    rank[order] = np.arange(len(order))
    suspects = suspects[np.argsort(rank[suspects])]
    code = np.asarray(ids.take(pa.array(suspects)).combine_chunks().dictionary_encode().indices)
    _settle(suspects, (np.diff(code) == 0) & (np.diff(time[suspects]) == 0), content)
    repeated = np.ones(len(suspects), bool)
    repeated[np.unique(code, return_index=True)[1]] = False
    if not repeated.any():
        return None if sorted_already else order
    kept = np.ones(len(order), bool)
    kept[rank[suspects[repeated]]] = False
    return order[kept]


def _settle(rows: I64, same: npt.NDArray[np.bool_], content: Callable[[I64], U64]) -> None:
    """Put runs of ``rows``, in which each is the ``same`` (rows - 1,) as the one before, in order of their content."""
    if not same.any():
        return
    tied = np.append(same, False) | np.append(False, same)
    some = rows[tied]
    run = np.cumsum(~np.append(False, same)[tied])
    ascending = np.argsort(some)
    key = np.empty(len(some), np.uint64)
    key[ascending] = content(some[ascending])
    rows[tied] = some[np.lexsort((key, run))]


def contents(columns: Mapping[str, Parts], rows: I64) -> U64:
    """A 64-bit hash of what each of ``rows`` (ascending) holds in all ``columns``, whatever parts they came in."""
    state = np.zeros(len(rows), np.uint64)
    for name in sorted(columns):
        state = mix(state ^ np.concatenate([_hashed(part) for part in _picked(columns[name], rows)]))
    return state


def _picked(parts: Iterable[Any], rows: I64) -> Iterator[Any]:
    start = 0
    for part in parts:
        begin, end = np.searchsorted(rows, [start, start + len(part)])
        for block in range(begin, end, BLOCK_ROWS):
            yield part.take(rows[block : min(block + BLOCK_ROWS, end)] - start)
        start += len(part)


def _hashed(part: Any) -> U64:
    if isinstance(part, np.ndarray):
        wide = part.astype(np.float64 if part.dtype.kind == "f" else np.int64)
        return mix(wide.view(np.uint64))
    if isinstance(part, pa.DictionaryArray):
        used, at = np.unique(np.asarray(part.indices.fill_null(0)), return_inverse=True)
        known = fingerprints(part.dictionary.take(pa.array(used))) if len(part.dictionary) else np.zeros(1, np.int64)
        hashed = known.view(np.uint64)[at]
    elif pa.types.is_list(part.type):
        length = np.asarray(pc.list_value_length(part).fill_null(0)).astype(np.int64)
        end = np.cumsum(length)
        place = np.arange(len(part.flatten())) - np.repeat(end - length, length)
        items = mix(np.asarray(part.flatten()).view(np.uint64) ^ mix(place.view(np.uint64) + np.uint64(1)))
        total = np.append(np.uint64(0), np.cumsum(items, dtype=np.uint64))
        hashed = mix(total[end] - total[end - length])
    else:
        hashed = mix(np.asarray(part.fill_null(0)).view(np.uint64))
    hashed[np.asarray(part.is_null())] = ~np.uint64(0)
    return hashed


def _by_time(time: I64, ids: pa.ChunkedArray) -> I64:
    order = np.argsort(time, kind="stable")
    tied = np.diff(time[order], prepend=-1) == 0
    tied |= np.append(tied[1:], False)
    some = order[tied]
    if len(some):
        table = pa.table({"time": time[some], "id": ids.take(pa.array(some))})
        order[tied] = some[np.asarray(pc.sort_indices(table, [("time", "ascending"), ("id", "ascending")]))]
    return order
