"""The decision log: every decision is in it before it is acted upon, and nothing in it can be changed unseen.

A folder with one writer, which holds its lock, and any number of readers (`tiergate.ledger.decision_reader`)::

    log.json         the log's name
    records/         canonical JSON, framed; see `tiergate.ledger.record_files`
    hashes           the Merkle tree; see `tiergate.ledger.merkle`
    personal.sqlite  values and salts that can be erased; see `tiergate.ledger.personal`
    checkpoint       the last one that was signed; `cosigned`: the last that has a witness's signature

An append writes personal values, then records, then hashes. A record counts once its hash is there, so that whatever a
crash leaves is either whole or beyond what counts. Opening takes up whole records that were written but not hashed,
cuts off half of one, and checks everything that came after the last checkpoint; everything before was synced when that
was signed.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

import msgspec

from tiergate.clock import SECOND
from tiergate.errors import InputError, LedgerError, ProofError
from tiergate.ledger.checkpoints import Checkpoint, sign_checkpoint, verify_checkpoint
from tiergate.ledger.decision_reader import (
    ABOUT,
    CHECKPOINT,
    COSIGNED,
    HASHES,
    PERSONAL,
    RECORDS,
    About,
    DecisionReader,
    read_about,
    read_checkpoint,
)
from tiergate.ledger.decision_records import Decided, Opening, commit
from tiergate.ledger.merkle import HASH_BYTES, Frontier, leaf_hash, stored_count, stored_size
from tiergate.ledger.notes import PrivateKey, PublicKey, SignatureLine, merged
from tiergate.ledger.personal import PersonalValues
from tiergate.ledger.record_files import FILE_RECORDS, RecordFiles, replace_file, sync_folder, write_all

CHECKPOINT_EVERY_US: Final = SECOND
CHECKPOINT_RECORDS: Final = 10_000
"""A checkpoint is due after this time or this many records, whichever is first."""


class _Batch:
    """What one call of `append` waits for."""

    def __init__(self, texts: list[bytes], leaves: list[bytes], openings: list[list[Opening]]) -> None:
        self.texts = texts
        self.leaves = leaves
        self.openings = openings
        self.first: int | None = None
        self.error: LedgerError | None = None

    @property
    def done(self) -> bool:
        return self.first is not None or self.error is not None


class DecisionLog:
    """The writer of a log. Thread-safe: appends that wait for each other are written together."""

    def __init__(self, folder: Path, lock: int, about: About, *, durable: bool) -> None:
        self.folder = folder
        self.origin = about.origin
        self._lock = lock
        self._durable = durable
        self._files = RecordFiles(folder / RECORDS)
        self._hashes = os.open(folder / HASHES, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o600)
        self._personal = PersonalValues(folder / PERSONAL, durable=durable)
        self._frontier = Frontier()
        self._turn = threading.Condition()
        self._writing = False  # whether a thread is; it and what waits change under `_turn`
        self._waiting: list[_Batch] = []
        self._broken: str | None = None
        self._signed = 0
        self._signed_at_us: int | None = None

    @classmethod
    def open(
        cls, folder: Path, *, origin: str | None = None, durable: bool = False, accept_loss: bool = False
    ) -> DecisionLog:
        """Open ``folder`` for writing, made if absent, and mend what a crash left.

        :param origin: the log's name, such as ``example.com/decisions``; needed for a new log, checked for an old one.
        :param durable: sync each append to the disk, so that it survives the loss of power too.
        :param accept_loss: go on without records that were acknowledged and are gone or damaged, as after the loss of
            power without ``durable``, and make all hashes anew. Never below the last checkpoint.
        Raises `LedgerError` when another process writes the log, or it is damaged.
        """
        try:
            folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            (folder / RECORDS).mkdir(exist_ok=True, mode=0o700)
            lock = os.open(folder / "lock", os.O_RDWR | os.O_CREAT, 0o600)
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                raise LedgerError(f"another process writes the decision log at `{folder}`") from None
            try:
                about = _about(folder, origin)
                log = cls(folder, lock, about, durable=durable)
            except BaseException:
                os.close(lock)
                raise
            try:
                sync_folder(folder)
                log._mend(accept_loss=accept_loss)
            except BaseException:
                log.close()
                raise
        except OSError as error:
            raise LedgerError(f"cannot write the decision log at `{folder}`: {error.strerror}") from error
        return log

    @property
    def size(self) -> int:
        """Number of records that are acknowledged."""
        return self._frontier.size

    def append(self, decided: Sequence[Decided]) -> range:
        """Record decisions; returns their indexes once they survive the death of the process (``durable``: of power).

        Raises `InputError` for what cannot be recorded, and `LedgerError` when it cannot be written: then none is.
        """
        made = commit(decided)
        texts = [text for text, _ in made]
        batch = _Batch(texts, [leaf_hash(text) for text in texts], [openings for _, openings in made])
        with self._turn:
            self._waiting.append(batch)
            while self._writing and not batch.done:
                self._turn.wait()
            if not batch.done:
                # Whoever gets to write takes along all who wait.
                group, self._waiting = self._waiting, []
                self._writing = True
        if not batch.done:
            try:
                self._write(group)
            finally:
                self._pass_on()
        if batch.error is not None:
            raise batch.error
        assert batch.first is not None
        return range(batch.first, batch.first + len(texts))

    def sign(self, key: PrivateKey, now_us: int) -> Checkpoint:
        """Sync the log to the disk, then sign and store a checkpoint of all that it holds.

        :param now_us: microseconds since the epoch; for `checkpoint_due`, it is not in the checkpoint.
        Raises `InputError` for a key of another log or a log without records, `LedgerError` when it cannot be written.
        """
        if key.public.name != self.origin:
            raise InputError(f"the key is that of `{key.public.name}`, and the log is `{self.origin}`")
        with self._alone():
            self._check_whole()
            if not self.size:
                raise InputError("a log without records has nothing to be signed")
            try:
                self._files.sync()
                os.fdatasync(self._hashes)
                checkpoint = sign_checkpoint(key, self.size, self._frontier.root())
                replace_file(self.folder / CHECKPOINT, str(checkpoint).encode())
            except OSError as error:
                # After a failed sync nobody knows what the disk has.
                self._broken = f"a checkpoint could not be written: {error.strerror}"
                raise LedgerError(f"cannot write the decision log at `{self.folder}`: {error.strerror}") from error
            self._signed, self._signed_at_us = self.size, now_us
        return checkpoint

    def checkpoint_due(self, now_us: int) -> bool:
        """Whether there are unsigned records, and time or number ask for a checkpoint."""
        new = self.size - self._signed
        waited = self._signed_at_us is None or now_us - self._signed_at_us >= CHECKPOINT_EVERY_US
        return new > 0 and (waited or new >= CHECKPOINT_RECORDS)

    def close(self) -> None:
        """Release the log."""
        with self._alone():
            self._broken = self._broken or "it is closed"
            self._files.close()
            self._personal.close()
            os.close(self._hashes)
            os.close(self._lock)

    @contextlib.contextmanager
    def _alone(self) -> Iterator[None]:
        """Keep appends waiting meanwhile."""
        with self._turn:
            while self._writing:
                self._turn.wait()
            self._writing = True
        try:
            yield
        finally:
            self._pass_on()

    def _pass_on(self) -> None:
        with self._turn:
            self._writing = False
            self._turn.notify_all()

    def _check_whole(self) -> None:
        if self._broken is not None:
            raise LedgerError(f"the decision log at `{self.folder}` takes nothing more: {self._broken}; open it again")

    def _write(self, group: Sequence[_Batch]) -> None:
        """Write batches together; each gets its place or the error. Only for whose turn it is."""
        first = self.size
        try:
            self._check_whole()
            grown = self._frontier.copy()
            hashes = b"".join(grown.extend([leaf for batch in group for leaf in batch.leaves]))
            try:
                self._personal.put(first, [held for batch in group for held in batch.openings])
                self._files.append(first, [text for batch in group for text in batch.texts])
                if self._durable:
                    self._files.sync()
                # Not synced: what is missing of them is made anew from the records.
                write_all(self._hashes, hashes)
            except (OSError, LedgerError) as error:
                self._undo(first)
                raise LedgerError(f"cannot write the decision log at `{self.folder}`: {error}") from error
        except LedgerError as error:
            for batch in group:
                batch.error = error
            return
        except BaseException:
            self._broken = "an append was interrupted"
            for batch in group:
                batch.error = LedgerError(f"an append to the decision log at `{self.folder}` was interrupted")
            raise
        self._frontier = grown
        for batch in group:
            batch.first = first
            first += len(batch.texts)

    def _undo(self, size: int) -> None:
        """Take back what a failed append left, or take nothing more: a later append must not follow half a record."""
        if self._durable:
            # After a failed sync nobody knows what the disk has.
            self._broken = "an append failed"
        try:
            self._files.cut(size)
            os.ftruncate(self._hashes, stored_count(size) * HASH_BYTES)
            self._personal.drop_from(size)
        except (OSError, LedgerError):
            self._broken = "an append failed and could not be taken back"

    def _mend(self, *, accept_loss: bool) -> None:
        checkpoint = read_checkpoint(self.folder / CHECKPOINT)
        if checkpoint is not None and checkpoint.origin != self.origin:
            raise LedgerError(f"the checkpoint at `{self.folder}` is of the log `{checkpoint.origin}`")
        if accept_loss:
            self._make_hashes_anew(checkpoint)
        reader = DecisionReader(self.folder)
        try:
            self._frontier = self._continued(reader, checkpoint)
            if checkpoint is not None and reader.root(checkpoint.size) != checkpoint.root:
                raise ProofError(f"the first {checkpoint.size} records are not those that were signed")
        except ProofError as error:
            advice = "restore a copy" if accept_loss else "run `tiergate decisions recover`, or restore a copy"
            raise LedgerError(f"the decision log at `{self.folder}` is damaged: {error}; {advice}") from error
        finally:
            reader.close()
        self._signed = checkpoint.size if checkpoint is not None else 0
        self._files.cut(self.size)
        self._personal.drop_from(self.size)

    def _continued(self, reader: DecisionReader, checkpoint: Checkpoint | None) -> Frontier:
        """The frontier after what the last checkpoint signed and all whole records since, with their hashes stored."""
        signed, counted = (checkpoint.size if checkpoint is not None else 0), reader.size
        if counted < signed:
            raise ProofError(f"{signed} records were signed, and {counted} are there", index=counted)
        # A file system that lost power may give zeros for what it had not written: no hash is that.
        tail = reader.stored_hashes(signed, counted)
        written = next((n for n in range(0, len(tail), HASH_BYTES) if not any(tail[n : n + HASH_BYTES])), len(tail))
        counted = stored_size(stored_count(signed) + written // HASH_BYTES)
        frontier = Frontier.at(signed, reader.hash_at)
        for first, texts in _whole(self._files, signed):
            made = b"".join(frontier.extend([leaf_hash(text) for text in texts]))
            known = reader.stored_hashes(first, min(counted, frontier.size)) if first < counted else b""
            if made[: len(known)] != known:
                raise ProofError(f"records from {first} on are not those whose hashes are stored", index=first)
            if frontier.size > counted:
                os.ftruncate(self._hashes, stored_count(first) * HASH_BYTES + len(known))
                write_all(self._hashes, made[len(known) :])
        if frontier.size < counted:
            raise ProofError(f"record {frontier.size} of {counted} is missing or damaged", index=frontier.size)
        os.ftruncate(self._hashes, stored_count(frontier.size) * HASH_BYTES)
        return frontier

    def _make_hashes_anew(self, checkpoint: Checkpoint | None) -> None:
        """Replace all hashes by those of the whole records, if these still are what was signed."""
        frontier = Frontier()
        signed = checkpoint.size if checkpoint is not None else 0
        part = self.folder / f".{HASHES}.part"
        made = os.open(part, os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND, 0o600)
        try:
            for _, texts in _whole(self._files, 0):
                write_all(made, b"".join(frontier.extend([leaf_hash(text) for text in texts])))
            if frontier.size < signed:
                held = f"{frontier.size} of them are whole"
                raise LedgerError(f"`{self.folder}` signed {signed} records and {held}: restore it from a copy")
            os.fsync(made)
        except BaseException:
            os.close(made)
            raise
        part.replace(self.folder / HASHES)
        sync_folder(self.folder)
        os.close(self._hashes)
        self._hashes = made


def add_cosignatures(
    folder: Path, checkpoint: Checkpoint, lines: Sequence[SignatureLine], log: PublicKey
) -> Checkpoint:
    """Keep signatures of witnesses with a checkpoint of this log, for receipts.

    Raises `ProofError` when the checkpoint is not the log's, or a line puts something else in place of the log's own
    signature, and `InputError` when a later one is already kept.
    """
    verify_checkpoint(checkpoint, log)
    reader = DecisionReader(folder)
    try:
        if checkpoint.size > reader.size or reader.root(checkpoint.size) != checkpoint.root:
            raise ProofError(f"the checkpoint of {checkpoint.size} records is not of what `{folder}` holds")
    finally:
        reader.close()
    kept = read_checkpoint(folder / COSIGNED)
    if kept is not None and kept.size > checkpoint.size:
        raise InputError(f"a later checkpoint, of {kept.size} records, is cosigned already")
    if kept is not None and kept.note.text == checkpoint.note.text:
        lines = [*kept.note.signatures, *lines]
    checkpoint = checkpoint._replace(note=merged(checkpoint.note, lines))
    verify_checkpoint(checkpoint, log)
    replace_file(folder / COSIGNED, str(checkpoint).encode())
    return checkpoint


def _about(folder: Path, origin: str | None) -> About:
    if not (folder / ABOUT).exists():
        if origin is None:
            raise InputError(f"`{folder}` is not a decision log: a new one needs a name, its origin")
        if any((folder / RECORDS).iterdir()):
            raise LedgerError(f"`{folder / ABOUT}` is missing: restore it from a copy")
        replace_file(folder / ABOUT, msgspec.json.encode(About(origin)))
        with contextlib.suppress(OSError):
            sync_folder(folder.parent)
    about = read_about(folder)
    if origin not in (None, about.origin):
        raise InputError(f"the log at `{folder}` is `{about.origin}`, not `{origin}`")
    return about


def _whole(files: RecordFiles, start: int) -> Iterator[tuple[int, list[bytes]]]:
    """Index of the first and the records, file by file from ``start``, up to damage or the end."""
    while True:
        number, within = divmod(start, FILE_RECORDS)
        found = files.parse(number, skip=within)
        if found.records:
            yield start, found.records
        start += len(found.records)
        if found.more or start < (number + 1) * FILE_RECORDS:
            return
