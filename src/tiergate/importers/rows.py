"""Rows of JSON lines, JSON lists and CSV files, whatever their columns."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, Final

import msgspec
import pyarrow as pa

from tiergate.errors import InputError
from tiergate.records.convert import rows_to_batch
from tiergate.records.lines import raw_lines
from tiergate.records.refused import RefusedRows
from tiergate.records.schema import EXCHANGE_SCHEMA

LARGEST_LIST: Final = 1 << 30
Row = dict[str, Any]


def integer(value: Any) -> Any:
    """A whole number that was written as text; what is none stays as it is and is refused with its row."""
    try:
        return int(value) if isinstance(value, str) else value
    except ValueError:
        return value


def read_rows(path: Path, refused: RefusedRows) -> Iterator[tuple[int, Row]]:
    """Rows with their numbers from 1: of a .csv file, a .json file (a list of objects), or JSON lines.

    Raises `InputError` when the file is missing or none of these.
    """
    if not path.is_file():
        raise InputError(f"`{path}` does not exist")
    suffixes = [suffix for suffix in path.suffixes if suffix in (".csv", ".json", ".jsonl", ".ndjson", ".gz", ".zst")]
    if suffixes[-1:] == [".csv"]:
        yield from _csv_rows(path, refused)
    elif suffixes[-1:] == [".json"] and not _is_lines(path):
        yield from _list_rows(path, refused)
    elif suffixes and suffixes[0] in (".json", ".jsonl", ".ndjson"):
        compression = {".gz": "gzip", ".zst": "zstd"}.get(suffixes[-1])
        for number, line in raw_lines(path, compression, refused):
            row = _object(line)
            if row is None:
                refused.add(str(path), number, "", "is not a JSON object", line[:200].decode(errors="replace"))
            else:
                yield number, row
    else:
        raise InputError(f"`{path}` has no known ending: use .csv, .json, .jsonl, .jsonl.gz or .jsonl.zst")


def in_batches(
    rows: Iterable[tuple[int, Row]], path: Path, refused: RefusedRows, batch_rows: int
) -> Iterator[pa.RecordBatch]:
    """Checked batches of the exchange log's columns from rows with the same names."""
    numbers: list[int] = []
    held: list[Row] = []
    for number, row in rows:
        numbers.append(number)
        held.append(row)
        if len(held) == batch_rows:
            yield rows_to_batch(held, numbers, EXCHANGE_SCHEMA, str(path), refused)
            numbers, held = [], []
    if held:
        yield rows_to_batch(held, numbers, EXCHANGE_SCHEMA, str(path), refused)


def _csv_rows(path: Path, refused: RefusedRows) -> Iterator[tuple[int, Row]]:
    csv.field_size_limit(16 << 20)
    try:
        with path.open(newline="", encoding="utf-8-sig", errors="surrogateescape") as file:
            reader = csv.DictReader(file)
            "".join(reader.fieldnames or ()).encode()
            for number, row in enumerate(reader, 1):
                if None in row or None in row.values():
                    refused.add(str(path), number, "", "has not as many fields as the header")
                elif not _is_text(row):
                    refused.add(str(path), number, "", "is not UTF-8")
                else:
                    yield number, {name: value if value != "" else None for name, value in row.items()}
    except (csv.Error, UnicodeEncodeError) as error:
        raise InputError(f"`{path}` is not a readable CSV file: {error}") from error


def _is_text(row: Row) -> bool:
    try:
        "".join(row.values()).encode()
    except UnicodeEncodeError:
        return False
    return True


def _is_lines(path: Path) -> bool:
    """Whether a .json file holds an object a line, as the OpenTelemetry collector writes them."""
    with path.open("rb") as file:
        first, second = file.readline(LARGEST_LIST), file.readline(LARGEST_LIST)
    return bool(second.strip()) and _object(first) is not None


def _list_rows(path: Path, refused: RefusedRows) -> Iterator[tuple[int, Row]]:
    if path.stat().st_size > LARGEST_LIST:
        raise InputError(f"`{path}` is a JSON list of over 1 GiB: export it as JSON lines")
    try:
        rows = msgspec.json.decode(path.read_bytes())
    except (msgspec.DecodeError, RecursionError) as error:
        raise InputError(f"`{path}` is not JSON: {error}") from error
    if isinstance(rows, dict):
        rows = next((value for value in rows.values() if isinstance(value, list)), [rows])
    if not isinstance(rows, list):
        raise InputError(f"`{path}` is no list of objects")
    for number, row in enumerate(rows, 1):
        if isinstance(row, dict):
            yield number, row
        else:
            refused.add(str(path), number, "", "is not a JSON object", str(row)[:200])


def _object(line: bytes) -> Row | None:
    try:
        row = msgspec.json.decode(line)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
    return row if isinstance(row, dict) else None
