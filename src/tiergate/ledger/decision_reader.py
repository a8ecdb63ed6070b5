"""Reading a decision log: records, proofs, and a scan that checks the whole tree. Any number at once, in any process.

A reader sees what was there when it asked for the size; records of a batch appear together or one after the other, and
never go away.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from pathlib import Path
from typing import Final, NamedTuple

import msgspec

from tiergate.errors import InputError, LedgerError, ProofError
from tiergate.ledger import merkle
from tiergate.ledger.checkpoints import Checkpoint, parse_checkpoint, verify_checkpoint
from tiergate.ledger.decision_records import DecisionRecord, Opening, check_opening, parse_record
from tiergate.ledger.merkle import HASH_BYTES, Frontier, leaf_hash, stored_count, stored_size
from tiergate.ledger.notes import PublicKey
from tiergate.ledger.personal import PersonalValues
from tiergate.ledger.record_files import RecordFiles

ABOUT: Final = "log.json"
RECORDS: Final = "records"
HASHES: Final = "hashes"
PERSONAL: Final = "personal.sqlite"
CHECKPOINT: Final = "checkpoint"
COSIGNED: Final = "cosigned"


class About(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What ``log.json`` says. ``origin`` names the log in its checkpoints, for ever."""

    origin: str
    format: int = 1


class DecisionReader:
    """The log in one folder. Not for several threads at once: each opens its own.

    Raises `InputError` when the folder holds no decision log.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.origin = read_about(folder).origin
        self.files = RecordFiles(folder / RECORDS)
        try:
            self._hashes = os.open(folder / HASHES, os.O_RDONLY)
        except OSError as error:
            raise LedgerError(f"cannot read `{folder / HASHES}`: {error.strerror}; run `decisions recover`") from error

    @property
    def size(self) -> int:
        """Number of records now."""
        return stored_size(os.fstat(self._hashes).st_size // HASH_BYTES)

    def record_text(self, index: int) -> bytes:
        """The canonical JSON of a record. Raises `InputError` for one that is not there, `ProofError` if damaged."""
        if not 0 <= index < self.size:
            raise InputError(f"the log has no record {index}: it has {self.size}, counted from 0")
        return self.files.read(index)

    def record(self, index: int) -> DecisionRecord:
        return parse_record(self.record_text(index))

    def openings(self, index: int) -> list[Opening]:
        """What is kept of a record's personal values."""
        with closing(PersonalValues(self.folder / PERSONAL)) as values:
            return values.of(index)

    def checked(self, index: int, *, key: PublicKey | None = None) -> Kept:
        """A record with its personal values, each checked against its commitment; the record against the last
        checkpoint where that covers it, whose signature is verified where ``key`` is given.

        Raises `InputError` for a record that is not there, `ProofError` for what does not hold.
        """
        text = self.record_text(index)
        checkpoint = self.checkpoint()
        if checkpoint is not None and key is not None:
            verify_checkpoint(checkpoint, key)
        signed = checkpoint is not None and checkpoint.size > index
        if checkpoint is not None and signed:
            proof = self.inclusion_proof(index, checkpoint.size)
            merkle.verify_inclusion(index, checkpoint.size, leaf_hash(text), proof, checkpoint.root)
        record = parse_record(text)
        with closing(PersonalValues(self.folder / PERSONAL)) as values:
            openings, erased = values.row(index)
        _check_personal(record, openings, erased, index)
        return Kept(index, record, openings, signed)

    def root(self, size: int) -> bytes:
        return merkle.root(size, self.hash_at)

    def inclusion_proof(self, index: int, size: int) -> list[bytes]:
        return merkle.inclusion_proof(index, size, self.hash_at)

    def consistency_proof(self, old: int, new: int) -> list[bytes]:
        return merkle.consistency_proof(old, new, self.hash_at)

    def checkpoint(self, name: str = CHECKPOINT) -> Checkpoint | None:
        """The last checkpoint that was signed, or the last that was `COSIGNED`; not verified."""
        return read_checkpoint(self.folder / name)

    def hash_at(self, level: int, k: int) -> bytes:
        """The stored hash of a node. Raises `ProofError` when it is not there."""
        place = merkle.position(level, k)
        found = os.pread(self._hashes, HASH_BYTES, place * HASH_BYTES)
        if len(found) < HASH_BYTES:
            raise ProofError(f"the hash of node {k} at level {level} is missing in `{self.folder / HASHES}`")
        return found

    def stored_hashes(self, first: int, stop: int) -> bytes:
        """The hashes that records ``first`` to ``stop`` completed, as stored."""
        start, end = stored_count(first) * HASH_BYTES, stored_count(stop) * HASH_BYTES
        return os.pread(self._hashes, end - start, start)

    def close(self) -> None:
        os.close(self._hashes)


def read_about(folder: Path) -> About:
    """Raises `InputError` when ``folder`` holds no decision log."""
    path = folder / ABOUT
    try:
        text = path.read_bytes()
        about = msgspec.json.decode(text, type=About)
    except FileNotFoundError as error:
        raise InputError(f"`{folder}` is not a decision log: it has no `{ABOUT}`") from error
    except (OSError, msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise InputError(f"`{path}` is damaged ({error}): restore it from a copy") from error
    if about.format != 1 or msgspec.json.encode(about) != text:
        raise InputError(f"`{path}` is damaged, or of a later version than this")
    return about


def read_checkpoint(path: Path) -> Checkpoint | None:
    """A stored checkpoint, not verified; None where there is none. Raises `ProofError` when it is damaged."""
    try:
        return parse_checkpoint(path.read_bytes().decode())
    except FileNotFoundError:
        return None
    except (InputError, UnicodeDecodeError) as error:
        raise ProofError(f"the checkpoint `{path}` is damaged: {error}") from error


def scan(log: DecisionReader, *, key: PublicKey | None = None) -> Iterator[tuple[int, DecisionRecord]]:
    """All records in order, each with its index, while the whole tree is checked.

    Every record is hashed, every stored hash made anew, and the root compared with the last checkpoint and the last
    cosigned one, on which the log's signature is verified where ``key`` is given. A file of records is checked before
    the first of it is handed out; only when the scan ends without an error do they all belong to what was signed.

    Raises `ProofError`, with the index of the record where one is known.
    """
    # The checkpoint first: what is appended meanwhile is then beyond it, never missing.
    checkpoint = log.checkpoint()
    size = log.size
    if checkpoint is not None:
        if checkpoint.origin != log.origin:
            raise ProofError(f"the checkpoint is of the log `{checkpoint.origin}`, not of `{log.origin}`")
        if key is not None:
            verify_checkpoint(checkpoint, key)
        if checkpoint.size > size:
            raise ProofError(f"{checkpoint.size} records were signed, and {size} are there", index=size)
    elif key is not None:
        raise ProofError("the log has no checkpoint to verify")
    witnessed = log.checkpoint(COSIGNED)
    if witnessed is not None:
        # Whoever takes a log back to an old checkpoint has to take this back too, and then contradicts the witnesses.
        if key is not None:
            verify_checkpoint(witnessed, key)
        if witnessed.size > size:
            raise ProofError(f"{witnessed.size} records were cosigned, and {size} are there", index=size)
    signed = checkpoint.size if checkpoint is not None else 0
    frontier = Frontier()
    for first, texts in log.files.scan(0, size):
        leaves = [leaf_hash(text) for text in texts]
        within = max(0, min(signed - first, len(leaves)))
        made = frontier.extend(leaves[:within])
        if checkpoint is not None and frontier.size == signed and frontier.root() != checkpoint.root:
            # Damage that a stored hash shows is the better answer, as it says where.
            made += frontier.extend(leaves[within:])
            _check_stored(made, log.stored_hashes(first, first + len(texts)), first)
            raise ProofError(f"the first {signed} records are not those that were signed: they were rewritten")
        made += frontier.extend(leaves[within:])
        _check_stored(made, log.stored_hashes(first, first + len(texts)), first)
        for index, text in enumerate(texts, first):
            try:
                yield index, parse_record(text)
            except ProofError as error:
                raise ProofError(f"record {index}: {error}", index=index) from error
    # By now the stored hashes are those of the records.
    if witnessed is not None and log.root(witnessed.size) != witnessed.root:
        raise ProofError(f"the first {witnessed.size} records are not those that were cosigned: they were rewritten")


def _check_stored(made: Sequence[bytes], stored: bytes, first: int) -> None:
    """Compare hashes that records ``first`` and on complete with the stored ones. Raises `ProofError`."""
    if b"".join(made) == stored:
        return
    place = next(n for n, one in enumerate(made) if stored[n * HASH_BYTES :][:HASH_BYTES] != one)
    place += stored_count(first)
    index = stored_size(place)
    level = place - stored_count(index)
    if not level:
        raise ProofError(f"record {index} is not the one whose hash is stored", index=index)
    start = index + 1 - (1 << level)
    raise ProofError(f"the stored hash over records {start} to {index} is damaged (level {level})", index=start)


class Kept(msgspec.Struct, frozen=True):
    """A record, what is kept of its personal values, and whether a checkpoint covers it."""

    index: int
    record: DecisionRecord
    openings: list[Opening]
    signed: bool


def scan_kept(log: DecisionReader, *, key: PublicKey | None = None) -> Iterator[Kept]:
    """`scan`, with the personal values of each record, each checked: it is the one that was recorded, or was erased.

    Raises `ProofError`, with the index of the record where one is known.
    """
    checkpoint = log.checkpoint()
    signed = checkpoint.size if checkpoint is not None else 0
    with closing(PersonalValues(log.folder / PERSONAL)) as values:
        rows = values.rows()
        row = None
        for index, record in scan(log, key=key):
            if not index:
                # The scan knows its end by now, and values are there before their records: none of its own is missing.
                row = next(rows, None)
            openings: list[Opening] = []
            erased: list[str] = []
            if row is not None and row[0] == index:
                _, openings, erased = row
                row = next(rows, None)
            _check_personal(record, openings, erased, index)
            yield Kept(index, record, openings, index < signed)


class Verified(NamedTuple):
    """What a whole log was found to hold. ``signed``: records under the last checkpoint; values by what is left."""

    records: int
    signed: int
    root: bytes
    outcomes: dict[str, int]
    personal: int
    erased: int


def verify_log(
    log: DecisionReader, *, key: PublicKey | None = None, progress: Callable[[int], None] = lambda _: None
) -> Verified:
    """Scan the log with its personal values.

    :param progress: told the number of records checked, every few thousand.
    Raises `ProofError`, with the index of the record where one is known.
    """
    outcomes = dict.fromkeys(("ALLOW", "DENY", "REVIEW"), 0)
    kept = erased = count = signed = 0
    for one in scan_kept(log, key=key):
        outcomes[one.record.outcome] += 1
        kept += len(one.openings)
        erased += len(one.record.commitments) - len(one.openings)
        signed += one.signed
        count = one.index + 1
        if not count % 4_096:
            progress(count)
    return Verified(count, signed, log.root(count), outcomes, kept, erased)


def _check_personal(record: DecisionRecord, openings: Sequence[Opening], erased: Sequence[str], index: int) -> None:
    left = set(record.commitments)
    try:
        for opening in openings:
            check_opening(record, opening)
        for field in (*(opening.field for opening in openings), *erased):
            if field not in record.commitments:
                raise ProofError(f"the record commits to no field `{field}`, which is said to be erased")
            if field not in left:
                raise ProofError(f"`{field}` is said to be erased, and is kept")
            left.discard(field)
        if left:
            raise ProofError(f"the value of `{min(left)}` is missing, not erased")
    except ProofError as error:
        raise ProofError(f"record {index}: {error}", index=index) from error
