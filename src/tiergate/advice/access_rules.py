"""Rules on whether a model can be had at all, by whom, and where its developer sells."""

from __future__ import annotations

from typing import Final

from tiergate.advice.candidates import OWN, Candidate, Market
from tiergate.advice.owners import REGIONS_OF, Declared, barred_by_region, outside_regions
from tiergate.advice.rules import Finding, Rule, ask, broken, listed, met, unknown
from tiergate.catalog.access_programmes import load_access_programmes
from tiergate.catalog.models import Mode
from tiergate.catalog.tiers import Tier

Names = tuple[str, ...]


def _available(one: Candidate, _asked: bool, market: Market) -> Finding:
    stands = one.standing
    if stands.tier is Tier.UNKNOWN or one.way == "-":
        return unknown("who sells it, and to whom, is not on file", one.model)
    if stands.tier is Tier.UNAVAILABLE:
        if any(fact.mode is Mode.SUSPENDED for fact in stands.facts):
            return broken(stands.because, *stands.facts)
        if one.hosted_by_its_developer:
            return broken(f"{one.model.developer} has ended it: {stands.because}", *stands.facts)
        if one.offer is None or one.offer.ends is None:
            return unknown(f"{stands.because}; whether {one.way} goes on serving it is not on file", *stands.facts)
        return ask(f"{stands.because}; {one.way} ends it on {one.offer.ends}: plan for a successor", one.offer)
    if one.offer is not None and one.offer.ends is not None and (one.offer.ends - market.day).days <= NEAR_DAYS:
        return ask(f"{one.way} ends it on {one.offer.ends}: plan for a successor", one.offer)
    return met(stands.because, *stands.facts)


NEAR_DAYS: Final = 180
"""An end that is announced for sooner than this has to be planned for."""


def _admitted(one: Candidate, asked: tuple[Names, Names], _market: Market) -> Finding:
    member_of, nationalities = asked
    stands = one.standing
    if stands.tier is not Tier.CLASSIFIED:
        return met("anybody can have it")
    if any(fact.mode is Mode.NATIONALITY for fact in stands.facts):
        if not nationalities:
            return unknown(f"{stands.because}; `users.nationalities` are not given", *stands.facts)
        others = [code for code in nationalities if code != one.model.country]
        if others:
            return broken(f"{stands.because}, and users are of {listed(others)}", *stands.facts)
    facts = [fact for fact in (*stands.facts, *stands.conditions) if fact.mode is Mode.MEMBERSHIP]
    programmes = [each for each in load_access_programmes() if any(each.admits_to(fact) for fact in facts)]
    joined = [each.name for each in programmes if each.id in member_of]
    joined += [fact.programme for fact in facts if fact.programme in member_of]
    if joined or not facts:
        return met(f"members of {listed(joined)} are served" if joined else stands.because, *(facts or stands.facts))
    return broken(f"only members of {listed(fact.programme for fact in facts)} are served", *facts)


def _hosted(one: Candidate, asked: Names, _market: Market) -> Finding:
    kind = "own" if one.way == OWN else "api"
    if kind in asked:
        return met(f"had {'by hosting it' if kind == 'own' else 'by an API'}")
    return broken(
        f"it would be {'hosted by yourselves' if kind == 'own' else 'had by an API'}, which `hosting` rules out"
    )


def _wanted(one: Candidate, asked: tuple[Names, Names], _market: Market) -> Finding:
    only, avoid = asked
    if one.model.id in avoid:
        return broken("`models.avoid` names it")
    return (
        broken("`models.only` does not name it") if only and one.model.id not in only else met("not ruled out by name")
    )


def _regions(one: Candidate, asked: tuple[Declared, Names], market: Market) -> Finding:
    declared, users = asked
    if one.way == OWN:
        return met("no provider's terms apply to weights of your own")
    if one.model.developer == REGIONS_OF:
        return barred_by_region(declared, users, market.parties, market.day)
    # Of other developers no terms are on file; where one does not sell, nobody is taken to.
    places = [code for code in outside_regions((declared.country, *users)) if not _sells_at_home(one, code)]
    if places:
        return unknown(f"whether {one.model.developer} or {one.way} sells in {listed(places)} is not on file")
    return met("nothing on file says that it is not sold there")


def _sells_at_home(one: Candidate, country: str) -> bool:
    return one.provider is not None and one.provider.country == country


RULES: Final = (
    Rule("available", (), lambda _told: True, _available),
    Rule(
        "admitted",
        ("programmes.member_of", "programmes", "users.nationalities"),
        lambda told: (tuple(told.programmes.member_of), tuple(told.users.nationalities)),
        _admitted,
    ),
    Rule("hosting", ("hosting",), lambda told: tuple(told.hosting) if len(told.hosting) < 2 else None, _hosted),
    Rule(
        "models",
        ("models.only", "models.avoid", "models"),
        lambda told: (
            (tuple(told.models.only), tuple(told.models.avoid)) if told.models.only or told.models.avoid else None
        ),
        _wanted,
    ),
    Rule(
        "regions",
        ("users.countries", "organisation.owners", "organisation.country"),
        lambda told: (Declared.of(told.organisation), tuple(told.users.countries)),
        _regions,
    ),
)
