"""Numbers for hashes: which of very many 64-bit values occur again, and small numbers for those that do.

Nearly all shingles of free text occur once in a whole log. A hash table of them all would take several times the
memory of the values and most of the time of a detection. Sorting them in ranges of values finds the few that recur; a
table over the leading bits, which are as even as a keyed hash is, then finds each value's place in one or two steps.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np
import numpy.typing as npt

from tiergate.detection.threads import spread

I32 = npt.NDArray[np.int32]
I64 = npt.NDArray[np.int64]

RANGE_ITEMS: Final = 1 << 25
"""Values sorted at once: what bounds the memory beside the values themselves."""

CROWDED: Final = 16
"""Values with the same leading bits from which binary search is better: the values are then no hashes."""


def recurring(parts: Sequence[I64]) -> I64:
    """Values, ascending, that occur more than once in all ``parts`` together."""
    items = sum(map(len, parts))
    bits = max(0, (items - 1) // RANGE_ITEMS).bit_length()
    if not bits:
        return _twice(np.concatenate([np.empty(0, np.int64), *parts]))
    half, shift = 1 << (bits - 1), 64 - bits

    def twice_in(number: int) -> I64:
        return _twice(np.concatenate([part[(part >> shift) == number] for part in parts]))

    return np.concatenate(list(spread(twice_in, range(-half, half))))


def _twice(values: I64) -> I64:
    values.sort()
    again = values[1:][values[1:] == values[:-1]]
    return np.asarray(again[np.append(True, again[1:] != again[:-1])] if len(again) else again)


class Places:
    """Finds values among ``known`` ones (ascending, distinct)."""

    def __init__(self, known: I64) -> None:
        self.values = known
        self._bits = max(1, min(26, len(known).bit_length() + 1))
        cell = self._cell(known)
        held = np.bincount(cell, minlength=1 << self._bits)
        self._deepest = int(held.max(initial=0))
        self._start = np.concatenate([[0], np.cumsum(held)]).astype(np.int32)

    @property
    def known(self) -> int:
        return len(self.values)

    def of(self, values: I64) -> I32:
        """Index of each of ``values`` among the known ones, -1 where it is none of them."""
        if not len(self.values):
            return np.full(len(values), -1, np.int32)
        if self._deepest > CROWDED:
            at = np.minimum(np.searchsorted(self.values, values), len(self.values) - 1).astype(np.int32)
            return np.where(self.values[at] == values, at, np.int32(-1))
        cell = self._cell(values)
        at, end = self._start.take(cell), self._start.take(cell + 1)
        found = np.full(len(values), -1, np.int32)
        left = np.flatnonzero(at < end)
        at, end, wanted = at[left], end[left], values[left]
        while len(left):
            hit = self.values.take(at) == wanted
            found[left[hit]] = at[hit]
            more = ~hit & (at + 1 < end)
            left, at, end, wanted = left[more], at[more] + 1, end[more], wanted[more]
        return found

    def _cell(self, values: I64) -> I64:
        return (values >> (64 - self._bits)) + (1 << (self._bits - 1))
