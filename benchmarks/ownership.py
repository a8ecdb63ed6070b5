"""Ownership verdicts at the size of the world's companies: whole graph, one edit, a plain-Python peer.

    python -m benchmarks.ownership [--entities 3000000] [--edits 100000] [--seconds 240]

Prints one JSON line and a table. The graph is simulated (`benchmarks/ownership_world.py`). The peer decides the same
two bounds of the same rule with dictionaries, on a graph a tenth of the size; its ratio is of one run on one machine.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import time
from collections import defaultdict
from collections.abc import Callable
from typing import TypeVar

import numpy as np
from benchmarks.ownership_world import World, make

from tiergate.parties.incremental import LiveVerdicts
from tiergate.parties.integrated import review_by_integrated
from tiergate.parties.ownership import WHOLE, Counts, OwnershipTest, Prong, StakeGraph
from tiergate.parties.proof_check import verify_proof
from tiergate.parties.proofs import prove
from tiergate.parties.resolving import Resolution, Verdict, resolve
from tiergate.parties.settling import settle

HALF = WHOLE // 2
TESTS = {
    "OFAC": OwnershipTest(HALF),
    "EU": OwnershipTest(HALF, at_least=False, counts=Counts.EITHER, control=True, equal_presumes_control=True),
    "UK": OwnershipTest(HALF, at_least=False, aggregate=False, counts=Counts.EITHER, control=True),
    "provider": OwnershipTest(HALF, at_least=False, control=True),
}
AMOUNTS = np.array([0, 100_000, 250_001, 300_000, HALF, HALF + 1, 600_000, WHOLE])
Figures = dict[str, float]
T = TypeVar("T")


def seconds(work: Callable[[], T]) -> tuple[T, float]:
    began = time.perf_counter()
    done = work()
    return done, time.perf_counter() - began


def whole(world: World) -> tuple[Figures, Resolution]:
    """Cold (from columns, graph included) and warm (other rule or list, same graph), per rule."""
    figures: Figures = {}
    for name, test in TESTS.items():
        used = time.process_time()
        graph, built = seconds(world.graph)
        answer, cold = seconds(lambda graph=graph, test=test: resolve(graph, world.seeds, test))  # type: ignore[misc]
        cpu = time.process_time() - used  # what a busy machine adds to the wall clock is not in it
        warm = [seconds(lambda: resolve(graph, world.seeds, test))[1] for _ in range(3)]  # noqa: B023
        figures |= {f"{name}_cold_s": built + cold, f"{name}_warm_s": min(warm), f"{name}_cold_cpu_s": cpu}
        if name == "OFAC":
            kept = answer
            figures |= {each.name.lower(): int((answer.verdict == each).sum()) for each in Verdict}
    review, spent = seconds(lambda: review_by_integrated(kept))
    return figures | {"integrated_s": spent, "integrated_flags": len(review)}, kept


def plain(world: World, test: OwnershipTest) -> np.ndarray[tuple[int], np.dtype[np.int8]]:
    """The peer: sums in dictionaries, a queue; economic shares that add up, as OFAC's rule has them."""
    graph = world.graph()
    rest = graph.rest_ppm.tolist()
    columns = (graph.owner, graph.owned, graph.lo_ppm, graph.prong, graph.indirect)
    rows = list(zip(*(column.tolist() for column in columns), rest, strict=True))
    verdict = np.zeros(world.entities, np.int8)
    firm: dict[int, int] = defaultdict(int)
    economic = [row for row in rows if row[3] == Prong.ECONOMIC]
    for _, owned, lo, _, indirect, _ in economic:
        firm[owned] += 0 if indirect else lo
    for upper in (False, True):
        out: dict[int, list[tuple[int, int, int]]] = defaultdict(list)
        for owner, owned, lo, _, indirect, most in economic:
            out[owner].append((owned, most if upper else 0 if indirect else lo, most if indirect else lo))
        first: dict[int, int] = defaultdict(int)
        second: dict[int, int] = defaultdict(int)
        if upper:
            for entity in np.flatnonzero(world.undisclosed).tolist():
                first[entity] = WHOLE
        held = set(world.seeds.tolist())
        queue = list(held)
        if upper:
            alone = {e for e in first if WHOLE - firm.get(e, 0) >= test.need_ppm} - held
            held |= alone
            queue += alone
        while queue:
            for owned, one, two in out.get(queue.pop(), ()):
                if owned in held:
                    continue
                first[owned] += one
                second[owned] += two
                left = WHOLE - firm[owned]
                if first[owned] >= test.need_ppm and (not upper or left + second[owned] >= test.need_ppm):
                    held.add(owned)
                    queue.append(owned)
        verdict[list(held)] += 1
    return verdict


def against_peer(entities: int, seed: int) -> Figures:
    world, test = make(entities, seed), TESTS["OFAC"]
    expected, slow = seconds(lambda: plain(world, test))
    (graph, answer), fast = seconds(lambda: (graph := world.graph(), resolve(graph, world.seeds, test)))
    assert len(graph.owner)
    return {
        "peer_entities": entities,
        "peer_s": slow,
        "same_graph_s": fast,
        "peer_ratio": slow / fast,
        "peer_disagreements": int((expected != answer.verdict).sum()),
    }


def edited(answer: Resolution, world: World, edits: int, limit_s: float, seed: int) -> Figures:
    """Random edits: a stake changed (6 in 10), added, removed; verdicts compared with deciding anew every 25,000."""
    rng = np.random.default_rng(seed)
    live, loaded = seconds(lambda: LiveVerdicts(answer))
    began, spent, changed, wrong, stakes = time.perf_counter(), [], [], 0, len(answer.graph.owner)
    for at in range(edits):
        if time.perf_counter() - began > limit_s:
            break
        kind, stake = rng.random(), int(rng.integers(stakes))
        lo, hi = sorted(rng.choice(AMOUNTS, 2).tolist())
        if answer.graph.prong[stake] == Prong.CONTROL:
            lo = hi = WHOLE * int(rng.integers(2))
        owner, owned = rng.choice(world.entities, 2, replace=False, shuffle=False).tolist() if kind > 0.8 else (0, 1)
        start = time.perf_counter()
        if kind < 0.6:
            change = live.change(stake, lo, hi)
        elif kind < 0.8:
            change = live.remove(stake)
        else:
            _, change = live.add(owner, owned, lo, hi)
        spent.append(time.perf_counter() - start)
        changed.append(len(change))
        if (at + 1) % 25_000 == 0:
            wrong += int((live.verdicts() != resolve(live.graph(), world.seeds, answer.test).verdict).sum())
    wrong += int((live.verdicts() != resolve(live.graph(), world.seeds, answer.test).verdict).sum())
    p50, p99, p999 = (np.percentile(spent, [50, 99, 99.9]) * 1000).tolist()
    figures: Figures = {"edits": len(spent), "edit_p50_ms": p50, "edit_p99_ms": p99, "edit_p999_ms": p999}
    figures |= {"edit_max_ms": max(spent) * 1000, "edit_disagreements": wrong, "live_load_s": loaded}
    return figures | {"edits_that_change": int(np.count_nonzero(changed)), "most_changed": max(changed)}


def explained(answer: Resolution, seed: int, sample: int = 300) -> Figures:
    """Proofs of a sample of YES, all checked, and what would settle a sample of NOT_KNOWN."""
    rng = np.random.default_rng(seed)
    graph: StakeGraph = answer.graph
    columns = (graph.owner, graph.owned, graph.lo_ppm, graph.hi_ppm, graph.prong, graph.concert, graph.indirect)
    yes, unsure = (np.flatnonzero(answer.verdict == verdict) for verdict in (Verdict.YES, Verdict.NOT_KNOWN))
    listed, held, sizes, proving = set(np.flatnonzero(answer.listed).tolist()), 0, [], []
    for entity in rng.choice(yes, sample, replace=False).tolist():
        proof, took = seconds(lambda entity=entity: prove(answer, entity))  # type: ignore[misc]
        # The check passes over all stakes: hand it those in entities of the proof, which are all that it reads.
        named = np.array([step.entity for step in proof.steps])
        rows = graph.incoming.many(named)
        place = {stake: at for at, stake in enumerate(rows.tolist())}
        steps = [(step.entity, step.reason, tuple(place[stake] for stake in step.stakes)) for step in proof.steps]
        again = type(proof)(entity, tuple(type(proof.steps[0])(*step) for step in steps))
        stakes = list(zip(*(column[rows].tolist() for column in columns), strict=True))
        held += verify_proof(again, stakes, listed, answer.test)
        sizes.append(len(steps))
        proving.append(took)
    found, settling, first = 0, [], []
    for entity in rng.choice(unsure, sample, replace=False).tolist():
        facts, took = seconds(lambda entity=entity: settle(answer, entity))  # type: ignore[misc]
        settling.append(took)
        found += bool(facts) and facts[0].settles
        first.append(len(facts[0].facts) if facts and facts[0].settles else 0)
    return {
        "proofs": sample,
        "proofs_that_hold": held,
        "proof_p50_ms": float(np.median(proving)) * 1000,
        "most_steps": max(sizes),
        "unsure": sample,
        "unsure_with_settling_facts": found,
        "unsure_settled_by_one_fact": int(np.count_nonzero(np.array(first) == 1)),
        "settle_p50_ms": float(np.median(settling)) * 1000,
        "settle_max_ms": max(settling) * 1000,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--entities", type=int, default=3_000_000)
    parser.add_argument("--edits", type=int, default=100_000)
    parser.add_argument("--seconds", type=float, default=240.0, help="longest that edits may take")
    parser.add_argument("--seed", type=int, default=1)
    asked = parser.parse_args()
    load = [os.getloadavg()[0]]
    world = make(asked.entities, asked.seed)
    figures: Figures = {"entities": asked.entities, "stakes": len(world.columns["owner"]), "listed": len(world.seeds)}
    measured, answer = whole(world)
    figures |= measured | against_peer(asked.entities // 10, asked.seed) | explained(answer, asked.seed)
    figures |= edited(answer, world, asked.edits, asked.seconds, asked.seed)
    load.append(os.getloadavg()[0])
    figures |= {"peak_rss_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024}
    figures |= {"load_before": load[0], "load_after": load[1]}
    print(json.dumps({name: round(value, 4) for name, value in figures.items()}))
    print("| what | value |\n| --- | ---: |")
    for name, value in figures.items():
        print(f"| {name} | {value:,.3f} |" if isinstance(value, float) else f"| {name} | {value:,} |")


if __name__ == "__main__":
    main()
