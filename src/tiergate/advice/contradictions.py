"""What is wrong with requirements beyond types: values that cannot be, and two lines that contradict each other."""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Iterable, Iterator, Sequence
from math import isfinite
from typing import NamedTuple

from tiergate.advice.requirements import Asked, Requirements
from tiergate.catalog.access_programmes import AccessProgramme, load_access_programmes
from tiergate.catalog.models import Catalog, Mode
from tiergate.errors import InputError

Fault = tuple[int, str]
_COUNTRY = re.compile(r"[A-Z]{2}")
_SEAT = re.compile(r"[A-Z]{2}(-[A-Z0-9]{1,3})?")


def faults_of(asked: Asked, catalog: Catalog, day: dt.date) -> Iterator[Fault]:
    """Lines and sentences, values first; no contradiction is looked for where a value cannot be."""
    values = [*_codes(asked), *_figures(asked), *_names(asked, catalog)]
    yield from values or [*_contradictions(asked), *_models(asked, catalog, day)]


def _codes(asked: Asked) -> Iterator[Fault]:
    told = asked.requirements
    yield from _code(asked, "organisation.country", told.organisation.country, _SEAT, "`DE`, or `US-TX` for a state")
    places = {
        "users.countries": told.users.countries,
        "users.nationalities": told.users.nationalities,
        "origin.barred": told.origin.barred,
        "origin.only": told.origin.only,
    }
    for name, codes in places.items():
        for place, code in enumerate(codes):
            yield from _code(asked, f"{name}.{place}", code, _COUNTRY, "`DE`")
    for place, code in enumerate(told.data.residency):
        yield from _code(asked, f"data.residency.{place}", code, _COUNTRY, "`DE`, or `EU`")
    for place, owner in enumerate(told.organisation.owners or []):
        yield from _code(asked, f"organisation.owners.{place}.country", owner.country, _SEAT, "`DE`")
    if not told.tasks:
        yield asked.lines["tasks"], "`tasks` is empty: say what the model is for"
    if not told.hosting:
        yield asked.lines["hosting"], "`hosting` is empty: give `api`, `own` or both"
    lists: dict[str, Sequence[str]] = {
        "tasks": told.tasks,
        "certifications": told.certifications,
        "hosting": told.hosting,
        "priorities": told.priorities,
        **places,
        "data.residency": told.data.residency,
        "capability.evals": [one.name for one in told.capability.evals],
    }
    for name, items in lists.items():
        for place, item in enumerate(items):
            if item in items[:place]:
                first = asked.lines[f"{name}.{items.index(item)}"]
                line = asked.lines[f"{name}.{place}"]
                yield line, f"`{name}` has `{item}` again, it is on line {first} too: keep one"


def _code(asked: Asked, name: str, code: str, form: re.Pattern[str], example: str) -> Iterator[Fault]:
    if not form.fullmatch(code):
        yield asked.lines[name], f"`{name}` is `{code[:24]}`, which is no code of ISO 3166: write {example}"


def _figures(asked: Asked) -> Iterator[Fault]:
    told = asked.requirements
    load, days = told.load, told.continuity
    at_least: dict[str, tuple[float | None, float, float]] = {
        "data.retention_days": (told.data.retention_days, 0, 36_500),
        "capability.least_eci": (told.capability.least_eci, 0, 1_000),
        "load.requests_per_month": (load.requests_per_month, 0, 1e15),
        "load.input_tokens": (load.input_tokens, 0, 1e9),
        "load.output_tokens": (load.output_tokens, 0, 1e9),
        "load.cached_share": (load.cached_share, 0, 1),
        "load.context_tokens": (load.context_tokens, 1, 1e9),
        "budget_usd_per_month": (told.budget_usd_per_month, 0, 1e12),
        "own_hosting_usd_per_month": (told.own_hosting_usd_per_month, 0, 1e12),
        "latency.most_s": (told.latency.most_s if told.latency else None, 0, 1e6),
        "continuity.days": (days.days, 1, 3_650),
        "continuity.switch_days": (days.switch_days, 0, 3_650),
        "continuity.loss_usd_per_day": (days.loss_usd_per_day, 0, 1e12),
    }
    for name, value in (told.latency.measured_s if told.latency else {}).items():
        at_least[f"latency.measured_s.{name}"] = (value, 0, 1e6)
    for place, one in enumerate(told.capability.evals):
        at_least[f"capability.evals.{place}.least"] = (one.least, 0, 1)
        at_least |= {f"capability.evals.{place}.scores.{name}": (score, 0, 1) for name, score in one.scores.items()}
    for place, owner in enumerate(told.organisation.owners or []):
        at_least[f"organisation.owners.{place}.percent"] = (owner.percent, 0, 100)
    for name, (given, least, most) in at_least.items():
        if given is not None and not (isfinite(given) and least <= given <= most):
            yield asked.lines[name], f"`{name}` is {given:g}: give {least:g} to {most:g}"


def _names(asked: Asked, catalog: Catalog) -> Iterator[Fault]:
    told, known = asked.requirements.programmes, {one.id for one in load_access_programmes()}
    # Programmes of models of one's own are known by their names alone.
    named = {fact.programme for one in catalog.by_id.values() for fact in one.access if fact.programme}
    for field, ids, there in (("member_of", told.member_of, known | named), ("join", told.join, known)):
        for place, programme in enumerate(ids):
            if programme not in there:
                others = ", ".join(sorted(known))
                text = f"`programmes.{field}`: no programme is called `{programme}`: there are {others}"
                yield asked.lines[f"programmes.{field}.{place}"], text
    for one in named_models(asked):
        try:
            catalog.find(one.name)
        except InputError as error:
            yield asked.lines[one.at], f"`{one.at}`: {error}"


class Named(NamedTuple):
    """A model that the file names: where, and how."""

    at: str
    name: str


def named_models(asked: Asked) -> Iterator[Named]:
    """Every model that the file names."""
    told = asked.requirements
    for field, names in (("models.only", told.models.only), ("models.avoid", told.models.avoid)):
        yield from (Named(f"{field}.{place}", name) for place, name in enumerate(names))
    for place, one in enumerate(told.capability.evals):
        yield from (Named(f"capability.evals.{place}.scores.{name}", name) for name in one.scores)
    yield from (Named(f"latency.measured_s.{name}", name) for name in (told.latency.measured_s if told.latency else ()))


def _models(asked: Asked, catalog: Catalog, day: dt.date) -> Iterator[Fault]:
    """Of models that alone are wanted: what else in the file rules each of them out."""
    told = asked.requirements
    only, avoid = ([catalog.find(name).id for name in names] for names in (told.models.only, told.models.avoid))
    yield from _shared(asked, "models.only", "models.avoid", only, avoid)
    for place, name in enumerate(told.models.only):
        model, field = catalog.find(name), f"models.only.{place}"
        if model.country in told.origin.barred:
            at = told.origin.barred.index(model.country)
            barred = (f"origin.barred.{at}", f"nothing from {model.country}")
            yield _both(asked, (field, f"`{name}` of {model.developer}, {model.country}"), barred)
        if told.origin.only and model.country not in told.origin.only:
            elsewhere = ("origin.only", f"nothing from outside {', '.join(told.origin.only)}")
            yield _both(asked, (field, f"`{name}` of {model.developer}, {model.country}"), elsewhere)
        days = [fact.retention_days or 0 for fact in model.access if fact.mode is Mode.RETENTION and fact.holds_on(day)]
        if days and told.data.retention_days is not None and max(days) > told.data.retention_days:
            kept = ("data.retention_days", f"{told.data.retention_days} at most")
            yield _both(asked, (field, f"`{name}`, which is had with {max(days)} days of retention alone"), kept)
        if told.hosting == ["own"] and all(fact.mode is not Mode.OPEN_WEIGHTS for fact in model.access):
            own = ("hosting", "your own hosting alone")
            yield _both(asked, (field, f"`{name}`, whose weights are not published"), own)


def _contradictions(asked: Asked) -> Iterator[Fault]:
    told = asked.requirements
    yield from _shared(asked, "origin.only", "origin.barred", told.origin.only, told.origin.barred)
    member, join = told.programmes.member_of, told.programmes.join
    yield from _shared(asked, "programmes.member_of", "programmes.join", member, join)
    owned = sum(owner.percent for owner in told.organisation.owners or [])
    if owned > 100:
        yield asked.lines["organisation.owners"], f"`organisation.owners` hold {owned:g} percent together: 100 at most"
    yield from _programmes(asked, told)
    load, days = told.load, told.continuity
    if load.context_tokens is not None and load.input_tokens + load.output_tokens > load.context_tokens:
        yield _both(
            asked,
            ("load.context_tokens", f"{load.context_tokens:,} tokens of context"),
            (
                "load.input_tokens" if load.input_tokens else "load.output_tokens",
                f"{load.input_tokens + load.output_tokens:,} tokens in a request and its answer",
            ),
        )
    for place, one in enumerate(told.capability.evals):
        if one.task is not None and one.task not in told.tasks:
            field = f"capability.evals.{place}.task"
            yield _both(asked, (field, f"an evaluation of `{one.task}`"), ("tasks", f"no task `{one.task}`"))
    if days.switch_days > days.days:
        yield _both(
            asked,
            ("continuity.switch_days", f"{days.switch_days} days to switch"),
            ("continuity.days", f"a vendor that is gone for {days.days} days"),
        )
    if told.budget_usd_per_month is not None and not load.requests_per_month:
        line = asked.lines["budget_usd_per_month"]
        yield line, "`budget_usd_per_month` needs a load to compare with: give `load.requests_per_month` and its tokens"
    if told.own_hosting_usd_per_month is not None and "own" not in told.hosting:
        yield _both(
            asked, ("own_hosting_usd_per_month", "a price of your own hosting"), ("hosting", "no hosting of your own")
        )
    if "baa" in told.certifications and told.hosting == ["own"]:
        yield _both(asked, ("certifications", "an agreement with a provider (`baa`)"), ("hosting", "no provider"))
    if "latency" in told.priorities and told.latency is None:
        line = asked.lines[f"priorities.{told.priorities.index('latency')}"]
        yield line, "`priorities` has `latency`, and there is no field `latency`: give its `most_s` and `measured_s`"


def _programmes(asked: Asked, told: Requirements) -> Iterator[Fault]:
    by_id = {one.id: one for one in load_access_programmes()}
    for name in ("member_of", "join"):
        for place, programme in enumerate(getattr(told.programmes, name)):
            if programme in by_id:
                field = f"programmes.{name}.{place}"
                yield from _one_programme(asked, told, by_id[programme], field, joined=name == "member_of")


def _one_programme(
    asked: Asked, told: Requirements, programme: AccessProgramme, field: str, *, joined: bool
) -> Iterator[Fault]:
    what = f"the programme `{programme.id}`"
    if told.hosting == ["own"]:
        yield _both(asked, (field, f"{what}, whose models nobody can host"), ("hosting", "your own hosting alone"))
    if programme.needs_retention and told.data.retention_days == 0:
        retained = ("data.retention_days", "nothing may be retained")
        yield _both(asked, (field, f"{what}, for which retention has to be on"), retained)
    if not joined and not set(programme.tasks) & set(told.tasks):
        for_ = ", ".join(programme.tasks)
        yield _both(asked, (field, f"{what}, which is for {for_}"), ("tasks", "none of these"))
    if "US" in told.origin.barred or (told.origin.only and "US" not in told.origin.only):
        origin = "origin.barred" if "US" in told.origin.barred else "origin.only"
        yield _both(asked, (field, f"{what} of {programme.operator}, US"), (origin, "nothing from the US"))


def _shared(asked: Asked, one: str, other: str, ours: Iterable[str], theirs: Iterable[str]) -> Iterator[Fault]:
    second = list(theirs)
    for place, name in enumerate(ours):
        if name in second:
            fields = ((f"{one}.{place}", f"`{name}` in `{one}`"), (f"{other}.{second.index(name)}", f"in `{other}`"))
            yield _both(asked, *fields)


def _both(asked: Asked, one: tuple[str, str], other: tuple[str, str]) -> Fault:
    """Two lines that contradict each other, at the later one."""
    first, second = sorted(((asked.lines[field], text) for field, text in (one, other)), key=lambda pair: pair[0])
    return second[0], f"contradicts line {first[0]}: {first[1]} there, {second[1]} here; change one of the two"
