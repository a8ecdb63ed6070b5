"""The sketches of few exchanges: the same that `tiergate.ledger.sketches` makes, at a fraction of the cost.

`Sketcher` works on columns and pays for each step once a batch, which is much for a batch of one. A gateway's exchanges
come by ones and tens and their words repeat. So a text is cut at white space here, and what was found out about a token
is remembered. A text that is mostly new, as encoded data or a script that writes no spaces, is left to the columns.
"""

from __future__ import annotations

import re
import struct
import threading
from collections.abc import Callable, Iterator, Sequence
from hashlib import blake2b
from typing import Final, NamedTuple

import msgspec
import numpy as np
import pyarrow as pa

from tiergate.ledger.intents import ALTERNATIVES, LIMIT_CHARACTERS, intents
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
from tiergate.ledger.words import CONTENT_BYTES, number_hash, pair_hashes, powers, word_hash

NEW_BYTES: Final = 1_024
"""How much of a text may be new, before it is left to the columns."""

REMEMBERED_BYTES: Final = 16 << 20
"""Memory for tokens, about; when it is used up, all are forgotten."""

SYSTEM_PROMPTS: Final = 1_024
"""Sketches of so many system prompts are remembered, by their digests."""

_TOKEN_BYTES: Final = 450
_MASK: Final = (1 << 64) - 1
_NOTHING: Final = _MASK
_IDEOGRAPH: Final = _MASK - 1
"""In place of the hash of a content word: what is none, and what is one together with the next word."""

# As `tiergate.ledger.words` cuts them.
_WORD: Final = re.compile(rb"[0-9]+|[A-Za-z\xc2-\xe1][A-Za-z\xc2-\xe1\x80-\xbf]*|[\xe3-\xed][\x80-\xbf]*")
_LOWER: Final = bytes(byte + 32 if 65 <= byte <= 90 else byte for byte in range(256))
_FOLDED: Final = ("\u017f", "\u212a")  # RE2 takes them for s and k where case does not matter
_ANCHORS: Final = [anchor.encode() for some in ALTERNATIVES for anchor, _ in some]
_ANCHOR: Final = re.compile(b"|".join(map(re.escape, sorted(set(_ANCHORS)))))


def _search(pattern: str) -> Callable[[str], object]:
    """A search that looks for the pattern's first word first, which Python's does not where a boundary is before it."""
    bounded = re.match(r"\\b([a-z]+)", pattern)
    if bounded is not None:
        pattern = rf"{bounded[1]}(?<!\w{bounded[1]}){pattern[bounded.end() :]}"
    return re.compile(pattern, re.ASCII).search


_SEARCHES: Final = [(1 << bit, _search(pattern)) for bit, some in enumerate(ALTERNATIVES) for _, pattern in some]


class RowSketches(msgspec.Struct, omit_defaults=True, frozen=True):
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


class _UnfamiliarError(Exception):
    """Too much of a text is new."""


class _Tokens(dict[bytes, bytes]):
    """What is known of a token: 16 bytes for each of its words, the masked hash and the content hash."""

    def __init__(self, read: Callable[[bytes], bytes]) -> None:
        self._read = read

    def __missing__(self, token: bytes) -> bytes:
        known = self[token] = self._read(token)
        return known


class RowSketcher:
    """Makes what ``sketcher`` makes, for few exchanges at a time. May be used from any thread."""

    def __init__(self, sketcher: Sketcher) -> None:
        self._columns = sketcher
        self._mutex = threading.Lock()
        self._seed = int(sketcher.seed)
        self._number = number_hash(self._seed)
        self._powers: U64 = np.concatenate([np.ones(1, np.uint64), powers(sketcher.base, TEXT_LIMIT_BYTES)])
        self._new_bytes = self._remembered = 0
        self._tokens = _Tokens(self._read)
        self._asking: dict[bytes, int] = {}
        """Tokens with an anchor in them, and which: bits in the order of `_ANCHORS`."""
        self._asking_tokens: set[bytes] = set()
        self._keyed: dict[int, bytes] = {}
        self._systems: dict[bytes, tuple[bytes, int]] = {}

    def sketch(self, rows: Sequence[tuple[str | None, str | None]]) -> list[RowSketches]:
        """The sketches of pairs of a system prompt and a user message, either of which may be absent."""
        with self._mutex:
            if self._remembered > REMEMBERED_BYTES:
                self._forget()
            prompts = self._prompts([prompt for _, prompt in rows if prompt is not None])
            return [self._row(system, None if prompt is None else next(prompts)) for system, prompt in rows]

    def _row(self, system: str | None, prompt: _Prompt | None) -> RowSketches:
        if system is None and prompt is None:
            return RowSketches()
        blocks, asks = (None, 0) if system is None else self._system(system)
        if prompt is None:
            return RowSketches(self._columns.key_id, blocks, None, None, None, asks)
        return RowSketches(
            self._columns.key_id, blocks, prompt.template, prompt.words, prompt.whole, asks | prompt.asks
        )

    def _system(self, text: str) -> tuple[bytes, int]:
        """Blocks and intents of a system prompt."""
        data = text.encode()
        digest = blake2b(data, digest_size=16).digest()
        known = self._systems.get(digest)
        if known is None:
            if len(self._systems) >= SYSTEM_PROMPTS:
                self._systems.clear()
            known = self._systems[digest] = self._new_system(text, data)
        return known

    def _new_system(self, text: str, data: bytes) -> tuple[bytes, int]:
        tokens, known = self._familiar(data)
        if tokens is None:
            return _bytes(self._columns.system_lists(pa.array([text], pa.string()))), self._asks(text, None)
        masked = np.frombuffer(known, np.uint64)[::2]
        count = len(masked)
        starts = [masked[:block] for block in SYSTEM_BLOCKS if block < count] + ([masked] if count else [])
        return self._keys([self._span(start, 1) for start in starts]), self._asks(text, tokens)

    def _prompts(self, texts: list[str]) -> Iterator[_Prompt]:
        """What is made of user messages, step by step for all of them: each step's code is then at hand."""
        read = [(text, *self._familiar(text.encode())) for text in texts]
        words = np.frombuffer(b"".join([known for _, _, known in read]), np.uint64).reshape(-1, 2)
        masked, content = words[:, 0].copy(), words[:, 1].copy()
        shingles = masked[:0]
        if len(masked) >= SHINGLE_WORDS:
            runs = np.correlate(masked, self._powers[:SHINGLE_WORDS])
            shingles = mix(runs ^ np.uint64((SHINGLE_WORDS << 8) ^ 2))
        end = 0
        for text, tokens, known in read:
            start, end = end, end + len(known) // 16
            whole = int.from_bytes(self._columns.keyed(b"whole" + text.strip().encode()), "little", signed=True)
            if tokens is None:
                lists = self._columns.prompt_lists(pa.array([text], pa.string()))
                template, found = map(_bytes, lists)
            else:
                runs_of_text = shingles[start : max(start, end - SHINGLE_WORDS + 1)]
                template = self._template(masked[start:end], runs_of_text)
                found = self._found(masked[start:end], content[start:end], ascii_only=text.isascii())
            yield _Prompt(template, found, whole, self._asks(text, tokens))

    def _template(self, masked: U64, shingles: U64) -> bytes:
        """The smallest shingles, then the edges. A text that is too short for one is its own shingle."""
        count = len(masked)
        if not count:
            return b""
        spans = _smallest(shingles, TEMPLATE_SAMPLE) if count >= SHINGLE_WORDS else [self._span(masked, 2)]
        edge = min(EDGE_WORDS, count)
        return self._keys([*spans, self._span(masked[:edge], 3), self._span(masked[count - edge :], 4)])

    def _found(self, masked: U64, content: U64, *, ascii_only: bool) -> bytes:
        """The smallest hashes of content words."""
        if not ascii_only:
            content = _with_pairs(masked, content)
        found = _smallest(content, WORD_SAMPLE)
        if found and found[-1] == _NOTHING:
            found.pop()
        keyed = self._keyed
        for value in found:
            if value not in keyed:
                keyed[value] = self._keys([value])
        return b"".join([keyed[value] for value in found])

    def _familiar(self, data: bytes) -> tuple[list[bytes] | None, bytes]:
        """A text's tokens with what is known of them, as in `_Tokens`; None and nothing where too much is new."""
        self._new_bytes = 0
        tokens = data[:TEXT_LIMIT_BYTES].split()
        try:
            return tokens, b"".join(map(self._tokens.__getitem__, tokens))
        except _UnfamiliarError:
            return None, b""

    def _read(self, token: bytes) -> bytes:
        """Find out about a token that is new."""
        self._new_bytes += len(token)
        if self._new_bytes > NEW_BYTES:
            raise _UnfamiliarError
        self._remembered += 3 * len(token) + _TOKEN_BYTES
        known = []
        for word in _WORD.findall(token):
            lead, content = word[0], _NOTHING
            masked = self._number if lead <= 0x39 else word_hash(word, self._seed)
            if lead >= 0xE3:
                content = _IDEOGRAPH
            elif lead > 0x39 and len(word) >= CONTENT_BYTES:
                content = masked
            known += [masked, content]
        lower = token.translate(_LOWER)
        if _ANCHOR.search(lower):
            self._asking[token] = _anchors_in(lower)
            self._asking_tokens.add(token)
        return struct.pack(f"<{len(known)}Q", *known)

    def _span(self, masked: U64, domain: int) -> int:
        """Hash of all words of ``masked`` as one."""
        count = len(masked)
        value = int(masked.dot(self._powers[:count])) ^ (count << 8) ^ domain
        value = ((value ^ (value >> 30)) * 0xBF58476D1CE4E5B9) & _MASK
        value = ((value ^ (value >> 27)) * 0x94D049BB133111EB) & _MASK
        return value ^ (value >> 31)

    def _asks(self, text: str, tokens: list[bytes] | None) -> int:
        """Bits of `tiergate.ledger.intents`; no ``tokens`` where they are not remembered."""
        if text.isascii():
            lower = text[:LIMIT_CHARACTERS].lower()
        elif any(character in text for character in _FOLDED):
            return int(intents(pa.array([text], pa.string()), pa.array([None], pa.string()))[0])
        else:
            lower = text[:LIMIT_CHARACTERS].encode().translate(_LOWER).decode()
        maybe = 0
        # The tokens end where a text of many bytes for each character goes on.
        if tokens is None or (len(lower) > TEXT_LIMIT_BYTES // 4 and not lower.isascii()):
            maybe = _anchors_in(lower.encode())
        else:
            for token in self._asking_tokens.intersection(tokens):
                maybe |= self._asking[token]
        asks = 0
        while maybe:
            number = maybe.bit_length() - 1
            maybe ^= 1 << number
            bit, search = _SEARCHES[number]
            if not asks & bit and search(lower):
                asks |= bit
        return asks

    def _keys(self, values: list[int]) -> bytes:
        keyed = self._columns.keyed
        return b"".join([keyed(value.to_bytes(8, "little")) for value in values])

    def _forget(self) -> None:
        self._remembered = 0
        for memory in (self._tokens, self._asking, self._asking_tokens, self._keyed):
            memory.clear()


def _anchors_in(lower: bytes) -> int:
    return sum(1 << number for number, anchor in enumerate(_ANCHORS) if anchor in lower)


def _bytes(lists: pa.ListArray) -> bytes:
    """The hashes of a column of one row."""
    return np.asarray(lists.values, "<i8").tobytes()


def _smallest(values: U64, count: int) -> list[int]:
    """The ``count`` smallest distinct values, in order."""
    values.sort()
    found = list(dict.fromkeys(values[: 2 * count].tolist()))
    if len(found) < count < len(values):
        found = list(dict.fromkeys(values.tolist()))
    return found[:count]


def _with_pairs(masked: U64, content: U64) -> U64:
    """The content hashes, with those of ideographs that are next to each other in place of ideographs."""
    ideograph = content == np.uint64(_IDEOGRAPH)
    if not ideograph.any():
        return content
    first = np.flatnonzero(ideograph[:-1] & ideograph[1:])
    return np.concatenate([content[~ideograph], pair_hashes(masked[first], masked[first + 1])])
