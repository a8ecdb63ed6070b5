"""Why an entity meets a test: its stakes, theirs, and so on down to those listed.

A proof is a list of steps, premises first, so that it can be checked in one pass; `tiergate.parties.proof_check` does
so and shares no code with what found the answer.
"""

from __future__ import annotations

from dataclasses import dataclass

from tiergate.errors import InputError
from tiergate.parties.ownership import WHOLE, Prong
from tiergate.parties.resolving import Resolution, Verdict

LISTED, OWNERSHIP, PRESUMED, CONTROL = "listed", "ownership", "presumed", "control"


@dataclass(frozen=True, slots=True)
class Step:
    """``entity`` meets the test: ``reason`` `LISTED` without ``stakes``, else by these stakes, held by entities of
    earlier steps. `PRESUMED` is a share of exactly the threshold under ``>``."""

    entity: int
    reason: str
    stakes: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class Proof:
    """Proof that ``entity`` meets a test; its last step is about it."""

    entity: int
    steps: tuple[Step, ...]


def prove(resolution: Resolution, entity: int) -> Proof:
    """Proof of a YES, with the fewest stakes in every step and in order of rounds. Raises InputError for another
    verdict, and where the YES rests on what was handed to `resolve` as known."""
    if resolution.verdict[entity] != Verdict.YES:
        raise InputError(f"entity `{entity}` is not a YES under this test; ask for what is missing instead")
    round_, steps, due = resolution.low_round, {}, [entity]
    while due:
        at = due.pop()
        if at in steps:
            continue
        steps[at] = _step(resolution, at)
        due += resolution.graph.owner[list(steps[at].stakes)].tolist()
    return Proof(entity, tuple(sorted(steps.values(), key=lambda step: (int(round_[step.entity]), step.entity))))


def _step(resolution: Resolution, entity: int) -> Step:
    graph, test, round_ = resolution.graph, resolution.test, resolution.low_round
    if resolution.listed[entity]:
        return Step(entity, LISTED)
    lots: dict[tuple[int, int], list[tuple[int, int]]] = {}
    edges = []
    begin = graph.incoming.begin
    for stake in graph.incoming.row[begin[entity] : begin[entity + 1]].tolist():
        owner, prong, lo = int(graph.owner[stake]), int(graph.prong[stake]), int(graph.lo_ppm[stake])
        if lo == 0 or graph.indirect[stake] or not 0 <= round_[owner] < round_[entity]:
            continue
        if prong == Prong.CONTROL:
            edges.append(stake)
        elif prong in test.counts.value:
            concert = int(graph.concert[stake])
            alone = (0, 0) if test.aggregate else (1, concert) if concert >= 0 else (2, owner)
            lots.setdefault((prong, *alone), []).append((lo, -stake))  # type: ignore[arg-type]
    for reason, need in ((OWNERSHIP, test.need_ppm), (PRESUMED, test.threshold_ppm)):
        if reason == PRESUMED and not test.equal_presumes_control:
            continue
        best: list[int] | None = None
        for (prong, *_), lot in sorted(lots.items()):
            chosen, missing = [], need + max(0, int(graph.firm_ppm[2 * entity + prong]) - WHOLE)
            for lo, stake in sorted(lot, reverse=True):
                chosen.append(-stake)
                missing -= lo
                if missing <= 0:
                    best = chosen if best is None or len(chosen) < len(best) else best
                    break
        if best is not None:
            return Step(entity, reason, tuple(best))
    if test.control and edges:
        return Step(entity, CONTROL, (edges[0],))
    raise InputError(f"entity `{entity}` was handed in as known; its reasons lie outside the graph")
