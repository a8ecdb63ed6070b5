"""Columns of a log as small integers: strings, lists of hashes and forms of request by number.

Everything is numbered in the order of its first appearance, so that results do not depend on what the values were, nor
under which key they were hashed.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from tiergate.detection.arrays import Ints, gathered
from tiergate.detection.numbering import Places, recurring
from tiergate.detection.threads import spread

I32 = npt.NDArray[np.int32]
I64 = npt.NDArray[np.int64]

CHUNK_ITEMS: Final = 1 << 22
CHUNK_ROWS: Final = 1 << 17

COMPACT_ROWS: Final = 1 << 22
"""Rows whose encoded strings wait to be joined under one dictionary."""

_SHAPE: Final = ("operation", "request_model", "temperature", "max_tokens", "stream", "tool_names")


@dataclass(frozen=True, slots=True)
class Coded:
    """A column as small integers. ``code`` (rows,): index into ``values``, or -1 where null. Not to be written to."""

    code: I32
    values: pa.StringArray


@dataclass(frozen=True, slots=True)
class Ragged:
    """A list column, less the values that occur once in the log.

    Row ``r`` has ``code[start[r]:start[r + 1]]``; ``start`` (rows + 1,); ``code`` (items,): distinct values numbered by
    first appearance, below ``distinct``. ``alone`` (rows,): whether the row had values that occur nowhere else, of
    which there were ``singles`` in all. ``values`` (distinct,): the values, where they are hashes.
    """

    start: Ints
    code: I32
    distinct: int
    alone: npt.NDArray[np.bool_]
    singles: int
    values: I64 = field(default_factory=lambda: np.empty(0, np.int64))

    def row(self) -> I32:
        """Row of each item (items,), ascending."""
        return np.repeat(np.arange(len(self.start) - 1, dtype=np.int32), np.diff(self.start))


def compact(chunks: list[pa.DictionaryArray]) -> None:
    """Join encoded chunks when many have come: each has its dictionary, and of accounts and addresses a long one."""
    if sum(map(len, chunks[1:])) > COMPACT_ROWS:
        chunks[:] = [joined_dictionary(chunks)]


def joined_dictionary(chunks: list[pa.DictionaryArray]) -> pa.DictionaryArray:
    return pa.chunked_array(chunks).unify_dictionaries().combine_chunks()


def placed(values: npt.NDArray[Any], order: I64 | None) -> npt.NDArray[Any]:
    return values if order is None else values[order]


def narrow(column: pa.Array, missing: int) -> Ints:
    """Whole numbers, of 32 bits where they suffice."""
    reach = pc.min_max(column).as_py()
    small = reach["min"] is None or (reach["min"] >= -(2**31) and reach["max"] < 2**31)
    return np.asarray(column.fill_null(missing).cast(pa.int32() if small else pa.int64()))


def ranked(values: Ints) -> tuple[I32, I64]:
    """Numbers of ``values``, which repeat much, in the order of the values; and the values, ascending."""
    encoded = pa.array(values).dictionary_encode()
    found = np.asarray(encoded.dictionary).astype(np.int64)
    order = np.argsort(found)
    rank = np.empty(len(order), np.int32)
    rank[order] = np.arange(len(order), dtype=np.int32)
    return rank[np.asarray(encoded.indices)], found[order]


def coded(chunks: list[pa.DictionaryArray], order: I64 | None) -> Coded:
    whole = joined_dictionary(chunks)
    chunks.clear()
    if not len(whole.dictionary):
        return Coded(np.broadcast_to(np.int32(-1), len(whole) if order is None else len(order)), whole.dictionary)
    code, first = _renumbered(placed(np.array(whole.indices.fill_null(-1)), order), len(whole.dictionary))
    return Coded(code, whole.dictionary.take(pa.array(first)))


def _renumbered(code: I32, distinct: int) -> tuple[I32, I64]:
    """Codes below ``distinct`` numbered anew, in place, by first appearance, and the old code of each; -1 stays."""
    items = len(code)
    at: Ints = np.full(distinct + 1, items, np.int32 if items < 2**31 else np.int64)
    # The last write wins, so writing backwards leaves the first position; -1 goes to the spare place at the end.
    cuts = range(0, items, CHUNK_ITEMS)
    for begin in reversed(cuts):
        some = code[begin : begin + CHUNK_ITEMS][::-1]
        at[some] = np.arange(begin + len(some) - 1, begin - 1, -1)
    at[-1] = items
    appearance = np.argsort(at[:-1], kind="stable")
    appearance = appearance[: int((at[:-1] < items).sum())]
    number = np.full(distinct + 1, -1, np.int32)
    number[appearance] = np.arange(len(appearance), dtype=np.int32)
    for begin in cuts:
        code[begin : begin + CHUNK_ITEMS] = number[code[begin : begin + CHUNK_ITEMS]]
    return code, appearance


def prompts(chunks: list[pa.Array], order: I64 | None) -> I32:
    places = Places(recurring([np.asarray(chunk.drop_null()) for chunk in chunks]))
    code = np.concatenate([_code_or_null(places, chunk) for chunk in chunks])
    code = placed(code, order)
    known = np.flatnonzero(code >= 0)
    # What was repeated by a row that is itself a repeat was sent once.
    code[known[np.bincount(code[known], minlength=places.known)[code[known]] == 1]] = -1
    return _renumbered(code, places.known)[0]


def _code_or_null(places: Places, chunk: pa.Array) -> I32:
    code = places.of(np.asarray(chunk.fill_null(0)))
    code[np.asarray(chunk.is_null())] = -1
    return code


def ragged(chunks: list[pa.Array], order: I64 | None) -> Ragged:
    """``chunks`` are emptied as they are numbered."""
    places = Places(recurring([np.asarray(chunk.flatten()) for chunk in chunks]))
    codes, lengths, alone = [np.empty(0, np.int32)], [], []

    def numbered(chunk: pa.Array) -> tuple[I32, I32]:
        had = np.asarray(pc.list_value_length(chunk).fill_null(0)).astype(np.int32)
        return places.of(np.asarray(chunk.flatten())), had

    for code, had in spread(numbered, _taken(chunks)):
        kept = code >= 0
        codes.append(code[kept])
        lengths.append(_lengths(kept, np.append(0, np.cumsum(had))))
        alone.append(had - lengths[-1])
    code, length, single = joined(codes), joined(lengths), placed(joined(alone), order)
    start = np.append(0, np.cumsum(length, dtype=np.int64))
    if order is not None:
        code = gathered(code, start[order], length[order])
        if len(order) < len(length):
            # What recurred in rows that repeat others may be alone without them.
            kept = np.bincount(code, minlength=places.known)[code] > 1
            before, length = length[order], _lengths(kept, np.append(0, np.cumsum(length[order])))
            code, single = code[kept], single + before - length
        else:
            length = length[order]
        start = np.append(0, np.cumsum(length, dtype=np.int64))
    code, first = _renumbered(code, places.known)
    if start[-1] < 2**31:
        start = start.astype(np.int32)
    return Ragged(start, code, len(first), single > 0, int(single.sum()), places.values[first])


def _lengths(kept: npt.NDArray[np.bool_], start: Ints) -> I32:
    """How many of each row's items are kept; ``start`` (rows + 1,)."""
    return np.diff(np.append(0, np.cumsum(kept, dtype=np.int32))[start])


def _taken(chunks: list[pa.Array]) -> Iterator[pa.Array]:
    chunks.reverse()
    while chunks:
        chunk = chunks.pop()
        for begin in range(0, len(chunk), CHUNK_ROWS):
            yield chunk.slice(begin, CHUNK_ROWS)


def joined(parts: list[npt.NDArray[Any]]) -> npt.NDArray[Any]:
    whole = np.concatenate(parts)
    parts.clear()
    return whole


def shapes(columns: dict[str, pa.Array]) -> pa.DictionaryArray:
    """The form of each request as text; made once for each combination of the parts."""
    parts = {name: columns[name] for name in _SHAPE}
    tools = parts["tool_names"]
    rows = len(tools)
    parts["tool_names"] = (
        pc.binary_join(tools.fill_null([]), ",") if tools.null_count < rows else pa.repeat(pa.scalar(""), rows)
    )
    key, reach = np.zeros(rows, np.int64), 1
    for part in parts.values():
        encoded = part.dictionary_encode()
        size = len(encoded.dictionary) + 1
        if reach * size >= 2**62:
            key, reach = np.asarray(pa.array(key).dictionary_encode().indices).astype(np.int64), rows
        key, reach = key * size + np.asarray(encoded.indices.fill_null(-1)) + 1, reach * size
    key = np.asarray(pa.array(key).dictionary_encode().indices)
    first = pa.array(np.unique(key, return_index=True)[1])
    texts = [part.take(first).cast(pa.string()) for part in parts.values()]
    joined = pc.binary_join_element_wise(*texts, "|", null_handling="replace", null_replacement="-")
    return pa.DictionaryArray.from_arrays(pa.array(key), joined)
