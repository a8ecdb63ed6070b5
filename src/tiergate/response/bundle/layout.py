"""What a bundle holds: an uncompressed tar file, written and read front to back.

    README.txt             what this is, for whoever finds it
    bundle.json            how the answer was asked for, which cases, and size and SHA-256 of every other file
    rows-000001.parquet    exchanges as detection read them: sketches, never text
    accounts.parquet       the accounts table, if there was one
    looks.parquet          the history of earlier looks
    members.parquet
    case/*.parquet         the case's rows of the answer
    case/file.json         the case file, its history, its verdicts and its appeals

Whoever verifies a bundle does not know who made it. A member is a plain file under one of these names, once, with its
size in a plain header; nothing else that a tar file may hold is taken.
"""

from __future__ import annotations

import re
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, Final

import msgspec

from tiergate.detection.frozen import Asked
from tiergate.errors import InputError
from tiergate.response.digests import TABLES

FORMAT: Final = 1
ABOUT: Final = "bundle.json"
README: Final = "README.txt"
CASE_FILE: Final = "case/file.json"
MOST_ABOUT: Final = 64 << 20
MOST_FILES: Final = 100_000
BLOCK: Final = 512

_NAME: Final = re.compile(
    rf"rows-[0-9]{{6}}\.parquet|(accounts|looks|members)\.parquet|case/({'|'.join(TABLES)})\.parquet"
    rf"|{re.escape(CASE_FILE)}|{re.escape(ABOUT)}|{re.escape(README)}"
)


class Held(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A file of a bundle: its size in bytes, SHA-256, and rows where it is a table."""

    size: int
    sha256: str
    rows: int | None = None


class About(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`bundle.json`. ``case_id`` names the case file, ``cases`` its cases in the answer by their digests; ``digest``:
    of the whole answer, which case file and verdicts name; ``digests``: of all that it is made of, sorted;
    ``others``: accounts that stand under another name. ``exported_at_us``: microseconds, UTC."""

    format: int = FORMAT
    case_id: str
    cases: dict[str, str]
    digest: str
    digests: list[str]
    asked: Asked
    exchanges: int
    accounts: int
    others: int
    exported_at_us: int
    files: dict[str, Held]


def members(file: BinaryIO, size: int) -> Iterator[tuple[str, int]]:
    """Name and size of each file of a bundle; the data follow at the position of ``file``, which may be moved.

    Raises `InputError` at whatever is no bundle of `size` bytes.
    """
    seen: set[str] = set()
    place = 0
    while place + BLOCK <= size:
        file.seek(place)
        header = file.read(BLOCK)
        if not header.strip(b"\0"):
            return
        try:
            info = tarfile.TarInfo.frombuf(header, "ascii", "strict")  # this header alone, no extension of it
        except (tarfile.TarError, ValueError) as error:
            raise InputError(f"this is no evidence bundle: byte {place:,} begins no file ({error})") from error
        # A name in two parts, or a type that stands for a link, a folder or an extension, is never written.
        if not info.isreg() or info.type != tarfile.REGTYPE or not _NAME.fullmatch(info.name):
            raise InputError(f"this is no evidence bundle: `{info.name!a:.100}` does not belong into one")
        if info.name in seen or len(seen) == MOST_FILES:
            raise InputError(f"this is no evidence bundle: `{info.name}` is there twice")
        place += BLOCK
        if not 0 <= info.size <= size - place:
            raise InputError(f"the bundle is cut short: `{info.name}` has not all of its {info.size:,} bytes")
        seen.add(info.name)
        file.seek(place)
        yield info.name, info.size
        place += -(-info.size // BLOCK) * BLOCK
    raise InputError("the bundle is cut short, or was never finished")


def header_of(name: str, size: int) -> bytes:
    """The tar header of a file, without anything of the machine or the time it was made at."""
    info = tarfile.TarInfo(name)
    info.size, info.mode = size, 0o644
    return info.tobuf(tarfile.GNU_FORMAT)


def padding_of(size: int) -> bytes:
    return b"\0" * (-size % BLOCK)


def read_about(path: Path) -> tuple[About, dict[str, tuple[int, int]]]:
    """`bundle.json` of a bundle, and of each of its files where it starts and how long it is.

    Raises `InputError` when it is no bundle, or does not hold just what it says.
    """
    places: dict[str, tuple[int, int]] = {}
    try:
        size = path.stat().st_size
        with path.open("rb") as file:
            for name, length in members(file, size):
                places[name] = file.tell(), length
            start, length = places.get(ABOUT, (0, 0))
            if not 0 < length <= MOST_ABOUT:
                raise InputError(f"`{path}` is no evidence bundle: it has no usable {ABOUT}")
            file.seek(start)
            about = msgspec.json.decode(file.read(length), type=About)
    except OSError as error:
        raise InputError(f"cannot read `{path}`: {error.strerror}") from error
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise InputError(f"`{path}` is no evidence bundle: {ABOUT}: {error}") from error
    if about.format != FORMAT:
        raise InputError(f"`{path}` has format {about.format}, and this version reads {FORMAT}")
    if set(about.files) != set(places) - {ABOUT}:
        wrong = sorted(set(about.files) ^ (set(places) - {ABOUT}))
        raise InputError(f"`{path}` does not hold what its {ABOUT} says: {', '.join(wrong[:5])}")
    for name, held in about.files.items():
        if held.size != places[name][1]:
            raise InputError(f"`{name}` has {places[name][1]:,} bytes, and {ABOUT} says {held.size:,}")
    return about, places
