"""The state of repeated detection: what was read, what was answered, and what earlier looks saw.

A folder with one owner at a time::

    state.json            what counts; replaced whole
    key                   sketch key, where text was read and no key given (0600)
    rows-000001.parquet   exchanges as detection reads them: `READ_COLUMNS` and sketches, never text
    looks-000003/         after the third look: looks.parquet, members.parquet and the answer's files

A file named by `state.json` is never changed. Whatever else lies there was left by a call that was cut off before its
rows counted, and is swept away: its input files are read again.

Incremental and still the same: an exchange's row depends on nothing but the exchange and the key, so reading, checking
and sketching, most of the time before decoys, are done once. What compares accounts with the whole platform (base
rates, links, clusters, decoys) depends on every account and is computed anew, unless nothing has changed at all; then
the last answer is given again, and counts as no look; nor does another seed or version, whose answer is given and not
kept. Of two rows with one id and time that differ, the one that an earlier call read counts, as it was counted then; of
those that one call reads, `take_in` chooses. How often each account's messages carry each token (`recurrence`) would
add up from day to day, but is not kept: nearly all of the pairs of account and token are of phrases that came once, so
that they take as much room as the rows, and loading and merging them takes three times as long as counting anew.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
import shutil
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Final

import msgspec
import pyarrow as pa
import pyarrow.parquet as pq

from tiergate.detection.lineage import LOOKS_SCHEMA, MEMBERS_SCHEMA, History
from tiergate.detection.state_manifest import FileRead, Manifest, Segment, damaged, load, mark_of, save, whole
from tiergate.detection.state_rows import Held, KeyOfRows, SegmentWriter, read_segment
from tiergate.errors import InputError
from tiergate.ledger.sketches import Sketcher, load_or_create_key
from tiergate.records.refused import RefusedRows

Progress = Callable[[str, float], None]

SEGMENT_ROWS: Final = 1_000_000
"""Rows from which a segment ends with the file being read."""


@dataclass(frozen=True, slots=True)
class Part:
    """An input file that does not change: where it lies, and how to read its exchanges."""

    path: Path
    read: Callable[[RefusedRows], Iterator[pa.RecordBatch]]


class State:
    """An open state folder; a context manager that holds its lock. ``history``: the looks so far."""

    def __init__(self, folder: Path, lock: int, manifest: Manifest, rows: KeyOfRows) -> None:
        self._folder = folder
        self._lock = lock
        self._manifest = manifest
        self._rows = rows
        self.history = _read_history(folder, manifest.looks)

    @classmethod
    def open(cls, folder: Path, key: bytes | None) -> State:
        """Open ``folder``, made if absent.

        :param key: the sketch key; when None, the one that the state made for itself.
        Raises `InputError` when it is damaged, in use, or made under another key.
        """
        try:
            folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            lock = os.open(folder / "lock", os.O_RDWR | os.O_CREAT, 0o600)
        except OSError as error:
            raise InputError(f"cannot use the state folder `{folder}`: {error.strerror}") from error
        try:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError as error:
                raise InputError(f"another detection is using state `{folder}`: wait for it") from error
            manifest = load(folder)
            if manifest == Manifest():
                save(manifest, folder)
            _sweep(folder, manifest)
            return cls(folder, lock, manifest, KeyOfRows(manifest.key_id, _sketcher(folder, manifest, key)))
        except BaseException:
            os.close(lock)
            raise

    def __enter__(self) -> State:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        os.close(self._lock)

    @property
    def key_id(self) -> str | None:
        """Of the key under which the rows are sketched, None before any was."""
        return self._manifest.key_id

    @property
    def segments(self) -> list[Segment]:
        """Files of the rows held, in the order in which they were read."""
        return list(self._manifest.segments)

    @property
    def repeated(self) -> int:
        """Exchanges left out because an earlier file had them."""
        return sum(file.repeated for file in self._manifest.files)

    @property
    def files(self) -> list[tuple[str, str]]:
        """Name and BLAKE2b of every file that was read."""
        return [(file.name, file.blake2b) for file in self._manifest.files]

    def take_up(self, parts: Sequence[Part], refused: RefusedRows, progress: Progress) -> int:
        """Read those of ``parts`` that were not read before; returns how many they were.

        Earlier refusals are counted in ``refused`` again, whether their files are among ``parts`` or not.
        Raises `InputError` when text comes and the key is not known, or sketches of another key.
        """
        known = {file.mark for file in self._manifest.files}
        for file in self._manifest.files:
            refused.recall(file.refused)
        unread = {mark.mark: (part, mark) for part in parts if (mark := mark_of(part.path)).mark not in known}
        held = Held(self._folder, self._manifest.segments)
        pending: list[FileRead] = []
        rows = 0
        with contextlib.ExitStack() as unfinished:
            writer: SegmentWriter | None = None
            for part, mark in unread.values():
                earlier, taken, repeated = Counter(refused.by_reason), 0, 0
                for batch in part.read(refused):
                    fresh = held.fresh(batch)
                    taken, repeated = taken + batch.num_rows, repeated + batch.num_rows - fresh.num_rows
                    progress(f"reading, {rows + taken:,} new exchanges", 0.0)
                    if fresh.num_rows:
                        writer = writer or unfinished.enter_context(SegmentWriter(self._next_segment()))
                        writer.write(self._rows.lean(fresh))
                rows += taken
                reasons = dict(Counter(refused.by_reason) - earlier)
                pending.append(msgspec.structs.replace(mark, rows=taken, repeated=repeated, refused=reasons))
                if writer and writer.rows >= SEGMENT_ROWS:
                    self._commit(pending, writer)
                    pending, writer = [], None
            if pending:
                self._commit(pending, writer)
        return len(unread)

    def batches(self, columns: list[str] | None = None) -> Iterator[pa.RecordBatch]:
        """All exchanges read so far, with the columns that `take_in` reads, text being null; or ``columns`` of them."""
        for segment in self._manifest.segments:
            for batch in read_segment(self._folder, segment, columns):
                text = [] if columns else ["system_text", "prompt_text"]
                nulls = [pa.nulls(batch.num_rows, pa.string()) for _ in text]
                yield pa.RecordBatch.from_arrays([*batch.columns, *nulls], names=[*batch.schema.names, *text])

    def looked_at(self, data: str) -> bool:
        """Whether the last look was at ``data``, a `question` that asks for nothing else."""
        return data == self._manifest.data

    def question(self, *asked: str | pa.Table | pa.RecordBatch | None) -> str:
        """Digest of everything that an answer depends on: the rows held, and whatever else is ``asked``."""
        digest = hashlib.blake2b(digest_size=16)
        for segment in self._manifest.segments:
            digest.update(f"{segment.name} {segment.rows} {segment.size}\n".encode())
        for one in asked:
            digest.update(b"\0" + (one.encode() if isinstance(one, str) else _serialized(one)))
        return digest.hexdigest()

    def repeat_answer(self, question: str, out: Path) -> bool:
        """Write the last answer's files into ``out`` if it answers ``question``; says whether it does."""
        if question != self._manifest.question:
            return False
        kept = sorted((_look(self._folder, self._manifest.looks) / "answer").glob("*"))
        if not kept:
            raise damaged(self._folder, f"the answer of look {self._manifest.looks} is missing")
        out.mkdir(parents=True, exist_ok=True)
        for path in kept:
            with whole(out / path.name) as part:
                shutil.copyfile(path, part)
        return True

    def keep_answer(self, question: str, history: History, files: Sequence[Path], *, data: str | None = None) -> None:
        """Remember ``files`` as the answer to ``question``, and the look at ``data`` that gave it."""
        look = _look(self._folder, history.count)
        (look / "answer").mkdir(parents=True)
        for name, table in (("looks", history.looks), ("members", history.members)):
            with whole(look / f"{name}.parquet") as part:
                pq.write_table(table, part, compression="zstd")
        for path in files:
            with whole(look / "answer" / path.name) as part:
                shutil.copyfile(path, part)
        self._manifest = msgspec.structs.replace(self._manifest, looks=history.count, data=data, question=question)
        save(self._manifest, self._folder)
        self.history = history
        _sweep(self._folder, self._manifest)

    def _next_segment(self) -> Path:
        return self._folder / f"rows-{len(self._manifest.segments) + 1:06d}.parquet"

    def _commit(self, files: list[FileRead], writer: SegmentWriter | None) -> None:
        self._manifest = msgspec.structs.replace(
            self._manifest,
            key_id=self._rows.key_id,
            files=[*self._manifest.files, *files],
            segments=[*self._manifest.segments, *([writer.finish()] if writer else [])],
        )
        save(self._manifest, self._folder)


def _sketcher(folder: Path, manifest: Manifest, key: bytes | None) -> Sketcher | None:
    own = folder / "key"
    if key is not None:
        sketcher = Sketcher(key)
        if manifest.key_id not in (None, sketcher.key_id):
            raise InputError(
                f"state `{folder}` was made under sketch key `{manifest.key_id}` and the key given is "
                f"`{sketcher.key_id}`: give the key it was made under, or another state folder"
            )
        return sketcher
    # A state that knows its key's name and has no key file was given the key from outside, or sketches.
    return Sketcher(load_or_create_key(own)) if own.is_file() or manifest.key_id is None else None


def _read_history(folder: Path, looks: int) -> History:
    if not looks:
        return History.empty()
    try:
        tables = [
            pq.read_table(_look(folder, looks) / f"{name}.parquet", schema=schema)
            for name, schema in (("looks", LOOKS_SCHEMA), ("members", MEMBERS_SCHEMA))
        ]
    except (OSError, pa.ArrowException) as error:
        raise damaged(folder, f"look {looks}: {str(error).splitlines()[0]}") from error
    return History(looks, *tables)


def _look(folder: Path, number: int) -> Path:
    return folder / f"looks-{number:06d}"


def _sweep(folder: Path, manifest: Manifest) -> None:
    """Remove what a call that was cut off left, and the files of looks before the last."""
    named = {segment.name for segment in manifest.segments}
    for path in [*folder.glob("rows-*.parquet"), *folder.glob(".*.part")]:
        if path.name not in named:
            path.unlink()
    for path in folder.glob("looks-*"):
        if path != _look(folder, manifest.looks):
            shutil.rmtree(path)


def _serialized(rows: pa.Table | pa.RecordBatch | None) -> bytes:
    if rows is None:
        return b"none"
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, rows.schema) as stream:
        stream.write(rows)
    return bytes(sink.getvalue())
