"""Files of registers and lists: opened within bounds, cut into records, one bad record refused at a time.

Nothing here trusts a file. What it unpacks to, the length of lines and records, their depth and the number of fields
are bounded; XML that declares a document type is refused whole, and with it every entity that could expand.
"""

from __future__ import annotations

import csv
import gzip
import re
import zipfile
import zlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path
from typing import IO, Any, Final
from xml.parsers import expat

import msgspec
import pyarrow as pa

from tiergate.errors import InputError
from tiergate.records.refused import RefusedRows

BLOCK_BYTES: Final = 1 << 18
LONGEST_RECORD: Final = 4 << 20
DEEPEST: Final = 64
MOST_FIELDS: Final = 2_048
MOST_EXPANDED: Final = 1 << 38
FREELY_EXPANDED: Final = 256 << 20
MOST_RATIO: Final = 250
"""Beyond `FREELY_EXPANDED` bytes a file may unpack to this many times its size: registers come to 10 to 40."""
_MARK: Final = b"\xef\xbb\xbf"
_MARKS: Final = re.compile(rb'["\\{}\[\]]')
Row = dict[str, Any]


def _ignore(_count: int) -> None:
    """Progress that nobody looks at."""


@dataclass
class Feed:
    """What a reader is told and what it tells. ``source``: the name its facts are kept under. ``passed`` hears of
    bytes read. ``whole`` turns False where a file ends in the middle. ``named``: parties that stakes and entries name,
    with the text that names them, of files in which people write such names themselves."""

    source: str
    refused: RefusedRows
    passed: Callable[[int], None] = _ignore
    whole: bool = True
    named: dict[bytes, str] = field(default_factory=dict)

    def refuse(self, path: Path, row: int, column: str, reason: str, raw: object = None) -> None:
        """Refuse record number ``row`` of a file."""
        shown = None if raw is None else raw.decode(errors="replace") if isinstance(raw, bytes) else str(raw)
        self.refused.add(str(path), row, column, reason, shown and shown[:200])

    def cut(self, path: Path, row: int, reason: str) -> None:
        """The rest of a file, from record ``row`` on, cannot be read."""
        self.whole = False
        self.refuse(path, row, "", reason)


@contextmanager
def opened(path: Path, feed: Feed) -> Iterator[Iterator[bytes]]:
    """A file's bytes in blocks: plain, gzip, zstd, or the one file of a zip archive, by what it begins with. Where a
    packed stream breaks the blocks end, and the feed is told.

    Raises `InputError` when it is missing or unreadable, or an archive of several files.
    """
    try:
        raw = path.open("rb")
    except IsADirectoryError as error:
        raise InputError(f"`{path}` is a folder: give its files") from error
    except OSError as error:
        raise InputError(f"cannot read `{path}`: {error.strerror}") from error
    with raw:
        counted = _Counted(raw, feed)
        stream = _unpacked(counted, path)
        yield _blocks(stream, path, feed, None if stream is counted else path.stat().st_size)


def _unpacked(raw: _Counted, path: Path) -> Any:
    magic = raw.read(4)
    raw.seek(0)
    if magic[:2] == b"\x1f\x8b":
        return gzip.GzipFile(fileobj=raw)
    if magic == b"\x28\xb5\x2f\xfd":
        return pa.CompressedInputStream(pa.PythonFile(raw, mode="r"), "zstd")
    if magic != b"PK\x03\x04":
        return raw
    try:
        archive = zipfile.ZipFile(raw)
        members = [one for one in archive.infolist() if not one.is_dir()]
        if len(members) != 1:
            raise InputError(f"`{path}` holds {len(members)} files: unpack it and give the one to read")
        return archive.open(members[0])
    except (zipfile.BadZipFile, NotImplementedError, RuntimeError, ValueError, EOFError) as error:
        raise InputError(f"`{path}` is not a readable zip archive: {error}") from error


def _blocks(stream: Any, path: Path, feed: Feed, packed: int | None) -> Iterator[bytes]:
    left = MOST_EXPANDED if packed is None else min(MOST_EXPANDED, max(FREELY_EXPANDED, MOST_RATIO * packed))
    while True:
        try:
            block = stream.read(BLOCK_BYTES)
        except (OSError, EOFError, zlib.error, zipfile.BadZipFile, NotImplementedError):
            feed.cut(path, 0, "the stream breaks off")
            return
        if not block:
            return
        left -= len(block)
        if left < 0:
            raise InputError(f"`{path}` unpacks to over {MOST_RATIO} times its size: unpack it and look at it")
        yield block


class _Counted:
    """A binary file that tells the feed how much of it was read."""

    def __init__(self, raw: IO[bytes], feed: Feed) -> None:
        self._raw = raw
        self._feed = feed
        self.closed = False

    def read(self, size: int = -1) -> bytes:
        data = self._raw.read(size)
        self._feed.passed(len(data))
        return data

    def __getattr__(self, name: str) -> Any:
        return getattr(self._raw, name)


def is_xml(path: Path, feed: Feed) -> bool:
    """Whether a file's content begins as XML does."""
    with opened(path, Feed(feed.source, RefusedRows(None))) as blocks:
        return _start(next(blocks, b"")) == b"<"


def _start(block: bytes) -> bytes:
    return block.removeprefix(_MARK).lstrip()[:1]


def lines(blocks: Iterable[bytes], path: Path, feed: Feed) -> Iterator[tuple[int, bytes]]:
    """Lines with their line ends and numbers from 1; one longer than `LONGEST_RECORD` is refused."""
    number, too_long = 0, False
    rest = bytearray()
    for block in blocks:
        *whole, last = block.split(b"\n")
        for line in whole:
            number += 1
            if rest:
                line, rest = bytes(rest) + line, bytearray()
            if too_long:
                too_long = False
            else:
                yield number, line + b"\n"
        rest += last
        if len(rest) > LONGEST_RECORD:
            if not too_long:
                feed.refuse(path, number + 1, "", f"is longer than {LONGEST_RECORD >> 20} MiB")
            rest, too_long = bytearray(), True
    if rest and not too_long:
        yield number + 1, bytes(rest)


def csv_records(path: Path, feed: Feed, *, fallback: str | None = None) -> Iterator[tuple[int, list[str]]]:
    """Records of a CSV file with the line they end at, the header among them.

    :param fallback: encoding of lines that are not UTF-8; they are refused when None.
    """
    csv.field_size_limit(LONGEST_RECORD)
    at, held = [0], [0]

    def text(blocks: Iterable[bytes]) -> Iterator[str]:
        for number, line in lines(blocks, path, feed):
            at[0], held[0] = number, held[0] + len(line)
            if held[0] > 2 * LONGEST_RECORD:
                # Quotes that span lines without end: a field has a bound of its own, a record of many has not.
                feed.cut(path, number, f"a record is longer than {LONGEST_RECORD >> 20} MiB")
                return
            try:
                yield line.decode("utf-8-sig" if number == 1 else "utf-8").replace("\0", "")
            except UnicodeDecodeError:
                if fallback is None:
                    feed.refuse(path, number, "", "is not UTF-8", line)
                else:
                    yield line.decode(fallback, "replace").replace("\0", "")

    with opened(path, feed) as blocks:
        reader = csv.reader(text(blocks))
        while True:
            try:
                record = next(reader, None)
            except csv.Error as error:
                feed.refuse(path, at[0], "", f"is no CSV: {error}")
                held[0] = 0
                continue
            if record is None or held[0] > 2 * LONGEST_RECORD:
                return
            held[0] = 0
            if len(record) > MOST_FIELDS:
                feed.refuse(path, at[0], "", f"has over {MOST_FIELDS} fields")
            elif any(value and value != "\x1a" for value in record):
                yield at[0], record


def csv_rows(path: Path, feed: Feed, needed: Sequence[str]) -> Iterator[tuple[int, dict[str, str]]]:
    """Rows of a CSV file by the names of its header; empty fields are left out.

    Raises `InputError` when the header lacks one of ``needed``.
    """
    header: list[str] | None = None
    for number, record in csv_records(path, feed):
        if header is None:
            header = [name.strip() for name in record]
            missing = [name for name in needed if name not in header]
            if missing:
                raise InputError(f"`{path}` lacks the column{'s' * (len(missing) > 1)} {', '.join(missing)}")
        elif len(record) != len(header):
            feed.refuse(path, number, "", "has not as many fields as the header", ",".join(record))
        else:
            yield number, {name: value for name, value in zip(header, record, strict=True) if value}
    if header is None:
        raise InputError(f"`{path}` is empty")


def json_objects(path: Path, feed: Feed) -> Iterator[tuple[int, Row]]:
    """Objects of JSON lines, or of one JSON array of any size, with their numbers from 1.

    Raises `InputError` when the file holds records and none of them is an object.
    """
    objects = faults = 0
    with opened(path, feed) as blocks:
        for number, data in _json_texts(blocks, path, feed):
            try:
                row = msgspec.json.decode(data)
            except (msgspec.DecodeError, UnicodeDecodeError, RecursionError, ValueError):
                row = None
            if isinstance(row, dict):
                objects += 1
                yield number, row
            else:
                faults += 1
                feed.refuse(path, number, "", "is not a JSON object", data[:200])
    if faults and not objects:
        raise InputError(f"`{path}` is no JSON of objects: none of its {faults} records is one")


def _json_texts(blocks: Iterator[bytes], path: Path, feed: Feed) -> Iterator[tuple[int, bytes]]:
    head = next(blocks, b"").removeprefix(_MARK)
    while head and not head.strip():
        head = next(blocks, b"")
    whole = chain([head], blocks)
    if _start(head) == b"[":
        yield from _array_texts(whole, path, feed)
        return
    for number, line in lines(whole, path, feed):
        if line.strip():
            yield number, line


def _array_texts(blocks: Iterable[bytes], path: Path, feed: Feed) -> Iterator[tuple[int, bytes]]:
    """The objects of an array, cut out by their braces without decoding what is around them."""
    number, depth, in_text, escaped, too_long = 0, 0, False, -1, False
    held = bytearray()
    seen = 0  # of ``held``, how much was looked at
    start = -1
    for block in blocks:
        held += block
        for mark in _MARKS.finditer(held, seen):
            at, sign = mark.start(), held[mark.start()]
            if in_text:
                if at == escaped:
                    continue
                if sign == 0x5C:
                    escaped = at + 1
                elif sign == 0x22:
                    in_text = False
            elif sign == 0x22:
                in_text = True
            elif sign in b"{[":
                depth += 1
                if depth == 2:
                    start = at
            elif sign in b"}]":
                depth -= 1
                if depth == 1 and start >= 0:
                    number += 1
                    if not too_long:
                        yield number, bytes(held[start : at + 1])
                    start, too_long = -1, False
                elif depth <= 0:
                    return
        seen = len(held)
        keep = start if start >= 0 else seen
        if seen - keep > LONGEST_RECORD:
            if not too_long:
                feed.refuse(path, number + 1, "", f"is longer than {LONGEST_RECORD >> 20} MiB")
            too_long, keep = True, seen
        del held[:keep]
        start, seen, escaped = min(0, start), seen - keep, escaped - keep
    feed.cut(path, number + 1, "the JSON array is cut here")


class Node:
    """An XML element by the local names of its children."""

    __slots__ = ("children", "kind", "text")

    def __init__(self, kind: str) -> None:
        self.kind = kind
        """Its `type` attribute."""
        self.text = ""
        self.children: dict[str, list[Node]] = {}

    def all(self, *names: str) -> list[Node]:
        """Every element at the end of a path of names."""
        found = [self]
        for name in names:
            found = [child for node in found for child in node.children.get(name, ())]
        return found

    def get(self, *names: str) -> str | None:
        """Text of the first element at the end of a path; None when there is none."""
        return next((node.text.strip() or None for node in self.all(*names)), None)


def xml_records(path: Path, feed: Feed, record: str) -> Iterator[tuple[int, Node]]:
    """Elements named ``record``, whatever their namespace, with their numbers from 1.

    Raises `InputError` when the file declares a document type, or is no XML from the start.
    """
    # The parser of the standard library with no document type allowed: without one XML has no entities to expand.
    parser = expat.ParserCreate()
    taken = _Records(record, path)
    parser.StartDoctypeDeclHandler = taken.doctype
    parser.StartElementHandler = taken.start
    parser.EndElementHandler = taken.end
    parser.CharacterDataHandler = taken.text
    parser.buffer_text = True
    number = 0
    with opened(path, feed) as blocks:
        for block in blocks:
            broken = _parse(parser, block, final=False)
            for node in taken.take():
                number += 1
                if isinstance(node, Node):
                    yield number, node
                else:
                    feed.refuse(path, number, "", node)
            if broken:
                break
        else:
            broken = _parse(parser, b"", final=True)
    if broken and not number:
        raise InputError(f"`{path}` is not XML: {broken}")
    if broken:
        feed.cut(path, number + 1, "the XML breaks off here")


def _parse(parser: expat.XMLParserType, block: bytes, *, final: bool) -> str | None:
    try:
        parser.Parse(block, final)
    except (expat.ExpatError, LookupError, ValueError) as error:  # the latter two: encodings that it does not know
        return str(error)
    return None


class _Records:
    """Builds the records of an XML file as the parser meets them."""

    def __init__(self, record: str, path: Path) -> None:
        self._record = record
        self._path = path
        self._open: list[Node] = []
        self._skipped = 0
        self._bytes = 0
        self._fault = ""
        self._done: list[Node | str] = []

    def take(self) -> list[Node | str]:
        done, self._done = self._done, []
        return done

    def doctype(self, *_arguments: object) -> None:
        raise InputError(f"`{self._path}` declares a document type: such XML is not read")

    def start(self, name: str, attributes: dict[str, str]) -> None:
        name = name.rpartition(":")[2]
        if not self._open:
            if name == self._record:
                self._open.append(Node(""))
                self._bytes, self._fault = 0, ""
            return
        self._bytes += 16 + len(name)
        if self._fault or len(self._open) >= DEEPEST:
            self._fault = self._fault or f"is deeper than {DEEPEST} elements"
            self._skipped += 1
            return
        node = Node(attributes.get("type", ""))
        self._open[-1].children.setdefault(name, []).append(node)
        self._open.append(node)

    def end(self, _name: str) -> None:
        if self._skipped:
            self._skipped -= 1
        elif self._open:
            node = self._open.pop()
            if not self._open:
                self._done.append(self._fault or node)

    def text(self, data: str) -> None:
        if self._open and not self._skipped:
            self._bytes += len(data)
            if self._bytes > LONGEST_RECORD:
                self._fault = self._fault or f"is longer than {LONGEST_RECORD >> 20} MiB"
            elif not self._fault:
                self._open[-1].text += data
