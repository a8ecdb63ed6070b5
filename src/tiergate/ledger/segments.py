"""Sealed exchanges: Parquet segments, and the manifest that says which of them count.

A segment counts from the moment its manifest entry appears. Entries are numbered files that appear whole or not at
all and are never changed: a finished temporary file is linked to the next free number, which fails if somebody
else was faster (put if absent).
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from tiergate.errors import LedgerError
from tiergate.records.read import sketched
from tiergate.records.schema import TEXT_COLUMNS


class Entry(msgspec.Struct, frozen=True, kw_only=True):
    """One segment. ``first_seq`` and ``last_seq``: rows of the writer's spool that it covers; times in microseconds
    since the epoch, UTC."""

    segment: str
    writer: str
    first_seq: int
    last_seq: int
    rows: int
    first_started_at: int
    last_started_at: int
    format: int = 1


class Segments:
    """The segments and the manifest of one log folder."""

    def __init__(self, folder: Path) -> None:
        self._segments = folder / "segments"
        self._manifest = folder / "manifest"

    def make(self) -> None:
        for path in (self._segments, self._manifest):
            path.mkdir(parents=True, exist_ok=True)

    def entries(self) -> list[Entry]:
        """All entries in order. Raises `LedgerError` when one cannot be read."""
        found = []
        for path in sorted(self._manifest.glob("*.json")):
            try:
                found.append(msgspec.json.decode(path.read_bytes(), type=Entry))
            except (OSError, msgspec.DecodeError) as error:
                raise _damaged(path, error) from error
        return found

    def after(self, number: int) -> Iterator[tuple[int, Entry]]:
        """Entries above ``number``, each with its own, in order: without reading those up to it again. 0 for all.

        Raises `LedgerError` when one cannot be read.
        """
        if number == 0:
            number = min((int(path.stem) for path in self._manifest.glob("*.json")), default=1) - 1
        while (entry := self.named(number + 1)) is not None:
            number += 1
            yield number, entry

    def named(self, number: int) -> Entry | None:
        """The entry with that number, None where there is none. Raises `LedgerError` when it cannot be read."""
        path = self._manifest / f"{number:012d}.json"
        try:
            return msgspec.json.decode(path.read_bytes(), type=Entry)
        except FileNotFoundError:
            return None
        except (OSError, msgspec.DecodeError) as error:
            raise _damaged(path, error) from error

    def commit(self, rows: pa.Table, writer: str, first_seq: int, last_seq: int) -> Entry:
        """Write ``rows`` as a segment and make it count."""
        name = f"{writer}-{first_seq:012d}-{last_seq:012d}.parquet"
        times = pc.min_max(rows.column("started_at").cast(pa.int64())).as_py()
        entry = Entry(
            segment=name,
            writer=writer,
            first_seq=first_seq,
            last_seq=last_seq,
            rows=rows.num_rows,
            first_started_at=times["min"],
            last_started_at=times["max"],
        )
        try:
            part = self._segments / f".{name}.part"
            with part.open("wb") as file:
                pq.write_table(rows, file, compression="zstd")
                file.flush()
                os.fsync(file.fileno())
            part.replace(self._segments / name)
            _sync_folder(self._segments)
            self._put(entry)
        except OSError as error:
            raise LedgerError(
                f"cannot write segment `{self._segments / name}`: {error}; free space and retry"
            ) from error
        return entry

    def path(self, entry: Entry) -> Path:
        return self._segments / entry.segment

    def read(
        self, entry: Entry, columns: list[str], batch_rows: int, *, sketches_suffice: bool = False
    ) -> Iterator[pa.RecordBatch]:
        """Batches of one segment; text null where ``sketches_suffice`` and all rows have them.

        Raises `LedgerError` when it is missing or damaged.
        """
        path = self.path(entry)
        try:
            file = pq.ParquetFile(path)
            unread = set(TEXT_COLUMNS) if sketches_suffice and sketched(file) else set()
            for batch in file.iter_batches(batch_rows, columns=[name for name in columns if name not in unread]):
                for name in unread.intersection(columns):
                    batch = batch.append_column(name, pa.nulls(batch.num_rows, pa.string()))
                yield batch
        except (OSError, pa.ArrowException) as error:
            raise LedgerError(f"segment `{path}` is missing or damaged ({error}): restore it from a copy") from error

    def remove_leftovers(self, writer: str) -> None:
        """Delete files of a dead writer that no entry names: it died before committing them."""
        known = {entry.segment for entry in self.entries()}
        for pattern in (f"{writer}-*.parquet", f".{writer}-*.part"):
            for path in self._segments.glob(pattern):
                if path.name not in known:
                    path.unlink(missing_ok=True)

    def _put(self, entry: Entry) -> None:
        part = self._manifest / f".{entry.segment}.part"
        with part.open("wb") as file:
            file.write(msgspec.json.encode(entry))
            file.flush()
            os.fsync(file.fileno())
        number = max((int(path.stem) for path in self._manifest.glob("*.json")), default=0) + 1
        while True:
            with contextlib.suppress(FileExistsError):
                os.link(part, self._manifest / f"{number:012d}.json")
                break
            number += 1
        part.unlink()
        _sync_folder(self._manifest)


def _damaged(path: Path, error: Exception) -> LedgerError:
    return LedgerError(f"manifest entry `{path}` is damaged ({error}): restore it from a copy")


def _sync_folder(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
