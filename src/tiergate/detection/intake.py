"""The exchange log as arrays: one pass over the batches, text turned into sketches and dropped on the way."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from tiergate.detection.arrays import gathered
from tiergate.errors import InputError
from tiergate.ledger.sketches import Sketcher
from tiergate.records.schema import SKETCH_SCHEMA

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

_CODED: Final = (
    "account_id",
    "organization_id",
    "end_user_id",
    "request_model",
    "client_address",
    "user_agent",
    "tls_fingerprint",
)
_RAGGED: Final = ("sketch_system", "sketch_template", "sketch_words")


@dataclass(frozen=True, slots=True)
class Coded:
    """A column as small integers. ``code`` (rows,): index into ``values``, or -1 where null."""

    code: I32
    values: list[str]


@dataclass(frozen=True, slots=True)
class Ragged:
    """A list column. Row ``r`` has ``code[start[r]:start[r + 1]]``; ``start`` (rows + 1,); ``code`` (items,): distinct
    values numbered by first appearance, below ``distinct``."""

    start: I64
    code: I32
    distinct: int

    def row(self) -> I32:
        """Row of each item (items,), ascending."""
        return np.repeat(np.arange(len(self.start) - 1, dtype=np.int32), np.diff(self.start))


@dataclass(frozen=True, slots=True)
class Traffic:
    """Exchanges in order of time, each id once.

    ``account`` (rows,) indexes ``account_ids`` (sorted). ``time_us`` (rows,) microseconds since the epoch, UTC.
    ``shape`` (rows,) numbers the distinct forms of request (operation, model, temperature, limit, streaming, tools).
    ``prompt`` (rows,) numbers distinct messages, -1 where there is none; ``intent`` (rows,) bits. ``input_tokens`` is
    -1, ``output_tokens`` and ``cost_usd`` (rows,) are 0 where unknown.
    """

    exchange_ids: pa.Array
    account_ids: list[str]
    account: I32
    time_us: I64
    columns: dict[str, Coded]
    asn: I64
    shape: I32
    prompt: I32
    intent: I64
    system: Ragged
    template: Ragged
    words: Ragged
    input_tokens: I64
    output_tokens: I64
    cost_usd: npt.NDArray[np.float64]
    repeated: int

    @property
    def rows(self) -> int:
        return len(self.account)


def take_in(batches: Iterable[pa.RecordBatch], sketch_key: bytes) -> Traffic:
    """Read all batches of an exchange log.

    Rows that carry sketches are taken as they are; rows with text alone are sketched under ``sketch_key``.

    Raises `InputError` when there is no row at all or sketches of two keys are mixed.
    """
    sketcher = Sketcher(sketch_key)
    kept = [_lean(batch, sketcher) for batch in batches if batch.num_rows]
    if not kept:
        raise InputError("there is no exchange to look at: the input has no usable row")
    table = pa.Table.from_batches(kept)
    keys = pc.unique(table["sketch_key_id"]).drop_null()
    if len(keys) > 1:
        raise InputError(
            f"sketches of {len(keys)} keys are mixed ({', '.join(keys.to_pylist())}) and cannot be compared: "
            "detect each part by itself, or give the key of the sketched part for the part with text"
        )
    order = _order(table)
    return _arrays(table, order, table.num_rows - len(order))


def sketched(batch: pa.RecordBatch, sketcher: Sketcher) -> dict[str, pa.Array]:
    """`READ_COLUMNS` and sketches of every row, made from text where a row has that alone."""
    columns = {name: batch.column(name) for name in READ_COLUMNS}
    columns |= {name: batch.column(name) for name in SKETCH_SCHEMA.names}
    has_text = pc.or_(batch.column("prompt_text").is_valid(), batch.column("system_text").is_valid())
    bare = pc.and_(has_text, batch.column("sketch_key_id").is_null())
    if pc.any(bare).as_py():
        made = sketcher.sketch(batch)
        for name in SKETCH_SCHEMA.names:
            given = columns[name]
            # A batch is nearly always all text or all sketches; only a mixed one needs the row-wise choice.
            columns[name] = made.column(name) if pc.all(bare).as_py() else pc.if_else(bare, made.column(name), given)
    return columns


def _lean(batch: pa.RecordBatch, sketcher: Sketcher) -> pa.RecordBatch:
    columns = sketched(batch, sketcher)
    columns["shape"] = _shapes(columns)
    for name in ("operation", "stream", "temperature", "max_tokens", "tool_names"):
        del columns[name]
    for name in (*_CODED, "shape", "sketch_key_id"):
        columns[name] = columns[name].dictionary_encode()
    return pa.RecordBatch.from_pydict(columns)


def _order(table: pa.Table) -> I64:
    """Rows in order of time, then id, each id once: the earliest stands for all."""
    time = np.asarray(table["started_at"].cast(pa.int64()))
    order = np.argsort(time, kind="stable")
    ids = table["exchange_id"].combine_chunks()
    tied = np.diff(time[order], prepend=-1) == 0
    tied |= np.append(tied[1:], False)
    some = order[tied]
    ranked = pc.sort_indices(
        pa.table({"time": time[some], "id": ids.take(pa.array(some))}), [("time", "ascending"), ("id", "ascending")]
    )
    order[tied] = some[np.asarray(ranked)]
    code = np.asarray(ids.dictionary_encode().indices)
    _, first = np.unique(code[order], return_index=True)
    return order if len(first) == len(order) else order[np.sort(first)]


def _arrays(table: pa.Table, order: I64, repeated: int) -> Traffic:
    accounts = _coded(table["account_id"], order)
    rank = np.empty(len(accounts.values), np.int32)
    ordered = sorted(range(len(rank)), key=accounts.values.__getitem__)
    rank[ordered] = np.arange(len(rank), dtype=np.int32)
    prompt = table["sketch_prompt"].combine_chunks().dictionary_encode()
    return Traffic(
        exchange_ids=table["exchange_id"].combine_chunks().take(pa.array(order)),
        account_ids=[accounts.values[i] for i in ordered],
        account=rank[accounts.code],
        time_us=np.asarray(table["started_at"].cast(pa.int64()))[order],
        columns={name: _coded(table[name], order) for name in _CODED if name != "account_id"},
        asn=_integers(table["client_asn"], -1, order),
        shape=_coded(table["shape"], order).code,
        prompt=_renumbered(np.asarray(prompt.indices.fill_null(-1))[order], len(prompt.dictionary))[0],
        intent=_integers(table["sketch_intent"], 0, order),
        system=_ragged(table["sketch_system"], order),
        template=_ragged(table["sketch_template"], order),
        words=_ragged(table["sketch_words"], order),
        input_tokens=_integers(table["input_tokens"], -1, order),
        output_tokens=_integers(table["output_tokens"], 0, order),
        cost_usd=np.asarray(table["cost_usd"].fill_null(0.0))[order],
        repeated=repeated,
    )


def _integers(column: pa.ChunkedArray, missing: int, order: I64) -> I64:
    return np.asarray(column.fill_null(missing)).astype(np.int64)[order]


def _coded(column: pa.ChunkedArray, order: I64) -> Coded:
    whole = column.unify_dictionaries().combine_chunks()
    code, first = _renumbered(np.asarray(whole.indices.fill_null(-1))[order], len(whole.dictionary))
    return Coded(code, whole.dictionary.take(pa.array(first)).to_pylist())


def _renumbered(code: I32, distinct: int) -> tuple[I32, I64]:
    """Codes below ``distinct`` numbered anew by first appearance, and the old code of each; -1 stays. Results then do
    not depend on what the values were, nor under which key they were hashed."""
    at = np.full(distinct + 1, len(code), np.int64)
    # The last write wins, so writing backwards leaves the first position; -1 goes to the spare place at the end.
    at[code[::-1]] = np.arange(len(code) - 1, -1, -1)
    at[-1] = len(code)
    appearance = np.argsort(at[:-1], kind="stable")
    appearance = appearance[: int((at[:-1] < len(code)).sum())]
    number = np.full(distinct + 1, -1, np.int32)
    number[appearance] = np.arange(len(appearance), dtype=np.int32)
    return number[code], appearance


def _ragged(column: pa.ChunkedArray, order: I64) -> Ragged:
    length = np.asarray(pc.list_value_length(column).fill_null(0)).astype(np.int64)
    encoded = pa.chunked_array([chunk.flatten() for chunk in column.chunks], pa.int64()).dictionary_encode()
    code = np.concatenate([np.empty(0, np.int32), *(np.asarray(chunk.indices) for chunk in encoded.chunks)])
    distinct = len(encoded.chunk(0).dictionary) if encoded.num_chunks else 0
    begin = np.cumsum(length) - length
    start = np.concatenate([[0], np.cumsum(length[order])])
    code, _ = _renumbered(gathered(code, begin[order], length[order]), distinct)
    return Ragged(start, code, int(code.max(initial=-1)) + 1)


def _shapes(columns: dict[str, pa.Array]) -> pa.Array:
    parts = [
        columns["operation"],
        columns["request_model"],
        *(columns[name].cast(pa.string()) for name in ("temperature", "max_tokens", "stream")),
        pc.binary_join(columns["tool_names"].fill_null([]), ","),
    ]
    return pc.binary_join_element_wise(*parts, "|", null_handling="replace", null_replacement="-")
