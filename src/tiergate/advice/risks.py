"""Legal and origin risks of a candidate that exclude nothing: what to know, by which dated fact.

Licences of published weights, rules of law that bind others or are drafts, beliefs and allegations of distillation with
the answers to them, and how often access was switched off. An allegation is its author's word, not a finding.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal, NamedTuple

from tiergate.advice.candidates import OWN, Candidate, Market
from tiergate.advice.origin_rules import concerns
from tiergate.advice.requirements import Organisation
from tiergate.catalog.cited import Cited
from tiergate.catalog.distilled import believed
from tiergate.catalog.models import Mode
from tiergate.catalog.origin_rules import load_origin_rules

Kind = Literal["licence", "law", "distilled", "allegation", "continuity", "hosting", "end"]


class Risk(NamedTuple):
    """One line of the register, with the facts that it rests on."""

    kind: Kind
    text: str
    sources: tuple[Cited, ...]


def risks_of(one: Candidate, organisation: Organisation, market: Market) -> list[Risk]:
    """What is on file against ``one``, by kind."""
    found = [*_licence(one), *_law(one, organisation, market), *_distilled(one, market), *_allegations(one, market)]
    return [*found, *_continuity(one, market), *_hosting(one)]


def _licence(one: Candidate) -> Iterator[Risk]:
    for fact in one.standing.facts:
        if fact.mode is Mode.OPEN_WEIGHTS and fact.use != "unrestricted":
            use = {"": "what it lets one do is not on file", "restricted": "it has conditions"}.get(
                fact.use, "it is for non-commercial use alone"
            )
            more = f": {fact.note}" if fact.note else ""
            whose = "" if one.way == OWN else f"; {one.way} needs it, and what it lets you do is in its terms"
            yield Risk("licence", f"{fact.weights or 'licence of the weights'}: {use}{more}{whose}", (fact,))


def _law(one: Candidate, organisation: Organisation, market: Market) -> Iterator[Risk]:
    for rule in load_origin_rules():
        if not rule.holds_on(market.day) or not concerns(rule, one):
            continue
        binds = rule.binds(organisation.country, organisation.sector)
        if rule.effect == "duty" and not binds:
            continue
        whom = "it binds you" if binds else "it binds others, and so perhaps your customers"
        yield Risk("law", f"{rule.title} ({rule.status}; {whom}): {rule.says}", (rule,))


def _distilled(one: Candidate, market: Market) -> Iterator[Risk]:
    belief = believed().get(one.model.id)
    if belief is not None and belief.distilled == "yes" and belief.as_of <= market.day:
        more = f", {belief.note}" if belief.note else ""
        text = f"{one.model.name} is believed to be distilled (confidence {belief.confidence}{more}); ask from what"
        yield Risk("distilled", text, (belief,))


def _allegations(one: Candidate, market: Market) -> Iterator[Risk]:
    for each in market.allegations.get(one.model.developer, ()):
        answers = "; ".join(f"{said.by}: {said.said}" for said in each.answers_on(market.day)) or "no answer on file"
        size = f", {each.exchanges:,} exchanges" if each.exchanges else ""
        text = f"{each.alleged_by} alleged on {each.on} that {each.against} distilled models of {each.teacher}{size}"
        yield Risk("allegation", f"{text} ({answers})", (each, *each.answers_on(market.day)))


def _continuity(one: Candidate, market: Market) -> Iterator[Risk]:
    for model in market.catalog.by_id.values():
        if model.developer != one.model.developer:
            continue
        for fact in model.access:
            if fact.mode is Mode.SUSPENDED and fact.since <= market.day:
                until = f"to {fact.until}" if fact.until and fact.until <= market.day else "on"
                text = f"{model.name} of {model.developer} was switched off for everyone from {fact.since} {until}"
                yield Risk("continuity", text, (fact,))
    if one.offer is not None and one.offer.ends is not None:
        yield Risk("end", f"{one.way} has announced that it ends on {one.offer.ends}", (one.offer,))


def _hosting(one: Candidate) -> Iterator[Risk]:
    if one.provider is not None and one.provider.country != one.model.country:
        text = f"{one.provider.name} has its seat in {one.provider.country}: its law reaches what it hosts as well"
        yield Risk("hosting", text, (one.provider,))
