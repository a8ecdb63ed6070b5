"""The exchange log as arrays: one pass over the batches, text turned into sketches and dropped on the way."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from tiergate.errors import InputError
from tiergate.ledger.sketches import Sketcher
from tiergate.records.schema import SKETCH_SCHEMA

I64 = npt.NDArray[np.int64]

READ_COLUMNS: Final = (
    "exchange_id",
    "started_at",
    "account_id",
    "organization_id",
    "operation",
    "request_model",
    "stream",
    "temperature",
    "max_tokens",
    "tool_names",
    "output_tokens",
    "cost_usd",
    "client_address",
    "client_asn",
    "user_agent",
    "tls_fingerprint",
)
"""Columns detection uses beside text and sketches. Countries are not among them: nationality is never evidence."""

_CODED: Final = ("organization_id", "request_model", "client_address", "user_agent", "tls_fingerprint")


@dataclass(frozen=True, slots=True)
class Coded:
    """A column as small integers. ``code`` (rows,): index into ``values``, or -1 where null."""

    code: I64
    values: list[str]


@dataclass(frozen=True, slots=True)
class Ragged:
    """A list column. ``row`` (items,) ascending; ``code`` (items,): distinct values numbered by first appearance."""

    row: I64
    code: I64
    distinct: int


@dataclass(frozen=True, slots=True)
class Traffic:
    """Exchanges in order of time, each id once.

    ``account`` (rows,) indexes ``account_ids`` (sorted). ``time_us`` (rows,) microseconds since the epoch, UTC.
    ``shape`` (rows,) numbers the distinct forms of request (operation, model, temperature, limit, streaming, tools).
    ``prompt`` (rows,) numbers distinct messages, -1 where there is none; ``intent`` (rows,) bits. ``output_tokens``
    and ``cost_usd`` (rows,) are 0 where unknown.
    """

    exchange_ids: pa.ChunkedArray
    account_ids: list[str]
    account: I64
    time_us: I64
    columns: dict[str, Coded]
    asn: I64
    shape: I64
    prompt: I64
    intent: I64
    system: Ragged
    template: Ragged
    words: Ragged
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
    table = table.sort_by([("started_at", "ascending"), ("exchange_id", "ascending")])
    read = table.num_rows
    table = table.take(_first_of_each(table["exchange_id"]))
    return _arrays(table, read - table.num_rows)


def _lean(batch: pa.RecordBatch, sketcher: Sketcher) -> pa.RecordBatch:
    columns = {name: batch.column(name) for name in READ_COLUMNS}
    for name in _CODED:
        columns[name] = columns[name].dictionary_encode()
    columns |= {name: batch.column(name) for name in SKETCH_SCHEMA.names}
    has_text = pc.or_(batch.column("prompt_text").is_valid(), batch.column("system_text").is_valid())
    bare = pc.and_(has_text, batch.column("sketch_key_id").is_null())
    if pc.any(bare).as_py():
        made = sketcher.sketch(batch)
        for name in SKETCH_SCHEMA.names:
            given = columns[name]
            # A batch is nearly always all text or all sketches; only a mixed one needs the row-wise choice.
            columns[name] = made.column(name) if pc.all(bare).as_py() else pc.if_else(bare, made.column(name), given)
    return pa.RecordBatch.from_pydict(columns)


def _first_of_each(ids: pa.ChunkedArray) -> pa.Array:
    codes = ids.combine_chunks().dictionary_encode()
    _, first = np.unique(np.asarray(codes.indices), return_index=True)
    return pa.array(np.sort(first))


def _arrays(table: pa.Table, repeated: int) -> Traffic:
    accounts = table["account_id"].combine_chunks().dictionary_encode()
    names = accounts.dictionary.to_pylist()
    order = sorted(range(len(names)), key=names.__getitem__)
    rank = np.empty(len(names), np.int64)
    rank[order] = np.arange(len(names))
    return Traffic(
        exchange_ids=table["exchange_id"],
        account_ids=[names[i] for i in order],
        account=rank[np.asarray(accounts.indices)],
        time_us=np.asarray(table["started_at"].cast(pa.int64())),
        columns={name: _coded(table[name]) for name in _CODED},
        asn=_integers(table["client_asn"], -1),
        shape=_shapes(table),
        prompt=_renumber(_integers(table["sketch_prompt"], 0), np.asarray(table["sketch_prompt"].is_valid())),
        intent=_integers(table["sketch_intent"], 0),
        system=_ragged(table["sketch_system"]),
        template=_ragged(table["sketch_template"]),
        words=_ragged(table["sketch_words"]),
        output_tokens=_integers(table["output_tokens"], 0),
        cost_usd=np.asarray(table["cost_usd"].fill_null(0.0)),
        repeated=repeated,
    )


def _integers(column: pa.ChunkedArray, missing: int) -> I64:
    return np.asarray(column.fill_null(missing)).astype(np.int64)


def _coded(column: pa.ChunkedArray) -> Coded:
    whole = column.unify_dictionaries().combine_chunks()
    code = np.asarray(whole.indices.fill_null(-1)).astype(np.int64)
    return Coded(_renumber(code, code >= 0), whole.dictionary.take(pa.array(_appearance(code))).to_pylist())


def _appearance(code: I64) -> I64:
    """Distinct non-negative codes in order of first appearance."""
    distinct, first = np.unique(code, return_index=True)
    return distinct[np.argsort(first)][distinct[np.argsort(first)] >= 0]


def _renumber(values: I64, valid: npt.NDArray[np.bool_]) -> I64:
    """Number distinct values by first appearance, so that results do not depend on what the values are."""
    code = np.full(len(values), -1, np.int64)
    if valid.any():
        _, first, inverse = np.unique(values[valid], return_index=True, return_inverse=True)
        rank = np.empty(len(first), np.int64)
        rank[np.argsort(first)] = np.arange(len(first))
        code[valid] = rank[inverse]
    return code


def _ragged(column: pa.ChunkedArray) -> Ragged:
    lists = column.combine_chunks()
    row = np.asarray(pc.list_parent_indices(lists)).astype(np.int64)
    values = np.asarray(pc.list_flatten(lists)).astype(np.int64)
    code = _renumber(values, np.ones(len(values), bool))
    return Ragged(row, code, int(code.max(initial=-1)) + 1)


def _shapes(table: pa.Table) -> I64:
    tools = pc.binary_join(table["tool_names"].fill_null([]), ",")
    parts = [
        table["operation"],
        table["request_model"].cast(pa.string()),
        *(table[name].cast(pa.string()) for name in ("temperature", "max_tokens", "stream")),
        tools,
    ]
    joined = pc.binary_join_element_wise(*parts, "|", null_handling="replace", null_replacement="-")
    code = np.asarray(joined.combine_chunks().dictionary_encode().indices).astype(np.int64)
    return _renumber(code, code >= 0)
