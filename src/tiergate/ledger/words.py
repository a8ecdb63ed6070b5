"""Cuts a column of texts into hashed words, all rows at once.

Words are runs of letters or runs of digits of any script that writes spaces; each character is a word of its own
in scripts that do not (Chinese, Japanese, Korean syllables). ASCII case is folded and every number is one and the
same word, so that `Item 7` and `item 12` read alike.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa

U64 = npt.NDArray[np.uint64]
I64 = npt.NDArray[np.int64]

BREAK, LETTER, DIGIT, IDEOGRAPH, INSIDE = 0, 1, 2, 3, 4
CONTENT_BYTES: Final = 4
LONGEST_CHARACTER: Final = 4
_BASE: Final = np.uint64(0x9E3779B97F4A7C15)  # odd, hence invertible modulo 2**64
_NUMBER: Final = np.uint64(0xD1B54A32D192ED03)


def _byte_classes() -> npt.NDArray[np.uint8]:
    classes = np.zeros(256, np.uint8)
    for first, last, kind in [
        (ord("0"), ord("9"), DIGIT),
        (ord("A"), ord("Z"), LETTER),
        (ord("a"), ord("z"), LETTER),
        (0x80, 0xBF, INSIDE),
        (0xC2, 0xE1, LETTER),  # Latin, Greek, Cyrillic, Hebrew, Arabic, Indic, Thai ...
        (0xE3, 0xED, IDEOGRAPH),  # U+3000 to U+DFFF; U+2000 to U+2FFF (E2) is punctuation and symbols
    ]:
        classes[first : last + 1] = kind
    return classes


# `bytes.translate` reads these: it takes half as long as numpy's `take`.
_CLASSES: Final = _byte_classes().tobytes()
_FOLD: Final = bytes(min(255, 1 + (b + 32 if 65 <= b <= 90 else b)) for b in range(256))
"""Values of bytes in a word's hash; UTF-8 has no byte above 0xF4."""


@dataclass(frozen=True, slots=True)
class Words:
    """The words of ``n`` texts in reading order.

    ``plain`` and ``masked`` (words,): its hash, without and with numbers
    masked. ``kind`` and ``size`` (words,): byte class and length in bytes. ``row_start`` and ``row_end`` (n,): the
    words of each text as a half-open range.
    """

    plain: U64
    masked: U64
    kind: npt.NDArray[np.uint8]
    size: I64
    row_start: I64
    row_end: I64

    @property
    def row(self) -> I64:
        """Text of each word (words,)."""
        return np.repeat(np.arange(len(self.row_start)), self.row_end - self.row_start)

    def content(self) -> tuple[I64, U64]:
        """Row and hash of words that carry a subject: long enough, or pairs of neighbouring ideographs."""
        row = self.row
        long = np.flatnonzero((self.kind == LETTER) & (self.size >= CONTENT_BYTES))
        ideograph = self.kind == IDEOGRAPH
        pair = np.flatnonzero(ideograph[:-1] & ideograph[1:] & (row[:-1] == row[1:]))
        pairs = pair_hashes(self.plain[pair], self.plain[pair + 1])
        return np.concatenate([row[long], row[pair]]), np.concatenate([self.plain[long], pairs])


def split_words(texts: pa.StringArray, limit_bytes: int, seed: np.uint64) -> Words:
    """Split ``texts`` (n,) into words, each text cut after ``limit_bytes``; nulls have no words."""
    data, starts = _bytes(texts, limit_bytes)
    return split_bytes(data.tobytes(), starts, seed)


def split_bytes(data: bytes, starts: I64, seed: np.uint64) -> Words:
    """Split texts (n,) that lie end to end in ``data``, UTF-8, each beginning where ``starts`` says."""
    padded = np.frombuffer(bytearray(b"\0%b\0" % data.translate(_CLASSES)), np.uint8)
    kind, ascii_only = padded[1:-1], data.isascii()
    lead_ideograph = None if ascii_only else kind == IDEOGRAPH
    for _ in range(0 if ascii_only else LONGEST_CHARACTER - 1):
        # What continues a character is of its kind.
        (inside,) = (kind == INSIDE).nonzero()
        if not len(inside):
            break
        kind[inside] = padded.take(inside)
    # Before which bytes, the end among them, a word or a break ends.
    cut = padded[1:] != padded[:-1]
    if lead_ideograph is not None:
        cut[:-1] |= lead_ideograph
    cut[starts] = True
    word = padded != BREAK
    (first,) = (cut & word[1:]).nonzero()
    (past,) = (cut & word[:-1]).nonzero()
    plain = _finish(_polynomial(data, first, past), seed)
    word_kind = kind.take(first)
    masked = np.where(word_kind == DIGIT, _hash_of_numbers(int(seed)), plain)
    row_start = first.searchsorted(starts)
    return Words(plain, masked, word_kind, past - first, row_start, np.append(row_start, len(first))[1:])


def _bytes(texts: pa.StringArray, limit: int) -> tuple[npt.NDArray[np.uint8], I64]:
    """The texts' UTF-8 bytes end to end, and where each row begins."""
    if not len(texts):
        return np.empty(0, np.uint8), np.empty(0, np.int64)
    _, offset_buffer, data_buffer = texts.buffers()
    ends = np.frombuffer(offset_buffer, np.int32)[texts.offset : texts.offset + len(texts) + 1].astype(np.int64)
    data = np.empty(0, np.uint8) if data_buffer is None else np.frombuffer(data_buffer, np.uint8)
    length = np.minimum(ends[1:] - ends[:-1], limit)
    if texts.null_count:
        length[np.asarray(texts.is_null())] = 0
    starts = np.concatenate([[0], np.cumsum(length)])
    if starts[-1] == ends[-1] - ends[0]:
        return data[ends[0] : ends[-1]], starts[:-1]
    kept = [data[begin : begin + size] for begin, size in zip(ends[:-1], length, strict=True)]
    return np.concatenate(kept), starts[:-1]


def powers(base: np.uint64, count: int) -> U64:
    """The powers base**1 to base**count modulo 2**64; the longest run asked for is kept for the next call."""
    known = _powers.get(int(base))
    if known is None or len(known) < count:
        known = np.multiply.accumulate(np.full(max(count, 1 << 16), base, np.uint64))
        _powers[int(base)] = known
    return known[:count]


@cache
def inverse(base: np.uint64) -> np.uint64:
    """The number that undoes a multiplication by odd ``base`` modulo 2**64."""
    return np.uint64(pow(int(base), -1, 1 << 64))


_powers: dict[int, U64] = {}


def _polynomial(data: bytes, first: I64, past: I64) -> U64:
    """Sum of byte * base**position within each word, by differences of one running sum (mod 2**64)."""
    if not len(first):
        return np.empty(0, np.uint64)
    running = np.zeros(len(data) + 1, np.uint64)
    # `cumsum` does the same and takes three times as long to begin.
    np.add.accumulate(np.frombuffer(data.translate(_FOLD), np.uint8) * powers(_BASE, len(data)), out=running[1:])
    hashes: U64 = running.take(past)
    hashes -= running.take(first)
    hashes *= powers(inverse(_BASE), len(data)).take(first)
    return hashes


def pair_hashes(first: U64, second: U64) -> U64:
    """What `Words.content` has of pairs of ideographs, from their hashes (n,) and (n,)."""
    return _finish(first + second * _BASE, np.uint64(0))


@cache
def _hash_of_numbers(seed: int) -> np.uint64:
    """What every number hashes to where numbers are masked."""
    return np.uint64(_finish(np.array([_NUMBER]), np.uint64(seed))[0])


def _finish(values: U64, seed: np.uint64) -> U64:
    """Spread every input bit over all output bits (finaliser of MurmurHash3, Appleby)."""
    mixed: U64 = values ^ seed
    shifted = np.empty_like(mixed)
    for factor in _FACTORS:
        mixed ^= np.right_shift(mixed, _SHIFT, shifted)
        mixed *= factor
    mixed ^= np.right_shift(mixed, _SHIFT, shifted)
    return mixed


# As arrays: numpy takes twice as long over its scalars, which shows where there are few values.
_SHIFT: Final = np.array(33, np.uint64)
_FACTORS: Final = (np.array(0xFF51AFD7ED558CCD, np.uint64), np.array(0xC4CEB9FE1A85EC53, np.uint64))
