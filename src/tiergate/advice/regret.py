"""What it costs if a vendor vanishes for some days: which choices stop, what stands in, and whose regret is least.

A vendor is a developer, whose models stop wherever they are sold unless their weights are out, or a provider, whose
service stops. A scenario compares what each choice costs over those days; the regret of one is how much more it costs
than the best one (Savage 1951), and the choice of least regret is the one whose worst regret is smallest.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from tiergate.advice.candidates import OWN, Candidate
from tiergate.advice.requirements import Continuity
from tiergate.catalog.tiers import Tier

DAYS_OF_MONTH = 365.25 / 12


@dataclass(frozen=True, slots=True)
class Choice:
    """A short-listed candidate with what it costs a month, and its points of ECI where they are known."""

    candidate: Candidate
    usd_per_month: float
    eci: float | None

    @property
    def usd_per_day(self) -> float:
        return self.usd_per_month / DAYS_OF_MONTH


@dataclass(frozen=True, slots=True)
class Outcome:
    """A choice in a scenario. ``usd``: over the days; ``stand_in``: what is used instead, None where it goes on or
    there is nothing; ``eci_lost``: points that the stand-in lacks, where both are known."""

    choice: str
    stops: bool
    usd: float
    regret_usd: float
    stand_in: str | None
    eci_lost: float | None


@dataclass(frozen=True, slots=True)
class Scenario:
    """``vendor``: who vanishes, `developer Anthropic` or `provider openai`; `nobody` for comparison."""

    vendor: str
    outcomes: tuple[Outcome, ...]


def scenarios(choices: Sequence[Choice], pool: Sequence[Choice], continuity: Continuity) -> list[Scenario]:
    """Every vendor of ``choices``, one at a time, and nobody; choices in the order given. Who stands in comes from
    ``pool``: the same model by another way if there is one, else the cheapest."""
    vendors = {f"developer {one.candidate.model.developer}" for one in choices}
    vendors |= {f"provider {one.candidate.way}" for one in choices if one.candidate.way != OWN}
    return [_scenario(vendor, choices, pool, continuity) for vendor in ("nobody", *sorted(vendors))]


def worst_regret(found: Sequence[Scenario]) -> dict[str, float]:
    """The greatest regret of each choice over all scenarios, the least first."""
    worst: dict[str, float] = {}
    for scenario in found:
        for one in scenario.outcomes:
            worst[one.choice] = max(one.regret_usd, worst.get(one.choice, 0.0))
    return dict(sorted(worst.items(), key=lambda pair: (pair[1], pair[0])))


def stops(one: Candidate, vendor: str) -> bool:
    """Whether a candidate cannot be used without ``vendor``."""
    kind, _, name = vendor.partition(" ")
    if kind == "provider":
        return one.way == name
    # Published weights run on, but not at a developer's own service.
    gone = kind == "developer" and one.model.developer == name
    return gone and (one.standing.tier is not Tier.OPEN or one.hosted_by_its_developer)


def _scenario(vendor: str, choices: Sequence[Choice], pool: Sequence[Choice], continuity: Continuity) -> Scenario:
    left = [one for one in pool if not stops(one.candidate, vendor)]
    rows: list[tuple[Choice, bool, float, Choice | None]] = []
    for one in choices:
        if not stops(one.candidate, vendor):
            rows.append((one, False, one.usd_per_day * continuity.days, None))
            continue
        same = [each for each in left if each.candidate.model is one.candidate.model]
        stand_in = min(same or left, key=lambda each: (each.usd_per_day, each.candidate.id), default=None)
        used = continuity.days - continuity.switch_days
        usd = continuity.loss_usd_per_day * (continuity.switch_days if stand_in else continuity.days)
        usd += stand_in.usd_per_day * used if stand_in else 0.0
        rows.append((one, True, usd, stand_in))
    best = min((usd for _, _, usd, _ in rows), default=0.0)
    return Scenario(vendor, tuple(_outcome(*row, best) for row in rows))


def _outcome(one: Choice, stopped: bool, usd: float, stand_in: Choice | None, best: float) -> Outcome:
    lost = None
    if stand_in is not None and one.eci is not None and stand_in.eci is not None:
        lost = one.eci - stand_in.eci
    name = None if stand_in is None else stand_in.candidate.id
    return Outcome(one.candidate.id, stopped, usd, max(0.0, usd - best), name, lost)
