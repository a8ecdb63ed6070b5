"""Who owns whom, as intervals of whole parts per million, and what a rule asks of it.

A rule pack is one row of parameters, an `OwnershipTest`:

=====================  ======================================================================================
rule                   parameters
=====================  ======================================================================================
OFAC (FAQ 398-402)     ``OwnershipTest(500_000)``; seeds: everybody listed, all programmes pooled. An office
                       held by a listed person is no ownership (398): leave ``control`` off
BIS affiliates         as OFAC, seeds across its lists; ``Remainder.EVERY`` takes Red Flag 29 at its word
EU                     ``OwnershipTest(500_000, at_least=False, counts=Counts.EITHER, control=True,
                       equal_presumes_control=True)``: exactly 50 is YES on the ground `Ground.PRESUMED`
UK (OFSI 4.14)         ``OwnershipTest(500_000, at_least=False, aggregate=False, counts=Counts.EITHER,
                       control=True)``: holders are added up only within a stated concert group
a provider's terms     ``OwnershipTest(500_000, at_least=False, control=True)``; seeds: companies with their
                       headquarters in an unsupported region
=====================  ======================================================================================

All of them pass ownership on through entities that meet the test themselves, and then in full; none multiplies
shares.
"""

from __future__ import annotations

import enum
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp

from tiergate.errors import InputError, SettingsError

I32 = npt.NDArray[np.int32]
I64 = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]

WHOLE = 1_000_000
"""100%, in parts per million."""


class Prong(enum.IntEnum):
    """What a stake is a share of. `CONTROL` is no share: a board majority, a veto, a contract or a consolidation."""

    ECONOMIC = 0
    VOTES = 1
    CONTROL = 2


class Counts(enum.Enum):
    """Which shares a rule adds up; `EITHER` is met by one of them alone, never by their sum."""

    ECONOMIC = (Prong.ECONOMIC,)
    VOTES = (Prong.VOTES,)
    EITHER = (Prong.ECONOMIC, Prong.VOTES)


class Remainder(enum.Enum):
    """Whose the part of an entity is that no stake explains, in the run on upper bounds."""

    IGNORED = "ignored"  # never a listed party's
    STATED = "stated"  # could be theirs where the graph says that holders are undisclosed
    EVERY = "every"  # could be theirs everywhere


@dataclass(frozen=True, slots=True)
class OwnershipTest:
    """Parameters of a rule: when an entity counts as owned by those listed.

    ``threshold_ppm`` is reached by ``>=`` when ``at_least``, else by ``>``. ``aggregate`` adds up the stakes of all
    who are listed or meet the test; without it the largest single holder or concert group decides. ``control`` lets
    an edge of control suffice. ``equal_presumes_control`` makes a share of exactly the threshold a YES that says so.
    Raises SettingsError for a threshold outside 1..1_000_000.
    """

    threshold_ppm: int
    at_least: bool = True
    aggregate: bool = True
    counts: Counts = Counts.ECONOMIC
    control: bool = False
    equal_presumes_control: bool = False
    remainder: Remainder = Remainder.STATED

    def __post_init__(self) -> None:
        if not 1 <= self.threshold_ppm <= WHOLE:
            raise SettingsError(f"a threshold of `{self.threshold_ppm}` ppm is not between 1 and {WHOLE}")

    @property
    def need_ppm(self) -> int:
        """Smallest share that meets the test by itself: in whole numbers ``> t`` is ``>= t + 1``."""
        return self.threshold_ppm + (not self.at_least)


@dataclass(frozen=True, slots=True)
class Rows:
    """Rows of a table by the value of one of its columns: those of ``v`` are ``row[begin[v]:begin[v + 1]]``."""

    begin: I32
    row: I32

    @classmethod
    def of(cls, row: I32, value: I32, values: int) -> Rows:
        """``row`` and ``value`` (k,), values below ``values``. A counting sort, by way of a sparse matrix."""
        at = np.arange(len(row), dtype=np.int32)
        matrix = sp.csr_array((np.ones(len(row), np.int8), (value, at)), shape=(values, len(row)))
        return cls(matrix.indptr, row[matrix.indices])

    def many(self, values: npt.NDArray[np.integer[Any]]) -> I32:
        """Rows of all ``values``, end to end."""
        begin = self.begin[values]
        length = self.begin[values + 1] - begin
        first = np.cumsum(length) - length
        rows: I32 = self.row[np.repeat(begin - first, length) + np.arange(length.sum())]
        return rows


@dataclass(frozen=True, eq=False)
class StakeGraph:
    """Stakes (m,) between entities 0..n-1, as columns; make it with `StakeGraph.build`.

    ``lo_ppm`` and ``hi_ppm`` int32 bound a share; an exclusive bound of a band is one ppm further in ("over 25, up to
    50%" is 250_001..500_000). An edge of control has 0 or 1_000_000 in each. ``prong`` int8 (`Prong`). ``concert``
    int32: holders of one number in one entity act together; -1 where nobody said. A number of its own says that a
    holder acts alone. ``indirect``: a declared stake through others (`tiergate.parties.chains`). ``undisclosed``
    (n,): the holders of what stakes leave over are not known, rather than known to be nobody listed.
    """

    entities: int
    owner: I32
    owned: I32
    lo_ppm: I32
    hi_ppm: I32
    prong: npt.NDArray[np.int8]
    concert: I32
    indirect: Bools
    undisclosed: Bools

    @classmethod
    def build(
        cls,
        entities: int,
        owner: npt.ArrayLike,
        owned: npt.ArrayLike,
        lo_ppm: npt.ArrayLike,
        hi_ppm: npt.ArrayLike | None = None,
        *,
        prong: npt.ArrayLike | None = None,
        concert: npt.ArrayLike | None = None,
        indirect: npt.ArrayLike | None = None,
        undisclosed: npt.ArrayLike | None = None,
    ) -> StakeGraph:
        """Checked graph. Left out: ``hi_ppm`` is ``lo_ppm``, stakes are economic, direct and nobody's concert,
        holders are disclosed. Raises InputError with the first stake that is wrong."""
        from_ = _whole("owner", owner, 0, entities - 1)
        lo = _whole("lo_ppm", lo_ppm, 0, WHOLE)
        size = len(from_)
        kind = np.zeros(size, np.int8) if prong is None else _whole("prong", prong, 0, 2).astype(np.int8)
        graph = cls(
            entities,
            from_,
            _whole("owned", owned, 0, entities - 1),
            lo,
            lo if hi_ppm is None else _whole("hi_ppm", hi_ppm, 0, WHOLE),
            kind,
            np.full(size, -1, np.int32) if concert is None else _whole("concert", concert, -1, 2**31 - 1),
            np.zeros(size, np.bool_) if indirect is None else np.asarray(indirect, np.bool_),
            np.zeros(entities, np.bool_) if undisclosed is None else np.asarray(undisclosed, np.bool_),
        )
        columns = (graph.owned, graph.lo_ppm, graph.hi_ppm, graph.prong, graph.concert, graph.indirect)
        if any(len(column) != size for column in columns) or len(graph.undisclosed) != entities:
            raise InputError("columns of stakes differ in length; give each stake a value in every column")
        _refuse(graph.lo_ppm > graph.hi_ppm, "has a lower bound above its upper one; swap or correct them")
        _refuse(graph.owner == graph.owned, "is of an entity in itself; leave out shares a company holds in itself")
        control = graph.prong == Prong.CONTROL
        partial = (graph.lo_ppm % WHOLE != 0) | (graph.hi_ppm % WHOLE != 0)
        _refuse(control & partial, f"is an edge of control; bound it by 0 or {WHOLE}")
        _refuse(control & graph.indirect, "is an edge of control and indirect; edges of control pass on by themselves")
        return graph

    @cached_property
    def shares(self) -> I32:
        """Stakes that are shares, ascending."""
        return np.flatnonzero(self.prong != Prong.CONTROL).astype(np.int32)

    @cached_property
    def outgoing(self) -> Rows:
        """Shares by owner."""
        return Rows.of(self.shares, self.owner[self.shares], self.entities)

    @cached_property
    def controlling(self) -> Rows:
        """Edges of control by owner."""
        edges = np.flatnonzero(self.prong == Prong.CONTROL).astype(np.int32)
        return Rows.of(edges, self.owner[edges], self.entities)

    @cached_property
    def incoming(self) -> Rows:
        """All stakes by the entity they are in."""
        return Rows.of(np.arange(len(self.owned), dtype=np.int32), self.owned, self.entities)

    @cached_property
    def firm_ppm(self) -> I64:
        """Sum of lower bounds of the direct shares in each entity, (2n,): economic at 2e, votes at 2e + 1."""
        direct = self.shares if not self.indirect.any() else self.shares[~self.indirect[self.shares]]
        total = np.zeros(2 * self.entities, np.int64)
        np.add.at(total, self.cell(direct), self.lo_ppm[direct].astype(np.int64))
        return total

    @cached_property
    def present(self) -> Bools:
        """Whether any share is listed, (2n,) as `firm_ppm`. A stake of 0 to 0 is as if it were not there."""
        present = np.zeros(2 * self.entities, np.bool_)
        present[self.cell(self.shares[self.hi_ppm[self.shares] > 0])] = True
        return present

    @cached_property
    def contradictory(self) -> I64:
        """Entities whose lower bounds add up to more than 100%: one of the facts about them is wrong.

        Their excess is taken off what those listed hold for a YES, as if the error were all there, and they are never
        NO unless the test ignores remainders: a sloppy source neither proves nor clears.
        """
        return np.unique(np.flatnonzero(self.firm_ppm > WHOLE) // 2)

    @cached_property
    def rest_ppm(self) -> I32:
        """Upper bound of each stake as it counts, (m,): a declared indirect stake without what direct chains
        explain."""
        if not self.indirect.any():
            return self.hi_ppm
        from tiergate.parties.chains import carried  # it takes a graph, so it stands above this module

        stakes = np.flatnonzero(self.indirect)
        rest = self.hi_ppm.copy()
        rest[stakes] = np.maximum(0, rest[stakes] - carried(self, stakes).ppm)
        return rest

    @cached_property
    def lots(self) -> tuple[I64, I64]:
        """Which stakes count together under a rule that adds up no strangers: number of the lot (m,), -1 for control,
        and where the lots of each cell (2n as `firm_ppm`) begin (2n + 1,). A lot is a concert group or one holder."""
        shares, concert = self.shares, self.concert[self.shares]
        stated, group = concert >= 0, self.owner[self.shares].copy()
        groups, group_of_stated = np.unique(concert[stated], return_inverse=True)
        group[stated] = self.entities + group_of_stated
        at = np.arange(len(shares), dtype=np.int32)
        by_group = Rows.of(at, group, self.entities + len(groups)).row
        cell = self.cell(shares)
        rows = Rows.of(by_group, cell[by_group].astype(np.int32), 2 * self.entities)  # stable: by cell, then by group
        first = np.ones(len(shares) + 1, np.int64)
        first[1:-1] = (np.diff(cell[rows.row]) != 0) | (np.diff(group[rows.row]) != 0)
        lots = np.full(len(self.owner), -1, np.int64)
        lots[shares[rows.row]] = np.cumsum(first[:-1]) - 1
        return lots, (np.cumsum(first) - 1)[rows.begin]

    def cell(self, stakes: npt.NDArray[np.integer[Any]]) -> I64:
        """Where ``stakes`` (k,), none of them control, add up: twice the entity, and one more for votes."""
        cells: I64 = self.owned[stakes].astype(np.int64) * 2 + self.prong[stakes]
        return cells


def listed_mask(entities: int, seeds: Iterable[int] | npt.NDArray[np.integer[Any]]) -> Bools:
    """Mask (n,) of ``seeds``, entity numbers. Raises InputError for one outside 0..n-1."""
    at = _whole("seeds", seeds if isinstance(seeds, np.ndarray) else list(seeds), 0, entities - 1)
    mask = np.zeros(entities, np.bool_)
    mask[at] = True
    return mask


def _whole(name: str, values: npt.ArrayLike, least: int, most: int) -> I32:
    array = np.asarray(values)
    if array.size == 0:
        return np.zeros(0, np.int32)
    if array.ndim != 1 or array.dtype.kind not in "iu":
        raise InputError(f"column `{name}` is not one column of whole numbers; convert percent to parts per million")
    wrong = (array < least) | (array > most)
    if wrong.any():
        at = int(wrong.argmax())
        raise InputError(f"`{name}` {at} is `{array[at]}`, outside {least} to {most}; correct it")
    return array.astype(np.int32)


def _refuse(wrong: Bools, what: str) -> None:
    if wrong.any():
        raise InputError(f"stake `{int(wrong.argmax())}` {what}")
