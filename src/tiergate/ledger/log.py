"""The exchange log: one writer a process, many readers, nothing lost when a process is killed.

``append`` returns when the rows survive ``kill -9``: they are in the writer's spool. ``seal`` moves them to a
Parquet segment in four steps, each of which may be the last before a crash:

1. the segment is written under a temporary name, synced and renamed;
2. its manifest entry appears: from here on the segment counts;
3. the spool forgets the rows;
4. a later ``open`` finds what a dead writer left: rows up to the manifest's number are dropped, the rest sealed.
"""

from __future__ import annotations

import secrets
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path

import msgspec
import pyarrow as pa

from tiergate.errors import LedgerError
from tiergate.ledger.row_sketches import RowSketcher, RowSketches
from tiergate.ledger.segments import Segments
from tiergate.ledger.sketches import Sketcher
from tiergate.ledger.spool import Spool, Spooled, abandoned, read_spools
from tiergate.records.schema import LOG_SCHEMA, Exchange, Retention

INTERRUPTED = "interrupted"
"""Finish reason of an exchange whose writer died while its answer was being streamed."""


class ExchangeLog:
    """A writer of the log in one folder. Thread-safe; several processes may each have their own.

    With ``retention="sketches"`` text is replaced by its sketches in memory and never reaches the disk.
    """

    def __init__(self, folder: Path, spool: Spool, sketcher: Sketcher, retention: Retention) -> None:
        self._segments = Segments(folder)
        self._spool = spool
        self._sketcher = RowSketcher(sketcher)
        self._keep_text = retention == "text"
        self._sketched: dict[str, RowSketches] = {}
        """Sketches of exchanges that are yet to be appended."""
        self._sealing = threading.Lock()

    @classmethod
    def open(
        cls, folder: Path, *, sketcher: Sketcher, retention: Retention = "sketches", durable: bool = False
    ) -> ExchangeLog:
        """Open ``folder`` for writing, made if absent, and seal what dead writers left.

        :param durable: sync every append to the disk, so that it survives the loss of power too.
        Raises `LedgerError` when the folder cannot be written or is damaged.
        """
        try:
            Segments(folder).make()
            (folder / "spool").mkdir(exist_ok=True)
        except OSError as error:
            raise LedgerError(f"cannot write the exchange log at `{folder}`: {error.strerror}") from error
        adopt(folder)
        return cls(folder, _new_spool(folder / "spool", durable=durable), sketcher, retention)

    @property
    def writer(self) -> str:
        """The name of this writer, which no other has or had."""
        return self._spool.writer

    @property
    def unsealed(self) -> int:
        """Exchanges, and beginnings of such, that are spooled and in no segment."""
        return self._spool.unsealed

    def check(self) -> None:
        """Raise `LedgerError` where nothing could be stored now."""
        self._spool.check()

    def sketch(self, exchanges: Sequence[Exchange]) -> None:
        """Make the sketches of exchanges before they are stored, when there is time. They are kept until `append` of
        the same ids, or `forget`."""
        made = self._sketcher.sketch([(one.system_text, one.prompt_text) for one in exchanges])
        self._sketched |= zip([one.exchange_id for one in exchanges], made, strict=True)

    def forget(self, exchange_id: str) -> None:
        """Drop the sketches of an exchange that is not appended."""
        self._sketched.pop(exchange_id, None)

    def append(self, exchanges: Sequence[Exchange]) -> None:
        """Store complete exchanges; returns when they survive the death of the process."""
        if exchanges:
            self._spool.append(self._spooled(exchanges))

    def begin(self, exchanges: Sequence[Exchange]) -> None:
        """Store exchanges whose streamed answers begin now; `append` of the same ids completes them.

        If the process dies in between, the log shows them with finish reason `interrupted`.
        """
        if not exchanges:
            return
        rows = self._spooled([msgspec.structs.replace(one, finish_reason=INTERRUPTED) for one in exchanges])
        self._spool.begin(rows)
        self._sketched |= {row.exchange.exchange_id: row.sketches for row in rows}

    def seal(self) -> int:
        """Move what is spooled to segments; returns the rows moved."""
        with self._sealing:
            return _seal(self._spool, self._segments)

    def close(self) -> None:
        """Seal and release the log. Streams still open are kept as interrupted."""
        self._spool.settle_begun()
        self.seal()
        self._spool.close(remove=True)

    def _spooled(self, exchanges: Sequence[Exchange]) -> list[Spooled]:
        known = [self._sketched.pop(one.exchange_id, None) for one in exchanges]
        new = [one for one, sketches in zip(exchanges, known, strict=True) if sketches is None]
        made = iter(self._sketcher.sketch([(one.system_text, one.prompt_text) for one in new]) if new else ())
        rows = []
        for exchange, sketches in zip(exchanges, known, strict=True):
            if not self._keep_text:
                exchange = msgspec.structs.replace(exchange, system_text=None, prompt_text=None, response_text=None)
            rows.append(Spooled(exchange, next(made) if sketches is None else sketches))
        return rows


def _new_spool(folder: Path, *, durable: bool) -> Spool:
    """A spool under a name of its own. One that looks for dead writers may hold a lock in the moment it is made."""
    for _ in range(4):
        with suppress(LedgerError):
            return Spool(folder, secrets.token_hex(8), durable=durable)
    return Spool(folder, secrets.token_hex(8), durable=durable)


def is_log(folder: Path) -> bool:
    """Whether ``folder`` holds an exchange log."""
    return (folder / "manifest").is_dir() and (folder / "spool").is_dir()


def read_log(
    folder: Path,
    *,
    columns: Sequence[str] | None = None,
    sketches_suffice: bool = False,
    repeats: bool = False,
    from_us: int = 0,
    batch_rows: int = 65_536,
) -> Iterator[pa.RecordBatch]:
    """Batches of all complete exchanges, sealed and spooled, each id once (the first wins).

    :param columns: some of `LOG_SCHEMA`'s columns; all when None.
    :param sketches_suffice: leave text unread, and null, in segments whose every row has sketches.
    :param repeats: let through what was sealed while it was read, which costs less than looking for it: for readers
        that count each id once themselves.
    :param from_us: leave segments unread whose exchanges all began before (microseconds since the epoch, UTC).
    Raises `LedgerError` when the folder is no log or is damaged.
    """
    if not is_log(folder):
        raise LedgerError(f"`{folder}` is not an exchange log: it has no manifest")
    wanted = list(columns) if columns is not None else LOG_SCHEMA.names
    # Spools before the manifest: what is sealed in between is then seen twice, never missed.
    spooled = read_spools(folder / "spool")
    segments = Segments(folder)
    seen: set[int] = set()
    read = list(dict.fromkeys(["exchange_id", *wanted]))
    for entry in segments.entries():
        if entry.last_started_at < from_us:
            continue
        for batch in segments.read(entry, read, batch_rows, sketches_suffice=sketches_suffice):
            yield (batch if repeats else _unseen(batch, seen)).select(wanted)
    for batch in spooled:
        for start in range(0, batch.num_rows, batch_rows):
            part = batch.slice(start, batch_rows)
            yield (part if repeats else _unseen(part, seen)).select(wanted)


def read_pieces(
    folder: Path, *, columns: Sequence[str] = LOG_SCHEMA.names, batch_rows: int = 65_536
) -> tuple[dict[Path, Callable[[], Iterator[pa.RecordBatch]]], list[pa.RecordBatch]]:
    """The log piece by piece: the sealed segments, which never change, with a reader each, and what is spooled.

    A row that is sealed meanwhile may be in both.
    Raises `LedgerError` when the folder is no log or is damaged.
    """
    if not is_log(folder):
        raise LedgerError(f"`{folder}` is not an exchange log: it has no manifest")
    spooled = read_spools(folder / "spool")
    segments = Segments(folder)
    readers = {
        segments.path(entry): partial(segments.read, entry, list(columns), batch_rows) for entry in segments.entries()
    }
    return dict(readers), [batch.select(columns) for batch in spooled]


def writer_is_gone(folder: Path, writer: str) -> bool:
    """Whether a writer ended or died, and all it wrote is sealed (see `adopt`)."""
    return not (folder / "spool" / f"{writer}.lock").exists()


def read_writer(folder: Path, writer: str, columns: Sequence[str]) -> Iterator[pa.RecordBatch]:
    """Batches of what one writer sealed. Raises `LedgerError` when it is damaged."""
    segments = Segments(folder)
    for entry in segments.entries():
        if entry.writer == writer:
            yield from segments.read(entry, list(columns), 65_536)


def _unseen(batch: pa.RecordBatch, seen: set[int]) -> pa.RecordBatch:
    fresh = []
    for name in batch.column("exchange_id").to_pylist():
        # 64-bit hashes instead of the ids: a tenth of the memory, one false repeat in 10**5 logs of 10**7 rows.
        code = hash(name)
        fresh.append(code not in seen)
        seen.add(code)
    return batch if all(fresh) else batch.filter(pa.array(fresh))


def adopt(folder: Path) -> None:
    """Seal what dead writers left and remove their spools."""
    segments = Segments(folder)
    for writer in abandoned(folder / "spool"):
        try:
            spool = Spool(folder / "spool", writer)
        except LedgerError:
            continue  # somebody else was faster
        committed = [entry.last_seq for entry in segments.entries() if entry.writer == writer]
        spool.drop(max(committed, default=0))
        spool.settle_begun()
        segments.remove_leftovers(writer)
        _seal(spool, segments)
        spool.close(remove=True)


def _seal(spool: Spool, segments: Segments) -> int:
    """Each full file of the spool becomes a segment; what is appended meanwhile waits for the next time."""
    moved = 0
    spool.end_file()
    while (oldest := spool.read()) is not None:
        rows, first, last = oldest
        if rows.num_rows:
            segments.commit(rows, spool.writer, first, last)
        spool.drop(last)
        moved += rows.num_rows
    return moved
