"""Writing tables: Parquet, CSV or JSONL by the file's name, whole or not at all."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Protocol

import msgspec
import pyarrow as pa
import pyarrow.csv as pacsv
import pyarrow.parquet as pq

from tiergate.errors import InputError
from tiergate.records.read import compression_of

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class Writer(Protocol):
    """Takes batches of the schema it was opened with."""

    def write(self, rows: pa.RecordBatch | pa.Table) -> None: ...


@contextmanager
def open_writer(path: Path, schema: pa.Schema) -> Iterator[Writer]:
    """Open ``path`` (.parquet, .csv, .jsonl, .jsonl.gz, .jsonl.zst) for rows of ``schema``.

    Rows go to a temporary file that takes the name when the block ends well and is removed when it does not.
    Raises `InputError` for another kind of name or a place that cannot be written.
    """
    part = path.with_name(f".{path.name}.part")
    try:
        if path.suffix == ".parquet":
            with pq.ParquetWriter(part, schema, compression="zstd") as parquet:
                yield _ParquetRows(parquet)
        elif path.suffix == ".csv":
            with pacsv.CSVWriter(part, schema) as rows:
                yield rows
        else:
            compression = compression_of(path)
            with pa.OSFile(str(part), "wb") as raw:
                if compression is None:
                    yield _JsonRows(raw)
                else:
                    with pa.CompressedOutputStream(raw, compression) as packed:
                        yield _JsonRows(packed)
        part.replace(path)
    except OSError as error:
        raise InputError(f"cannot write `{path}`: {error.strerror or error}") from error
    finally:
        part.unlink(missing_ok=True)


class _ParquetRows:
    def __init__(self, writer: pq.ParquetWriter) -> None:
        self._writer = writer

    def write(self, rows: pa.RecordBatch | pa.Table) -> None:
        self._writer.write(rows)


class _JsonRows:
    def __init__(self, stream: pa.NativeFile) -> None:
        self._stream = stream

    def write(self, rows: pa.RecordBatch | pa.Table) -> None:
        times = [field.name for field in rows.schema if pa.types.is_timestamp(field.type)]
        for name in times:
            at = rows.schema.get_field_index(name)
            rows = rows.set_column(at, name, rows.column(name).cast(pa.int64()))
        encode = msgspec.json.Encoder().encode
        lines = [encode(_shown(row, times)) for row in rows.to_pylist()]
        self._stream.write(b"\n".join([*lines, b""]))


def _shown(row: dict[str, Any], times: list[str]) -> dict[str, Any]:
    """A row as JSON has it: no nulls, times as RFC 3339."""
    shown = {name: value for name, value in row.items() if value is not None}
    for name in times:
        if name in shown:
            shown[name] = (_EPOCH + timedelta(microseconds=shown[name])).isoformat().replace("+00:00", "Z")
    return shown
