"""A receipt proves to whoever holds a log's public key that a decision is in the log; nothing else is needed.

JSON with the record, its index, the inclusion proof (base64 hashes, from the leaf up) and a checkpoint with its
signatures, a signed note. ``disclosed`` opens commitments of some personal fields: field -> salt (base64) and value.
"""

from __future__ import annotations

import base64
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal

import msgspec
import rfc8785

from tiergate.errors import InputError, ProofError
from tiergate.ledger.checkpoints import (
    PROOF_LIMIT,
    Checkpoint,
    Cosigned,
    parse_checkpoint,
    verify_checkpoint,
    verify_cosignatures,
)
from tiergate.ledger.decision_reader import COSIGNED, DecisionReader
from tiergate.ledger.decision_records import (
    RECORD_LIMIT_BYTES,
    DecisionRecord,
    Opening,
    check_opening,
    disclosed,
    parse_record,
)
from tiergate.ledger.merkle import leaf_hash, verify_inclusion
from tiergate.ledger.notes import ED25519, PublicKey, decode_base64

RECEIPT_LIMIT_BYTES: Final = 2 * RECORD_LIMIT_BYTES


class _Disclosed(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    salt: str
    value: Any


class _Receipt(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    format: Literal["tiergate-receipt/1"]
    index: int
    record: dict[str, Any]
    inclusion: list[str]
    checkpoint: str
    disclosed: dict[str, _Disclosed] = {}


@dataclass(frozen=True)
class VerifiedReceipt:
    """What a receipt was found to prove. ``personal``: the values that it discloses."""

    index: int
    record: DecisionRecord
    checkpoint: Checkpoint
    cosigned: list[Cosigned]
    personal: dict[str, Any]


def make_receipt(log: DecisionReader, index: int, disclose: Sequence[str] = ()) -> bytes:
    """The receipt of record ``index``, as JSON; under the last cosigned checkpoint that covers it, else the last.

    :param disclose: personal fields whose commitments it opens.
    Raises `InputError` when there is no such record, it is not signed yet, or a field was erased.
    """
    text = log.record_text(index)
    covering = [one for one in (log.checkpoint(COSIGNED), log.checkpoint()) if one is not None and one.size > index]
    if not covering:
        raise InputError(f"record {index} is not signed yet: ask again after the next checkpoint")
    checkpoint = covering[0]
    openings = disclosed(log.openings(index), disclose) if disclose else []
    receipt = _Receipt(
        format="tiergate-receipt/1",
        index=index,
        record=msgspec.json.decode(text),
        inclusion=[base64.b64encode(one).decode() for one in log.inclusion_proof(index, checkpoint.size)],
        checkpoint=str(checkpoint),
        disclosed={
            one.field: _Disclosed(base64.b64encode(one.salt).decode(), msgspec.json.decode(one.value))
            for one in openings
        },
    )
    return msgspec.json.format(msgspec.json.encode(receipt)) + b"\n"


def verify_receipt(
    receipt: bytes, public_key: PublicKey | bytes, witnesses: Sequence[PublicKey] = (), *, quorum: int | None = None
) -> VerifiedReceipt:
    """Check a receipt, offline.

    :param public_key: the log's key; 32 bytes alone are taken as the key of the log that the checkpoint names.
    :param witnesses: keys of witnesses, of which ``quorum`` (all when None) need to have cosigned.
    Raises `InputError` when it is no receipt, and `ProofError`, saying what fails, when it does not hold.
    """
    parts = _parse(receipt)
    try:
        # The general implementation, not the writer's: the check does not rest on what it checks.
        text = rfc8785.dumps(parts.record)
        openings = [
            Opening(field, decode_base64(one.salt, "salt"), rfc8785.dumps(one.value))
            for field, one in parts.disclosed.items()
        ]
    except (rfc8785.CanonicalizationError, RecursionError) as error:
        raise InputError(f"this is not a receipt: {error}") from error
    if len(parts.inclusion) > PROOF_LIMIT:
        raise InputError(f"the inclusion proof has {len(parts.inclusion)} hashes, more than any tree needs")
    proof = [decode_base64(one, "hash of the inclusion proof") for one in parts.inclusion]
    checkpoint = parse_checkpoint(parts.checkpoint)
    if isinstance(public_key, bytes):
        public_key = PublicKey(checkpoint.origin, ED25519, public_key)
    verify_checkpoint(checkpoint, public_key)
    cosigned = verify_cosignatures(checkpoint, witnesses, len(witnesses) if quorum is None else quorum)
    try:
        verify_inclusion(parts.index, checkpoint.size, leaf_hash(text), proof, checkpoint.root)
    except ProofError as error:
        wrong = "the record, its index or the proof was changed"
        raise ProofError(f"record {parts.index} is not in the log as it was signed: {error}; {wrong}") from error
    record = parse_record(text)
    for opening in openings:
        check_opening(record, opening)
    return VerifiedReceipt(
        parts.index, record, checkpoint, cosigned, {field: one.value for field, one in parts.disclosed.items()}
    )


def receipt_origin(receipt: bytes) -> str:
    """Name of the log that a receipt says it is from; nothing is verified. Raises `InputError`."""
    return parse_checkpoint(_parse(receipt).checkpoint).origin


def _parse(receipt: bytes) -> _Receipt:
    if len(receipt) > RECEIPT_LIMIT_BYTES:
        raise InputError(f"a receipt of {len(receipt):,} bytes is longer than any that is made")
    try:
        return msgspec.json.decode(receipt, type=_Receipt)
    except (msgspec.MsgspecError, RecursionError, UnicodeDecodeError) as error:
        raise InputError(f"this is not a receipt: {error}") from error
