"""A synthetic graph of owners in the shape of GLEIF and PSC: trees of wholly owned companies below few parents, holders
of bands and of exact shares beside them, undisclosed holders, declared indirect stakes, edges of consolidation, cycles.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from tiergate.parties.ownership import I64, WHOLE, Prong, StakeGraph

BANDS = np.array([(250_001, 500_000), (500_001, 749_999), (750_000, WHOLE)])


@dataclass(frozen=True)
class World:
    """Columns of stakes as a register would hand them over, who is listed, and how the graph is built from them."""

    entities: int
    columns: dict[str, npt.NDArray[Any]]
    undisclosed: npt.NDArray[np.bool_]
    seeds: I64

    def graph(self) -> StakeGraph:
        return StakeGraph.build(self.entities, **self.columns, undisclosed=self.undisclosed)


def make(entities: int, seed: int) -> World:
    """``entities`` and about 4/3 as many stakes; one entity in 150 is listed."""
    rng = np.random.default_rng([seed, entities])
    kind = rng.random(entities)  # below .22 a top of its own, then one holder, then two or three
    holders = np.select([kind < 0.22, kind < 0.56], [0, 1], np.where(rng.random(entities) < 0.7, 2, 3 + (kind > 0.97)))
    holders[0] = 0
    owned = np.repeat(np.arange(entities), holders)
    rank = np.arange(len(owned)) - np.repeat(np.cumsum(holders) - holders, holders)
    # Earlier numbers own later ones, some of them very many; one stake in a thousand runs the other way round.
    owner = np.floor(owned * rng.random(len(owned)) ** rng.choice([1.0, 3.0], len(owned), p=[0.85, 0.15])).astype(
        np.int64
    )
    back = rng.random(len(owned)) < 0.001
    owner[back] = rng.integers(0, entities, back.sum())
    owner = np.where(owner == owned, (owned + 1) % entities, owner)
    alone = np.repeat(holders == 1, holders)
    cut = np.repeat(rng.integers(100_000, 900_000, entities), holders)
    cut = np.where(np.repeat(rng.random(entities) < 0.2, holders), WHOLE // 2, cut)
    shares = np.where(rank == 0, cut, np.where(rank == 1, WHOLE - cut, 0))
    exact = np.where(alone, np.where(rng.random(len(owned)) < 0.8, WHOLE, cut), shares)
    third = rank >= 2
    lo, hi = exact.copy(), exact.copy()
    band = BANDS[np.searchsorted([500_001, 750_000], exact, side="right")]
    banded = (rng.random(len(owned)) < 0.4) & (exact > 250_000)
    lo[banded], hi[banded] = band[banded].T
    # A third holder is one that is declared beside the others: an indirect stake or the parent that consolidates.
    declared = third & (rng.random(len(owned)) < 0.2)
    consolidates = third & ~declared
    lo[declared], hi[declared] = 300_000, 300_000
    first = np.full(entities, -1)
    first[owned[rank == 0]] = owner[rank == 0]
    above = first[first[owned]]
    chained = declared & (rng.random(len(owned)) < 0.7) & (first[owned] >= 0) & (above >= 0) & (above != owned)
    owner[chained] = above[chained]  # most declared indirect stakes repeat a chain that is there
    lo[consolidates], hi[consolidates] = WHOLE, WHOLE
    votes = rng.random(len(owned)) < 0.05
    columns = {
        "owner": owner,
        "owned": owned,
        "lo_ppm": lo,
        "hi_ppm": hi,
        "prong": np.where(consolidates, int(Prong.CONTROL), np.where(votes, int(Prong.VOTES), int(Prong.ECONOMIC))),
        "indirect": declared,
    }
    order = rng.permutation(len(owned))
    columns = {name: column[order] for name, column in columns.items()}
    seeds = np.sort(rng.choice(entities, entities // 150, replace=False))
    return World(entities, columns, rng.random(entities) < 0.08, seeds)
