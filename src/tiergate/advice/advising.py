"""Advice on requirements, put together: the tier, the short list, the ranking, the cost, the regret and the risks."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from tiergate.advice.candidates import Candidate, Market
from tiergate.advice.fitness_rules import monthly_usd, work_of
from tiergate.advice.programme_path import Need, Path, need_of_classified, paths
from tiergate.advice.ranking import Criterion, Figure, Ranked, rank
from tiergate.advice.regret import Choice, Scenario, scenarios
from tiergate.advice.requirements import Asked, Requirements
from tiergate.advice.risks import Risk, risks_of
from tiergate.advice.rules import Verdict
from tiergate.advice.shortlist import Judge, Shortlist

DRAWS: Final = 20_000


@dataclass(frozen=True)
class Advice:
    """``best``: of each short-listed model its best way, by model id; ``ranking``: of these; ``usd``: what each
    short-listed candidate costs a month, None where no price is known; ``scenarios``: of those of ``best`` with a
    price; ``risks``: of every short-listed candidate."""

    asked: Asked
    market: Market
    found: Shortlist
    need: Need
    paths: Sequence[Path]
    best: Mapping[str, Candidate]
    ranking: Sequence[Ranked]
    usd: Mapping[str, float | None]
    scenarios: Sequence[Scenario]
    risks: Mapping[str, Sequence[Risk]]
    draws: int
    seed: int


def advise(asked: Asked, market: Market, *, draws: int = DRAWS, seed: int = 1) -> Advice:
    """Advice on what ``asked`` asks of ``market``. The same of both, with the same seed, is the same advice."""
    told = asked.requirements
    found = Judge(market).judge(told)
    work = work_of(told.load)
    usd = {one.id: monthly_usd(one, work, told.own_hosting_usd_per_month) for one in found.short}
    risks = {one.id: risks_of(one, told.organisation, market) for one in found.short}
    best = _best(found, usd)
    criteria = _criteria(told, found, best, usd, risks)
    ranking = rank(list(best), criteria, priorities=told.priorities, draws=draws, seed=seed)
    pool = [
        Choice(one, cost, market.scores[one.model.id].eci if one.model.id in market.scores else None)
        for one in found.short
        if (cost := usd[one.id]) is not None
    ]
    choices = [one for one in pool if best[one.candidate.model.id] is one.candidate]
    return Advice(
        asked,
        market,
        found,
        need_of_classified(told, found),
        paths(told, market),
        best,
        ranking,
        usd,
        scenarios(choices, pool, told.continuity),
        risks,
        draws,
        seed,
    )


def _best(found: Shortlist, usd: Mapping[str, float | None]) -> dict[str, Candidate]:
    """Of each short-listed model the way with the fewest things to be agreed, then the cheapest."""
    best: dict[str, tuple[tuple[float, ...], str, Candidate]] = {}
    for one in found.short:
        cost = usd[one.id]
        asks = len(found.reasons(one, Verdict.ASK))
        key = ((float(asks), float("inf") if cost is None else cost), one.id, one)
        if one.model.id not in best or key[:2] < best[one.model.id][:2]:
            best[one.model.id] = key
    return {model: key[2] for model, key in best.items()}


def _criteria(
    told: Requirements,
    found: Shortlist,
    best: Mapping[str, Candidate],
    usd: Mapping[str, float | None],
    risks: Mapping[str, Sequence[Risk]],
) -> list[Criterion]:
    market, chosen = found.market, list(best.values())
    ways = {model: len({each.way for each in found.short if each.model.id == model}) for model in best}
    criteria = [
        Criterion("capability", tuple(_capability(told, market, one) for one in chosen), rising=True),
        Criterion("cost", tuple(Figure(usd[one.id]) for one in chosen), rising=False, ratio=True),
        Criterion("ways_out", tuple(Figure(float(ways[one.model.id])) for one in chosen), rising=True),
        Criterion("contracts", tuple(_count(found.reasons(one, Verdict.ASK)) for one in chosen), rising=False),
        Criterion("risk", tuple(_count(risks[one.id]) for one in chosen), rising=False),
    ]
    if told.latency is not None:
        seconds = told.latency.measured_s
        criteria.append(
            Criterion("latency", tuple(Figure(seconds.get(one.model.id)) for one in chosen), rising=False, ratio=True)
        )
    return criteria


def _capability(told: Requirements, market: Market, one: Candidate) -> Figure:
    """The mean of the enterprise's own evaluations where it has any, else points of ECI."""
    evals = told.capability.evals
    if evals:
        scores = [each.scores[one.model.id] for each in evals if one.model.id in each.scores]
        return Figure(sum(scores) / len(scores) if scores else None)
    score = market.scores.get(one.model.id)
    return Figure(None) if score is None else Figure(score.eci, score.low, score.high)


def _count(found: Sequence[object]) -> Figure:
    return Figure(float(len(found)))


def look_again(advice: Advice) -> list[tuple[dt.date, str]]:
    """Days after that of the advice on which something that is on file changes for a short-listed model."""
    day = advice.market.day
    found = set()
    for one in advice.found.short:
        if one.offer is not None and one.offer.ends is not None and one.offer.ends > day:
            found.add((one.offer.ends, f"{one.way} ends {one.model.name}"))
        for fact in one.model.access:
            for turn in (fact.since, fact.until):
                if turn is not None and turn > day:
                    found.add((turn, f"access to {one.model.name} changes"))
    return sorted(found)
