"""Who owns the organisation, as it declares it or as a deployment's facts of parties have it, under the rule packs.

A declaration is taken at its word and checked by nobody. It says where holders have their headquarters, not who is on a
list: packs that start from lists are not known without facts of parties.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable
from functools import cache, lru_cache
from typing import Final, NamedTuple

import numpy as np

from tiergate.admission.activations import ActivePack
from tiergate.admission.eligibility import PackVerdicts, judge
from tiergate.admission.ownership_facts import OwnershipFacts, Places
from tiergate.admission.rule_packs import RulePack, find_pack, load_packs
from tiergate.advice.requirements import Organisation
from tiergate.advice.rules import Finding, ask, broken, listed, met, unknown
from tiergate.catalog.cited import Cited
from tiergate.parties.ownership import WHOLE, StakeGraph
from tiergate.parties.resolving import Verdict

REGIONS: Final = "provider_supported_regions"
"""The rule pack with the terms on regions of the one provider that publishes them in full."""
REGIONS_OF: Final = "Anthropic"
ITSELF: Final = "the organisation"
MOST_KEPT: Final = 1_024
"""Answers that are kept, for as many different organisations."""


class Declared(NamedTuple):
    """What was declared: seat, holders with their seats and shares in parts per million (None: not declared), and the
    party's id."""

    country: str
    owners: tuple[tuple[str, str, int], ...] | None
    party: str

    @classmethod
    def of(cls, organisation: Organisation) -> Declared:
        owners = organisation.owners
        shares = None if owners is None else tuple((o.name, o.country, round(o.percent * 10_000)) for o in owners)
        return cls(organisation.country, shares, organisation.party)


@lru_cache(MOST_KEPT)
def declared_facts(declared: Declared) -> OwnershipFacts:
    """Facts of the organisation, entity 0, and of its holders. Holders who are not declared are undisclosed."""
    owners = declared.owners or ()
    size = 1 + len(owners)
    undisclosed = np.zeros(size, np.bool_)
    undisclosed[0] = sum(share for _, _, share in owners) < WHOLE
    graph = StakeGraph.build(
        size, np.arange(1, size), np.zeros(size - 1, int), [share for _, _, share in owners], undisclosed=undisclosed
    )
    seats = Places.of(size, enumerate([declared.country, *(country for _, country, _ in owners)]))
    ids = [ITSELF, *(f"owner {number}" for number in range(1, size))]
    return OwnershipFacts(graph, ids, {}, seats, Places.of(size, []), np.zeros(size, np.bool_), "declared")


def verdicts(pack: RulePack, declared: Declared, parties: OwnershipFacts | None, day: dt.date) -> PackVerdicts:
    """What an ownership pack says on ``day``: of the party where there are facts of parties and it has an id in them,
    else of what was declared."""
    facts = parties if parties is not None and declared.party else declared_facts(declared)
    return _judged(pack.id, pack.version, facts, day)


@lru_cache(MOST_KEPT)
def _judged(pack: str, version: int, facts: OwnershipFacts, day: dt.date) -> PackVerdicts:
    return judge(ActivePack(_packs()[pack, version]), facts, day)


@cache
def _packs() -> dict[tuple[str, int], RulePack]:
    return load_packs()


def name_in(judged: PackVerdicts, declared: Declared) -> str:
    """What the judged facts call the organisation."""
    return ITSELF if judged.facts.reference == "declared" else declared.party


def cited(pack: RulePack) -> tuple[Cited, ...]:
    """The sources of a pack that were read."""
    return tuple(
        Cited(as_of=one.read, source=f"{one.title}, {one.url}", licence="fact", note=one.covers)
        for one in pack.sources
        if one.read is not None
    )


@lru_cache(MOST_KEPT)
def barred_by_region(
    declared: Declared, users: tuple[str, ...], parties: OwnershipFacts | None, day: dt.date
) -> Finding:
    """Whether the provider sells to the organisation, and to users in those countries."""
    pack = find_pack(_packs(), REGIONS)
    sources, seeds = cited(pack), pack.seeds
    assert seeds is not None
    judged = verdicts(pack, declared, parties, day)
    said = judged.of(name_in(judged, declared))
    if said.verdict is Verdict.YES:
        return broken(f"{REGIONS_OF} does not sell to it: {pack.title}, {said.reason}", *sources)
    outside = [code for code in users if code in seeds.headquarters]
    if outside:
        return broken(f"{REGIONS_OF} does not sell in {listed(outside)}, where users are", *sources)
    unsure = [code for code in users if code not in seeds.headquarters_clear]
    if unsure:
        return unknown(f"whether {REGIONS_OF} sells in {listed(unsure)} is not on file", *sources)
    if said.verdict is Verdict.NOT_KNOWN:
        return ask(f"{REGIONS_OF} asks who owns you: {pack.title}, {said.reason}", *sources)
    return met(f"{REGIONS_OF} sells there", *sources)


def outside_regions(codes: Iterable[str]) -> list[str]:
    """Which of these countries are none that the provider of `REGIONS` sells in: others may not either."""
    seeds = find_pack(_packs(), REGIONS).seeds
    assert seeds is not None
    return [code for code in dict.fromkeys(codes) if code in seeds.headquarters]
