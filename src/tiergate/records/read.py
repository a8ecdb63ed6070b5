"""Reading tables of exchanges, accounts and model releases in streaming batches.

A file is Parquet or JSON lines (plain, gzip or zstd) by its name. One that is not what its name claims ends the
reading with a clear error. A bad *row* never does: it is handed to `RefusedRows` with file, row number, column and
reason, and the good ones go on.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import pyarrow as pa
import pyarrow.parquet as pq

from tiergate.errors import InputError
from tiergate.records.convert import Refuse, checked, convert_column, shown
from tiergate.records.lines import read_json_lines
from tiergate.records.refused import RefusedRows
from tiergate.records.schema import ACCOUNT_SCHEMA, LOG_SCHEMA, MODEL_RELEASE_SCHEMA, TEXT_COLUMNS

SUFFIXES: Final = (".parquet", ".jsonl", ".jsonl.gz", ".jsonl.zst", ".ndjson")


@dataclass
class World:
    """Files of a folder by the table they belong to."""

    exchanges: list[Path] = field(default_factory=list)
    accounts: list[Path] = field(default_factory=list)
    model_releases: list[Path] = field(default_factory=list)


def read_exchanges(
    paths: Sequence[Path],
    *,
    refused: RefusedRows,
    columns: Sequence[str] | None = None,
    sketches_suffice: bool = False,
    batch_rows: int = 65_536,
) -> Iterator[pa.RecordBatch]:
    """Batches of exchanges from files and folders of files.

    :param columns: columns of `LOG_SCHEMA` to hand out; all of them when None. Columns that a file lacks are null. The
        others are neither read nor checked, unless a row cannot do without them.
    :param sketches_suffice: leave text unread, and null, in Parquet files whose every row has sketches.
    Raises `InputError` when a path is missing or a file is not what its name claims.
    """
    schema = LOG_SCHEMA
    if columns is not None:
        schema = pa.schema([field for field in LOG_SCHEMA if field.name in columns or not field.nullable])
    for path in table_files(paths):
        for batch in _read_file(path, schema, refused, batch_rows, sketches_suffice=sketches_suffice):
            yield batch.select(list(columns)) if columns is not None else batch


def read_accounts(paths: Sequence[Path], *, refused: RefusedRows) -> pa.Table:
    """All accounts of the files; of rows with one account_id the first counts."""
    table = _read_table(paths, ACCOUNT_SCHEMA, refused)
    seen: set[str] = set()
    first = [not (name in seen or seen.add(name)) for name in table["account_id"].to_pylist()]  # type: ignore[func-returns-value]
    return table if all(first) else table.filter(pa.array(first))


def read_model_releases(paths: Sequence[Path], *, refused: RefusedRows) -> pa.Table:
    """All model releases of the files."""
    return _read_table(paths, MODEL_RELEASE_SCHEMA, refused)


def find_world(folder: Path) -> World:
    """Sort the files of ``folder`` by name into tables; a folder without such names is all exchanges."""
    if not folder.is_dir():
        raise InputError(f"`{folder}` is no folder")
    entries = sorted(path for path in folder.iterdir() if not path.name.startswith((".", "_")))
    world = World()
    for name in ("exchanges", "accounts", "model_releases"):
        fits = [p for p in entries if p.name.startswith(name) and (p.is_dir() or p.name.endswith(SUFFIXES))]
        setattr(world, name, fits)
    if not world.exchanges and not world.accounts:
        world.exchanges = [path for path in entries if path.name.endswith(SUFFIXES)]
    if not world.exchanges:
        raise InputError(f"`{folder}` holds no exchanges: expected exchanges.parquet, or {', '.join(SUFFIXES)} files")
    return world


def table_files(paths: Sequence[Path]) -> list[Path]:
    """The files behind ``paths``, folders opened, sorted within each folder."""
    if not paths:
        raise InputError("no file was given")
    files: list[Path] = []
    for path in paths:
        if path.is_dir():
            inside = sorted(p for p in path.rglob("*") if p.is_file() and p.name.endswith(SUFFIXES))
            if not inside:
                raise InputError(f"folder `{path}` holds no {', '.join(SUFFIXES)} file")
            files += inside
        elif path.is_file():
            files.append(path)
        else:
            raise InputError(f"`{path}` does not exist")
    return files


def compression_of(path: Path) -> str | None:
    """Compression that a JSON lines file's name claims. Raises `InputError` for names of other kinds."""
    name = path.name
    if name.endswith((".jsonl", ".ndjson")):
        return None
    for suffix, compression in ((".gz", "gzip"), (".zst", "zstd")):
        if name.endswith((f".jsonl{suffix}", f".ndjson{suffix}")):
            return compression
    raise InputError(f"`{path}` has no known ending: use {', '.join(SUFFIXES)}")


def _read_table(paths: Sequence[Path], schema: pa.Schema, refused: RefusedRows) -> pa.Table:
    batches = [batch for path in table_files(paths) for batch in _read_file(path, schema, refused, 65_536)]
    return pa.Table.from_batches(batches, schema)


def _read_file(
    path: Path, schema: pa.Schema, refused: RefusedRows, batch_rows: int, *, sketches_suffice: bool = False
) -> Iterator[pa.RecordBatch]:
    if path.suffix == ".parquet":
        yield from _read_parquet(path, schema, refused, batch_rows, sketches_suffice=sketches_suffice)
        return
    yield from read_json_lines(path, compression_of(path), schema, refused, batch_rows)


def sketched(file: pq.ParquetFile) -> bool:
    """Whether every row of a file has sketches, by the file's own statistics."""
    at = file.schema_arrow.get_field_index("sketch_key_id")
    if at < 0 or pa.types.is_nested(file.schema_arrow.field(at).type):
        return False
    groups = [file.metadata.row_group(number) for number in range(file.metadata.num_row_groups)]
    columns = [group.column(number) for group in groups for number in range(group.num_columns)]
    counts = [c.statistics and c.statistics.null_count for c in columns if c.path_in_schema == "sketch_key_id"]
    return all(count == 0 for count in counts)


def _read_parquet(
    path: Path, schema: pa.Schema, refused: RefusedRows, batch_rows: int, *, sketches_suffice: bool
) -> Iterator[pa.RecordBatch]:
    try:
        file = pq.ParquetFile(path)
        names = set(file.schema_arrow.names)
        twice = [f.name for f in schema if file.schema_arrow.names.count(f.name) > 1]
        if twice:
            raise InputError(f"`{path}` has more than one column {', '.join(twice)}: keep one of each name")
        missing = [f.name for f in schema if not f.nullable and f.name not in names]
        if missing:
            raise InputError(f"`{path}` lacks the required column{'s' * (len(missing) > 1)} {', '.join(missing)}")
        if sketches_suffice and sketched(file):
            names -= set(TEXT_COLUMNS)
        start = 0
        for raw in file.iter_batches(batch_rows, columns=[f.name for f in schema if f.name in names]):
            yield _typed(raw, schema, start, path, refused)
            start += raw.num_rows
    except (OSError, pa.ArrowException, UnicodeDecodeError) as error:
        raise InputError(f"`{path}` is not a readable Parquet file: {str(error).splitlines()[0]}") from error


def _typed(raw: pa.RecordBatch, schema: pa.Schema, start: int, path: Path, refused: RefusedRows) -> pa.RecordBatch:
    """Cast the columns to the schema's types; rows that cannot be are refused."""
    faults: dict[int, tuple[str, str]] = {}

    def refuse(row: int, column: str, reason: str) -> None:
        faults.setdefault(row, (column, reason))

    refuse_row: Refuse = refuse
    columns = [
        convert_column(raw.column(f.name), f, refuse_row)
        if f.name in raw.schema.names
        else pa.nulls(raw.num_rows, f.type)
        for f in schema
    ]
    batch = pa.RecordBatch.from_arrays(columns, names=schema.names)
    numbers = list(range(start + 1, start + raw.num_rows + 1))
    if faults:
        for row, (column, reason) in sorted(faults.items()):
            refused.add(str(path), numbers[row], column, reason, shown(raw.column(column)[row]))
        good = [row for row in range(raw.num_rows) if row not in faults]
        batch, numbers = batch.take(pa.array(good, pa.int64())), [numbers[row] for row in good]
    return checked(batch, schema, numbers, str(path), refused)
