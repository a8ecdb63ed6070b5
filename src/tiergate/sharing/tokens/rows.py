"""Rows that a lab hands to the hub: tag, share, and a description that is sealed until the item is opened.

A row is 112 bytes whatever it says: tag (16), share (32), nonce (12), then 36 bytes sealed by AES-256-GCM (with its 16)
under a key of the item's secret, the epoch and the lab. Sealed are kind, log2 of how many customers hold the item and
of their exchanges, and up to 8 handles: numbers that the lab drew for its customers for this epoch alone.
"""

from __future__ import annotations

import hashlib
import struct
from dataclasses import dataclass
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from tiergate.sharing.tokens.items import Kind
from tiergate.sharing.tokens.shares import SHARE_BYTES, TAG_BYTES

HANDLES: Final = 8
_PLAIN: Final = struct.Struct(f">BBBx{HANDLES}I")
NONCE_BYTES: Final = 12
SEALED_BYTES: Final = NONCE_BYTES + _PLAIN.size + 16
ROW_BYTES: Final = TAG_BYTES + SHARE_BYTES + SEALED_BYTES


@dataclass(frozen=True, slots=True)
class Described:
    """What a lab says of an item that is opened. ``customers_log2``, ``exchanges_log2``: its buckets, 2**n <= count;
    ``handles``: of customers, from 1, the first `HANDLES` of them."""

    kind: Kind
    customers_log2: int
    exchanges_log2: int
    handles: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Context:
    """What a sealed description is bound to: a row moved to another epoch, lab or threshold opens nothing."""

    epoch: int
    lab: int
    threshold: int

    def encoded(self) -> bytes:
        return struct.pack(">QBB", self.epoch, self.lab, self.threshold)


def bucket(count: int) -> int:
    """Log2 of a count, rounded down; 0 for none."""
    return max(count, 1).bit_length() - 1


def _key(secret: int, context: bytes) -> bytes:
    return hashlib.blake2b(context, key=secret.to_bytes(SHARE_BYTES), digest_size=32, person=b"tiergate-seal").digest()


def seal(secret: int, tag: bytes, described: Described, context: bytes, nonce: bytes) -> bytes:
    """Nonce and sealed description, 64 bytes. ``nonce``: random bytes."""
    handles = (*described.handles[:HANDLES], *[0] * HANDLES)[:HANDLES]
    plain = _PLAIN.pack(described.kind, described.customers_log2, described.exchanges_log2, *handles)
    return nonce + AESGCM(_key(secret, context)).encrypt(nonce, plain, context + tag)


def unseal(secret: int, tag: bytes, sealed: bytes, context: bytes) -> Described | None:
    """The description, None where ``secret`` does not open it or what it opens describes nothing."""
    try:
        plain = AESGCM(_key(secret, context)).decrypt(sealed[:NONCE_BYTES], sealed[NONCE_BYTES:], context + tag)
    except InvalidTag:
        return None
    kind, customers, exchanges, *handles = _PLAIN.unpack(plain)
    if kind not in set(Kind) or customers > 63 or exchanges > 63:
        return None
    return Described(Kind(kind), customers, exchanges, tuple(one for one in handles if one))
