"""What own accounts came through and with, by the whole log, of which only what is new is read.

    <data>/sharing_clients.parquet    rows of the sealed segments, each once; which segments, in its metadata

It is a remembrance and no record: where it is gone or damaged, or a segment is gone whose rows it has, all is read
again.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Final

import pyarrow as pa
import pyarrow.parquet as pq

from tiergate.ledger.log import read_pieces
from tiergate.sharing.matching import COLUMNS

FILE: Final = "sharing_clients.parquet"
_READ: Final = ("account_id", *COLUMNS)
_SEGMENTS: Final = b"tiergate.segments"


def clients(data: Path) -> list[pa.RecordBatch]:
    """``account_id`` and `matching.COLUMNS` of all complete exchanges of a deployment; what recurs need not.

    Raises `LedgerError` when the log is none or is damaged.
    """
    segments, spooled = read_pieces(data / "log", columns=_READ)
    there = {path.name: read for path, read in segments.items()}
    held, rows = _remembered(data / FILE)
    if not held <= there.keys():
        held, rows = set(), None
    new = sorted(there.keys() - held)
    for name in new:
        batches = list(there[name]())
        if batches:
            more = pa.Table.from_batches(batches)
            rows = _once(more if rows is None else pa.concat_tables([rows, more]))
    if new and rows is not None:
        _remember(data / FILE, rows, sorted(there))
    return [*([] if rows is None else rows.to_batches()), *spooled]


def _once(rows: pa.Table) -> pa.Table:
    return rows.group_by(list(_READ)).aggregate([]).select(_READ)


def _remembered(path: Path) -> tuple[set[str], pa.Table | None]:
    try:
        rows = pq.read_table(path)
        held = json.loads((rows.schema.metadata or {})[_SEGMENTS])
        return set(held), rows.select(_READ).replace_schema_metadata(None)
    except (OSError, pa.ArrowException, KeyError, ValueError, TypeError):
        return set(), None


def _remember(path: Path, rows: pa.Table, segments: list[str]) -> None:
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        pq.write_table(rows.replace_schema_metadata({_SEGMENTS: json.dumps(segments)}), part, compression="zstd")
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)
