"""What can be known of parties: rows of four kinds, and the columns that they are stored in.

A fact has a ``key``, 16 bytes that stay the same when its source tells it again. Of the rows with one key the row
that was recorded last governs, from its ``effective_us`` on in valid time; before that, the one recorded before it
does. A row without ``effective_us`` governs all time: that is a correction. Stakes that a source tells in one record
share its key and differ in ``part``; they govern together, so that a part which is not told again is gone.

Times are microseconds since the epoch, UTC; a period is half open, and an end that is None is open. Shares are whole
parts per million, never floats: 50.00% is 500,000 exactly.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from typing import Any, Final, TypedDict

import msgspec
import pyarrow as pa

WHOLE_PPM: Final = 1_000_000
PARTY_KINDS: Final = ("organisation", "person", "unknown")
PRONGS: Final = ("shares", "votes", "board", "control", "consolidation", "fund", "role", "unknown")
"""How an owner holds what it owns; arrays have the position in this tuple.

`shares` (and other economic rights) and `votes` are measured. The others are there or not: a lower bound of
`WHOLE_PPM` says given, 0 says possible. `board` is a majority of it, `control` any other control, `consolidation` a
group's accounts, `fund` the tie of a fund to its manager, umbrella or feeder. `role` is neither share nor control by
itself: a director, a list's `Linked To`. `unknown` is an interest of which nothing else is told.
"""
MEASURED: Final = frozenset({"shares", "votes", "unknown"})
DIRECTNESS: Final = ("unknown", "direct", "indirect")
LONGEST_TEXT: Final = 1_024
MOST_NAMES: Final = 256
MOST_PARTS: Final = 1_023
ID_PREFIX: Final = "pty_"

_KEY: Final = pa.binary(16)
_TIMES: Final = [("valid_from_us", pa.int64()), ("valid_to_us", pa.int64()), ("effective_us", pa.int64())]
_TEXTS: Final = pa.list_(pa.string())
_CONTROLS: Final = re.compile(r"[\x00-\x1f\x7f\s]+")


class Period(TypedDict, total=False):
    """The times of a fact, all microseconds since the epoch, None where they are open."""

    valid_from_us: int | None
    valid_to_us: int | None
    effective_us: int | None


class Party(msgspec.Struct, kw_only=True, gc=False):
    """What a source says of an organisation or a person. Neither nationality nor personal numbers have a place here.

    ``party``: 16 bytes, see `party_id`. ``incorporated_in`` and ``headquarters``: as the source has it, ISO 3166
    where it can. ``identifiers``: `scheme:value`; parties that share one are one party.
    """

    key: bytes
    party: bytes
    kind: str = "organisation"
    name: str | None = None
    aliases: Sequence[str] = ()
    previous_names: Sequence[str] = ()
    legal_form: str | None = None
    incorporated_in: str | None = None
    headquarters: str | None = None
    identifiers: Sequence[str] = ()
    valid_from_us: int | None = None
    valid_to_us: int | None = None
    effective_us: int | None = None
    retracted: bool = False


class Stake(msgspec.Struct, kw_only=True, gc=False):
    """``owner`` holds between ``lo_ppm`` and ``hi_ppm`` of ``owned``, both ends included.

    ``directness`` `indirect`: the source declares what its chain of ``components`` (keys of facts) adds up to.
    ``concert``: 16 bytes that owners who act together share. ``confidence``: 0 to 1, the source's own.
    """

    key: bytes
    owner: bytes
    owned: bytes
    prong: str
    lo_ppm: int
    hi_ppm: int
    directness: str = "unknown"
    components: Sequence[bytes] = ()
    concert: bytes | None = None
    confidence: float | None = None
    valid_from_us: int | None = None
    valid_to_us: int | None = None
    effective_us: int | None = None
    retracted: bool = False
    part: int = 0


class Undisclosed(msgspec.Struct, kw_only=True, gc=False):
    """A source says that it does not say who owns ``party``. ``scope``: `direct-parent`, `ultimate-parent`, `owners`;
    ``reason`` as the source has it."""

    key: bytes
    party: bytes
    scope: str
    reason: str
    valid_from_us: int | None = None
    valid_to_us: int | None = None
    effective_us: int | None = None
    retracted: bool = False


class Listing(msgspec.Struct, kw_only=True, gc=False):
    """``party`` is on ``list``, under ``programme`` where the list has several."""

    key: bytes
    party: bytes
    list: str
    programme: str | None = None
    valid_from_us: int | None = None
    valid_to_us: int | None = None
    effective_us: int | None = None
    retracted: bool = False


Fact = Party | Stake | Undisclosed | Listing
_ENDING: Final = [*_TIMES, ("retracted", pa.bool_())]
SCHEMAS: Final = {
    "parties": pa.schema(
        [("key", _KEY), ("party", _KEY), ("kind", pa.string()), ("name", pa.string()), ("aliases", _TEXTS),
         ("previous_names", _TEXTS), ("legal_form", pa.string()), ("incorporated_in", pa.string()),
         ("headquarters", pa.string()), ("identifiers", _TEXTS), *_ENDING]
    ),
    "stakes": pa.schema(
        [("key", _KEY), ("owner", _KEY), ("owned", _KEY), ("prong", pa.int8()), ("lo_ppm", pa.int32()),
         ("hi_ppm", pa.int32()), ("directness", pa.int8()), ("components", pa.list_(_KEY)), ("concert", _KEY),
         ("confidence", pa.float32()), *_ENDING, ("part", pa.int16())]
    ),
    "undisclosed": pa.schema(
        [("key", _KEY), ("party", _KEY), ("scope", pa.string()), ("reason", pa.string()), *_ENDING]
    ),
    "listings": pa.schema(
        [("key", _KEY), ("party", _KEY), ("list", pa.string()), ("programme", pa.string()), *_ENDING]
    ),
}  # fmt: skip
TABLE_OF: Final[dict[type, str]] = {
    Party: "parties",
    Stake: "stakes",
    Undisclosed: "undisclosed",
    Listing: "listings",
}
_CODES: Final[dict[str, dict[str, int]]] = {
    "prong": {name: code for code, name in enumerate(PRONGS)},
    "directness": {name: code for code, name in enumerate(DIRECTNESS)},
}


def fact_key(*parts: str) -> bytes:
    """The 16 bytes (BLAKE2b) that stand for a fact whose source calls it by ``parts``; the source's name goes first."""
    return _digest(b"fact", parts)


def party_id(scheme: str, value: str) -> bytes:
    """The 16 bytes that stand for the party with this identifier: the same from every source that names it so.

    They show nothing of the party. 128 bits, because whoever writes a source file could search for two that collide.
    """
    return _digest(b"party", (scheme.lower(), value))


def shown_id(party: bytes) -> str:
    """A party's id as people see it: `pty_` and 32 hexadecimal digits."""
    return ID_PREFIX + party.hex()


def read_id(text: str) -> bytes | None:
    """What `shown_id` made, read back; None when ``text`` is no such id."""
    digits = text.removeprefix(ID_PREFIX)
    if len(digits) != 32 or digits == text:
        return None
    try:
        return bytes.fromhex(digits)
    except ValueError:
        return None


def cleaned(value: Any) -> str | None:
    """Text of a source without control characters, runs of white space and halves of characters, cut to
    `LONGEST_TEXT`; None where nothing is left or it is no text."""
    if not isinstance(value, str):
        return None
    if len(value) > 8 * LONGEST_TEXT:
        value = value[: 8 * LONGEST_TEXT]
    if not value.isprintable():
        value = value.encode("utf-8", "replace").decode()
    return _CONTROLS.sub(" ", value).strip()[:LONGEST_TEXT] or None


def distinct(values: Sequence[Any], *, but: str | None = None) -> tuple[str, ...]:
    """Cleaned texts in order, each once, at most `MOST_NAMES`, without ``but``."""
    texts = dict.fromkeys(text for text in map(cleaned, values) if text is not None and text != but)
    return tuple(texts)[:MOST_NAMES]


def fault(fact: Fact) -> tuple[str, str] | None:
    """Column and reason for which a fact cannot be stored; None when it can."""
    start, end = fact.valid_from_us, fact.valid_to_us
    if start is not None and end is not None and end < start:
        return "valid_to", "ends before it begins"
    if isinstance(fact, Stake):
        if fact.prong not in PRONGS:
            return "prong", f"is none of {', '.join(PRONGS)}"
        if not 0 <= fact.lo_ppm <= fact.hi_ppm <= WHOLE_PPM:
            return "share", "is no range within 0% to 100%"
        if not 0 <= fact.part <= MOST_PARTS:
            return "part", f"is not within 0 to {MOST_PARTS}"
        if fact.prong not in MEASURED and not {fact.lo_ppm, fact.hi_ppm} <= {0, WHOLE_PPM}:
            return "share", f"of {fact.prong} is there or not: 0% or 100%"
        if fact.owner == fact.owned:
            return "owner", "owns itself"
    if isinstance(fact, Party) and fact.kind not in PARTY_KINDS:
        return "kind", f"is none of {', '.join(PARTY_KINDS)}"
    return None


def to_batch(table: str, facts: Sequence[Fact]) -> pa.RecordBatch:
    """Facts of one kind as a batch of the table's columns."""
    schema = SCHEMAS[table]
    columns = list(zip(*map(msgspec.structs.astuple, facts), strict=True))
    arrays = []
    for field, column in zip(schema, columns, strict=True):
        codes = _CODES.get(field.name)
        arrays.append(pa.array([codes[value] for value in column] if codes else column, field.type))
    return pa.RecordBatch.from_arrays(arrays, schema=schema)


def _digest(person: bytes, parts: Sequence[str]) -> bytes:
    hashed = hashlib.blake2b(digest_size=16, person=person)
    for part in parts:
        data = part.encode("utf-8", "replace")
        # Lengths go in, so that no two lists of parts read alike.
        hashed.update(len(data).to_bytes(4, "little") + data)
    return hashed.digest()
