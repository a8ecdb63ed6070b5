"""Values into a column's type: whole columns where possible, row by row only where a value does not fit."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import pyarrow as pa

from tiergate.records.check import check_batch
from tiergate.records.refused import RefusedRows

Refuse = Callable[[int, str, str], None]
"""Called with (row in the batch, column, reason)."""


def convert_column(column: pa.Array, field: pa.Field, refuse: Refuse) -> pa.Array:
    """Cast an Arrow column to ``field``'s type; values that do not fit become null and their rows are refused."""
    if pa.types.is_timestamp(column.type) and pa.types.is_timestamp(field.type) and column.type.tz is None:
        column = column.cast(pa.timestamp(column.type.unit, "UTC"))
    try:
        # Nanoseconds are cut to microseconds; nothing else may lose anything.
        cuts = pa.types.is_timestamp(column.type) and column.type.unit == "ns"
        column = column if column.type == field.type else column.cast(field.type, safe=not cuts)
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError):
        return convert_values([_python(value) for value in column], field, refuse)
    return _decodable(column, field, refuse)


def _decodable(column: pa.Array, field: pa.Field, refuse: Refuse) -> pa.Array:
    """``column``, less its texts that are no UTF-8: Parquet does not look at what its strings hold."""
    raw = {pa.string(): pa.binary(), pa.list_(pa.string()): pa.list_(pa.binary())}.get(field.type)
    if raw is None:
        return column
    try:
        column.validate(full=True)
    except pa.ArrowInvalid:
        return convert_values(column.cast(raw).to_pylist(), field, refuse)
    return column


def _python(value: pa.Scalar) -> Any:
    """An Arrow value as Python's, or an object that fits no column when Python has none such."""
    try:
        return value.as_py()
    except (ValueError, OverflowError):
        return object()


def shown(value: pa.Scalar) -> str:
    """An Arrow value for the side file: its first 200 characters, whatever it holds."""
    try:
        return str(value)[:200]
    except (ValueError, OverflowError):
        plain = pa.int64() if pa.types.is_timestamp(value.type) else pa.binary()
        try:
            return str(value.cast(plain).as_py())[:200]
        except pa.ArrowException:
            return str(value.type)


def convert_values(values: list[Any], field: pa.Field, refuse: Refuse) -> pa.Array:
    """Python values into ``field``'s type; values that do not fit become null and their rows are refused."""
    if not pa.types.is_timestamp(field.type):
        try:
            return _strict(values, field.type)
        except (pa.ArrowException, TypeError, ValueError, OverflowError):
            pass
    fitting = []
    for row, value in enumerate(values):
        try:
            fitting.append(_one(value, field.type))
        except (pa.ArrowException, TypeError, ValueError, OverflowError):
            refuse(row, field.name, f"is not {_named(field.type)}")
            fitting.append(None)
    return pa.array(fitting, field.type)


def _strict(values: list[Any], kind: pa.DataType) -> pa.Array:
    """Arrow's own conversion, without its kindness: no bool for a number, no fraction cut, no text for a list."""
    for unfit, kinds in ((bool, _is_number), (float, pa.types.is_integer), ((str, bytes), pa.types.is_list)):
        if kinds(kind) and any(isinstance(value, unfit) for value in values):
            raise TypeError(unfit)
    return pa.array(values, kind)


def _is_number(kind: pa.DataType) -> bool:
    return bool(pa.types.is_integer(kind) or pa.types.is_floating(kind))


def _one(value: Any, kind: pa.DataType) -> Any:
    if value is None:
        return None
    if pa.types.is_timestamp(kind):
        return _microseconds(value)
    if pa.types.is_integer(kind) and isinstance(value, float) and value.is_integer():
        value = int(value)
    return _strict([value], kind)[0].as_py()


def _microseconds(value: Any) -> int:
    """A time as RFC 3339 text (with offset; without one it is UTC) in microseconds since the epoch."""
    if isinstance(value, str):
        value = datetime.fromisoformat(value.upper())  # RFC 3339 lets `t` and `z` be small
    if not isinstance(value, datetime):
        raise TypeError(value)
    if value.tzinfo is None:
        value = value.replace(tzinfo=UTC)
    delta = value - datetime(1970, 1, 1, tzinfo=UTC)
    return int(delta // timedelta(microseconds=1))


def _named(kind: pa.DataType) -> str:
    if pa.types.is_timestamp(kind):
        return "a time (RFC 3339)"
    if pa.types.is_list(kind):
        return f"a list of {'text' if pa.types.is_string(kind.value_type) else 'whole numbers'}"
    names = {"string": "text", "bool": "true or false", "double": "a number"}
    return names.get(str(kind), f"a whole number of {kind.bit_width} bits" if pa.types.is_integer(kind) else str(kind))


def rows_to_batch(
    rows: list[dict[str, Any]], numbers: list[int], schema: pa.Schema, file: str, refused: RefusedRows
) -> pa.RecordBatch:
    """A checked batch of ``schema``'s columns from ``rows`` (k,), of which ``numbers`` (k,) are the row numbers.

    Keys that are no column are ignored; rows with a value that does not fit, or a faulty one, are refused.
    """
    faults: dict[int, tuple[str, str]] = {}

    def refuse(row: int, column: str, reason: str) -> None:
        faults.setdefault(row, (column, reason))

    columns = [convert_values([row.get(field.name) for row in rows], field, refuse) for field in schema]
    batch = pa.RecordBatch.from_arrays(columns, names=schema.names)
    for row, (column, reason) in sorted(faults.items()):
        refused.add(file, numbers[row], column, reason, str(rows[row].get(column))[:200])
    if faults:
        good = [row for row in range(len(rows)) if row not in faults]
        batch, numbers = batch.take(pa.array(good, pa.int64())), [numbers[row] for row in good]
    return checked(batch, schema, numbers, file, refused)


def checked(
    batch: pa.RecordBatch, schema: pa.Schema, numbers: Sequence[int], file: str, refused: RefusedRows
) -> pa.RecordBatch:
    """The rows of ``batch`` that pass `check_batch`; the others are refused."""
    good, faults = check_batch(batch, schema)
    for fault in faults:
        raw = shown(batch.column(fault.column)[fault.row])
        refused.add(file, numbers[fault.row], fault.column, fault.reason, raw)
    # Only now is it true that required columns hold no null.
    return pa.RecordBatch.from_arrays(good.columns, schema=schema)
