"""Rule packs, worked cases and drawn graphs for the tests of ownership, and an oracle too slow for anything else."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

from hypothesis import strategies as st

from tiergate.parties.ownership import WHOLE, Counts, OwnershipTest, Prong, Remainder, StakeGraph

HALF = WHOLE // 2
OFAC = OwnershipTest(HALF)
BIS = OwnershipTest(HALF)
EU = OwnershipTest(HALF, at_least=False, counts=Counts.EITHER, control=True, equal_presumes_control=True)
UK = OwnershipTest(HALF, at_least=False, aggregate=False, counts=Counts.EITHER, control=True)
PROVIDER = OwnershipTest(HALF, at_least=False, control=True)
PACKS = {"OFAC": OFAC, "BIS": BIS, "EU": EU, "UK": UK, "provider": PROVIDER}
TESTS = [
    *PACKS.values(),
    replace(OFAC, remainder=Remainder.EVERY),
    replace(UK, remainder=Remainder.IGNORED, counts=Counts.VOTES),
    replace(UK, at_least=False, equal_presumes_control=True),
]

Row = tuple[int, int, int, int, int, int, bool]
"""owner, owned, lo_ppm, hi_ppm, prong, concert, indirect."""


@dataclass(frozen=True)
class Drawn:
    entities: int
    rows: list[Row]
    undisclosed: list[bool]
    seeds: frozenset[int]
    test: OwnershipTest

    def graph(self) -> StakeGraph:
        return built(self.entities, self.rows, self.undisclosed)


def built(entities: int, rows: list[Row], undisclosed: list[bool] | None = None) -> StakeGraph:
    owner, owned, lo, hi, prong, concert, indirect = zip(*rows, strict=True) if rows else ((),) * 7
    return StakeGraph.build(
        entities, owner, owned, lo, hi, prong=prong, concert=concert, indirect=indirect, undisclosed=undisclosed
    )


def rows_of(graph: StakeGraph) -> list[Row]:
    columns = (graph.owner, graph.owned, graph.lo_ppm, graph.hi_ppm, graph.prong, graph.concert, graph.indirect)
    return list(zip(*(column.tolist() for column in columns), strict=True))


AMOUNTS = st.sampled_from([0, 100_000, 250_001, 300_000, 499_999, 500_000, 500_001, 600_000, WHOLE])


@st.composite
def stakes(draw: st.DrawFn, entities: int) -> Row:
    owner = draw(st.integers(0, entities - 1))
    owned = (owner + draw(st.integers(1, entities - 1))) % entities
    prong = draw(st.sampled_from([0, 0, 0, 0, 1, 2]))
    lo, hi = sorted((draw(AMOUNTS), draw(AMOUNTS)))
    if prong == Prong.CONTROL:
        lo, hi = lo // WHOLE * WHOLE, -(-hi // WHOLE) * WHOLE
    elif draw(st.booleans()):
        lo = hi
    indirect = prong != Prong.CONTROL and draw(st.sampled_from([False] * 7 + [True]))
    return owner, owned, lo, hi, prong, draw(st.sampled_from([-1] * 6 + [0, 1])), indirect


@st.composite
def drawn(draw: st.DrawFn, most: int = 9, tests: Iterable[OwnershipTest] = tuple(TESTS)) -> Drawn:
    entities = draw(st.integers(2, most))
    rows = draw(st.lists(stakes(entities), max_size=2 * entities))
    undisclosed = [draw(st.sampled_from([False] * 5 + [True])) for _ in range(entities)]
    seeds = draw(st.frozensets(st.integers(0, entities - 1), max_size=3))
    return Drawn(entities, rows, undisclosed, seeds, draw(st.sampled_from(list(tests))))


def oracle(case: Drawn) -> list[int]:
    """Verdicts by the definition, over and over all entities until nothing changes."""
    low, high = _grown(case, upper=False), _grown(case, upper=True)
    return [2 if entity in low else int(entity in high) for entity in range(case.entities)]


def _grown(case: Drawn, *, upper: bool) -> set[int]:
    held = set(case.seeds)
    while True:
        more = {entity for entity in range(case.entities) if entity in held or _meets(case, entity, held, upper)}
        if more == held:
            return held
        held = more


def _meets(case: Drawn, entity: int, held: set[int], upper: bool) -> bool:
    test = case.test
    mine = [row for row in case.rows if row[1] == entity]
    if test.control and any(row[4] == 2 and row[0] in held and row[3 if upper else 2] for row in mine):
        return True
    counted = [int(prong) for prong in test.counts.value]
    some = {prong for prong in counted if any(row[4] == prong and row[3] for row in mine)}
    for prong in counted:
        shares = [row for row in mine if row[4] == prong]
        firm = sum(row[2] for row in shares if not row[6])
        lots: list[list[Row]] = [[row for row in shares if row[0] in held]]
        if not test.aggregate:
            names = {_lot(row) for row in lots[0]} | {None}
            lots = [[row for row in lots[0] if _lot(row) == name or (upper and _pooled(case, row))] for name in names]
        stated = {Remainder.IGNORED: False, Remainder.STATED: case.undisclosed[entity], Remainder.EVERY: True}
        unclear = stated[test.remainder] and (prong in some or not some)
        for lot in lots:
            direct = sum(row[2] for row in lot if not row[6])
            if not upper:
                share = direct - max(0, firm - WHOLE)
            elif firm > WHOLE and test.remainder is not Remainder.IGNORED:
                share = WHOLE
            else:
                declared = sum(_unexplained(case, row) for row in lot if row[6])
                others = firm - direct
                could = WHOLE if unclear else sum(row[3] for row in lot if not row[6]) + declared
                share = min(could, WHOLE - others + declared)
            relaxed = test.at_least or test.equal_presumes_control
            if share > test.threshold_ppm or (share == test.threshold_ppm and relaxed):
                return True
    return False


def _lot(row: Row) -> tuple[str, int]:
    return ("concert", row[5]) if row[5] >= 0 else ("alone", row[0])


def _pooled(case: Drawn, row: Row) -> bool:
    return row[0] not in case.seeds and row[5] < 0


def _unexplained(case: Drawn, declared: Row) -> int:
    """What is left of an indirect stake after chains of at least two direct stakes, as `chains` says."""
    owner, owned, _, hi, prong, *_ = declared
    flow, total = {owned: WHOLE}, 0
    for depth in range(8):
        back: dict[int, int] = {}
        for row in case.rows:
            part = flow.get(row[1], 0) * row[3] // WHOLE
            if row[4] != prong or row[6] or part < 10_000:
                continue
            if row[0] == owner:
                total += part if depth else 0
            elif row[0] != owned:
                back[row[0]] = back.get(row[0], 0) + part
        flow = {holder: min(part, WHOLE) for holder, part in back.items()}
    return max(0, hi - total)
