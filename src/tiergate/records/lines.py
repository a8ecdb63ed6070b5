"""JSON lines, plain or compressed, as batches: constant memory, and one bad line costs one row."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import msgspec
import pyarrow as pa

from tiergate.errors import InputError
from tiergate.records.convert import rows_to_batch
from tiergate.records.refused import RefusedRows, excerpt

BLOCK_BYTES: Final = 1 << 20
LONGEST_LINE: Final = 16 << 20
BATCH_BYTES: Final = 64 << 20
"""A batch ends at this much text, so that long prompts do not fill the memory."""
_decode = msgspec.json.Decoder().decode


def read_json_lines(
    path: Path, compression: str | None, schema: pa.Schema, refused: RefusedRows, batch_rows: int
) -> Iterator[pa.RecordBatch]:
    """Checked batches of ``schema``'s columns.

    Raises `InputError` when the file cannot be read or none of its lines is a JSON object.
    """
    rows: list[dict[str, Any]] = []
    numbers: list[int] = []
    objects = faults = held = 0
    first = ""
    for number, line in raw_lines(path, compression, refused):
        try:
            row = _decode(line)
            if not isinstance(row, dict):
                raise msgspec.DecodeError("not an object")
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            faults += 1
            raw = line[:200].decode(errors="replace")
            first = first or excerpt(raw)
            refused.add(str(path), number, "", "is not a JSON object", raw)
            continue
        objects += 1
        rows.append(row)
        numbers.append(number)
        held += len(line)
        if len(rows) == batch_rows or held > BATCH_BYTES:
            yield rows_to_batch(rows, numbers, schema, str(path), refused)
            rows, numbers, held = [], [], 0
    if not objects and faults:
        raise InputError(
            f"`{path}` is not JSON lines: none of its {faults:,} lines is a JSON object; the first is `{first}`"
        )
    if rows:
        yield rows_to_batch(rows, numbers, schema, str(path), refused)


def raw_lines(path: Path, compression: str | None, refused: RefusedRows) -> Iterator[tuple[int, bytes]]:
    """Lines that are not blank, with their numbers from 1. A stream cut in the middle is one refusal."""
    number, rest = 0, b""
    too_long = False
    blocks = _blocks(path, compression)
    while True:
        try:
            block = next(blocks, b"")
        except OSError as error:
            if number == 0 and not rest:
                kind = f"a readable {compression} file" if compression else "readable"
                raise InputError(f"`{path}` is not {kind}: {str(error).splitlines()[0]}") from error
            refused.add(str(path), number + 1, "", f"the {compression or 'file'} stream is cut here")
            return
        if not block:
            break
        *lines, rest = (rest + block).split(b"\n")
        for line in lines:
            number += 1
            if too_long:
                too_long = False
                continue
            if line.strip():
                yield number, line
        if len(rest) > LONGEST_LINE:
            if not too_long:
                refused.add(str(path), number + 1, "", f"the line is longer than {LONGEST_LINE >> 20} MiB")
            rest, too_long = b"", True
    if rest.strip() and not too_long:
        yield number + 1, rest


def _blocks(path: Path, compression: str | None) -> Iterator[bytes]:
    passed = 0
    try:
        with _opened(path, compression) as stream:
            while block := stream.read(BLOCK_BYTES):
                yield block
                passed += len(block)
    except OSError:
        if compression is None:
            raise
    else:
        return
    # The failed read took with it what stood before the cut: go there again, byte by byte.
    with _opened(path, compression) as stream:
        while passed:
            passed -= len(stream.read(min(passed, BLOCK_BYTES)))
        while byte := stream.read(1):
            yield byte


def _opened(path: Path, compression: str | None) -> pa.NativeFile:
    return pa.input_stream(str(path), compression=compression)
