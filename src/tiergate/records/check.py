"""Checks of rows: what a column's values must be, beyond their type.

Two kinds of table are checked: exchanges and accounts (model releases have nothing beyond their types). All checks
are whole-column expressions; a row is refused for its first fault, in the order of the columns.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import pyarrow as pa
import pyarrow.compute as pc

from tiergate.records.schema import ALLOWED_VALUES

LONGEST_ID: Final = 512
_COUNTS: Final = (
    "max_tokens",
    "message_count",
    "input_tokens",
    "output_tokens",
    "cached_input_tokens",
    "cache_write_tokens",
    "reasoning_tokens",
    "cost_micro_usd",
    "attempts",
)
_CLOSED: Final = ("operation", "usage_source")
"""Columns of exchanges with a closed vocabulary; the others of `ALLOWED_VALUES` are accounts'."""
_AMOUNTS: Final = ("latency_ms", "cost_usd")
_EARLIEST: Final = 946_684_800_000_000  # 2000-01-01: before it a time is a unit mistaken
_LATEST: Final = 4_102_444_800_000_000  # 2100-01-01


@dataclass(frozen=True, slots=True)
class Fault:
    """``row`` (0-based in its batch) is refused for ``column``."""

    row: int
    column: str
    reason: str


def check_batch(batch: pa.RecordBatch, schema: pa.Schema) -> tuple[pa.RecordBatch, list[Fault]]:
    """Split ``batch``, whose columns have the types of ``schema``, into good rows and faults."""
    faults: dict[int, Fault] = {}
    is_exchange = "exchange_id" in schema.names
    for name in schema.names:
        for bad, reason in _tests(name, batch.column(name), schema.field(name).nullable, is_exchange=is_exchange):
            if pc.any(bad).as_py():
                for row in pc.indices_nonzero(bad).to_pylist():
                    faults.setdefault(row, Fault(row, name, reason))
    if not faults:
        return batch, []
    good = pa.array([row not in faults for row in range(batch.num_rows)])
    return batch.filter(good), [faults[row] for row in sorted(faults)]


def _tests(name: str, column: Any, nullable: bool, *, is_exchange: bool) -> list[tuple[Any, str]]:
    """Masks of bad rows for one column, each with its reason."""
    tests = []
    if not nullable:
        tests.append((column.is_null(), "is required and missing"))
    if pa.types.is_timestamp(column.type):
        number = column.cast(pa.int64())
        tests.append((_bad(pc.or_(pc.less(number, _EARLIEST), pc.greater(number, _LATEST))), "is no plausible time"))
    elif name.endswith("_id") and name != "sketch_key_id":
        size = pc.binary_length(column)
        tests.append((_bad(pc.or_(pc.equal(size, 0), pc.greater(size, LONGEST_ID))), "is empty or over 512 bytes"))
    elif name in _COUNTS:
        tests.append((_bad(pc.less(column, 0)), "is negative"))
    elif name in _AMOUNTS:
        tests.append((_bad(pc.or_(pc.invert(pc.is_finite(column)), pc.less(column, 0))), "is negative or not a number"))
    elif name == "temperature":
        tests.append((_bad(pc.invert(pc.is_finite(column))), "is not a number"))
    elif name == "client_asn":
        tests.append((_bad(pc.or_(pc.less(column, 0), pc.greater(column, 2**32 - 1))), "is no AS number"))
    elif name == "status" and is_exchange:
        tests.append((_bad(pc.or_(pc.less(column, 100), pc.greater(column, 599))), "is no HTTP status"))
    elif name in ALLOWED_VALUES and is_exchange == (name in _CLOSED):
        allowed = ALLOWED_VALUES[name]
        known = pc.is_in(column, value_set=pa.array(allowed))
        tests.append((pc.and_(column.is_valid(), pc.invert(known)), f"is none of {', '.join(allowed)}"))
    return tests


def _bad(mask: Any) -> Any:
    return pc.fill_null(mask, fill_value=False)
