"""What of a declared indirect stake chains of direct stakes already carry.

Registers declare direct stakes and, beside them, the indirect stake that they amount to; adding both counts one
holding twice. An indirect stake therefore never counts towards a YES: declared 58% may add up chains none of which
meets the test (40% of a holder of 70%, beside 30%), and a chain that does meet it is found without the declaration.
It could be theirs, on upper bounds, as far as direct chains cannot carry it: a chain left out of the register may.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from tiergate.parties.ownership import I64, WHOLE, StakeGraph

DEPTH = 8
"""Longest chain that is followed. What lies beyond is not explained, which leaves more to be counted, not less."""

LEAST = 10_000
"""Smallest part, in ppm, that is followed along a chain. What is smaller is not explained either."""


@dataclass(frozen=True, slots=True)
class Carried:
    """``ppm`` (k,): most that chains of two or more direct stakes carry. ``stake`` and ``entity`` (v,): entities
    whose direct holders were looked at for a stake, so that a change there means looking again."""

    ppm: I64
    stake: I64
    entity: I64


def carried(graph: StakeGraph, stakes: I64) -> Carried:
    """How much direct chains of their own prong carry of ``stakes`` (k,), indirect ones.

    Upper bounds are multiplied, rounded down, along each chain backwards from the entity, and chains are added up.
    """
    at = np.arange(len(stakes))
    node = graph.owned[stakes].astype(np.int64)
    flow = np.full(len(stakes), WHOLE, np.int64)
    total = np.zeros(len(stakes), np.int64)
    seen_stake, seen_entity = [stakes[:0].astype(np.int64)], [node[:0]]
    for depth in range(DEPTH):
        short = total[at] < graph.hi_ppm[stakes[at]]  # the others are explained
        at, node, flow = at[short], node[short], flow[short]
        seen_stake.append(stakes[at])
        seen_entity.append(node)
        rows = graph.incoming.many(node)
        origin = np.repeat(np.arange(len(node)), graph.incoming.begin[node + 1] - graph.incoming.begin[node])
        same = ~graph.indirect[rows] & (graph.prong[rows] == graph.prong[stakes[at[origin]]])
        rows, origin = rows[same], origin[same]
        holder, of = graph.owner[rows].astype(np.int64), at[origin]
        share = flow[origin] * graph.hi_ppm[rows] // WHOLE
        large = share >= LEAST
        arrived = large & (holder == graph.owner[stakes[of]])
        if depth:  # a direct stake of the same holder is no chain: it stands beside the indirect one
            np.add.at(total, of[arrived], share[arrived])
        on = large & ~arrived & (holder != graph.owned[stakes[of]])
        keys, place = np.unique(of[on] * graph.entities + holder[on], return_inverse=True)
        if not len(keys):
            break
        at, node = keys // graph.entities, keys % graph.entities
        flow = np.zeros(len(keys), np.int64)
        np.add.at(flow, place, share[on])
        flow = np.minimum(flow, WHOLE)
    return Carried(np.minimum(total, WHOLE), np.concatenate(seen_stake), np.concatenate(seen_entity))
