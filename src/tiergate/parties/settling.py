"""Which fact would settle a verdict that is not known, cheapest first.

What is missing is looked for at the entity and at those holders of it whose own verdict is not known. Each fact is
tried with the least and the most that it can turn out to be, by resolving again the part of the graph that the
verdict rests on. A fact costs what its kind costs in `COST` and `HOP` more for every entity between it and the one
that asks: what an applicant knows of itself comes before what it has to ask its holders' holders.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np

from tiergate.errors import InputError
from tiergate.parties.chains import carried
from tiergate.parties.ownership import WHOLE, Prong, Remainder, StakeGraph
from tiergate.parties.resolving import Resolution, Verdict, resolve

NODES = 400
"""Entities that are looked at. What lies beyond stays not known, so that nothing is called settled that is not."""

FACTS = 64
"""Facts that are tried, the cheapest."""


class Missing(enum.Enum):
    """What is not known."""

    SIZE = "exact size of a stake that is known as a band"
    CONTROL = "whether a holder controls the entity"
    TOGETHER = "whether its holders act together"
    CHAIN = "through whom an indirect stake is held"
    CONTRADICTION = "which of its stakes, above 100% together, is wrong"
    HOLDERS = "who holds the part that no stake explains"


COST = {
    Missing.SIZE: 1,  # one extract of a share register
    Missing.CONTROL: 2,
    Missing.CHAIN: 3,
    Missing.TOGETHER: 3,
    Missing.CONTRADICTION: 4,
    Missing.HOLDERS: 6,  # everybody behind the remainder has to be named
}
HOP = 2


@dataclass(frozen=True, slots=True)
class Fact:
    """A fact about ``entity``, and about ``stake`` where it is one stake's (else -1). It turns out to be a share
    between ``least`` and ``most`` ppm; of kinds that are a question of yes or no, one of the two."""

    kind: Missing
    entity: int
    stake: int
    least: int
    most: int
    cost: int


@dataclass(frozen=True, slots=True)
class Settling:
    """Verdicts when all ``facts`` turn out least and when they turn out most, resolved with them. For one share
    alone: NO ``no_up_to`` that many ppm and YES ``yes_from`` that many, None where it never is; between them other
    facts decide."""

    facts: tuple[Fact, ...]
    cost: int
    if_least: Verdict
    if_most: Verdict
    no_up_to: int | None = None
    yes_from: int | None = None

    @property
    def settles(self) -> bool:
        """Whether both outcomes are a verdict."""
        return self.if_least == Verdict.NO and self.if_most == Verdict.YES


def missing(resolution: Resolution, entity: int) -> tuple[Fact, ...]:
    """What is not known behind a NOT_KNOWN, cheapest first. Raises InputError for another verdict."""
    return tuple(sorted(_Part(resolution, entity).facts, key=lambda fact: (fact.cost, fact.entity, fact.stake)))


def settle(resolution: Resolution, entity: int) -> tuple[Settling, ...]:
    """What would settle a NOT_KNOWN: first what does so whichever way it turns out, then what may; each cheapest
    first.

    Where no fact does alone, a set is given of which none can be spared. Raises InputError for another verdict.
    """
    part = _Part(resolution, entity)
    facts = sorted(part.facts, key=lambda fact: (fact.cost, fact.entity, fact.stake))[:FACTS]
    tried = [part.tried((fact,)) for fact in facts]
    found = [settling for settling in tried if settling.settles]
    if not found and (together := part.tried(tuple(facts))).settles:
        kept = list(facts)
        for fact in reversed(facts):
            fewer = [each for each in kept if each is not fact]
            if fewer and part.tried(tuple(fewer)).settles:
                kept = fewer
        found = [part.tried(tuple(kept)) if len(kept) < len(facts) else together]
    useful = [each for each in tried if not each.settles and (each.if_least, each.if_most) != (1, 1)]
    return (*found, *useful)


class _Part:
    """The part of a graph that a verdict rests on: the entity, holders not known either, and all who hold stakes in
    those. Verdicts of the others are taken as they are; more facts never turn a YES or a NO into anything else."""

    def __init__(self, resolution: Resolution, entity: int) -> None:
        if resolution.verdict[entity] != Verdict.NOT_KNOWN:
            raise InputError(f"entity `{entity}` is not NOT_KNOWN under this test; there is nothing to settle")
        self.resolution, self.entity = resolution, entity
        self.graph, self.test = resolution.graph, resolution.test
        hops = {entity: 0}
        due, self.rows = [entity], dict[int, list[int]]()
        while due and len(self.rows) < NODES:
            at = due.pop(0)
            self.rows[at] = self._stakes_in(at)
            for stake in self.rows[at]:
                owner = int(self.graph.owner[stake])
                if resolution.verdict[owner] == Verdict.NOT_KNOWN and self._matters(stake) and owner not in hops:
                    hops[owner] = hops[at] + 1
                    due.append(owner)
        self.facts = [fact for at in self.rows for fact in self._facts_at(at, hops[at])]
        self._explain()
        self._columns()

    def tried(self, facts: tuple[Fact, ...]) -> Settling:
        """The entity's verdict with ``facts`` both ways, and for one share where it turns."""
        least = self._judge({fact: fact.least for fact in facts})
        most = self._judge({fact: fact.most for fact in facts})
        cost = sum(fact.cost for fact in facts)
        if len(facts) > 1 or facts[0].kind not in (Missing.SIZE, Missing.CHAIN, Missing.HOLDERS):
            return Settling(facts, cost, least, most)
        fact = facts[0]
        no = self._last(fact, Verdict.NO) if least == Verdict.NO else None
        yes = self._last(fact, Verdict.NOT_KNOWN) + 1 if most == Verdict.YES else None
        return Settling(facts, cost, least, most, no, yes)

    def _last(self, fact: Fact, verdict: Verdict) -> int:
        """Largest outcome whose verdict is ``verdict`` or below; the most is above it or it is the most."""
        low, high = fact.least - 1, fact.most
        if self._judge({fact: high}) <= verdict:
            return high
        while high - low > 1:
            middle = (low + high) // 2
            if self._judge({fact: middle}) <= verdict:
                low = middle
            else:
                high = middle
        return low

    def _stakes_in(self, entity: int) -> list[int]:
        begin = self.graph.incoming.begin
        rows: list[int] = self.graph.incoming.row[begin[entity] : begin[entity + 1]].tolist()
        return rows

    def _matters(self, stake: int) -> bool:
        """Whether a stake could be a listed party's and count."""
        prong = int(self.graph.prong[stake])
        counts = self.test.control if prong == Prong.CONTROL else prong in self.test.counts.value
        held = self.resolution.high_round[self.graph.owner[stake]] >= 0
        return bool(counts and held and self.graph.hi_ppm[stake] > 0)

    def _facts_at(self, entity: int, hops: int) -> list[Fact]:
        graph, test = self.graph, self.test
        facts = []

        def add(kind: Missing, stake: int, least: int, most: int) -> None:
            facts.append(Fact(kind, entity, stake, least, most, COST[kind] + HOP * hops))

        mine = [stake for stake in self.rows[entity] if self._matters(stake)]
        for stake in mine:
            lo, hi, rest = int(graph.lo_ppm[stake]), int(graph.hi_ppm[stake]), int(graph.rest_ppm[stake])
            if graph.indirect[stake]:
                add(Missing.CHAIN, stake, 0, rest or hi)  # what chains explain now, they may not once they are known
            elif lo < hi:
                add(Missing.CONTROL if graph.prong[stake] == Prong.CONTROL else Missing.SIZE, stake, lo, hi)
        shares = [stake for stake in mine if graph.prong[stake] != Prong.CONTROL and not graph.indirect[stake]]
        unstated = [stake for stake in shares if graph.concert[stake] < 0]
        several = len({int(graph.owner[stake]) for stake in shares}) > 1 or self._open(entity)
        if not test.aggregate and unstated and several:
            add(Missing.TOGETHER, -1, 0, 1)
        left = [WHOLE - int(graph.firm_ppm[2 * entity + prong]) for prong in test.counts.value]
        if min(left) < 0:
            add(Missing.CONTRADICTION, -1, 0, 1)
        elif self._open(entity) and max(left) > 0:
            add(Missing.HOLDERS, -1, 0, max(self._open_left(entity).values(), default=0))
        return facts

    def _open(self, entity: int) -> bool:
        remainder = self.test.remainder
        return remainder is Remainder.EVERY or (remainder is Remainder.STATED and bool(self.graph.undisclosed[entity]))

    def _open_left(self, entity: int) -> dict[int, int]:
        """By kind of share that counts and has a remainder (`resolving.open_cells`), how much."""
        counted = {int(prong): WHOLE - int(self.graph.firm_ppm[2 * entity + prong]) for prong in self.test.counts.value}
        there = {prong: left for prong, left in counted.items() if self.graph.present[2 * entity + prong]}
        return there or counted

    def _explain(self) -> None:
        """Stakes in everybody on whom it depends what a declared indirect stake adds."""
        fresh = list(self.rows)
        while fresh and len(self.rows) < 2 * NODES:
            stakes = [stake for at in fresh for stake in self.rows[at] if self.graph.indirect[stake]]
            seen = carried(self.graph, np.array(stakes, np.int64)).entity
            fresh = [entity for entity in dict.fromkeys(seen.tolist()) if entity not in self.rows]
            self.rows.update({entity: self._stakes_in(entity) for entity in fresh})

    def _columns(self) -> None:
        """Columns of the part, under numbers of its own; two more entities stand for somebody listed and somebody
        known."""
        graph, resolution = self.graph, self.resolution
        stakes = [stake for rows in self.rows.values() for stake in rows]
        owners = graph.owner[stakes].tolist()
        self.number = {entity: at for at, entity in enumerate(dict.fromkeys([*self.rows, *owners]))}
        self.place = {stake: at for at, stake in enumerate(stakes)}
        self.somebody, known = len(self.number), len(self.number) + 1
        self.base = [
            [
                self.number[owner],
                self.number[int(graph.owned[stake])],
                int(graph.lo_ppm[stake]),
                int(graph.hi_ppm[stake]),
                int(graph.prong[stake]),
                int(graph.concert[stake]),
                bool(graph.indirect[stake]),
            ]
            for stake, owner in zip(stakes, owners, strict=True)
        ]
        verdict = {entity: resolution.verdict[entity] for entity in self.number}
        first = int(self.test.counts.value[0])
        for entity, at in self.number.items():  # beyond the part, what is not known stays so
            if verdict[entity] == Verdict.NOT_KNOWN and entity not in self.rows:
                self.base.append([known, at, 0, WHOLE, first, -1, False])
        listed = [at for entity, at in self.number.items() if resolution.listed[entity]]
        self.listed = [*listed, self.somebody]
        self.known = [self.number[entity] for entity, each in verdict.items() if each == Verdict.YES] + [known]
        held = [at for entity, at in self.number.items() if resolution.high_round[entity] >= 0]
        self.held = {*held, self.somebody}
        self.undisclosed = [entity in self.rows and self._open(entity) for entity in self.number] + [False, False]
        ignored = self.test.remainder is Remainder.IGNORED
        self.test_of_part = self.test if ignored else replace(self.test, remainder=Remainder.STATED)
        self.concerts = int(graph.concert.max(initial=-1)) + 1

    def _judge(self, outcomes: Mapping[Fact, int]) -> Verdict:
        rows, undisclosed = [list(row) for row in self.base], list(self.undisclosed)
        # Who acts together is said of all holders that the other facts bring in.
        for fact, value in sorted(outcomes.items(), key=lambda item: item[0].kind is Missing.TOGETHER):
            self._learn(fact, value, rows, undisclosed)
        owner, owned, lo, hi, prong, concert, indirect = zip(*rows, strict=True) if rows else ((),) * 7
        graph = StakeGraph.build(
            len(undisclosed),
            owner,
            owned,
            lo,
            hi,
            prong=prong,
            concert=concert,
            indirect=indirect,
            undisclosed=undisclosed,
        )
        answer = resolve(graph, self.listed, self.test_of_part, known=self.known)
        return Verdict(answer.verdict[self.number[self.entity]])

    def _learn(self, fact: Fact, value: int, rows: list[list[int]], undisclosed: list[bool]) -> None:
        """Put the outcome of a fact into columns of the part."""
        at = self.number[fact.entity]
        if fact.kind in (Missing.SIZE, Missing.CONTROL):
            rows[self.place[fact.stake]][2:4] = [value, value]
        elif fact.kind is Missing.CHAIN:
            row = rows[self.place[fact.stake]]
            row[2:4] = [value, value]
            row[6] = False
            self._correct(at, rows, at_most=True)  # it passes through holders already counted, where there is no room
        elif fact.kind is Missing.TOGETHER:
            for row in rows:
                if row[1] == at and row[4] != Prong.CONTROL and row[0] in self.held and (value or row[5] < 0):
                    row[5] = self.concerts + (0 if value else 1 + row[0])
        elif fact.kind is Missing.CONTRADICTION:
            self._correct(at, rows, at_most=bool(value))
        else:
            undisclosed[at] = False
            beside = [rows[self.place[stake]] for stake in self.rows[fact.entity]]
            listed = [row for row in beside if row[0] in self.listed and row[4] != Prong.CONTROL]
            holder = max(listed, key=lambda row: row[3], default=[self.somebody, at, 0, 0, 0, -1, False])
            for prong, left in self._open_left(fact.entity).items():
                share = min(value, left)
                rows.append([holder[0], at, share, share, prong, holder[5], False])

    def _correct(self, at: int, rows: list[list[int]], *, at_most: bool) -> None:
        """Take what is above 100% off the stakes that could be a listed party's, or (``at_most``) off others first."""
        for prong in self.test.counts.value:
            mine = [row for row in rows if row[1] == at and row[4] == prong and not row[6]]
            excess = sum(row[2] for row in mine) - WHOLE
            for row in sorted(mine, key=lambda row: (row[0] in self.held) == at_most):
                off = min(max(0, excess), row[2])
                if off:
                    excess -= off
                    row[2:4] = [row[2] - off] * 2
