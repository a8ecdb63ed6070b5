"""Shares of a secret (A. Shamir, "How to share a secret", 1979), derived from a token so that labs need not talk.

All that is drawn at random in Shamir's scheme is derived from the token here: labs with the same item have the same
polynomial, and each lab has the one point of it that its number says. A lab therefore counts once, however many of its
customers hold the item. The field is the integers modulo 2**255 - 19.
"""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Sequence
from functools import lru_cache
from typing import Final

PRIME: Final = 2**255 - 19
TAG_BYTES: Final = 16
SHARE_BYTES: Final = 32
_DRAWN: Final = 48
"""Bytes that a number of the field is drawn from: 129 bits more than it has, so that none is likelier than another."""


def derive(outputs: Sequence[bytes], threshold: int, epoch: int) -> tuple[bytes, tuple[int, ...]]:
    """The tag of an item (16 bytes) and its polynomial (``threshold`` coefficients, the secret first).

    :param outputs: VOPRF outputs of the item (64 bytes each), one of every key server: as long as one of them keeps its
        key, nobody can try out values.
    :param epoch: so that rows of two epochs have nothing in common, whatever key a key server used for them.
    """
    bound = b"tiergate threshold token 2" + struct.pack(">BQ", threshold, epoch)
    drawn = hashlib.shake_256(bound + b"".join(outputs))
    raw = drawn.digest(TAG_BYTES + threshold * _DRAWN)
    starts = range(TAG_BYTES, len(raw), _DRAWN)
    return raw[:TAG_BYTES], tuple(int.from_bytes(raw[at : at + _DRAWN]) % PRIME for at in starts)


def share(coefficients: Sequence[int], lab: int) -> bytes:
    """The point of the polynomial that belongs to the lab with this number, 1 or more; 32 bytes."""
    value = 0
    for coefficient in reversed(coefficients):
        value = (value * lab + coefficient) % PRIME
    return value.to_bytes(SHARE_BYTES)


def recover(points: Sequence[tuple[int, bytes]]) -> int:
    """The secret, from as many points (number of the lab, share) as the threshold says.

    Raises `ValueError` where two points are one lab's. Points that do not lie on one polynomial give a number that is
    no secret of anything; what it should open tells.
    """
    weights = _weights(tuple(lab for lab, _ in points))
    return sum(int.from_bytes(raw) * weight for (_, raw), weight in zip(points, weights, strict=True)) % PRIME


@lru_cache(maxsize=4096)
def _weights(labs: tuple[int, ...]) -> tuple[int, ...]:
    """Lagrange's coefficients at zero."""
    if len(set(labs)) != len(labs):
        raise ValueError("each lab has one share")
    weights = []
    for lab in labs:
        above, below = 1, 1
        for other in labs:
            if other != lab:
                above, below = above * other % PRIME, below * (other - lab) % PRIME
        weights.append(above * pow(below, -1, PRIME) % PRIME)
    return tuple(weights)
