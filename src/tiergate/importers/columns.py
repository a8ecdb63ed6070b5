"""Any CSV or JSON lines file, by a map from its columns to the exchange log's.

The map is a TOML or JSON file: a key is a column of the exchange log, its value the name of a source column, or a
table with

- ``from``: the source column, dots reaching into nested objects;
- ``constant``: one value for every row, instead of ``from``;
- ``unit``: `s`, `ms`, `us` or `ns`, for times that are numbers since the Unix epoch;
- ``time_format``: for times in another form than RFC 3339, as `datetime.strptime` has it (UTC without an offset).
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

import msgspec
import pyarrow as pa

from tiergate.errors import InputError
from tiergate.importers.rows import Row, in_batches, read_rows
from tiergate.records.refused import RefusedRows
from tiergate.records.schema import EXCHANGE_SCHEMA

_MICROSECONDS: Final = {"s": 1e6, "ms": 1e3, "us": 1.0, "ns": 1e-3}
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


class Source(msgspec.Struct, forbid_unknown_fields=True, rename={"source": "from"}):
    """Where a column's values come from."""

    source: str | None = None
    constant: str | int | float | bool | None = None
    unit: str | None = None
    time_format: str | None = None


ColumnMap = dict[str, Source]


def load_map(path: Path) -> ColumnMap:
    """Read a column map. Raises `InputError` saying what in it is wrong."""
    try:
        raw = path.read_bytes()
        entries = tomllib.loads(raw.decode()) if path.suffix == ".toml" else msgspec.json.decode(raw)
    except (OSError, ValueError) as error:
        raise InputError(f"cannot read the column map `{path}`: {error}") from error
    if not isinstance(entries, dict):
        raise InputError(f"the column map `{path}` is no table of columns")
    sources = {}
    for column, entry in entries.items():
        if column not in EXCHANGE_SCHEMA.names:
            raise InputError(f"the column map names `{column}`, which is no column of the exchange log")
        try:
            source = Source(source=entry) if isinstance(entry, str) else msgspec.convert(entry, Source)
        except msgspec.ValidationError as error:
            raise InputError(f"the column map's entry for `{column}` is wrong: {error}") from error
        if (source.source is None) == (source.constant is None):
            raise InputError(f"the column map's entry for `{column}` needs either `from` or `constant`")
        if source.unit is not None and source.unit not in _MICROSECONDS:
            raise InputError(f"the column map gives `{column}` the unit `{source.unit}`: use s, ms, us or ns")
        if source.unit is not None and source.time_format is not None:
            raise InputError(f"the column map gives `{column}` both `unit` and `time_format`: keep one")
        sources[column] = source
    missing = [field.name for field in EXCHANGE_SCHEMA if not field.nullable and field.name not in sources]
    if missing:
        raise InputError(f"the column map lacks the required column{'s' * (len(missing) > 1)} {', '.join(missing)}")
    return sources


def read(
    path: Path, *, refused: RefusedRows, column_map: ColumnMap | Path, batch_rows: int = 65_536
) -> Iterator[pa.RecordBatch]:
    """Batches of the exchange log's columns.

    Raises `InputError` when the map is wrong, or names a source column that the first row lacks and no row has.
    """
    sources = load_map(column_map) if isinstance(column_map, Path) else column_map
    kinds = {field.name: field.type for field in EXCHANGE_SCHEMA}

    def exchanges() -> Iterator[tuple[int, Row]]:
        absent = {source.source for source in sources.values() if source.source}
        for number, row in read_rows(path, refused):
            if absent:
                absent -= {name for name in absent if _reach(row, name) is not None or name in row}
            yield number, {column: _take(row, source, kinds[column]) for column, source in sources.items()}
        if absent:
            raise InputError(f"`{path}` has no column `{', '.join(sorted(absent))}`, which the column map names")

    yield from in_batches(exchanges(), path, refused, batch_rows)


def _take(row: Row, source: Source, kind: pa.DataType) -> Any:
    if source.source is None:
        return source.constant
    value = _reach(row, source.source)
    if value is None:
        return None
    if pa.types.is_timestamp(kind):
        return _time(value, source)
    if isinstance(value, str) and not pa.types.is_string(kind):
        return _typed(value, kind)
    if pa.types.is_string(kind) and isinstance(value, (int, float)) and not isinstance(value, bool):
        return str(value)
    return value


def _reach(row: Row, name: str) -> Any:
    if name in row:
        return row[name]
    value: Any = row
    for part in name.split("."):
        value = value.get(part) if isinstance(value, dict) else None
    return value


def _time(value: Any, source: Source) -> Any:
    try:
        if source.time_format is not None:
            return datetime.strptime(value, source.time_format).isoformat()  # noqa: DTZ007 without an offset it is UTC
        if source.unit is None:
            return value
        return (_EPOCH + timedelta(microseconds=round(float(value) * _MICROSECONDS[source.unit]))).isoformat()
    except (TypeError, ValueError, OverflowError):
        # In a list it is refused: read as RFC 3339 after all, day and month could change places.
        return [value] if source.time_format is not None else value


def _typed(value: str, kind: pa.DataType) -> Any:
    """Text of a CSV file as the column's type; what does not fit stays text and is refused with its row."""
    text = value.strip()
    try:
        if pa.types.is_boolean(kind):
            return {"true": True, "1": True, "false": False, "0": False}[text.lower()]
        if pa.types.is_list(kind):
            return [part.strip() for part in text.split(",") if part.strip()]
        return int(text) if pa.types.is_integer(kind) else float(text)
    except (KeyError, ValueError):
        return value
