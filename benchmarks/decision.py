"""What a decision costs, and whether cached decisions, Cedar and plain Python agree.

    python -m benchmarks.decision --requests 1000000

Standings, models and requests by lot (`tests/admission/at_random.py`), several things wrong with many of them; time
goes to and fro over their expiries (to another every 20,000 requests, and for one request in twenty), and a standing
changes every 100,000. Each request is answered by the cache and by
the second telling of the gates (`tests/admission/oracle.py`); one in ``--cedar-every`` also by Cedar without the
cache. Codes of all reasons, outcome and offered model must agree. Prints one JSON line.
"""

from __future__ import annotations

import argparse
import gc
import json
import os
import random
import time
from collections import Counter
from collections.abc import Callable

import msgspec
from tests.admission import at_random, oracle
from tests.admission.at_random import MODELS, OFFERS

from tiergate.admission.cache import DecisionCache
from tiergate.admission.engine import Engine, TierDecision
from tiergate.admission.known_facts import ModelFact, RequestFact, Standing

STANDINGS = 200
KNOWN_TIERS = MODELS[:-1]
QUESTIONS = 4
"""Different requests of one standing to one model, at any time."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--requests", type=int, default=100_000)
    parser.add_argument("--cedar-every", type=int, default=50)
    parser.add_argument("--timed", type=int, default=20_000, help="cached decisions that are timed one by one")
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    engine = Engine()
    report = {"load": os.getloadavg()[0], **agreement(engine, options)}
    print(json.dumps(report | latencies(engine, options)))


def agreement(engine: Engine, options: argparse.Namespace) -> dict[str, object]:
    rng = random.Random(options.seed)
    cache, epoch = DecisionCache(engine), 1
    wrongs = [rng.choice((0.0, 0.02, 0.1, 0.4)) for _ in range(STANDINGS)]
    standings = [at_random.standing(rng, number, wrong) for number, wrong in enumerate(wrongs)]
    asked = [
        (number, model, at_random.request(rng, model, wrong / 2))
        for number, wrong in enumerate(wrongs)
        for model in MODELS
        for _ in range(QUESTIONS)
    ]
    outcomes: Counter[str] = Counter()
    codes: Counter[str] = Counter()
    disagreements = by_cedar = now_us = 0
    for turn in range(options.requests):
        if turn % 100_000 == 99_999:
            changed = rng.randrange(STANDINGS)
            standings[changed] = at_random.standing(rng, changed, wrongs[changed])
            epoch += 1
        number, model, request = rng.choice(asked)
        if turn % 20_000 == 0:
            now_us = somewhen(rng)
        request = msgspec.structs.replace(request, now_us=somewhen(rng) if rng.random() < 0.05 else now_us)
        standing = standings[number]
        decision = cache.decide(standing, model, request, epoch, OFFERS)
        disagreements += told(decision) != retold(standing, model, request)
        if turn % options.cedar_every == 0:
            by_cedar += 1
            disagreements += engine.decide(standing, model, request, OFFERS) != decision
        outcomes[decision.outcome.value] += 1
        codes.update(reason.code for reason in decision.reasons)
    return {
        "requests": options.requests,
        "disagreements": disagreements,
        "also_by_cedar_uncached": by_cedar,
        "decided_by_cedar_for_the_cache": cache.misses,
        "outcomes": dict(outcomes),
        "fewest_times_a_gate_failed": min(codes[code] for code in engine.gates),
    }


def somewhen(rng: random.Random) -> int:
    """At an expiry that the standings may have, or a microsecond beside one."""
    return at_random.T0 + rng.randint(-4, 4) * at_random.HOUR + rng.choice((-1, 0, 0, 1))


def told(decision: TierDecision) -> tuple[list[str], str, str | None]:
    return [reason.code for reason in decision.reasons], decision.outcome.value, decision.fallback


def retold(standing: Standing, model: ModelFact, request: RequestFact) -> tuple[list[str], str, str | None]:
    codes = oracle.failed(standing, model, request)
    # No model is offered for one whose tier nobody knows.
    fits = codes and model in KNOWN_TIERS
    return codes, oracle.outcome(codes), oracle.fallback(standing, model, request, OFFERS) if fits else None


def latencies(engine: Engine, options: argparse.Namespace) -> dict[str, object]:
    """Microseconds of one decision with all its reasons, p50 and p99, for requests of the classified tier."""
    rng = random.Random(options.seed)
    cache = DecisionCache(engine)
    facts = []
    for number in range(200):
        wrong = rng.choice((0.0, 0.05))
        model = rng.choice(MODELS[:3])
        facts.append((at_random.standing(rng, number, wrong), model, at_random.request(rng, model, wrong)))
    for standing, model, request in facts:
        cache.decide(standing, model, request, 1, OFFERS)
    gc.freeze()
    return {
        "cached": timed(lambda s, m, r: cache.decide(s, m, r, 1, OFFERS), facts, options.timed),
        "plain_python": timed(retold, facts, options.timed),
        "cedar_uncached_no_offer": timed(lambda s, m, r: engine.decide(s, m, r), facts, options.timed // 20),
        "cedar_uncached": timed(lambda s, m, r: engine.decide(s, m, r, OFFERS), facts, options.timed // 20),
    }


def timed(
    decide: Callable[[Standing, ModelFact, RequestFact], object],
    facts: list[tuple[Standing, ModelFact, RequestFact]],
    times: int,
) -> dict[str, float]:
    taken = []
    for turn in range(times):
        standing, model, request = facts[turn % len(facts)]
        began = time.perf_counter_ns()
        decide(standing, model, request)
        taken.append(time.perf_counter_ns() - began)
    taken.sort()
    return {"p50_us": taken[len(taken) // 2] / 1_000, "p99_us": taken[len(taken) * 99 // 100] / 1_000}


if __name__ == "__main__":
    main()
