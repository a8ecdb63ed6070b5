"""The worked cases of the rules, side by side: the same facts, and what each rule makes of them."""

from __future__ import annotations

import numpy as np
import pytest

from tests.parties.ownership_graphs import EU, HALF, OFAC, PACKS, PROVIDER, UK
from tiergate.errors import InputError, SettingsError
from tiergate.parties.integrated import integrated_share, review_by_integrated
from tiergate.parties.ownership import WHOLE, OwnershipTest, Prong, StakeGraph
from tiergate.parties.resolving import Ground, Verdict, resolve

NAMES = "XYABCZ"  # X and Y are listed, Z is a holder with a clean record
PERCENT = WHOLE // 100
BANDS = {"25-50": (250_001, HALF), "50-75": (HALF + 1, 749_999)}


def graph_of(text: str, unknown: str = "") -> StakeGraph:
    """``X50A`` is 50% of A held by X, ``X25-50A`` a register's band; ``unknown``: whose other holders are not known."""
    rows = []
    for stake in text.split():
        size = stake[1:-1]
        lo, hi = BANDS[size] if size in BANDS else (int(size) * PERCENT,) * 2
        rows.append((NAMES.index(stake[0]), NAMES.index(stake[-1]), lo, hi))
    return StakeGraph.build(len(NAMES), *np.array(rows).T, undisclosed=[name in unknown for name in NAMES])


# Owned by OFAC, BIS and EU (which presumes at just 50), by a provider's `> 50` aggregated, by the UK's single holder.
CASES = {
    "401.1": ("X50A A50B", "AB", "", ""),
    "401.2": ("X50A X50B A25C B25C", "ABC", "", ""),
    "401.3": ("X50A X10B A40B", "AB", "", ""),
    "401.4": ("X50A X25B A25C B25C", "A", "", ""),
    "401.5": ("X25A X25B A50C B50C", "", "", ""),
    "399": ("X25A Y25A", "A", "", ""),
    "E2": ("X25A Y26A", "A", "A", ""),
    "JV": ("X50A Z50A", "A", "", ""),
    "E3": ("X60A A60B", "AB", "AB", "AB"),
    "E4": ("X40A A70B X30B", "", "", ""),
    "E5": ("A60B B60A X40A", "", "", ""),
    "P1": ("X25-50A", "?A", "", ""),
    "P2": ("X50-75A", "A", "A", "A"),
    "U1": ("X30A", "?A", "?A", "?A"),
}


@pytest.mark.parametrize("pack", PACKS)
@pytest.mark.parametrize("case", CASES)
def test_worked_case(case: str, pack: str) -> None:
    stakes, *columns = CASES[case]
    expected = columns[{"UK": 2, "provider": 1}.get(pack, 0)]
    verdict = resolve(graph_of(stakes, "A" if case == "U1" else ""), [0, 1], PACKS[pack]).verdict
    unsure = Verdict.NOT_KNOWN if expected.startswith("?") else Verdict.YES
    assert verdict.tolist() == [2, 2, *(unsure if name in expected else Verdict.NO for name in "ABCZ")]


@pytest.mark.parametrize("pack", PACKS)
def test_d1_declared_indirect_stake_is_not_added_to_its_chain(pack: str) -> None:
    # As declared: P holds something in C and D, each of which holds 50 of B, and indirectly 60 of B.
    p, c, d, b = range(4)
    owner, owned, indirect = [c, d, p, p, p], [b, b, c, d, b], [0, 0, 0, 0, 1]
    unsized = StakeGraph.build(
        4, owner, owned, [HALF, HALF, 0, 0, 600_000], [HALF, HALF, WHOLE, WHOLE, 600_000], indirect=indirect
    )
    assert resolve(unsized, [p], PACKS[pack]).verdict.tolist() == [2, 1, 1, 1]
    assert unsized.rest_ppm.tolist()[-1] == 0
    # 100% of C and 20% of D are the declared 60. Adding it would make 110 of 50.
    sized = StakeGraph.build(4, owner, owned, [HALF, HALF, WHOLE, 200_000, 600_000], indirect=indirect)
    owned_by_half = pack in ("OFAC", "BIS", "EU")
    assert resolve(sized, [p], PACKS[pack]).verdict.tolist() == [2, 2, 0, 2 if owned_by_half else 0]
    # Without any chain it may be a listed party's, and proves nothing.
    bare = StakeGraph.build(4, [p], [b], [600_000], indirect=[True])
    assert resolve(bare, [p], PACKS[pack]).verdict.tolist() == [2, 0, 0, 1]


@pytest.mark.parametrize("pack", PACKS)
def test_t1_stake_sold_down_clears_and_the_old_graph_still_decides_as_it_did(pack: str) -> None:
    before, after = graph_of("X60A"), graph_of("X49A")
    for graph, expected in ((before, Verdict.YES), (after, Verdict.NO), (before, Verdict.YES)):
        assert resolve(graph, [0], PACKS[pack]).verdict[2] == expected


def test_integrated_ownership_flags_to_review_what_no_rule_owns() -> None:
    e4, e5 = resolve(graph_of(CASES["E4"][0]), [0], OFAC), resolve(graph_of(CASES["E5"][0]), [0], PROVIDER)
    assert integrated_share(e4, Prong.ECONOMIC)[3] == pytest.approx(0.58)
    assert integrated_share(e5, Prong.ECONOMIC)[2:4] == pytest.approx([0.625, 0.375], abs=1e-5)
    assert review_by_integrated(e4).tolist() == [3]
    assert review_by_integrated(e5).tolist() == [2]
    assert review_by_integrated(resolve(graph_of("X25A Y26A"), [0, 1], UK)).tolist() == []


def test_grounds_say_what_a_yes_rests_on() -> None:
    joint = resolve(graph_of("X50A Z50A A60B"), [0], EU)
    assert joint.ground.tolist() == [Ground.LISTED, 0, Ground.PRESUMED, Ground.PRESUMED, 0, 0]
    board = StakeGraph.build(4, [0, 0, 1], [1, 2, 3], [WHOLE, 600_000, 600_000], prong=[2, 0, 0])
    assert resolve(board, [0], UK).ground.tolist() == [1, Ground.CONTROL, Ground.OWNERSHIP, Ground.CONTROL]
    assert resolve(board, [0], OFAC).verdict.tolist() == [2, 0, 2, 0]


@pytest.mark.parametrize(("lo", "ofac", "provider"), [(499_999, 0, 0), (500_000, 2, 0), (500_001, 2, 2)])
def test_exactly_half_is_exact(lo: int, ofac: int, provider: int) -> None:
    graph = StakeGraph.build(2, [0], [1], [lo])
    assert [int(resolve(graph, [0], test).verdict[1]) for test in (OFAC, PROVIDER)] == [ofac, provider]
    # A third and a third and a third of it, which no binary fraction holds.
    thirds = StakeGraph.build(4, [0, 0, 0], [1, 1, 1], [166_667, 166_667, lo - 333_334])
    assert [int(resolve(thirds, [0], test).verdict[1]) for test in (OFAC, PROVIDER)] == [ofac, provider]


def test_uk_adds_up_a_stated_concert_and_does_not_clear_one_nobody_asked_about() -> None:
    together = StakeGraph.build(4, [0, 1, 0], [2, 2, 3], [300_000, 300_000, 100_000], concert=[7, 7, 7])
    assert resolve(together, [0, 1], UK).verdict.tolist() == [2, 2, 2, 0]
    # A, which X controls, holds 30 beside X's 30: YES once somebody says that they act together, NO once the opposite.
    for concert, expected in (((-1, -1, -1), 1), ((-1, 0, 0), 2), ((-1, 0, 1), 0)):
        graph = StakeGraph.build(3, [0, 0, 1], [1, 2, 2], [600_000, 300_000, 300_000], concert=concert)
        assert resolve(graph, [0], UK).verdict[2] == expected


def test_firm_stakes_of_others_bound_a_band() -> None:
    graph = StakeGraph.build(3, [0, 1], [2, 2], [250_001, 600_000], [500_000, 600_000])
    assert resolve(graph, [0], OFAC).verdict[2] == Verdict.NO


def test_contradictory_stakes_neither_prove_nor_clear() -> None:
    graph = StakeGraph.build(3, [0, 1], [2, 2], [600_000, 600_000])
    assert graph.contradictory.tolist() == [2]
    assert resolve(graph, [0], OFAC).verdict[2] == Verdict.NOT_KNOWN
    assert resolve(graph, [0, 1], OFAC).verdict[2] == Verdict.YES  # whichever is wrong, together they own it all


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        (([0], [1], [60.0]), "whole numbers"),
        (([0], [1], [1_000_001]), "outside 0 to 1000000"),
        (([0], [2], [1]), "`owned` 0 is `2`"),
        (([0], [1], [2], [1]), "lower bound above"),
        (([0, 1], [1, 1], [2, 1]), "stake `1` is of an entity in itself"),
        (([0], [1, 0], [2]), "differ in length"),
    ],
)
def test_wrong_columns_are_refused_with_the_first_that_is(columns: tuple[list[int], ...], message: str) -> None:
    with pytest.raises(InputError, match=message):
        StakeGraph.build(2, *columns)


def test_wrong_edges_thresholds_and_seeds_are_refused() -> None:
    with pytest.raises(InputError, match="edge of control; bound it"):
        StakeGraph.build(2, [0], [1], [5], prong=[2])
    with pytest.raises(SettingsError, match="threshold of `0`"):
        OwnershipTest(0)
    with pytest.raises(InputError, match="`seeds` 0 is `9`"):
        resolve(graph_of("X50A"), [9], OFAC)
