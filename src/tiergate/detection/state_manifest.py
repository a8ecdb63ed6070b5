"""What a state folder holds: one JSON file that appears whole, and the writing of files so that they do."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import msgspec

from tiergate.errors import InputError

FORMAT: Final = 1
NAME: Final = "state.json"


class FileRead(msgspec.Struct, frozen=True, kw_only=True):
    """An input file that was read. ``name``, ``size`` (bytes) and ``blake2b`` tell it from others wherever it lies;
    ``rows`` were usable, of which ``repeated`` were held already; ``refused`` counts by reason."""

    name: str
    size: int
    blake2b: str
    rows: int = 0
    repeated: int = 0
    refused: dict[str, int] = {}

    @property
    def mark(self) -> tuple[str, int, str]:
        return self.name, self.size, self.blake2b


class Segment(msgspec.Struct, frozen=True, kw_only=True):
    """A file of sketched rows: its ``size`` in bytes, and the times of its first and last exchange (microseconds)."""

    name: str
    rows: int
    size: int
    first_started_at: int
    last_started_at: int


class Manifest(msgspec.Struct, frozen=True, kw_only=True):
    """All that counts. ``key_id``: of the key under which the rows are sketched, None before any was; ``looks``: how
    many there were, which names the files of the last one; ``data``: digest of what the last one looked at;
    ``question``: of what its answer answers."""

    format: int = FORMAT
    key_id: str | None = None
    files: list[FileRead] = []
    segments: list[Segment] = []
    looks: int = 0
    data: str | None = None
    question: str | None = None


def load(folder: Path) -> Manifest:
    """The manifest of ``folder``, an empty one where there is none.

    Raises `InputError` when it, or a segment that it names, is damaged.
    """
    path = folder / NAME
    if not path.is_file():
        if any(folder.glob("*.parquet")):
            raise damaged(folder, f"it has rows and no {NAME}")
        return Manifest()
    try:
        found = msgspec.json.decode(path.read_bytes(), type=Manifest)
    except (OSError, msgspec.DecodeError) as error:
        raise damaged(folder, f"{NAME}: {error}") from error
    if found.format != FORMAT:
        raise InputError(
            f"state `{folder}` has format {found.format}, and this version has {FORMAT}: use another folder"
        )
    for segment in found.segments:
        held = folder / segment.name
        if not held.is_file() or held.stat().st_size != segment.size:
            raise damaged(folder, f"{segment.name} is {'cut short' if held.is_file() else 'missing'}")
    return found


def save(manifest: Manifest, folder: Path) -> None:
    """Make ``manifest`` the one that counts; what it names must be on the disk."""
    with whole(folder / NAME) as part:
        part.write_bytes(msgspec.json.format(msgspec.json.encode(manifest), indent=1))


@contextmanager
def whole(path: Path) -> Iterator[Path]:
    """A temporary path to write to; on leaving it is synced and becomes ``path``."""
    part = path.with_name(f".{path.name}.part")
    yield part
    synced(part, path)


def synced(part: Path, path: Path) -> None:
    """Make the finished file ``part`` durable under the name ``path``."""
    _sync(part)
    part.replace(path)
    _sync(path.parent)


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def damaged(folder: Path, why: str) -> InputError:
    return InputError(
        f"state `{folder}` is damaged ({why}): restore it from a copy, or give an empty folder and all inputs again"
    )


def mark_of(path: Path) -> FileRead:
    """Name, size and BLAKE2b (128 bits) of a file, with nothing counted yet. Raises `InputError` if unreadable."""
    try:
        with path.open("rb") as file:
            digest = hashlib.file_digest(file, lambda: hashlib.blake2b(digest_size=16)).hexdigest()
        return FileRead(name=path.name, size=path.stat().st_size, blake2b=digest)
    except OSError as error:
        raise InputError(f"cannot read `{path}`: {error.strerror}") from error
