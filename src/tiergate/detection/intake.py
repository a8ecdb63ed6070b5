"""The exchange log as arrays: one pass over the batches, text turned into sketches and dropped on the way.

What is kept is small: whole numbers of 32 bits where they suffice, strings as numbers, and of the sketches those values
that occur more than once in the log. A value that nothing else has links nothing, and most of free text is such.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from functools import partial
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from tiergate.detection.arrays import Ints, give_back, grouped
from tiergate.detection.columns import (
    Coded,
    Ragged,
    coded,
    compact,
    joined,
    joined_dictionary,
    narrow,
    placed,
    prompts,
    ragged,
    ranked,
    shapes,
)
from tiergate.detection.exchange_ids import ExchangeIds, chronological, contents
from tiergate.errors import InputError
from tiergate.ledger.sketches import Sketcher
from tiergate.records.refused import RefusedRows
from tiergate.records.schema import SKETCH_SCHEMA, TEXT_COLUMNS

__all__ = ["COLUMNS", "READ_COLUMNS", "Coded", "Ragged", "Traffic", "sketched", "take_in"]

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

FOLD_BATCHES: Final = 16
"""Batches whose columns are joined into one, a million rows as they are read."""

_CODED: Final = (
    "account_id",
    "organization_id",
    "end_user_id",
    "request_model",
    "client_address",
    "user_agent",
    "tls_fingerprint",
)
_NUMBERS: Final = {"client_asn": -1, "sketch_intent": 0, "input_tokens": -1, "output_tokens": 0}
"""Columns of whole numbers, and what stands for null."""


class TooLittleError(InputError):
    """There is nothing to compare."""


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


def take_in(batches: Iterable[pa.RecordBatch], sketch_key: bytes, refused: RefusedRows | None = None) -> Traffic:
    """Read all batches of an exchange log, which have the `COLUMNS` at least.

    Of rows with one id the earliest counts, and of several such the same one whatever order they come in. Rows that
    carry sketches are taken as they are; rows with text alone are sketched under ``sketch_key``.

    Raises `InputError` when there is no row at all, saying what was ``refused``, or sketches of two keys are mixed.
    """
    sketcher = Sketcher(sketch_key)
    columns: dict[str, list[pa.Array]] = defaultdict(list)
    numbers: dict[str, list[npt.NDArray[Any]]] = defaultdict(list)
    folded = 0
    for batch in batches:
        if batch.num_rows:
            lean, whole = _lean(batch, sketcher)
            for name, column in lean.items():
                columns[name].append(column)
            for name, values in whole.items():
                numbers[name].append(values)
            if len(columns["exchange_id"]) - folded == FOLD_BATCHES:
                _fold(columns, numbers, folded)
                folded += 1
    if not columns:
        why = refused.told if refused and refused.count else "the input has no row"
        raise TooLittleError(f"there is no exchange to look at: {why}")
    keys = joined_dictionary(columns.pop("sketch_key_id")).dictionary
    if len(keys) > 1:
        raise InputError(
            f"sketches of {len(keys)} keys are mixed ({', '.join(keys.to_pylist())}) and cannot be compared: "
            "detect each part by itself, or give the key of the sketched part for the part with text"
        )
    give_back()
    traffic = _arrays(columns, numbers)
    give_back()
    return traffic


def _fold(columns: dict[str, list[pa.Array]], numbers: dict[str, list[npt.NDArray[Any]]], folded: int) -> None:
    """Join what has come since the last ``folded`` parts: many middling arrays take a third more than they hold."""
    for parts in columns.values():
        if isinstance(parts[0], pa.DictionaryArray):
            compact(parts)
        else:
            parts[folded:] = [pa.concat_arrays(parts[folded:])]
    for values in numbers.values():
        values[folded:] = [np.concatenate(values[folded:])]
    give_back()


def sketched(batch: pa.RecordBatch, sketcher: Sketcher) -> dict[str, pa.Array]:
    """`READ_COLUMNS` and sketches of every row, made from text where a row has that alone."""
    columns = {name: batch.column(name) for name in READ_COLUMNS}
    columns |= {name: batch.column(name) for name in SKETCH_SCHEMA.names}
    texts = [batch.column(name) for name in SKETCHED_TEXT]
    if all(text.null_count == batch.num_rows for text in texts):
        return columns
    bare = pc.and_(pc.or_(*(text.is_valid() for text in texts)), batch.column("sketch_key_id").is_null())
    if pc.any(bare).as_py():
        made = sketcher.sketch(batch)
        for name in SKETCH_SCHEMA.names:
            given = columns[name]
            # A batch is nearly always all text or all sketches; only a mixed one needs the row-wise choice.
            columns[name] = made.column(name) if pc.all(bare).as_py() else pc.if_else(bare, made.column(name), given)
    return columns


def _lean(batch: pa.RecordBatch, sketcher: Sketcher) -> tuple[dict[str, pa.Array], dict[str, npt.NDArray[Any]]]:
    """What is kept of a batch: Arrow columns, those of few values encoded, and columns of numbers."""
    columns = sketched(batch, sketcher)
    columns["shape"] = shapes(columns)
    for name in ("operation", "stream", "temperature", "max_tokens", "tool_names"):
        del columns[name]
    for name in (*_CODED, "sketch_key_id"):
        columns[name] = columns[name].dictionary_encode()
    numbers = {name: narrow(columns.pop(name), missing) for name, missing in _NUMBERS.items()}
    numbers["started_at"] = np.asarray(columns.pop("started_at").cast(pa.int64()))
    numbers["cost_usd"] = np.asarray(columns.pop("cost_usd").fill_null(0.0))
    return columns, numbers


def _arrays(columns: dict[str, list[pa.Array]], numbers: dict[str, list[npt.NDArray[Any]]]) -> Traffic:
    """Columns are taken out of ``columns`` and ``numbers`` one by one: each is freed as soon as its array is there."""
    ids = pa.chunked_array(columns.pop("exchange_id"))
    time = joined(numbers.pop("started_at"))
    order = chronological(time, ids, partial(contents, {**columns, **numbers}))
    made = {}
    for name in ("template", "words", "system"):
        made[name] = ragged(columns.pop(f"sketch_{name}"), order)
        give_back()
    prompt = prompts(columns.pop("sketch_prompt"), order)
    accounts = coded(columns.pop("account_id"), order)
    ordered = np.asarray(pc.array_sort_indices(accounts.values)).astype(np.int64)
    rank = np.empty(len(ordered), np.int32)
    rank[ordered] = np.arange(len(rank), dtype=np.int32)
    account = rank[accounts.code]
    rows_of, edge = grouped(account, len(rank))

    def number(name: str) -> npt.NDArray[Any]:
        return placed(joined(numbers.pop(name)), order)

    networks, found = ranked(number("client_asn"))
    # The unknown, -1, is the lowest.
    networks -= int(len(found) > 0 and found[0] < 0)
    return Traffic(
        exchange_ids=ExchangeIds(ids, order),
        account_ids=accounts.values.take(pa.array(ordered)).to_pylist(),
        account=account,
        rows_of=rows_of,
        edge=edge,
        time_us=placed(time, order),
        columns={name: coded(columns.pop(name), order) for name in _CODED if name != "account_id"},
        asn=networks,
        shape=coded(columns.pop("shape"), order).code,
        prompt=prompt,
        intent=number("sketch_intent"),
        input_tokens=number("input_tokens"),
        output_tokens=number("output_tokens"),
        cost_usd=number("cost_usd"),
        repeated=len(time) - len(account),
        **made,
    )
