"""The write-ahead files of one writer: exchanges that are safe but not yet in a segment.

A spool is a row of files that are only ever appended to, beside a lock file. The lock is held for the writer's life and
released by the operating system however the process ends, so that a spool whose lock is free belongs to a dead writer.

A file is a row of frames: length and CRC-32 of what follows, one byte for its kind, one exchange in MessagePack. What
a crash left half written at the end does not check, and was acknowledged to nobody. Frames are numbered through all
files, and a file is named after the number of its first. A segment covers all frames up to a number, which is how a
crash between committing a segment and deleting its file is told from a crash before.
"""

from __future__ import annotations

import errno
import fcntl
import os
import struct
import threading
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, NamedTuple

import msgspec
import numpy as np
import pyarrow as pa

from tiergate.errors import LedgerError
from tiergate.ledger.record_files import sync_folder
from tiergate.ledger.row_sketches import RowSketches
from tiergate.records.schema import EXCHANGE_SCHEMA, LOG_SCHEMA, SKETCH_SCHEMA, Exchange

FILE_FRAMES: Final = 100_000
"""Frames of a file, about, after which the next one is begun. A file becomes one segment."""

_HEAD: Final = struct.Struct("<IIB")
_ROW: Final = 1
_BEGUN: Final = 2
_CHUNK_ROWS: Final = 512
"""Rows that are turned into columns at once. The event loop has to wait for it: a third of a millisecond."""
_CHECK_BYTES: Final = 64 << 10


class Spooled(msgspec.Struct, array_like=True, frozen=True, gc=False):
    """An exchange with its sketches, as it is spooled."""

    exchange: Exchange
    sketches: RowSketches


_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(Spooled).decode


class _File(NamedTuple):
    """A file that nothing is added to any more; frames are numbered from ``first`` to ``last``."""

    path: Path
    first: int
    last: int


class Spool:
    """One writer's spool. Thread-safe.

    :param durable: sync every write to the disk.
    Raises `LedgerError` when the folder cannot be written or another process holds this spool.
    """

    def __init__(self, folder: Path, writer: str, *, durable: bool = False) -> None:
        self.writer = writer
        self._folder, self._durable = folder, durable
        self._mutex = threading.Lock()
        self._lock_path = folder / f"{writer}.lock"
        self._held = _try_lock(self._lock_path)
        if self._held is None:
            raise LedgerError(f"the spool of `{self._lock_path}` belongs to a writer that is still running")
        self._full: list[_File] = []
        self._first = self._next = 1
        self._rows = self._size = self._committed = 0
        self._descriptor: int | None = None
        self._torn = False
        self._begun: dict[str, tuple[int, bytes]] = {}
        """Answers that have only begun: a frame in the file that each is in, and its payload."""
        for path in _files(folder, writer):
            self._take_over(path)

    @property
    def unsealed(self) -> int:
        """Frames that no committed segment covers."""
        return self._next - 1 - self._committed

    def check(self) -> None:
        """Raise `LedgerError` where the folder takes no more."""
        path = self._folder / f"{self.writer}.check"
        try:
            path.write_bytes(b"\0" * _CHECK_BYTES)
            path.unlink()
        except OSError as error:
            raise _explained(path, error) from error

    def append(self, rows: Sequence[Spooled]) -> None:
        """Store complete exchanges; one that was begun is completed. A repeated id keeps its first row."""
        payloads = [_encode(row) for row in rows]
        if not payloads:
            return
        with self._mutex:
            self._write(_ROW, payloads)
            self._rows += len(rows)
            for row in rows:
                self._begun.pop(row.exchange.exchange_id, None)
            if self._next - self._first >= FILE_FRAMES:
                self._end_file()

    def begin(self, rows: Sequence[Spooled]) -> None:
        """Store exchanges whose answers have only begun; `append` of the same ids completes them."""
        payloads = [_encode(row) for row in rows]
        if not payloads:
            return
        with self._mutex:
            last = self._write(_BEGUN, payloads)
            for row, payload in zip(rows, payloads, strict=True):
                self._begun[row.exchange.exchange_id] = last, payload

    def settle_begun(self) -> None:
        """Take what was begun as it is: its writer died before the end."""
        self.append([_decode(payload) for _, payload in self._begun.values()])

    def end_file(self) -> None:
        """Let the next frame begin a new file, if this one has a row: `read` gives files that nothing is added to."""
        with self._mutex:
            if self._rows:
                self._end_file()

    def read(self) -> tuple[pa.Table, int, int] | None:
        """The oldest file's rows, none or more, as a table of `LOG_SCHEMA`, and its first and last number."""
        with self._mutex:
            self._clear()
            oldest = self._full[0] if self._full else None
        if oldest is None:
            return None
        try:
            data = oldest.path.read_bytes()
        except OSError as error:
            raise _explained(oldest.path, error) from error
        return pa.Table.from_batches(_batches(data), LOG_SCHEMA), oldest.first, oldest.last

    def drop(self, last: int) -> None:
        """Forget frames up to number ``last``: a committed segment has their rows."""
        with self._mutex:
            self._committed = max(self._committed, last)
            self._clear()

    def close(self, *, remove: bool = False) -> None:
        """Release the spool; with ``remove`` delete its files, which must hold nothing by then."""
        with self._mutex:
            self._end_file()
            if remove:
                for path in (*_files(self._folder, self.writer), self._lock_path):
                    path.unlink(missing_ok=True)
            if self._held is not None:
                os.close(self._held)
                self._held = None

    def _take_over(self, path: Path) -> None:
        """Read what a dead writer left in a file."""
        first = self._next = int(path.suffixes[-2][1:])
        try:
            data = path.read_bytes()
        except OSError as error:
            raise _explained(path, error) from error
        for kind, payload in _frames(data):
            row = _decode(payload)
            if kind == _BEGUN:
                self._begun[row.exchange.exchange_id] = self._next, payload
            else:
                self._begun.pop(row.exchange.exchange_id, None)
            self._next += 1
        if self._next == first:
            path.unlink()
        else:
            self._full.append(_File(path, first, self._next - 1))
        self._first = self._next

    def _write(self, kind: int, payloads: list[bytes]) -> int:
        """Add frames; returns the number of the last. Nothing is added where it raises."""
        frames = b"".join([_frame(kind, payload) for payload in payloads])
        try:
            if self._descriptor is None:
                self._descriptor = os.open(self._open_file(), os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
                if self._durable:
                    sync_folder(self._folder)
            if self._torn:
                os.ftruncate(self._descriptor, self._size)
            self._torn = True
            written = os.write(self._descriptor, frames)
            if written < len(frames):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            if self._durable:
                os.fdatasync(self._descriptor)
            self._torn = False
        except OSError as error:
            raise _explained(self._open_file(), error) from error
        self._size += written
        self._next += len(payloads)
        return self._next - 1

    def _open_file(self) -> Path:
        return self._folder / f"{self.writer}.{self._first:012d}.spool"

    def _end_file(self) -> None:
        """Let the next frame begin a new file."""
        if self._descriptor is None:
            return
        path = self._open_file()
        try:
            if self._torn:
                os.ftruncate(self._descriptor, self._size)
                self._torn = False
            os.close(self._descriptor)
        except OSError as error:
            raise _explained(path, error) from error
        self._descriptor = None
        if self._next > self._first:
            self._full.append(_File(path, self._first, self._next - 1))
        self._first, self._rows, self._size = self._next, 0, 0

    def _clear(self) -> None:
        """Delete files whose rows a segment has; answers that begun in them, and have not ended, are written anew."""
        while self._full and self._full[0].last <= self._committed:
            oldest = self._full[0]
            for name, (number, payload) in list(self._begun.items()):
                if number <= oldest.last:
                    self._begun[name] = self._write(_BEGUN, [payload]), payload
            try:
                oldest.path.unlink(missing_ok=True)
            except OSError as error:
                raise _explained(oldest.path, error) from error
            del self._full[0]


def abandoned(folder: Path) -> list[str]:
    """Writers whose spool is here and whose process is gone."""
    writers = []
    for path in sorted(folder.glob("*.lock")):
        lock = _try_lock(path)
        if lock is not None:
            os.close(lock)
            writers.append(path.stem)
    return writers


def read_spools(folder: Path) -> list[pa.RecordBatch]:
    """Complete rows of all spools, without disturbing their writers."""
    batches: list[pa.RecordBatch] = []
    for path in sorted(folder.glob("*.spool")):
        try:
            data = path.read_bytes()
        except FileNotFoundError:
            continue  # sealed between the listing and now
        except OSError as error:
            raise LedgerError(f"cannot read the spool `{path}`: {error.strerror}") from error
        batches += _batches(data)
    return batches


@dataclass
class Followed:
    """How far a file was followed: bytes, and the ids of its rows."""

    offset: int = 0
    seen: set[str] = field(default_factory=set)


def follow(path: Path, place: Followed) -> list[pa.RecordBatch]:
    """Complete rows that a file got since ``place``, which moves on; none of a file that is gone, as it was sealed."""
    try:
        with path.open("rb") as file:
            file.seek(place.offset)
            data = file.read()
    except FileNotFoundError:
        return []
    except OSError as error:
        raise LedgerError(f"cannot read the spool `{path}`: {error.strerror}") from error
    payloads = []
    for kind, payload in _frames(data):
        place.offset += _HEAD.size + len(payload)
        if kind == _ROW:
            payloads.append(payload)
    return _rows(payloads, place.seen)


def _files(folder: Path, writer: str) -> list[Path]:
    return sorted(folder.glob(f"{writer}.*.spool"))


def _frame(kind: int, payload: bytes) -> bytes:
    return _HEAD.pack(len(payload), zlib.crc32(payload, kind), kind) + payload


def _frames(data: bytes) -> Iterator[tuple[int, bytes]]:
    """Kind and payload of each frame, up to one that is not whole."""
    start = 0
    while start + _HEAD.size <= len(data):
        size, check, kind = _HEAD.unpack_from(data, start)
        start += _HEAD.size
        payload = data[start : start + size]
        start += size
        if kind not in (_ROW, _BEGUN) or len(payload) < size or zlib.crc32(payload, kind) != check:
            return
        yield kind, payload


def _batches(data: bytes) -> list[pa.RecordBatch]:
    """The rows of a file, each id once, as batches of `LOG_SCHEMA`."""
    return _rows([payload for kind, payload in _frames(data) if kind == _ROW], set())


def _rows(payloads: list[bytes], seen: set[str]) -> list[pa.RecordBatch]:
    """Rows whose id is not in ``seen``, which gets it; in batches of few rows each, as they take much memory."""
    batches = []
    for start in range(0, len(payloads), _CHUNK_ROWS):
        rows = []
        for row in map(_decode, payloads[start : start + _CHUNK_ROWS]):
            if row.exchange.exchange_id not in seen:
                seen.add(row.exchange.exchange_id)
                rows.append(row)
        if rows:
            exchanges, sketches = _columns([row.exchange for row in rows]), _columns([row.sketches for row in rows])
            columns = [
                *(pa.array(exchanges[field.name], field.type) for field in EXCHANGE_SCHEMA),
                *(_column(sketches[field.name], field) for field in SKETCH_SCHEMA),
            ]
            batches.append(pa.RecordBatch.from_arrays(columns, schema=LOG_SCHEMA))
    return batches


def _columns(rows: Sequence[msgspec.Struct]) -> dict[str, tuple[Any, ...]]:
    """The fields of structs of one kind. Row by row: a field at a time would bring each row into the cache anew, which
    takes six times as long."""
    return dict(zip(rows[0].__struct_fields__, zip(*map(msgspec.structs.astuple, rows), strict=True), strict=True))


def _column(values: Sequence[Any], field: pa.Field) -> pa.Array:
    if not pa.types.is_list(field.type):
        return pa.array(values, field.type)
    held = [value or b"" for value in values]
    offsets = np.zeros(len(held) + 1, np.int32)
    np.cumsum([len(value) // 8 for value in held], out=offsets[1:])
    absent = pa.array([value is None for value in values], pa.bool_())
    hashes = pa.array(np.frombuffer(b"".join(held), "<i8"))
    return pa.ListArray.from_arrays(pa.array(offsets), hashes, type=field.type, mask=absent)


def _try_lock(path: Path) -> int | None:
    """File descriptor of the lock, or None when another process (or another spool of this one) holds it."""
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    except OSError as error:
        raise _explained(path, error) from error
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(descriptor)
        return None
    # The file may have been removed by the previous holder after we opened it: then this lock guards nothing.
    if not path.exists() or os.fstat(descriptor).st_ino != path.stat().st_ino:
        os.close(descriptor)
        return None
    return descriptor


def _explained(path: Path, error: OSError) -> LedgerError:
    return LedgerError(f"cannot write the exchange log at `{path}`: {error}; free space or mend its rights")
