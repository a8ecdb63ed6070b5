"""Records in files: each as four bytes of length, four of CRC-32 and its text; 65,536 to a file, named by its first.

The CRC is there to find the end of what was written before a crash, and to name the record where a disk went wrong. It
keeps no one from changing a record: the tree does. Both numbers are big-endian; the CRC starts from the length, so that
a damaged length shows too.
"""

from __future__ import annotations

import contextlib
import os
import struct
from array import array
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final, NamedTuple
from zlib import crc32

from tiergate.errors import ProofError
from tiergate.ledger.decision_records import RECORD_LIMIT_BYTES

FILE_RECORDS: Final = 65_536
_HEAD: Final = struct.Struct(">II")


class Parsed(NamedTuple):
    """Whole records from the start of a text, where they end, and whether anything comes after."""

    records: list[bytes]
    end: int
    more: bool


class RecordFiles:
    """The files of records in one folder. Reading is for anybody; writing for the holder of the log's lock."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._writing: tuple[int, int] | None = None  # number and descriptor of the file that is appended to
        self._offsets: dict[int, array[int]] = {}

    def append(self, first: int, records: Sequence[bytes]) -> None:
        """Write records ``first`` and on; returns when the operating system has them. Raises `OSError`."""
        start = 0
        while start < len(records):
            number, within = divmod(first + start, FILE_RECORDS)
            part = records[start : start + FILE_RECORDS - within]
            framed: list[bytes] = []
            for record in part:
                framed += (_HEAD.pack(len(record), crc32(record, len(record))), record)
            write_all(self._file(number), b"".join(framed))
            start += len(part)

    def sync(self) -> None:
        """Have the disk hold what was written. Raises `OSError`."""
        if self._writing is not None:
            os.fdatasync(self._writing[1])

    def close(self) -> None:
        if self._writing is not None:
            os.close(self._writing[1])
            self._writing = None

    def parse(self, number: int, *, skip: int = 0, most: int = FILE_RECORDS) -> Parsed:
        """Whole records of one file after the first ``skip``, up to damage or the end; at most ``most``."""
        try:
            text = self.path(number).read_bytes()
        except FileNotFoundError:
            return Parsed([], 0, False)
        at, left = 0, skip
        view = memoryview(text)
        records: list[bytes] = []
        while len(records) < most and at + _HEAD.size <= len(text):
            length, crc = _HEAD.unpack_from(text, at)
            end = at + _HEAD.size + length
            if length > RECORD_LIMIT_BYTES or end > len(text):
                break
            if left:
                left -= 1
            else:
                record = bytes(view[at + _HEAD.size : end])
                if crc32(record, length) != crc:
                    break
                records.append(record)
            at = end
        return Parsed(records, at, at < len(text))

    def scan(self, start: int, stop: int) -> Iterator[tuple[int, list[bytes]]]:
        """Index of the first and the records, for every file from ``start`` to ``stop``.

        Raises `ProofError` with the index of a record that is damaged or missing.
        """
        for number in range(start // FILE_RECORDS, -(-stop // FILE_RECORDS)):
            first = max(start, number * FILE_RECORDS)
            wanted = min(stop, (number + 1) * FILE_RECORDS) - first
            found = self.parse(number, skip=first - number * FILE_RECORDS, most=wanted)
            if found.records:
                yield first, found.records
            if len(found.records) < wanted:
                raise self._damaged(first + len(found.records))
            if stop >= (number + 1) * FILE_RECORDS and found.more:
                raise ProofError(f"`{self.path(number)}` has bytes after its last record", index=stop)

    def read(self, index: int) -> bytes:
        """The text of a record. Raises `ProofError` when it is damaged or missing."""
        number, within = divmod(index, FILE_RECORDS)
        offsets = self._offsets.setdefault(number, array("Q", [0]))
        with contextlib.suppress(FileNotFoundError), self.path(number).open("rb") as file:
            if within >= len(offsets) - 1:
                self._find_offsets(file.fileno(), offsets)
            if within < len(offsets) - 1:
                framed = os.pread(file.fileno(), offsets[within + 1] - offsets[within], offsets[within])
                if len(framed) >= _HEAD.size:
                    length, crc = _HEAD.unpack_from(framed)
                    record = framed[_HEAD.size :]
                    if len(record) == length and crc32(record, length) == crc:
                        return record
        raise self._damaged(index)

    def cut(self, size: int) -> bool:
        """Keep ``size`` records and remove whatever comes after; whether there was anything. Raises `OSError`."""
        self.close()
        last, within = divmod(size, FILE_RECORDS)
        self._offsets.clear()
        cut = False
        for path in sorted(self._folder.glob("*.records")):
            number = int(path.stem) // FILE_RECORDS
            if number > last:
                path.unlink()
                cut = True
            elif number == last:
                end = self.parse(number, most=within).end
                cut |= path.stat().st_size > end
                os.truncate(path, end)
        return cut

    def path(self, number: int) -> Path:
        return self._folder / f"{number * FILE_RECORDS:015d}.records"

    def _file(self, number: int) -> int:
        if self._writing is None or self._writing[0] != number:
            if self._writing is not None:
                # Whoever syncs later syncs the last file alone.
                os.fdatasync(self._writing[1])
            self.close()
            path = self.path(number)
            new = not path.exists()
            self._writing = number, os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
            if new:
                sync_folder(self._folder)
        return self._writing[1]

    def _find_offsets(self, file: int, offsets: array[int]) -> None:
        """Add where records end, from the last that is known; the file may be written to meanwhile."""
        base = offsets[-1]
        text = os.pread(file, os.fstat(file).st_size - base, base)
        at = 0
        while at + _HEAD.size <= len(text):
            at += _HEAD.size + _HEAD.unpack_from(text, at)[0]
            if at > len(text):
                break
            offsets.append(base + at)

    def _damaged(self, index: int) -> ProofError:
        return ProofError(f"record {index} is damaged or missing in `{self.path(index // FILE_RECORDS)}`", index=index)


def write_all(file: int, text: bytes) -> None:
    """Write to a descriptor until all is written: the system may take less at once. Raises `OSError`."""
    view = memoryview(text)
    while view:
        view = view[os.write(file, view) :]


def sync_folder(folder: Path) -> None:
    """Have the disk hold the names of new files. Raises `OSError`."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def replace_file(path: Path, text: bytes) -> None:
    """Replace a file whole or not at all, on the disk. Raises `OSError`."""
    part = path.with_name(f".{path.name}.part")
    descriptor = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    try:
        write_all(descriptor, text)
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
    part.replace(path)
    sync_folder(path.parent)
