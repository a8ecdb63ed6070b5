"""Keyed sketches of an exchange's text: what detection needs of the words, without the words.

Five sketches stand in for a request's text (columns of `tiergate.records.schema.SKETCH_SCHEMA`):

``sketch_system``
    Hashes of the system prompt's first 8, 32 and 128 words and of all of it: nested, so that two prompts which
    part ways late still share their first blocks.
``sketch_template``
    The 8 smallest hashes (a bottom-k sketch) of the user message's shingles of 5 words, with numbers masked,
    then its first and its last 8 words. What a fixed instruction contributes to a message comes up again in
    every message made from it; what was filled in does not.
``sketch_words``
    The 8 smallest hashes of its content words (4 letters and more; pairs of characters where a script writes no
    spaces). Because the sample is consistent, two messages on one subject are likely to share some.
``sketch_prompt``
    Hash of the whole message: equal exactly when the messages are equal.
``sketch_intent``
    Bits of `tiergate.ledger.intents`: what is asked for, such as written-out reasoning or grading.

Every value that leaves this module is BLAKE2b (RFC 7693) under the deployment's key, cut to a signed 64-bit
integer. Which shingles are kept also depends on the key, so that nobody without it can pad a message with
shingles chosen to fill the sketch. Sketches made under different keys cannot be compared; ``sketch_key_id``
says which key it was.

Bottom-k: A. Broder, "On the resemblance and containment of documents", 1997. Only the first 16 KiB of a text are
sketched, which bounds the time that one request can take.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from tiergate.errors import InputError
from tiergate.ledger.intents import intents
from tiergate.ledger.words import Words, inverse, powers, split_words
from tiergate.records.schema import SKETCH_SCHEMA

KEY_BYTES: Final = 32
PUBLIC_KEY: Final = b"tiergate: sketches made in memory"[:KEY_BYTES]
"""Key for sketches that live only while one detection runs over text; never for sketches that are kept."""

SYSTEM_BLOCKS: Final = (8, 32, 128)
SHINGLE_WORDS: Final = 5
EDGE_WORDS: Final = 8
TEMPLATE_SAMPLE: Final = 8
WORD_SAMPLE: Final = 8
TEXT_LIMIT_BYTES: Final = 16_384
CHUNK_ROWS: Final = 4_096
"""Rows sketched at once: what stays in a processor's cache; `_bottom` relies on no more than 12 bits."""

U64 = npt.NDArray[np.uint64]
I64 = npt.NDArray[np.int64]


def load_or_create_key(path: Path, what: str = "sketch key") -> bytes:
    """Read a secret key of 32 bytes, the deployment's sketch key or ``what`` it is, or make one that only its owner
    can read.

    Raises `InputError` when the file is there but is not a key.
    """
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        key = path.read_bytes()
        if len(key) != KEY_BYTES:
            raise InputError(f"`{path}` is not a {what}: expected {KEY_BYTES} bytes, found {len(key)}") from None
        return key
    except OSError as error:
        raise InputError(f"cannot create the {what} `{path}`: {error.strerror}") from error
    with os.fdopen(descriptor, "wb") as file:
        key = os.urandom(KEY_BYTES)
        file.write(key)
        file.flush()
        os.fsync(file.fileno())
    return key


class Sketcher:
    """Makes sketches under one key. Instances share nothing and may be used from any thread.

    Raises `ValueError` when ``key`` is not 32 bytes.
    """

    def __init__(self, key: bytes) -> None:
        if len(key) != KEY_BYTES:
            raise ValueError(f"a sketch key has {KEY_BYTES} bytes, not {len(key)}")
        self._state = hashlib.blake2b(key=key, digest_size=8, person=b"tiergate-sketch")
        digest = hashlib.blake2b(b"parameters", key=key, digest_size=16, person=b"tiergate-sketch").digest()
        self.seed = np.frombuffer(digest[:8], np.uint64)[0]
        self.base = np.frombuffer(digest[8:], np.uint64)[0] | np.uint64(1)
        self.key_id = hashlib.blake2b(b"name", key=key, digest_size=6, person=b"tiergate-sketch").hexdigest()

    def sketch(self, batch: pa.RecordBatch | pa.Table) -> pa.RecordBatch:
        """Sketch every row of ``batch``.

        :param batch: any columns of an exchange log, of them ``system_text`` and ``prompt_text`` (string) are read;
            a missing column counts as absent text.
        :returns: the columns of `SKETCH_SCHEMA`, as many rows; null where there was no text.
        """
        parts = [self._sketch_rows(batch.slice(start, CHUNK_ROWS)) for start in range(0, batch.num_rows, CHUNK_ROWS)]
        table = pa.Table.from_batches(parts, SKETCH_SCHEMA).combine_chunks()
        return (
            table.to_batches()[0]
            if table.num_rows
            else pa.RecordBatch.from_arrays([pa.array([], f.type) for f in SKETCH_SCHEMA], schema=SKETCH_SCHEMA)
        )

    def keyed(self, data: bytes) -> bytes:
        """The keyed hash that stands for ``data`` in a sketch, 8 bytes."""
        state = self._state.copy()
        state.update(data)
        return state.digest()

    def keyed_all(self, values: Iterable[bytes]) -> list[bytes]:
        """`keyed` of each of ``values``, 8 bytes each."""
        copy, digests = self._state.copy, []
        for value in values:
            state = copy()
            state.update(value)
            digests.append(state.digest())
        return digests

    def _sketch_rows(self, rows: pa.RecordBatch | pa.Table) -> pa.RecordBatch:
        system, prompt = _text(rows, "system_text"), _text(rows, "prompt_text")
        written = np.asarray(system.is_valid()) | np.asarray(prompt.is_valid())
        columns = [
            pa.array(np.full(rows.num_rows, self.key_id, dtype=object), pa.string(), mask=~written),
            self.system_lists(system),
            *self.prompt_lists(prompt),
            self._keyed_whole(prompt),
            pa.array(intents(system, prompt), pa.int64(), mask=~written),
        ]
        return pa.RecordBatch.from_arrays(columns, schema=SKETCH_SCHEMA)

    def system_lists(self, system: pa.StringArray) -> pa.ListArray:
        """``sketch_system`` of system prompts (n,)."""
        return self._keyed_lists(system, [self._prefixes(split_words(system, TEXT_LIMIT_BYTES, self.seed), 1)])

    def prompt_lists(self, prompt: pa.StringArray) -> tuple[pa.ListArray, pa.ListArray]:
        """``sketch_template`` and ``sketch_words`` of user messages (n,)."""
        words = split_words(prompt, TEXT_LIMIT_BYTES, self.seed)
        shingles = _bottom(*self._shingles(words), TEMPLATE_SAMPLE)
        template = self._keyed_lists(prompt, [shingles, self._edges(words)])
        return template, self._keyed_lists(prompt, [_bottom(*words.content(), WORD_SAMPLE)])

    def _spans(self, words: Words, start: I64, length: I64, domain: int) -> U64:
        """Hash of the ``length`` words from ``start`` on, by differences of a running polynomial (mod 2**64)."""
        count = len(words.masked)
        running = np.concatenate([np.zeros(1, np.uint64), np.cumsum(words.masked * powers(self.base, count))])
        # The base is odd, hence invertible: every span is brought back to the same exponents.
        undo = powers(inverse(self.base), count)
        raw = (running[start + length] - running[start]) * undo[start]
        return mix(raw ^ (length.astype(np.uint64) << np.uint64(8)) ^ np.uint64(domain))

    def _shingles(self, words: Words) -> tuple[I64, U64]:
        """Row and hash of every run of 5 words; of all words of a shorter text."""
        row = words.row
        end = words.row_end[row]
        position = np.arange(len(row))
        length = np.minimum(SHINGLE_WORDS, end - words.row_start[row])
        starts = np.flatnonzero(position + length <= end)
        return row[starts], self._spans(words, starts, length[starts], 2)

    def _prefixes(self, words: Words, domain: int) -> tuple[I64, U64]:
        """Row and hash of the first 8, 32 and 128 words, then of all words."""
        count = words.row_end - words.row_start
        rows, hashes = [], []
        for block in (*SYSTEM_BLOCKS, None):
            some = np.flatnonzero(count > block) if block else np.flatnonzero(count > 0)
            length = np.full(len(some), block, np.int64) if block else count[some]
            rows.append(some)
            hashes.append(self._spans(words, words.row_start[some], length, domain))
        return np.concatenate(rows), np.concatenate(hashes)

    def _edges(self, words: Words) -> tuple[I64, U64]:
        """Row and hash of the first and of the last 8 words."""
        some = np.flatnonzero(words.row_end > words.row_start)
        length = np.minimum(EDGE_WORDS, (words.row_end - words.row_start)[some])
        first = self._spans(words, words.row_start[some], length, 3)
        last = self._spans(words, words.row_end[some] - length, length, 4)
        return np.concatenate([some, some]), np.concatenate([first, last])

    def _keyed_lists(self, text: pa.StringArray, parts: list[tuple[I64, U64]]) -> pa.Array:
        """Lists of keyed hashes by row, in the order of ``parts``; null where the text is null."""
        row = np.concatenate([part[0] for part in parts])
        order = np.argsort(row, kind="stable")
        values = self._keyed(np.concatenate([part[1] for part in parts])[order])
        offsets = np.zeros(len(text) + 1, np.int32)
        np.cumsum(np.bincount(row, minlength=len(text)), out=offsets[1:])
        mask = pa.array(np.asarray(text.is_null())) if text.null_count else None
        return pa.ListArray.from_arrays(pa.array(offsets), pa.array(values), mask=mask)

    def _keyed(self, values: U64) -> I64:
        distinct, inverse = np.unique(values, return_inverse=True)
        words = memoryview(distinct.astype("<u8").tobytes()).cast("Q")
        digests = b"".join(self.keyed_all(value.to_bytes(8, "little") for value in words))
        return np.frombuffer(digests, "<i8")[inverse].astype(np.int64)

    def _keyed_whole(self, text: pa.StringArray) -> pa.Array:
        texts = text.to_pylist()
        digests = [None if value is None else self.keyed(b"whole" + value.strip().encode()) for value in texts]
        hashes = [None if one is None else int.from_bytes(one, "little", signed=True) for one in digests]
        return pa.array(hashes, pa.int64())


def mix(values: U64) -> U64:
    """Spread every input bit over all output bits (finaliser of SplitMix64, Steele et al. 2014)."""
    shifted = values >> _SHIFTS[0]
    mixed: U64 = values ^ shifted
    mixed *= _FACTORS[0]
    mixed ^= np.right_shift(mixed, _SHIFTS[1], shifted)
    mixed *= _FACTORS[1]
    mixed ^= np.right_shift(mixed, _SHIFTS[2], shifted)
    return mixed


# As arrays: numpy takes twice as long over its scalars, which shows where there are few values.
_SHIFTS: Final = tuple(np.array(bits, np.uint64) for bits in (30, 27, 31))
_FACTORS: Final = tuple(np.array(factor, np.uint64) for factor in (0xBF58476D1CE4E5B9, 0x94D049BB133111EB))


def _bottom(row: I64, value: U64, size: int) -> tuple[I64, U64]:
    """The ``size`` smallest distinct values of each row."""
    # Rows of a chunk fit 12 bits; 52 bits of the value order it well enough, and equal values stay together.
    order = np.argsort((row.astype(np.uint64) << np.uint64(52)) | (value >> np.uint64(12)))
    row, value = row[order], value[order]
    new = np.ones(len(row), bool)
    new[1:] = (row[1:] != row[:-1]) | (value[1:] != value[:-1])
    row, value = row[new], value[new]
    first = np.searchsorted(row, row, side="left")
    kept = np.arange(len(row)) - first < size
    return row[kept], value[kept]


def _text(rows: pa.RecordBatch | pa.Table, name: str) -> pa.StringArray:
    if name not in rows.schema.names:
        return pa.nulls(rows.num_rows, pa.string())
    column = rows.column(name)
    whole = column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column
    return whole.cast(pa.string())
