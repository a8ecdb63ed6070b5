"""Marks: sketch values by which exchanges of a case are told from the others of one account.

A mark is the name of a sketch and a keyed hash in it, `template:9f3c...`. It tells nobody what was asked.
"""

from __future__ import annotations

import struct
from typing import Final

from tiergate.ledger.row_sketches import RowSketches

KINDS: Final = ("system", "template")
"""Sketches whose values are marks: beginnings of the system prompt, and pieces of the user message's template."""

_MASK: Final = (1 << 64) - 1


def mark(kind: str, value: int) -> str:
    """The mark of a hash of 64 bits, signed or not, in the sketch of that kind."""
    return f"{kind}:{value & _MASK:016x}"


def marks_of(sketches: RowSketches) -> frozenset[str]:
    """All that an exchange carries."""
    return frozenset(
        mark(kind, value)
        for kind in KINDS
        for (value,) in struct.iter_unpack("<Q", getattr(sketches, f"sketch_{kind}") or b"")
    )
