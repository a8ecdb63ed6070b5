"""The exchange log as arrays: one pass over the batches, text turned into sketches and dropped on the way.

What is kept is small: whole numbers of 32 bits where they suffice, strings as numbers, and of the sketches those values
that occur more than once in the log. A value that nothing else has links nothing, and most of free text is such.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from tiergate.detection.arrays import Ints, gathered, grouped
from tiergate.detection.exchange_ids import ExchangeIds, chronological, fingerprints
from tiergate.detection.numbering import Places, recurring
from tiergate.errors import InputError
from tiergate.ledger.sketches import Sketcher
from tiergate.records.schema import SKETCH_SCHEMA, TEXT_COLUMNS

I32 = npt.NDArray[np.int32]
I64 = npt.NDArray[np.int64]

READ_COLUMNS: Final = (
    "exchange_id",
    "started_at",
    "account_id",
    "organization_id",
    "end_user_id",
    "operation",
    "request_model",
    "stream",
    "temperature",
    "max_tokens",
    "tool_names",
    "input_tokens",
    "output_tokens",
    "cost_usd",
    "client_address",
    "client_asn",
    "user_agent",
    "tls_fingerprint",
)
"""Columns detection uses beside text and sketches. Countries are not among them: nationality is never evidence."""

SKETCHED_TEXT: Final = TEXT_COLUMNS[:2]
"""Text that rows without sketches are sketched from."""

COLUMNS: Final = (*READ_COLUMNS, *SKETCHED_TEXT, *SKETCH_SCHEMA.names)
"""All that detection reads of a log."""

_CODED: Final = (
    "account_id",
    "organization_id",
    "end_user_id",
    "request_model",
    "client_address",
    "user_agent",
    "tls_fingerprint",
)
_SHAPE: Final = ("operation", "request_model", "temperature", "max_tokens", "stream", "tool_names")

CHUNK_ROWS: Final = 1 << 22


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
    which there were ``singles`` in all.
    """

    start: Ints
    code: I32
    distinct: int
    alone: npt.NDArray[np.bool_]
    singles: int

    def row(self) -> I32:
        """Row of each item (items,), ascending."""
        return np.repeat(np.arange(len(self.start) - 1, dtype=np.int32), np.diff(self.start))


@dataclass(frozen=True, slots=True)
class Traffic:
    """Exchanges in order of time, each id once.

    ``account`` (rows,) indexes ``account_ids`` (sorted). ``time_us`` (rows,) microseconds since the epoch, UTC.
    ``rows_of``: rows account by account, each account's in order of time; account ``a`` has
    ``rows_of[edge[a]:edge[a + 1]]``. ``asn``: networks numbered in their order, -1 unknown. ``shape`` numbers the
    distinct forms of request (operation, model, temperature, limit, streaming, tools). ``prompt`` numbers distinct
    messages, -1 where there is none or it was sent once; ``intent``: bits. ``input_tokens`` is -1, ``output_tokens``
    and ``cost_usd`` are 0 where unknown.
    """

    exchange_ids: ExchangeIds
    account_ids: list[str]
    account: I32
    rows_of: I32
    edge: I32
    time_us: I64
    columns: dict[str, Coded]
    asn: I32
    shape: I32
    prompt: I32
    intent: Ints
    system: Ragged
    template: Ragged
    words: Ragged
    input_tokens: Ints
    output_tokens: Ints
    cost_usd: npt.NDArray[np.float64]
    repeated: int

    @property
    def rows(self) -> int:
        return len(self.account)


def take_in(batches: Iterable[pa.RecordBatch], sketch_key: bytes) -> Traffic:
    """Read all batches of an exchange log, which have the `COLUMNS` at least.

    Rows that carry sketches are taken as they are; rows with text alone are sketched under ``sketch_key``.

    Raises `InputError` when there is no row at all or sketches of two keys are mixed.
    """
    sketcher = Sketcher(sketch_key)
    columns: dict[str, list[pa.Array]] = defaultdict(list)
    prints: list[I64] = []
    for batch in batches:
        if batch.num_rows:
            for name, column in _lean(batch, sketcher).items():
                columns[name].append(column)
            prints.append(fingerprints(batch.column("exchange_id")))
    if not prints:
        raise InputError("there is no exchange to look at: the input has no usable row")
    keys = pc.unique(pa.chunked_array(columns.pop("sketch_key_id")).unify_dictionaries().combine_chunks()).drop_null()
    if len(keys) > 1:
        raise InputError(
            f"sketches of {len(keys)} keys are mixed ({', '.join(keys.to_pylist())}) and cannot be compared: "
            "detect each part by itself, or give the key of the sketched part for the part with text"
        )
    return _arrays(columns, prints)


def _lean(batch: pa.RecordBatch, sketcher: Sketcher) -> dict[str, pa.Array]:
    columns = {name: batch.column(name) for name in READ_COLUMNS}
    columns |= {name: batch.column(name) for name in SKETCH_SCHEMA.names}
    texts = [batch.column(name) for name in SKETCHED_TEXT]
    if any(text.null_count < batch.num_rows for text in texts):
        bare = pc.and_(pc.or_(*(text.is_valid() for text in texts)), batch.column("sketch_key_id").is_null())
        if pc.any(bare).as_py():
            made = sketcher.sketch(batch)
            for name in SKETCH_SCHEMA.names:
                given = columns[name]
                # A batch is nearly always all text or all sketches; only a mixed one needs the row-wise choice.
                columns[name] = (
                    made.column(name) if pc.all(bare).as_py() else pc.if_else(bare, made.column(name), given)
                )
    columns["shape"] = _shapes(columns)
    for name in ("operation", "stream", "temperature", "max_tokens", "tool_names"):
        del columns[name]
    for name in (*_CODED, "sketch_key_id"):
        columns[name] = columns[name].dictionary_encode()
    return columns


def _arrays(columns: dict[str, list[pa.Array]], prints: list[I64]) -> Traffic:
    """Columns are taken from ``columns`` one by one, so that each is freed as soon as its array is there."""

    def column(name: str) -> pa.ChunkedArray:
        return pa.chunked_array(columns.pop(name))

    ids = column("exchange_id")
    time = np.asarray(column("started_at").cast(pa.int64()))
    order = chronological(time, ids, prints)
    prints.clear()
    accounts = _coded(column("account_id"), order)
    ordered = np.asarray(pc.array_sort_indices(accounts.values)).astype(np.int64)
    rank = np.empty(len(ordered), np.int32)
    rank[ordered] = np.arange(len(rank), dtype=np.int32)
    account = rank[accounts.code]
    rows_of, edge = grouped(account, len(rank))
    made = {name: _ragged(columns.pop(f"sketch_{name}"), order) for name in ("template", "words", "system")}
    traffic = Traffic(
        exchange_ids=ExchangeIds(ids, order),
        account_ids=accounts.values.take(pa.array(ordered)).to_pylist(),
        account=account,
        rows_of=rows_of,
        edge=edge,
        time_us=_placed(time, order),
        columns={name: _coded(column(name), order) for name in _CODED if name != "account_id"},
        asn=_ranked(_integers(column("client_asn"), -1, order)),
        shape=_coded(column("shape"), order).code,
        prompt=_prompts(columns.pop("sketch_prompt"), order),
        intent=_integers(column("sketch_intent"), 0, order),
        input_tokens=_integers(column("input_tokens"), -1, order),
        output_tokens=_integers(column("output_tokens"), 0, order),
        cost_usd=_placed(np.asarray(column("cost_usd").fill_null(0.0)), order),
        repeated=len(time) - len(account),
        **made,
    )
    pa.default_memory_pool().release_unused()
    return traffic


def _placed(values: npt.NDArray[Any], order: I64 | None) -> npt.NDArray[Any]:
    return values if order is None else values[order]


def _integers(column: pa.ChunkedArray, missing: int, order: I64 | None) -> Ints:
    """Whole numbers, of 32 bits where they suffice."""
    if column.null_count == len(column):
        return np.broadcast_to(np.int32(missing), len(column) if order is None else len(order))
    reach = pc.min_max(column).as_py()
    small = reach["min"] >= -(2**31) and reach["max"] < 2**31
    values = np.asarray(column.fill_null(missing).cast(pa.int32() if small else pa.int64()))
    return _placed(values, order)


def _ranked(values: Ints) -> I32:
    """Numbers in the order of ``values``; -1 stays. Two passes, as there are few values."""
    found = np.sort(np.asarray(pc.unique(pa.array(values))))
    found = found[found >= 0]
    return np.where(values < 0, -1, np.searchsorted(found, values)).astype(np.int32)


def _coded(column: pa.ChunkedArray, order: I64 | None) -> Coded:
    whole = column.unify_dictionaries()
    values = whole.chunk(0).dictionary
    if not len(values):
        return Coded(np.broadcast_to(np.int32(-1), len(column) if order is None else len(order)), values)
    code = np.concatenate([np.asarray(chunk.indices.fill_null(-1)) for chunk in whole.chunks])
    code, first = _renumbered(_placed(code, order), len(values))
    return Coded(code, values.take(pa.array(first)))


def _renumbered(code: I32, distinct: int) -> tuple[I32, I64]:
    """Codes below ``distinct`` numbered anew by first appearance, and the old code of each; -1 stays. Results then do
    not depend on what the values were, nor under which key they were hashed."""
    at = np.full(distinct + 1, len(code), np.int64)
    # The last write wins, so writing backwards leaves the first position; -1 goes to the spare place at the end.
    for end in range(len(code), 0, -CHUNK_ROWS):
        begin = max(0, end - CHUNK_ROWS)
        at[code[begin:end][::-1]] = np.arange(end - 1, begin - 1, -1)
    at[-1] = len(code)
    appearance = np.argsort(at[:-1], kind="stable")
    appearance = appearance[: int((at[:-1] < len(code)).sum())]
    number = np.full(distinct + 1, -1, np.int32)
    number[appearance] = np.arange(len(appearance), dtype=np.int32)
    return number[code], appearance


def _prompts(chunks: list[pa.Array], order: I64 | None) -> I32:
    known = recurring([np.asarray(chunk.drop_null()) for chunk in chunks])
    places = Places(known)
    code = np.concatenate([_code_or_null(places, chunk) for chunk in chunks])
    return _renumbered(_placed(code, order), len(known))[0]


def _code_or_null(places: Places, chunk: pa.Array) -> I32:
    code = places.of(np.asarray(chunk.fill_null(0)))
    code[np.asarray(chunk.is_null())] = -1
    return code


def _ragged(chunks: list[pa.Array], order: I64 | None) -> Ragged:
    """``chunks`` are emptied as they are numbered."""
    known = recurring([np.asarray(chunk.flatten()) for chunk in chunks])
    places = Places(known)
    codes, lengths, alone = [np.empty(0, np.int32)], [], []
    chunks.reverse()
    while chunks:
        chunk = chunks.pop()
        had = np.asarray(pc.list_value_length(chunk).fill_null(0)).astype(np.int32)
        code = places.of(np.asarray(chunk.flatten()))
        kept = code >= 0
        before = np.append(0, np.cumsum(kept, dtype=np.int32))
        length = np.diff(before[np.append(0, np.cumsum(had))])
        codes.append(code[kept])
        lengths.append(length)
        alone.append(had - length)
    code, length, single = (np.concatenate(parts) for parts in (codes, lengths, alone))
    start = np.append(0, np.cumsum(length, dtype=np.int64))
    if order is not None:
        code = gathered(code, start[order], length[order])
        length, single = length[order], single[order]
        start = np.append(0, np.cumsum(length, dtype=np.int64))
    code, _ = _renumbered(code, len(known))
    if start[-1] < 2**31:
        start = start.astype(np.int32)
    return Ragged(start, code, int(code.max(initial=-1)) + 1, single > 0, int(single.sum()))


def _shapes(columns: dict[str, pa.Array]) -> pa.DictionaryArray:
    """The form of each request as text; made once for each combination of the parts."""
    parts = {name: columns[name] for name in _SHAPE}
    tools = parts["tool_names"]
    rows = len(tools)
    parts["tool_names"] = (
        pc.binary_join(tools.fill_null([]), ",") if tools.null_count < rows else pa.repeat(pa.scalar(""), rows)
    )
    key = np.zeros(rows, np.int64)
    for part in parts.values():
        encoded = part.dictionary_encode()
        key = key * (len(encoded.dictionary) + 1) + np.asarray(encoded.indices.fill_null(-1)) + 1
        # Numbered anew at each part: the product of all of them could be too large.
        key = np.asarray(pa.array(key).dictionary_encode().indices).astype(np.int64)
    first = pa.array(np.unique(key, return_index=True)[1])
    texts = [part.take(first).cast(pa.string()) for part in parts.values()]
    joined = pc.binary_join_element_wise(*texts, "|", null_handling="replace", null_replacement="-")
    return pa.DictionaryArray.from_arrays(pa.array(key.astype(np.int32)), joined)
