"""The sketches of few exchanges: the same that `tiergate.ledger.sketches` makes, at a fraction of the cost.

`Sketcher` works on columns, and pays for each of many steps once a batch. A gateway's exchanges come by ones and tens:
only such steps are taken in columns here as are worth it for so few, the others row by row.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from hashlib import blake2b
from typing import Final, NamedTuple

import msgspec
import numpy as np

from tiergate.ledger.intents import ANY, asks, likely
from tiergate.ledger.sketches import (
    EDGE_WORDS,
    SHINGLE_WORDS,
    SYSTEM_BLOCKS,
    TEMPLATE_SAMPLE,
    TEXT_LIMIT_BYTES,
    U64,
    WORD_SAMPLE,
    Sketcher,
    mix,
)
from tiergate.ledger.words import CONTENT_BYTES, IDEOGRAPH, LETTER, Words, pair_hashes, powers, split_bytes

SYSTEM_PROMPTS: Final = 1_024
"""Sketches of so many system prompts are remembered, by their digests: they repeat."""

CONTENT_WORDS: Final = 1 << 16
"""The keyed hashes of so many content words are remembered."""

_MASK: Final = (1 << 64) - 1
_NOTHING: Final = np.uint64(_MASK)
"""In place of the hash of a content word, for a word that is none: no hash is smaller than any other by it."""


class RowSketches(msgspec.Struct, omit_defaults=True, frozen=True, gc=False):
    """One row of `SKETCH_SCHEMA`; lists of hashes as their bytes, 8 each, little-endian."""

    sketch_key_id: str | None = None
    sketch_system: bytes | None = None
    sketch_template: bytes | None = None
    sketch_words: bytes | None = None
    sketch_prompt: int | None = None
    sketch_intent: int | None = None


class _Prompt(NamedTuple):
    template: bytes
    words: bytes
    whole: int
    asks: int


class RowSketcher:
    """Makes what ``sketcher`` makes, for few exchanges at a time. May be used from any thread."""

    def __init__(self, sketcher: Sketcher) -> None:
        self._sketcher = sketcher
        self._mutex = threading.Lock()
        self._powers: U64 = np.concatenate([np.ones(1, np.uint64), powers(sketcher.base, TEXT_LIMIT_BYTES)])
        self._systems: dict[bytes, tuple[bytes, int]] = {}
        self._keyed: dict[int, bytes] = {}

    def sketch(self, rows: Sequence[tuple[str | None, str | None]]) -> list[RowSketches]:
        """The sketches of pairs of a system prompt and a user message, either of which may be absent."""
        prompts = self._prompts([prompt for _, prompt in rows if prompt is not None])
        return [self._row(system, None if prompt is None else next(prompts)) for system, prompt in rows]

    def _row(self, system: str | None, prompt: _Prompt | None) -> RowSketches:
        if system is None and prompt is None:
            return RowSketches()
        key_id = self._sketcher.key_id
        blocks, bits = (None, 0) if system is None else self._system(system)
        if prompt is None:
            return RowSketches(key_id, blocks, None, None, None, bits)
        return RowSketches(key_id, blocks, prompt.template, prompt.words, prompt.whole, bits | prompt.asks)

    def _system(self, text: str) -> tuple[bytes, int]:
        """Blocks and intents of a system prompt."""
        data = text.encode()
        digest = blake2b(data, digest_size=16).digest()
        known = self._systems.get(digest)
        if known is None:
            words, bits = self._read([text], [data])
            masked = words.masked
            starts = [masked[:block] for block in SYSTEM_BLOCKS if block < len(masked)] + [masked] * (len(masked) > 0)
            known = self._keys([self._span(start, 1) for start in starts]), bits[0]
            with self._mutex:
                if len(self._systems) >= SYSTEM_PROMPTS:
                    self._systems.clear()
                self._systems[digest] = known
        return known

    def _prompts(self, texts: list[str]) -> Iterator[_Prompt]:
        """Template, content words, hash and intents of user messages."""
        encoded = [text.encode() for text in texts]
        words, bits = self._read(texts, encoded)
        masked, shingles = words.masked, words.masked[:0]
        if len(masked) >= SHINGLE_WORDS:
            runs = np.correlate(masked, self._powers[:SHINGLE_WORDS])
            shingles = mix(runs ^ np.uint64((SHINGLE_WORDS << 8) ^ 2))
        content = np.where((words.kind == LETTER) & (words.size >= CONTENT_BYTES), words.plain, _NOTHING)
        ends = zip(words.row_start.tolist(), words.row_end.tolist(), strict=True)
        for text, (start, end), asked in zip(texts, ends, bits, strict=True):
            inside = masked[start:end]
            template = self._template(inside, shingles[start : max(start, end - SHINGLE_WORDS + 1)])
            found = content[start:end] if text.isascii() else _with_pairs(words, content, start, end)
            whole = self._sketcher.keyed(b"whole" + text.strip().encode())
            yield _Prompt(template, self._found(found), int.from_bytes(whole, "little", signed=True), asked)

    def _read(self, texts: list[str], encoded: list[bytes]) -> tuple[Words, list[int]]:
        """The words of texts, and what each asks for."""
        cut = [data[:TEXT_LIMIT_BYTES] for data in encoded]
        sizes = np.array([len(data) for data in cut], np.int64)
        joined, starts = b"".join(cut), np.add.accumulate(sizes) - sizes
        bits = []
        for text, data, some in zip(texts, encoded, likely(joined, starts), strict=True):
            # What is looked at of a text of many bytes for each character can go on after it is cut.
            bits.append(asks(text, some if len(data) <= TEXT_LIMIT_BYTES or text.isascii() else ANY))
        return split_bytes(joined, starts, self._sketcher.seed), bits

    def _template(self, masked: U64, shingles: U64) -> bytes:
        """The smallest shingles, then the edges. A text that is too short for one is its own shingle."""
        count = len(masked)
        if not count:
            return b""
        spans = _smallest(shingles, TEMPLATE_SAMPLE) if count >= SHINGLE_WORDS else [self._span(masked, 2)]
        edge = min(EDGE_WORDS, count)
        return self._keys([*spans, self._span(masked[:edge], 3), self._span(masked[count - edge :], 4)])

    def _found(self, content: U64) -> bytes:
        """The smallest hashes of content words."""
        found = _smallest(content, WORD_SAMPLE)
        if found and found[-1] == _MASK:
            found.pop()
        keyed = self._keyed
        try:
            return b"".join([keyed[value] for value in found])
        except KeyError:
            if len(keyed) > CONTENT_WORDS:
                keyed = self._keyed = {}
            keyed |= {value: self._keys([value]) for value in found if value not in keyed}
        return b"".join([keyed[value] for value in found])

    def _span(self, masked: U64, domain: int) -> int:
        """Hash of all words of ``masked`` as one."""
        count = len(masked)
        value = int(masked.dot(self._powers[:count])) ^ (count << 8) ^ domain
        value = ((value ^ (value >> 30)) * 0xBF58476D1CE4E5B9) & _MASK
        value = ((value ^ (value >> 27)) * 0x94D049BB133111EB) & _MASK
        return value ^ (value >> 31)

    def _keys(self, values: list[int]) -> bytes:
        return b"".join(self._sketcher.keyed_all([value.to_bytes(8, "little") for value in values]))


def _smallest(values: U64, count: int) -> list[int]:
    """The ``count`` smallest distinct values, in order; ``values`` is sorted by it."""
    values.sort()
    found = list(dict.fromkeys(values[: 3 * count].tolist()))
    if len(found) < count < len(values):
        found = list(dict.fromkeys(values.tolist()))
    return found[:count]


def _with_pairs(words: Words, content: U64, start: int, end: int) -> U64:
    """The content hashes of a text's words, with those of ideographs that are next to each other."""
    ideograph = words.kind[start:end] == IDEOGRAPH
    (first,) = (ideograph[:-1] & ideograph[1:]).nonzero()
    if not len(first):
        return content[start:end]
    plain = words.plain[start:end]
    return np.concatenate([content[start:end], pair_hashes(plain.take(first), plain.take(first + 1))])
