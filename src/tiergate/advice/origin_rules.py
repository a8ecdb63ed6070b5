"""Rules on who made a model and by which licence: law, the organisation's own policy, the licence of the weights."""

from __future__ import annotations

from typing import Final

from tiergate.advice.candidates import OWN, Candidate, Market
from tiergate.advice.rules import Finding, Rule, ask, broken, listed, met, unknown
from tiergate.catalog.models import Mode
from tiergate.catalog.origin_rules import OriginRule, Sector, binding


def concerns(rule: OriginRule, one: Candidate) -> bool:
    """Whether a rule of law is about this model by this way: one about a service is not about it elsewhere."""
    return rule.is_about(one.model) and (rule.reach == "model" or one.hosted_by_its_developer)


def _law(one: Candidate, asked: tuple[str, Sector], market: Market) -> Finding:
    rules = [rule for rule in binding(*asked, market.day) if rule.effect != "duty" and concerns(rule, one)]
    barring = [rule for rule in rules if rule.effect == "bar"]
    if barring:
        return broken(f"{barring[0].title}: {barring[0].says}", *barring)
    if rules:
        return ask(f"have counsel look at it: {rules[0].title} ({rules[0].status}): {rules[0].says}", *rules)
    return met("no rule on file bars it")


def _policy(one: Candidate, asked: tuple[tuple[str, ...], tuple[str, ...]], _market: Market) -> Finding:
    barred, only = asked
    made = f"{one.model.developer} has its seat in {one.model.country}"
    if one.model.country in barred or (only and one.model.country not in only):
        return broken(f"{made}, which your policy rules out", one.model)
    seat = one.provider.country if one.provider is not None else ""
    if seat and (seat in barred or (only and seat not in only)):
        assert one.provider is not None
        return broken(f"{one.provider.name} has its seat in {seat}, which your policy rules out", one.provider)
    return met(made, one.model)


def _alleged(one: Candidate, _asked: bool, market: Market) -> Finding:
    found = market.allegations.get(one.model.developer, ())
    if not found:
        return met("no allegation against its developer is on file")
    by = listed(dict.fromkeys(each.alleged_by for each in found))
    return broken(
        f"{by} allege that {one.model.developer} distilled others' models; your policy rules that out", *found
    )


def _licence(one: Candidate, commercial: bool, _market: Market) -> Finding:
    if one.way != OWN:
        return met("the provider has the licence, and you the provider's terms")
    facts = [fact for fact in one.standing.facts if fact.mode is Mode.OPEN_WEIGHTS]
    named = facts[0].weights or "its licence"
    use = facts[0].use
    if not use:
        return unknown(f"what {named} lets one do is not on file", *facts)
    if use == "non_commercial":
        said = f"{named} is for non-commercial use alone"
        return broken(said, *facts) if commercial else ask(f"{said}: have counsel read it", *facts)
    if use == "restricted":
        said = f": {facts[0].note}" if facts[0].note else ""
        return ask(f"{named} has conditions{said}", *facts)
    return met(f"{named} sets no condition on use", *facts)


RULES: Final = (
    Rule(
        "law", ("organisation.sector", "organisation"), lambda t: (t.organisation.country, t.organisation.sector), _law
    ),
    Rule(
        "origin",
        ("origin.barred", "origin.only"),
        lambda told: (
            (tuple(told.origin.barred), tuple(told.origin.only)) if told.origin.barred or told.origin.only else None
        ),
        _policy,
    ),
    Rule(
        "alleged_distillation",
        ("origin.alleged_distillation",),
        lambda told: True if told.origin.alleged_distillation == "exclude" else None,
        _alleged,
    ),
    Rule("licence", ("commercial", "hosting"), lambda told: told.commercial, _licence),
)
