"""Rules on where data are, how long they are kept, and what a provider has to be certified for."""

from __future__ import annotations

from typing import Final

from tiergate.advice.candidates import OWN, Candidate, Market
from tiergate.advice.places import inside
from tiergate.advice.requirements import Requirements
from tiergate.advice.rules import Finding, Rule, ask, broken, listed, met, unknown
from tiergate.catalog.models import Mode
from tiergate.catalog.providers import Attribute

CERTIFICATIONS: Final = {
    Attribute.SOC2: "a SOC 2 Type II report",
    Attribute.ISO_27001: "ISO/IEC 27001",
    Attribute.ISO_42001: "ISO/IEC 42001",
    Attribute.BAA: "a business-associate agreement",
    Attribute.FEDRAMP: "FedRAMP authorisation",
}


def _residency(one: Candidate, asked: tuple[str, ...], _market: Market) -> Finding:
    wanted = listed(asked)
    if one.way == OWN:
        return ask(f"host it in {wanted}")
    if one.region:
        assert one.offer is not None
        within = inside(one.region, asked)
        if within is None:
            return unknown(f"{one.way} sells it in {one.region}, which may lie outside {wanted}", one.offer)
        return (met if within else broken)(f"{one.way} sells it so in {one.region}", one.offer)
    fact = one.facts.get(Attribute.REGIONS)
    if fact is None:
        return unknown(f"where {one.way} keeps data is not on file: {wanted} is asked")
    within_each = [inside(place, asked) for place in fact.places]
    if fact.value == "no":  # no choice: all data are in the places that are named
        if fact.places and all(within_each):
            return met(f"{one.way} keeps data in {listed(fact.places)}", fact)
        if False in within_each or not fact.places:
            said = f": {fact.detail}" if fact.detail else ""
            return broken(f"{one.way} gives no choice of region{said}", fact)
    if True in within_each:
        places = listed(place for place, within in zip(fact.places, within_each, strict=True) if within)
        if fact.value == "yes" and one.offer is not None:
            return ask(f"{one.way} has a choice of {places}: see that this model is sold there", fact)
        return ask(f"{one.way} has a choice of {places}, to be agreed", fact)
    if fact.places and None not in within_each:
        return broken(f"{one.way} has data in {listed(fact.places)} alone, as far as is on file", fact)
    return unknown(f"whether {one.way} can keep data in {wanted} is not on file", fact)


def _retention(one: Candidate, most: int, _market: Market) -> Finding:
    stands = one.standing
    duties = [fact for fact in (*stands.facts, *stands.conditions) if fact.mode is Mode.RETENTION]
    for duty in duties:
        days = duty.retention_days or 0
        if days > most:
            return broken(f"it is had with {days} days of retention alone, {most} at most are asked", duty)
    if one.way == OWN:
        return met("nothing leaves your machines")
    if duties:
        return met(f"kept for {duties[0].retention_days} days", *duties)
    fact = one.facts.get(Attribute.ZERO_RETENTION)
    if fact is None or fact.value == "no":
        return unknown(f"how long {one.way} keeps prompts and answers is not on file", *((fact,) if fact else ()))
    said = f": {fact.detail}" if fact.detail else ""
    if fact.value == "yes":
        return met(f"{one.way} can keep nothing{said}", fact)
    return ask(f"{one.way} keeps nothing where that is agreed{said}", fact)


def _certified(attribute: Attribute) -> Rule:
    def asks(told: Requirements) -> bool | None:
        named = attribute.value in told.certifications
        needed = attribute is Attribute.BAA and told.data.health and told.organisation.country.startswith("US")
        return True if named or needed else None

    def judge(one: Candidate, _asked: bool, _market: Market) -> Finding:
        called = CERTIFICATIONS[attribute]
        if one.way == OWN:
            return ask(f"{called} would have to cover your own hosting")
        fact = one.facts.get(attribute)
        if fact is None:
            return unknown(f"whether {one.way} has {called} is not on file")
        said = f": {fact.detail}" if fact.detail else ""
        if fact.value == "no":
            return broken(f"{one.way} has no {called.removeprefix('a ')}{said}", fact)
        return (met if fact.value == "yes" else ask)(f"{one.way} has {called}{said}", fact)

    return Rule(attribute.value, ("certifications", "data.health"), asks, judge)


RULES: Final = (
    Rule("residency", ("data.residency",), lambda told: tuple(told.data.residency) or None, _residency),
    Rule("retention", ("data.retention_days",), lambda told: told.data.retention_days, _retention),
    *(_certified(attribute) for attribute in CERTIFICATIONS),
)
