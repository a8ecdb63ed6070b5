"""Rows of a state folder: exchanges as detection reads them, sketched, in Parquet segments."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from tiergate.detection.intake import READ_COLUMNS, sketched
from tiergate.detection.state_manifest import Segment, damaged, synced
from tiergate.errors import InputError
from tiergate.ledger.sketches import Sketcher
from tiergate.records.schema import LOG_SCHEMA, SKETCH_SCHEMA

ROWS_SCHEMA: Final = pa.schema([LOG_SCHEMA.field(name) for name in (*READ_COLUMNS, *SKETCH_SCHEMA.names)])
BATCH_ROWS: Final = 65_536


class KeyOfRows:
    """Sees to it that all rows of a state are sketched under one key.

    ``key_id``: that key's, None before any sketch. ``sketcher``: for text, None when its key is not known.
    """

    def __init__(self, key_id: str | None, sketcher: Sketcher | None) -> None:
        self.key_id = key_id
        self._sketcher = sketcher

    def lean(self, batch: pa.RecordBatch) -> pa.RecordBatch:
        """The rows as they are kept. Raises `InputError` for text without a key and for sketches of another key."""
        if self._sketcher is None:
            text = pc.or_(batch.column("prompt_text").is_valid(), batch.column("system_text").is_valid())
            if pc.any(pc.and_(text, batch.column("sketch_key_id").is_null())).as_py():
                raise InputError(f"text cannot join a state sketched under key `{self.key_id}`: give that key by --key")
            columns = {name: batch.column(name) for name in ROWS_SCHEMA.names}
        else:
            columns = sketched(batch, self._sketcher)
        for found in pc.unique(columns["sketch_key_id"]).drop_null().to_pylist():
            self.key_id = self.key_id or found
            if found != self.key_id:
                raise InputError(
                    f"sketches of key `{found}` cannot join a state of key `{self.key_id}`: give --key if these rows "
                    "are text, another state folder if they are sketches"
                )
        return pa.RecordBatch.from_arrays([columns[name] for name in ROWS_SCHEMA.names], schema=ROWS_SCHEMA)


class SegmentWriter:
    """Writes one segment under a temporary name; it gets its own by `finish`, and goes if that is never called."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._part = path.with_name(f".{path.name}.part")
        self._writer = pq.ParquetWriter(self._part, ROWS_SCHEMA, compression="zstd", write_page_checksum=True)
        self._first: list[int] = []
        self.rows = 0

    def write(self, rows: pa.RecordBatch) -> None:
        times = pc.min_max(rows.column("started_at").cast(pa.int64())).as_py()
        self._first += [times["min"], times["max"]]
        self.rows += rows.num_rows
        self._writer.write_batch(rows)

    def finish(self) -> Segment:
        self._writer.close()
        synced(self._part, self._path)
        return Segment(
            name=self._path.name,
            rows=self.rows,
            size=self._path.stat().st_size,
            first_started_at=min(self._first),
            last_started_at=max(self._first),
        )

    def __enter__(self) -> SegmentWriter:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._writer.close()
        self._part.unlink(missing_ok=True)


def read_segment(folder: Path, segment: Segment, columns: list[str] | None = None) -> Iterator[pa.RecordBatch]:
    """Batches of one segment. Raises `InputError` when it is damaged."""
    try:
        file = pq.ParquetFile(folder / segment.name, page_checksum_verification=True)
        yield from file.iter_batches(BATCH_ROWS, columns=columns)
    except (OSError, pa.ArrowException) as error:
        raise damaged(folder, f"{segment.name}: {str(error).splitlines()[0]}") from error


class Held:
    """Exchanges that segments hold, to leave repeats of them out before they are sketched.

    Only a saving: a repeat that slips through (because its time lies outside a segment's) is told apart by `take_in`.
    """

    def __init__(self, folder: Path, segments: list[Segment]) -> None:
        self._folder = folder
        self._segments = segments
        self._loaded: dict[str, tuple[pa.ChunkedArray, npt.NDArray[np.int64]]] = {}

    def fresh(self, batch: pa.RecordBatch) -> pa.RecordBatch:
        """``batch`` without the exchanges that are held with the same time or an earlier one."""
        if not batch.num_rows:
            return batch
        ids, time = batch.column("exchange_id"), np.asarray(batch.column("started_at").cast(pa.int64()))
        fresh = np.ones(batch.num_rows, bool)
        for segment in self._segments:
            if segment.first_started_at > time.max() or segment.last_started_at < time.min():
                continue
            held_ids, held_time = self._load(segment)
            # The hash table is built on the batch, the small side.
            place = pc.index_in(held_ids, value_set=ids)
            found = np.asarray(place.is_valid())
            at = np.asarray(place.drop_null())
            repeat = held_time[found] <= time[at]
            fresh[at[repeat]] = False
        return batch if fresh.all() else batch.filter(pa.array(fresh))

    def _load(self, segment: Segment) -> tuple[pa.ChunkedArray, npt.NDArray[np.int64]]:
        if segment.name not in self._loaded:
            table = pa.Table.from_batches(list(read_segment(self._folder, segment, ["exchange_id", "started_at"])))
            self._loaded[segment.name] = table["exchange_id"], np.asarray(table["started_at"].cast(pa.int64()))
        return self._loaded[segment.name]
