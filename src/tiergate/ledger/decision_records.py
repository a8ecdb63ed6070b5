"""Decisions as they are recorded: canonical JSON, with commitments in place of personal values.

A record is the JSON text of a `DecisionRecord` in the form of RFC 8785, so that whoever holds the values can make the
very bytes that were hashed. A personal value is not in it: only SHA-256(salt || canonical JSON of the value), 64 hex
digits, with a random salt of 32 bytes of its own. Without the salt the commitment tells nothing about the value, not
even to somebody who tries every value there is; with it, the commitment can be opened to one value alone.
"""

from __future__ import annotations

import hmac
import os
import re
from collections.abc import Mapping, Sequence
from functools import lru_cache
from hashlib import sha256
from typing import Final, Literal

import msgspec

from tiergate.errors import InputError, ProofError

SALT_BYTES: Final = 32
RECORD_LIMIT_BYTES: Final = 1 << 20
INTEGER_LIMIT: Final = 2**53
"""RFC 8785 knows the integers that a double holds exactly: those below this, in size."""
FACTS: Final = "facts"
"""Personal field with all that a decision was made from. It repeats other fields, so it is erased with any of them."""

Outcome = Literal["ALLOW", "DENY", "REVIEW"]
Value = str | int | bool | list[str]
"""What a personal field may hold. Fractions are left out: they are the one thing JSON writes in several ways."""


class DecisionRecord(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One decision as it stands in the log.

    ``time_us``: microseconds since the epoch, UTC. ``request`` and ``inputs``: digests of the request and of all that
    was known when it was decided, as the caller makes them. ``policy`` and ``packs`` (name -> version): the rules.
    ``epoch``: the snapshot of facts. ``reasons``: every reason code, in the order of the rules. ``commitments``: 64 hex
    digits for each personal field.
    """

    time_us: int
    request: str
    inputs: str
    policy: str
    packs: dict[str, str]
    epoch: int
    reasons: list[str]
    outcome: Outcome
    commitments: dict[str, str]
    format: Literal[1] = 1


class Decided(msgspec.Struct, frozen=True, kw_only=True):
    """One decision as it is handed over: `DecisionRecord` with ``personal`` values (field -> value) in the clear."""

    time_us: int
    request: str
    inputs: str
    policy: str
    epoch: int
    outcome: Outcome
    reasons: list[str]
    packs: dict[str, str] = {}
    personal: dict[str, Value] = {}


class Opening(msgspec.Struct, frozen=True, array_like=True):
    """What opens the commitment of one field: 32 bytes of salt and the value."""

    field: str
    salt: bytes
    value: bytes
    """Canonical JSON."""


# RFC 8785 is sorted keys by UTF-16 units, no spaces, and the shortest escapes. For text, whole numbers and ASCII keys
# that is what msgspec writes, a hundred times as fast as a general implementation; the tests hold the two together.
_encode: Final = msgspec.json.Encoder(order="sorted").encode
_decode: Final = msgspec.json.Decoder(DecisionRecord).decode
_OUTCOMES: Final = ("ALLOW", "DENY", "REVIEW")


def commit(decided: Sequence[Decided]) -> list[tuple[bytes, list[Opening]]]:
    """For each decision the record, canonical, and the openings of its commitments.

    Raises `InputError` for a decision that cannot be recorded.
    """
    salts = os.urandom(SALT_BYTES * sum(len(one.personal) for one in decided))
    at = 0
    made = []
    for one in decided:
        openings: list[Opening] = []
        commitments = {}
        try:
            for field, value in one.personal.items():
                _check_name(field)
                salt = salts[at : at + SALT_BYTES]
                at += SALT_BYTES
                canonical = _canonical_value(field, value)
                commitments[field] = commitment(salt, canonical)
                openings.append(Opening(field, salt, canonical))
            for pack in one.packs:
                _check_name(pack)
            record = DecisionRecord(
                time_us=_check_integer(one.time_us, "time_us"),
                request=one.request,
                inputs=one.inputs,
                policy=one.policy,
                packs=one.packs,
                epoch=_check_integer(one.epoch, "epoch"),
                reasons=one.reasons,
                outcome=_check_outcome(one.outcome),
                commitments=commitments,
            )
            text = _encode(record)
        except (UnicodeEncodeError, TypeError) as error:
            raise InputError(f"a decision cannot be recorded: {error}") from error
        if len(text) > RECORD_LIMIT_BYTES:
            raise InputError(f"a decision of {len(text):,} bytes cannot be recorded: at most {RECORD_LIMIT_BYTES:,}")
        made.append((text, openings))
    return made


def parse_record(text: bytes) -> DecisionRecord:
    """A record from its text. Raises `ProofError` when it is not one."""
    try:
        return _decode(text)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise ProofError(f"the record is not a decision: {error}") from error


def commitment(salt: bytes, value: bytes) -> str:
    """The commitment to a value, given as canonical JSON, under a salt of 32 bytes."""
    return sha256(salt + value).hexdigest()


def check_opening(record: DecisionRecord, opening: Opening) -> None:
    """Raise `ProofError` unless ``opening`` opens the commitment of its field in ``record``."""
    known = record.commitments.get(opening.field)
    if known is None:
        raise ProofError(f"the record commits to no field `{opening.field}`")
    # A salt of another length would shift where it ends and the value begins.
    if len(opening.salt) != SALT_BYTES or not hmac.compare_digest(known, commitment(opening.salt, opening.value)):
        raise ProofError(f"the value of `{opening.field}` is not the one the record commits to")


def canonical_value(value: Value) -> bytes:
    """Canonical JSON of a personal value. Raises `InputError` when it has none."""
    try:
        return _canonical_value("value", value)
    except (UnicodeEncodeError, TypeError) as error:
        raise InputError(f"a personal value cannot be recorded: {error}") from error


def _canonical_value(field: str, value: Value) -> bytes:
    if isinstance(value, int):
        _check_integer(value, field)
    elif isinstance(value, list):
        if not all(isinstance(one, str) for one in value):
            raise InputError(f"personal field `{field}` holds a list of something else than text")
    elif not isinstance(value, str):
        raise InputError(f"personal field `{field}` holds {type(value).__name__}: give text, a whole number or a list")
    return _encode(value)


@lru_cache(4_096)
def _check_name(name: str) -> None:
    if not re.fullmatch(r"[A-Za-z0-9_.:/@-]{1,128}", name):
        raise InputError(f"`{name}` cannot name a field or pack: use up to 128 of A-Z a-z 0-9 _ . : / @ -")


def _check_integer(value: int, name: str) -> int:
    if not -INTEGER_LIMIT < value < INTEGER_LIMIT:
        raise InputError(f"`{name}` is {value}: whole numbers in records are below 2**53 in size")
    return value


def _check_outcome(outcome: Outcome) -> Outcome:
    if outcome not in _OUTCOMES:
        raise InputError(f"`{outcome}` is no outcome: give one of {', '.join(_OUTCOMES)}")
    return outcome


def disclosed(openings: Sequence[Opening], fields: Sequence[str]) -> list[Opening]:
    """Those of ``fields``, in their order. Raises `InputError` for one that is erased or was never there."""
    held: Mapping[str, Opening] = {opening.field: opening for opening in openings}
    for field in fields:
        if field not in held:
            raise InputError(f"no value of `{field}` is kept for this record: it was erased, or never recorded")
    return [held[field] for field in fields]
