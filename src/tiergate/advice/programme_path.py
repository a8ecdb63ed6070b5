"""Whether the classified tier is needed at all, and the way into a programme: eligible or not, and what is missing.

Owners are judged by the ownership packs that gate the classified tier, people by its person packs; conditions come from
what is published of a programme, and from the programme of ours that is modelled on it. NOT KNOWN is never a yes.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final, Literal, NamedTuple

from tiergate.admission.activations import ActivePack
from tiergate.admission.programmes import read_programme
from tiergate.admission.rule_packs import ANY, RulePack, Standing, load_packs
from tiergate.admission.wanted_facts import wanted_facts
from tiergate.advice.candidates import Candidate, Market
from tiergate.advice.owners import REGIONS, REGIONS_OF, Declared, cited, name_in, verdicts
from tiergate.advice.requirements import Requirements
from tiergate.advice.rules import Verdict, listed
from tiergate.advice.shortlist import Shortlist
from tiergate.catalog.access_programmes import AccessProgramme, gated_tasks, load_access_programmes
from tiergate.catalog.cited import Cited
from tiergate.catalog.tiers import Tier
from tiergate.parties.resolving import Verdict as Ownership

Answer = Literal["yes", "no", "not known"]
EXEMPT: Final = "US"
"""Nationals whom every person pack that is shipped exempts."""
_CAPABILITY: Final = frozenset({"least_eci", "own_evals"})


class Condition(NamedTuple):
    """One condition of a programme: whether it is met, why, and what would settle or meet it."""

    of: str
    answer: Answer
    text: str
    missing: tuple[str, ...] = ()
    sources: tuple[Cited, ...] = ()


@dataclass(frozen=True)
class Path:
    """The way into one programme. ``models``: those that it opens on the day."""

    programme: AccessProgramme
    models: tuple[str, ...]
    conditions: tuple[Condition, ...]

    @property
    def eligible(self) -> Answer:
        answers = {one.answer for one in self.conditions}
        return "no" if "no" in answers else "not known" if "not known" in answers else "yes"

    @property
    def missing(self) -> list[str]:
        """What has to be obtained or done, in the order of the conditions."""
        return list(dict.fromkeys(each for one in self.conditions for each in one.missing))


class Need(NamedTuple):
    """Whether the classified tier is needed for what is asked."""

    answer: Answer
    because: str


def need_of_classified(told: Requirements, found: Shortlist) -> Need:
    """Whether nothing but the classified tier does it: a programme is the long way."""
    measured = {one.task for one in told.capability.evals}
    gated = [task for task in told.tasks if task in gated_tasks()]
    unmeasured = [task for task in gated if task not in measured]
    open_to_all = {one.model.id for one in found.short if one.standing.tier is not Tier.CLASSIFIED}
    if open_to_all and not gated:
        return Need("no", f"{len(open_to_all)} models that anybody can have meet all that is asked")
    if open_to_all and not unmeasured:
        return Need("no", f"models that anybody can have reach what your own evaluations ask of {listed(gated)}")
    if open_to_all:
        said = (
            f"models that anybody can have may refuse {listed(unmeasured)}: measure them in an evaluation of your own"
        )
        return Need("not known", said)
    if any(one.standing.tier is not Tier.CLASSIFIED for one in found.to_find_out):
        return Need("not known", "of models that anybody can have, facts are missing: see what is to be found out")
    others = [one for one in found.excluded if one.standing.tier is not Tier.CLASSIFIED]
    if not any(found.broken_rules(one) <= _CAPABILITY for one in others):
        return Need("no", "it would not help: what excludes models that anybody can have is not their capability")
    able = sorted({one.model.id for one in found.market.candidates if _able(found, one)})
    if able:
        return Need("yes", f"of all models on file, only {listed(able)} of the classified tier reach what is asked")
    return Need("not known", "no model on file reaches the capability asked; scores of the classified tier are missing")


def paths(told: Requirements, market: Market) -> list[Path]:
    """The way into each programme that is for one of the tasks, or that is to be joined."""
    found = []
    for programme in load_access_programmes():
        if set(programme.tasks) & set(told.tasks) or programme.id in told.programmes.join:
            models = {
                one.model.id
                for one in market.candidates
                if one.standing.tier is Tier.CLASSIFIED
                and any(programme.admits_to(fact) for fact in (*one.standing.facts, *one.standing.conditions))
            }
            found.append(Path(programme, tuple(sorted(models)), tuple(_conditions(programme, told, market))))
    return found


def _able(found: Shortlist, one: Candidate) -> bool:
    """Whether a candidate of the classified tier meets what is asked of capability."""
    reached = {reason.rule.id for reason in found.reasons(one, Verdict.MET)}
    asked = {each.rule.id for each in found.judged} & _CAPABILITY
    return one.standing.tier is Tier.CLASSIFIED and asked <= reached


def _conditions(programme: AccessProgramme, told: Requirements, market: Market) -> Iterator[Condition]:
    if programme.id in told.programmes.member_of:
        yield Condition("membership", "yes", "joined already")
        return
    yield _entry(programme)
    if programme.needs_retention is not None:
        yield _retention(programme, told)
    for pack in load_packs().values():
        if pack.kind == "ownership" and (pack.id != REGIONS or programme.operator == REGIONS_OF):
            yield _ownership(pack, told, market)
        elif (
            pack.kind == "person" and {ANY, "classified"} & set(pack.applies_to.tiers) and ANY in pack.applies_to.models
        ):
            yield _people(pack, told, market)
    if programme.template:
        yield from _template(programme, told)
    else:
        text = "what it asks of members is not published"
        yield Condition(
            "requirements", "not known", text, (f"ask {programme.operator} for its conditions",), (programme,)
        )


def _entry(programme: AccessProgramme) -> Condition:
    if programme.entry == "open":
        days = (
            f"; a decision is aimed at within {programme.decision_days} working days" if programme.decision_days else ""
        )
        appeal = {"yes": "; a refusal can be appealed", "no": "; a refusal cannot be appealed"}.get(
            programme.appeal, ""
        )
        step = (f"apply to {programme.operator}",)
        return Condition("entry", "yes", f"organisations can apply{days}{appeal}", step, (programme,))
    text = (
        "by invitation, by criteria that are not published" if programme.entry == "invitation" else "how is not on file"
    )
    return Condition("entry", "not known", text, (f"ask {programme.operator} to be let in",), (programme,))


def _retention(programme: AccessProgramme, told: Requirements) -> Condition:
    if not programme.needs_retention:
        return Condition("retention", "yes", "retention is not asked for", (), (programme,))
    if told.data.retention_days == 0:
        return Condition("retention", "no", "retention has to be on, and nothing may be retained", (), (programme,))
    return Condition("retention", "yes", "retention has to be on", ("switch retention on",), (programme,))


def _ownership(pack: RulePack, told: Requirements, market: Market) -> Condition:
    declared = Declared.of(told.organisation)
    judged = verdicts(pack, declared, market.parties, market.day)
    name = name_in(judged, declared)
    said = judged.of(name)
    answer: Answer = "no" if said.verdict is Ownership.YES else "yes" if said.verdict is Ownership.NO else "not known"
    missing = [one.text for one in wanted_facts(judged, name, most=1)]
    return Condition(pack.name, answer, f"{pack.title}: {said.reason}", tuple(missing), cited(pack))


def _people(pack: RulePack, told: Requirements, market: Market) -> Condition:
    stands = ActivePack(pack).standing(market.day)
    if stands not in (Standing.IN_FORCE, Standing.UNCONFIRMED):
        return Condition(pack.name, "yes", f"{pack.title}: not in force", (), cited(pack))
    held = told.users.nationalities
    others = [code for code in held if code != EXEMPT]
    signed = (f"classes under `{pack.id}`, signed by each user's employer: `tiergate classes sign`",)
    if held and not others:
        return Condition(pack.name, "yes", f"{pack.title}: nationals of {EXEMPT} are exempt", signed, cited(pack))
    whose = f"users of {listed(others)}" if others else "users, whose nationalities are not given,"
    return Condition(pack.name, "not known", f"{pack.title}: {whose} need to be attested", signed, cited(pack))


def _template(programme: AccessProgramme, told: Requirements) -> Iterator[Condition]:
    ours = read_programme(programme.template)
    source = Cited(as_of=programme.as_of, source=ours.source, licence="own", note="our model of it, no contract")
    purposes = {rule.code for rule in ours.purposes}
    asked = [task for task in told.tasks if task in programme.tasks]
    named = [task for task in asked if str(task) in purposes]
    if named or not asked:
        text = f"its purposes include {listed(named)}" if named else f"its purposes are {listed(sorted(purposes))}"
    else:
        text = f"to be declared under one of its purposes: {listed(sorted(purposes))}"
    assets = sorted({asset for rule in ours.purposes for asset in rule.assets})
    steps = (f"declare the {listed(assets)} it is for, with evidence of authorisation",)
    yield Condition("purpose", "yes" if asked else "not known", text, steps if assets else (), (source,))
    for requirement in ours.requirements:
        ready = requirement.code in told.programmes.met or (
            requirement.code == "retention" and programme.needs_retention
        )
        missing = () if ready else (f"{requirement.code}: {requirement.text}",)
        yield Condition(requirement.code, "yes", requirement.text, missing, (source,))
    if ours.sponsor.required:
        yield Condition("sponsor", "yes", "somebody of another member vouches for you", ("a sponsor",), (source,))
