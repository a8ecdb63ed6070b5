"""Verdicts of an ownership test on a whole graph: a least fixpoint, once on lower and once on upper bounds.

What is listed holds; an entity whose stakes held by holders meet the test holds too; repeat until nothing is added.
More stakes never take anything away, so the order does not matter and cycles are harmless. YES is what lower bounds
reach, NOT KNOWN what only upper bounds reach, NO what neither does. A round is one vectorised step from those that
joined in the last one, so a run costs what it reaches and a pass over the entities.
"""

from __future__ import annotations

import enum
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from tiergate.parties.ownership import I32, I64, WHOLE, Bools, OwnershipTest, Remainder, StakeGraph, listed_mask

NEVER = -(1 << 40)
"""Start of a sum that must not meet any test, however many stakes are added."""


class Verdict(enum.IntEnum):
    """Whether an entity meets the test."""

    NO = 0
    NOT_KNOWN = 1
    YES = 2


class Ground(enum.IntEnum):
    """The least that a YES needs: each ground is tried to the end before the next is allowed."""

    NONE = 0
    LISTED = 1
    OWNERSHIP = 2
    PRESUMED = 3  # rests on a share of exactly the threshold, from which control is presumed; it can be rebutted
    CONTROL = 4  # rests on an edge of control


@dataclass(frozen=True, eq=False)
class Resolution:
    """Answer of `resolve`: ``verdict`` int8 (`Verdict`) and ``ground`` int8 (`Ground`), both (n,), and what proofs
    and updates need: the round in which each entity joined on lower and on upper bounds, (n,) int32, -1 where it did
    not."""

    graph: StakeGraph
    test: OwnershipTest
    listed: Bools
    verdict: npt.NDArray[np.int8]
    ground: npt.NDArray[np.int8]
    low_round: I32
    high_round: I32


def resolve(
    graph: StakeGraph,
    seeds: Iterable[int] | npt.NDArray[np.integer[Any]],
    test: OwnershipTest,
    *,
    known: Iterable[int] | npt.NDArray[np.integer[Any]] = (),
) -> Resolution:
    """Verdict on every entity. ``seeds`` are the listed ones, who meet the test by definition; ``known`` are entities
    that meet it for reasons outside ``graph`` without being listed. Raises InputError for a number outside 0..n-1.

    Where the test does not aggregate, holders who meet it without being listed may answer to any of the listed ones:
    their stakes count with every lot on upper bounds, unless a concert number says with whom they act.
    """
    listed = listed_mask(graph.entities, seeds)
    start = listed | listed_mask(graph.entities, known)
    low = _Run(graph, listed, test, upper=False)
    low.join(np.flatnonzero(start), Ground.LISTED)
    low.spread(Ground.OWNERSHIP)
    if test.equal_presumes_control and not test.at_least:
        low.allow_equal()
        low.spread(Ground.PRESUMED)
    if test.control:
        low.allow_control()
        low.spread(Ground.CONTROL)
    high = _Run(graph, listed, test, upper=True)
    high.need -= test.equal_presumes_control and not test.at_least
    high.control = test.control
    high.join(np.flatnonzero(start), Ground.LISTED)
    high.spread(Ground.OWNERSHIP)
    verdict = np.where(low.round >= 0, np.int8(2), (high.round >= 0).view(np.int8))
    return Resolution(graph, test, listed, verdict, low.ground, low.round, high.round)


def open_cells(graph: StakeGraph, test: OwnershipTest) -> I64:
    """Cells whose unexplained part could be a listed party's. Votes follow shares where no votes are listed: a kind
    of share that is not listed has a remainder of its own only where the other is not listed either."""
    if test.remainder is Remainder.IGNORED:
        return np.zeros(0, np.int64)
    every = test.remainder is Remainder.EVERY
    entity = np.arange(graph.entities) if every else np.flatnonzero(graph.undisclosed)
    cells = [2 * entity + prong for prong in test.counts.value]
    present = [graph.present[cell] for cell in cells]
    none = ~np.logical_or.reduce(present)
    return np.concatenate([cell[there | none] for cell, there in zip(cells, present, strict=True)])


class _Run:
    """One bound. ``base`` are sums by cell that count with every lot, ``lot`` sums by lot; a cell is met when every
    measure of ``base``, alone or with one of its lots, reaches ``need``. On upper bounds there are two measures: what
    the holders could have, and what the firm stakes of all others leave over."""

    def __init__(self, graph: StakeGraph, listed: Bools, test: OwnershipTest, *, upper: bool) -> None:
        self.graph, self.listed, self.test, self.upper = graph, listed, test, upper
        self.need = test.need_ppm
        self.control = False
        self.controlled: I64 = np.zeros(0, np.int64)
        self.round = np.full(graph.entities, -1, np.int32)
        self.ground = np.zeros(graph.entities, np.int8)
        self.frontier: I64 = np.zeros(0, np.int64)
        self.rounds = 0
        left = WHOLE - graph.firm_ppm
        if upper:
            could = np.zeros(2 * graph.entities, np.int64)
            could[open_cells(graph, test)] = WHOLE
            if test.remainder is not Remainder.IGNORED:
                cells = np.concatenate([2 * graph.contradictory, 2 * graph.contradictory + 1])
                cells = cells[left[cells] < 0]
                could[cells] = left[cells] = WHOLE
            self.base = [could, left]
            self.weights = [graph.rest_ppm, np.where(graph.indirect, graph.rest_ppm, graph.lo_ppm)]
        else:
            self.base = [np.minimum(left, 0)]
            self.weights = [graph.lo_ppm * ~graph.indirect]
        for prong in {0, 1} - {int(counted) for counted in test.counts.value}:
            for base in self.base:
                base[prong::2] = NEVER
        self.lot = [] if test.aggregate else [np.zeros(len(graph.owner), np.int64) for _ in self.base]

    def join(self, entities: I64, ground: Ground) -> None:
        self.round[entities] = self.rounds
        self.ground[entities] = ground
        self.frontier = entities
        self.rounds += 1

    def spread(self, ground: Ground) -> None:
        """Rounds until nothing is added. The first looks beyond what was touched: a remainder may suffice by itself,
        and an allowance concerns all."""
        touched = self._add(self.frontier)
        if ground == Ground.PRESUMED and not self.test.aggregate:
            touched = np.arange(2 * self.graph.entities)
        enough = self.base[-1] >= self.need
        if self.upper:
            enough &= self.base[0] >= self.need
        self._join_met(_distinct(np.append(touched, np.flatnonzero(enough))), ground)
        while len(self.frontier):
            self._join_met(self._add(self.frontier), ground)

    def allow_equal(self) -> None:
        self.need = self.test.threshold_ppm

    def allow_control(self) -> None:
        self.control = True
        self.controlled = self._under_control(np.flatnonzero(self.round >= 0))

    def _under_control(self, holders: I64) -> I64:
        edges = self.graph.controlling.many(holders)
        bound = self.graph.hi_ppm if self.upper else self.graph.lo_ppm
        return self.graph.owned[edges[bound[edges] > 0]].astype(np.int64)

    def _add(self, holders: I64) -> I64:
        """Count the stakes of new holders; returns the cells (distinct) of entities not yet met that this touched."""
        graph = self.graph
        if self.control:
            self.controlled = np.append(self.controlled, self._under_control(holders))
        stakes = graph.outgoing.many(holders)
        stakes = stakes[self.round[graph.owned[stakes]] < 0]
        cells = graph.cell(stakes)
        if self.test.aggregate:
            for base, weight in zip(self.base, self.weights, strict=True):
                np.add.at(base, cells, weight[stakes].astype(np.int64))  # four times as fast in one type
            return _distinct(cells)
        shared = np.full(len(stakes), self.upper)
        shared &= ~self.listed[graph.owner[stakes]] & (graph.concert[stakes] < 0)
        lots = graph.lots[0][stakes]
        for base, lot, weight in zip(self.base, self.lot, self.weights, strict=True):
            np.add.at(base, cells[shared], weight[stakes[shared]].astype(np.int64))
            np.add.at(lot, lots[~shared], weight[stakes[~shared]].astype(np.int64))
        return _distinct(cells)

    def _join_met(self, cells: I64, ground: Ground) -> None:
        met = np.ones(len(cells), np.bool_)
        for base in self.base:
            met &= base[cells] >= self.need
        entities = [cells[met] // 2, self.controlled]
        if not self.test.aggregate:
            begin = self.graph.lots[1]
            count = begin[cells + 1] - begin[cells]
            lots = np.repeat(begin[cells] - np.cumsum(count) + count, count) + np.arange(count.sum())
            cell = np.repeat(cells, count)
            met = np.ones(len(lots), np.bool_)
            for base, lot in zip(self.base, self.lot, strict=True):
                met &= base[cell] + lot[lots] >= self.need
            entities.append(cell[met] // 2)
        self.controlled = self.controlled[:0]
        new = np.concatenate(entities)
        self.join(_distinct(new[self.round[new] < 0]), ground)


def _distinct(values: I64) -> I64:
    ordered = np.sort(values)
    return ordered[np.append(True, ordered[1:] != ordered[:-1])] if len(ordered) else ordered
