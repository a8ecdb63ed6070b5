"""How the requests of a case are worded, from sketches: which pieces recur, and how much is filled in. No text.

A piece is a keyed hash (`ledger.sketches`): of the beginning of a system prompt, or of five words of a message. What a
fixed instruction brings comes up again in every request that is made from it; what is filled in, the slots, does not.
"""

from __future__ import annotations

from typing import Final

import msgspec
import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from tiergate.ledger.intents import CAPABILITIES
from tiergate.ledger.marks import KINDS, mark

COLUMNS: Final = ("account_id", "sketch_system", "sketch_template", "sketch_prompt", "sketch_intent")
RECURS: Final = 0.1
"""Share of the case's requests in which a piece counts as fixed."""
MOST: Final = 16

Flags = npt.NDArray[np.bool_]


class Piece(msgspec.Struct, frozen=True, kw_only=True):
    """A piece that recurs: in which share of the case's requests, and of its accounts' other requests (None where there
    is none), and in how many of its accounts."""

    mark: str
    charged_share: float
    other_share: float | None
    accounts: int


class Ask(msgspec.Struct, frozen=True, kw_only=True):
    """What is asked for, by patterns in the requests: shares as in `Piece`."""

    name: str
    charged_share: float
    other_share: float | None


class Wording(msgspec.Struct, frozen=True, kw_only=True):
    """``sketched`` of the case's requests have sketches. ``systems`` different system prompts, ``messages`` different
    messages in ``asked`` requests; ``fixed``: share of a message's sampled pieces that recur, on average, None where
    nothing was sampled."""

    sketched: int
    asked: int
    messages: int
    systems: int
    fixed: float | None
    pieces: list[Piece]
    asks: list[Ask]


def wording(rows: pa.Table, charged: Flags) -> Wording:
    """Of exchanges ``rows`` with `COLUMNS`, of which those that ``charged`` marks (rows,) are the case's."""
    pieces: list[Piece] = []
    fixed: float | None = None
    for kind in KINDS:
        column = rows[f"sketch_{kind}"].combine_chunks()
        found, recurring = _pieces(kind, column, rows["account_id"].combine_chunks(), charged)
        pieces += found
        if kind == "template":
            fixed = recurring
    asked = rows["sketch_prompt"].filter(pa.array(charged))
    systems = rows["sketch_system"].filter(pa.array(charged)).combine_chunks().drop_null()
    whole = _last(systems)
    return Wording(
        sketched=int(pc.sum(rows["sketch_intent"].filter(pa.array(charged)).is_valid()).as_py() or 0),
        asked=len(asked) - asked.null_count,
        messages=len(asked.drop_null().unique()),
        systems=len(np.unique(whole)),
        fixed=fixed,
        pieces=sorted(pieces, key=lambda one: (-one.charged_share, one.mark))[:MOST],
        asks=_asks(rows["sketch_intent"], charged),
    )


def _last(lists: pa.ListArray) -> npt.NDArray[np.int64]:
    """The last value of each list that has one."""
    ends = np.cumsum(np.asarray(pc.list_value_length(lists)).astype(np.int64))
    values = np.asarray(lists.flatten()).astype(np.int64)
    return values[np.unique(ends[ends > 0]) - 1]


def _pieces(kind: str, lists: pa.ListArray, owner: pa.Array, charged: Flags) -> tuple[list[Piece], float | None]:
    """Pieces that two accounts have at least, and the share of sampled pieces that recur."""
    row = np.asarray(pc.list_parent_indices(lists)).astype(np.int64)
    values, code = np.unique(np.asarray(lists.flatten()).astype(np.int64), return_inverse=True)
    # A sketch may hold a value twice, as when a message is so short that its first words are its last.
    pairs = np.unique(np.stack([code, row], 1), axis=0)
    code, row = pairs[:, 0], pairs[:, 1]
    of_case, others = charged[row], int((~charged).sum())
    total = max(int(charged.sum()), 1)
    inside = np.bincount(code[of_case], minlength=len(values))
    outside = np.bincount(code[~of_case], minlength=len(values))
    accounts = np.asarray(owner.dictionary_encode().indices).astype(np.int64)[row[of_case]]
    held = np.unique(np.stack([code[of_case], accounts], 1), axis=0)[:, 0]
    holders = np.bincount(held, minlength=len(values))
    recurring = inside / total >= RECURS
    sampled = of_case.sum()
    some = [at for at in np.argsort(-inside, kind="stable")[:MOST] if holders[at] > 1]
    found = [
        Piece(
            mark=mark(kind, int(values[at])),
            charged_share=float(inside[at] / total),
            other_share=float(outside[at] / others) if others else None,
            accounts=int(holders[at]),
        )
        for at in some
    ]
    return found, float(recurring[code[of_case]].sum() / sampled) if sampled else None


def _asks(column: pa.ChunkedArray, charged: Flags) -> list[Ask]:
    bits = np.asarray(column.fill_null(0)).astype(np.int64)
    found = []
    for place, name in enumerate(CAPABILITIES):
        asks = (bits >> place) & 1 == 1
        share = float(asks[charged].mean()) if charged.any() else 0.0
        found.append(
            Ask(name=name, charged_share=share, other_share=float(asks[~charged].mean()) if (~charged).any() else None)
        )
    return found
