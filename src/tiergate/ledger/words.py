"""Cuts a column of texts into hashed words, all rows at once.

Words are runs of letters or runs of digits of any script that writes spaces; each character is a word of its own
in scripts that do not (Chinese, Japanese, Korean syllables). ASCII case is folded and every number is one and the
same word, so that `Item 7` and `item 12` read alike.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa

U64 = npt.NDArray[np.uint64]
I64 = npt.NDArray[np.int64]

BREAK, LETTER, DIGIT, IDEOGRAPH, INSIDE = 0, 1, 2, 3, 4
CONTENT_BYTES: Final = 4
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


_CLASSES: Final = _byte_classes()
_FOLD: Final = np.array([b + 32 if 65 <= b <= 90 else b for b in range(256)], np.uint64) + np.uint64(1)


@dataclass(frozen=True, slots=True)
class Words:
    """The words of ``n`` texts in reading order.

    ``row`` (words,): text of each word. ``plain`` and ``masked`` (words,): its hash, without and with numbers
    masked. ``kind`` and ``size`` (words,): byte class and length in bytes. ``row_start`` and ``row_end`` (n,): the
    words of each text as a half-open range.
    """

    row: I64
    plain: U64
    masked: U64
    kind: npt.NDArray[np.uint8]
    size: I64
    row_start: I64
    row_end: I64

    def content(self) -> tuple[I64, U64]:
        """Row and hash of words that carry a subject: long enough, or pairs of neighbouring ideographs."""
        long = np.flatnonzero((self.kind == LETTER) & (self.size >= CONTENT_BYTES))
        ideograph = self.kind == IDEOGRAPH
        pair = np.flatnonzero(ideograph[:-1] & ideograph[1:] & (self.row[:-1] == self.row[1:]))
        pairs = pair_hashes(self.plain[pair], self.plain[pair + 1])
        return np.concatenate([self.row[long], self.row[pair]]), np.concatenate([self.plain[long], pairs])


def split_words(texts: pa.StringArray, limit_bytes: int, seed: np.uint64) -> Words:
    """Split ``texts`` (n,) into words, each text cut after ``limit_bytes``; nulls have no words."""
    data, row_of_byte, starts = _bytes(texts, limit_bytes)
    position = np.arange(len(data))
    lead = np.maximum.accumulate(np.where(_CLASSES[data] != INSIDE, position, 0))
    kind = _CLASSES[data[lead]]
    inside = kind != BREAK
    fresh = np.ones(len(data), bool)
    fresh[1:] = kind[1:] != kind[:-1]
    fresh[starts[starts < len(data)]] = True
    fresh |= (kind == IDEOGRAPH) & (lead == position)
    first = np.flatnonzero(inside & fresh)
    # A word ends where the next begins or where a break follows it.
    closing = np.flatnonzero(inside & np.append(fresh[1:] | ~inside[1:], True)) if len(data) else first
    size = closing - first + 1
    plain = _finish(_polynomial(data, first, closing), seed)
    word_kind = kind[first]
    masked = np.where(word_kind == DIGIT, _finish(np.array([_NUMBER]), seed), plain)
    row = row_of_byte[first]
    row_start = np.searchsorted(row, np.arange(len(texts)), side="left")
    row_end = np.searchsorted(row, np.arange(len(texts)), side="right")
    return Words(row, plain, masked, word_kind, size, row_start, row_end)


def _bytes(texts: pa.StringArray, limit: int) -> tuple[npt.NDArray[np.uint8], I64, I64]:
    """The texts' UTF-8 bytes end to end, the row of each byte and where each row begins."""
    if not len(texts):
        return np.empty(0, np.uint8), np.empty(0, np.int64), np.empty(0, np.int64)
    _, offset_buffer, data_buffer = texts.buffers()
    ends = np.frombuffer(offset_buffer, np.int32)[texts.offset : texts.offset + len(texts) + 1].astype(np.int64)
    length = np.minimum(ends[1:] - ends[:-1], limit)
    if texts.null_count:
        length[np.asarray(texts.is_null())] = 0
    starts = np.concatenate([[0], np.cumsum(length)])[:-1]
    row_of_byte = np.repeat(np.arange(len(texts)), length)
    if data_buffer is None or not len(row_of_byte):
        return np.empty(0, np.uint8), row_of_byte, starts
    take = np.arange(len(row_of_byte)) - starts[row_of_byte] + ends[:-1][row_of_byte]
    return np.frombuffer(data_buffer, np.uint8)[take], row_of_byte, starts


def powers(base: np.uint64, count: int) -> U64:
    """The powers base**1 to base**count modulo 2**64; the longest run asked for is kept for the next call."""
    known = _powers.get(int(base), np.empty(0, np.uint64))
    if len(known) < count:
        known = np.multiply.accumulate(np.full(max(count, 1 << 16), base, np.uint64))
        _powers[int(base)] = known
    return known[:count]


def inverse(base: np.uint64) -> np.uint64:
    """The number that undoes a multiplication by odd ``base`` modulo 2**64."""
    return np.uint64(pow(int(base), -1, 1 << 64))


_powers: dict[int, U64] = {}


def _polynomial(data: npt.NDArray[np.uint8], first: I64, last: I64) -> U64:
    """Sum of byte * base**position within each word, by differences of one running sum (mod 2**64)."""
    if not len(first):
        return np.empty(0, np.uint64)
    running = np.concatenate([np.zeros(1, np.uint64), np.cumsum(_FOLD[data] * powers(_BASE, len(data)))])
    undo = powers(inverse(_BASE), len(data))
    hashes: U64 = (running[last + 1] - running[first]) * undo[first]
    return hashes


def word_hash(word: bytes, seed: int) -> int:
    """What `split_words` has as ``plain`` of one word."""
    value = 0
    for byte in reversed(word):
        value = value * _BASE_INT + _FOLD_INTS[byte]
    return _finish_one(value & _MASK, seed)


def number_hash(seed: int) -> int:
    """What `split_words` has as ``masked`` of any number."""
    return _finish_one(int(_NUMBER), seed)


def pair_hashes(first: U64, second: U64) -> U64:
    """What `Words.content` has of pairs of ideographs, from their hashes (n,) and (n,)."""
    return _finish(first + second * _BASE, np.uint64(0))


def _finish_one(value: int, seed: int) -> int:
    value ^= seed
    value = ((value ^ (value >> 33)) * 0xFF51AFD7ED558CCD) & _MASK
    value = ((value ^ (value >> 33)) * 0xC4CEB9FE1A85EC53) & _MASK
    return value ^ (value >> 33)


_MASK: Final = (1 << 64) - 1
_BASE_INT: Final = int(_BASE)
_FOLD_INTS: Final = [int(value) for value in _FOLD]


def _finish(values: U64, seed: np.uint64) -> U64:
    mixed = values ^ seed
    mixed = (mixed ^ (mixed >> np.uint64(33))) * np.uint64(0xFF51AFD7ED558CCD)
    mixed = (mixed ^ (mixed >> np.uint64(33))) * np.uint64(0xC4CEB9FE1A85EC53)
    return mixed ^ (mixed >> np.uint64(33))
