"""The write-ahead file of one writer: exchanges that are durable but not yet in a segment.

A spool is an SQLite database in WAL mode beside a lock file. The lock is held for the writer's life and released
by the operating system however the process ends, so that a spool whose lock is free belongs to a dead writer.
Row numbers only ever grow; a segment covers all rows up to a number, which is how a crash between committing a
segment and deleting its rows is told from a crash before.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import sqlite3
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path

import msgspec
import pyarrow as pa

from tiergate.errors import LedgerError
from tiergate.records.schema import LOG_SCHEMA, Exchange

_TABLES = """
create table if not exists rows (
    seq integer primary key autoincrement, exchange_id text not null unique, payload blob not null);
create table if not exists begun (exchange_id text primary key, payload blob not null);
"""


class Spooled(Exchange, kw_only=True, omit_defaults=True):
    """An exchange with its sketches, as it is spooled."""

    sketch_key_id: str | None = None
    sketch_system: list[int] | None = None
    sketch_template: list[int] | None = None
    sketch_words: list[int] | None = None
    sketch_prompt: int | None = None
    sketch_intent: int | None = None


_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(Spooled).decode


class Spool:
    """One writer's spool. Thread-safe.

    Raises `LedgerError` when the folder cannot be written or another process holds this spool.
    """

    def __init__(self, folder: Path, writer: str, *, durable: bool = False) -> None:
        self.writer = writer
        self._path = folder / f"{writer}.sqlite"
        self._lock_path = folder / f"{writer}.lock"
        self._mutex = threading.Lock()
        self._held = _try_lock(self._lock_path)
        if self._held is None:
            raise LedgerError(f"`{self._path}` belongs to a writer that is still running")
        with _explained(self._path):
            self._database = sqlite3.connect(self._path, isolation_level=None, check_same_thread=False)
            self._database.execute("pragma journal_mode = wal")
            # NORMAL survives the death of the process; FULL also survives the loss of power.
            self._database.execute(f"pragma synchronous = {'full' if durable else 'normal'}")
            self._database.executescript(_TABLES)

    def append(self, rows: Sequence[Spooled]) -> None:
        """Store complete exchanges. A repeated id keeps its first row; one that was begun is completed."""
        values = [(row.exchange_id, _encode(row)) for row in rows]
        with self._mutex, self._transaction():
            self._database.executemany("delete from begun where exchange_id = ?", [value[:1] for value in values])
            self._database.executemany("insert or ignore into rows (exchange_id, payload) values (?, ?)", values)

    def begin(self, row: Spooled) -> None:
        """Store an exchange whose answer has only begun; `append` of the same id completes it."""
        with self._mutex, self._transaction():
            self._database.execute("insert or ignore into begun values (?, ?)", (row.exchange_id, _encode(row)))

    def settle_begun(self) -> None:
        """Take what was begun as it is: its writer died before the end."""
        with self._mutex, self._transaction():
            self._database.execute(
                "insert or ignore into rows (exchange_id, payload) select exchange_id, payload from begun"
            )
            self._database.execute("delete from begun")

    def read(self, limit: int) -> tuple[pa.RecordBatch, int, int]:
        """Up to ``limit`` oldest rows as a batch of `LOG_SCHEMA`, and their first and last number (0 if none)."""
        with self._mutex, _explained(self._path):
            found = self._database.execute("select seq, payload from rows order by seq limit ?", (limit,)).fetchall()
        return _batch([payload for _, payload in found]), found[0][0] if found else 0, found[-1][0] if found else 0

    def drop(self, last: int) -> None:
        """Forget rows up to number ``last``: a committed segment has them."""
        with self._mutex, self._transaction():
            self._database.execute("delete from rows where seq <= ?", (last,))

    def count(self) -> int:
        with self._mutex, _explained(self._path):
            return int(self._database.execute("select count(*) from rows").fetchone()[0])

    def close(self, *, remove: bool = False) -> None:
        """Release the spool; with ``remove`` delete its files, which must hold nothing by then."""
        with self._mutex:
            self._database.close()
            if remove:
                # A reader may still hold the database open and so keep its side files.
                for suffix in (".sqlite", ".sqlite-wal", ".sqlite-shm", ".lock"):
                    self._path.with_suffix(suffix).unlink(missing_ok=True)
            if self._held is not None:
                os.close(self._held)
                self._held = None

    @contextlib.contextmanager
    def _transaction(self) -> Iterator[None]:
        with _explained(self._path):
            self._database.execute("begin immediate")
            try:
                yield
            except BaseException:
                self._database.execute("rollback")
                raise
            self._database.execute("commit")


def abandoned(folder: Path) -> list[str]:
    """Writers whose spool is here and whose process is gone."""
    writers = []
    for path in sorted(folder.glob("*.sqlite")):
        lock = _try_lock(path.with_suffix(".lock"))
        if lock is not None:
            os.close(lock)
            writers.append(path.stem)
    return writers


def read_spools(folder: Path) -> list[pa.RecordBatch]:
    """Complete rows of all spools, a batch a spool, without disturbing their writers."""
    batches = []
    for path in sorted(folder.glob("*.sqlite")):
        with contextlib.suppress(FileNotFoundError):
            batches.append(_batch(_payloads(path)))
    return batches


def _payloads(path: Path) -> list[bytes]:
    try:
        database = sqlite3.connect(f"file:{path}?mode=ro", uri=True)
    except sqlite3.Error as error:
        if not path.exists():
            raise FileNotFoundError(path) from error
        raise LedgerError(f"cannot read the spool `{path}`: {error}") from error
    with contextlib.closing(database):
        try:
            return [payload for (payload,) in database.execute("select payload from rows order by seq")]
        except sqlite3.Error as error:
            # Its writer may have sealed and removed it between the listing and the query, or not made it yet.
            if not path.exists() or "no such table" in str(error):
                raise FileNotFoundError(path) from error
            raise LedgerError(f"cannot read the spool `{path}`: {error}") from error


def _batch(payloads: list[bytes]) -> pa.RecordBatch:
    rows = [_decode(payload) for payload in payloads]
    columns = [pa.array([getattr(row, field.name) for row in rows], field.type) for field in LOG_SCHEMA]
    return pa.RecordBatch.from_arrays(columns, schema=LOG_SCHEMA)


def _try_lock(path: Path) -> int | None:
    """File descriptor of the lock, or None when another process (or another spool of this one) holds it."""
    with _explained(path):
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
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


@contextlib.contextmanager
def _explained(path: Path) -> Iterator[None]:
    try:
        yield
    except (sqlite3.Error, OSError) as error:
        raise LedgerError(
            f"cannot write the exchange log at `{path}`: {error}; free space or mend its rights"
        ) from error
