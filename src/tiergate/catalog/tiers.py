"""The tier of a model on a day, by stated rules from access facts; a benchmark score is never looked at.

The first rule with a fact in force decides. Where none has, all access has ended, or nothing is on file.
"""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from enum import StrEnum
from typing import Final, NamedTuple

from tiergate.catalog.models import Access, Catalog, Mode, Model
from tiergate.errors import InputError


class Tier(StrEnum):
    """The three tiers, and what holds in place of one."""

    CLASSIFIED = "classified"
    COMMODITY = "commodity"
    OPEN = "open"
    UNAVAILABLE = "unavailable"
    """Nobody is served."""
    UNKNOWN = "unknown"
    """It is out, and how it can be reached is not on file."""
    UNRELEASED = "unreleased"


class Rule(NamedTuple):
    """``mode``: the access fact that it looks for, in force on the day."""

    mode: Mode
    tier: Tier
    because: str


RULES: Final = (
    Rule(Mode.OPEN_WEIGHTS, Tier.OPEN, "anybody can download its weights, and no access control can hold them"),
    Rule(Mode.SUSPENDED, Tier.UNAVAILABLE, "it is switched off for everyone"),
    Rule(Mode.NATIONALITY, Tier.CLASSIFIED, "only nationals of some countries are served"),
    Rule(Mode.GENERAL, Tier.COMMODITY, "whoever signs up and pays is served"),
    Rule(Mode.VERIFIED, Tier.COMMODITY, "whoever passes a check of identity is served, for money"),
    Rule(Mode.MEMBERSHIP, Tier.CLASSIFIED, "only those whom a programme took in are served"),
)
"""In order; the first that applies decides. A condition on access, such as retention, moves no tier."""


@dataclass(frozen=True, slots=True)
class Standing:
    """Where a model stands on a day. ``facts``: those that decided; ``conditions``: other facts in force."""

    model: Model
    day: dt.date
    tier: Tier
    because: str
    facts: tuple[Access, ...]
    conditions: tuple[Access, ...] = ()


@dataclass(frozen=True, slots=True)
class Change:
    """A model's tier changed on ``day``: the facts that began then, and those that ended."""

    model: Model
    day: dt.date
    before: Tier
    after: Tier
    because: str
    began: tuple[Access, ...]
    ended: tuple[Access, ...]


def standing(model: Model, day: dt.date) -> Standing:
    """Where ``model`` stands on ``day``."""
    if day < model.released:
        return Standing(model, day, Tier.UNRELEASED, f"released on {model.released}", ())
    held = [one for one in model.access if one.holds_on(day)]
    for rule in RULES:
        facts = tuple(one for one in held if one.mode is rule.mode)
        if facts:
            others = tuple(one for one in held if one not in facts)
            return Standing(model, day, rule.tier, rule.because, facts, others)
    ended = tuple(one for one in model.access if one.until is not None and one.until <= day)
    if ended:
        last = max(one.until for one in ended if one.until is not None)
        closing = tuple(one for one in ended if one.until == last)
        return Standing(model, day, Tier.UNAVAILABLE, f"the access on file ended on {last}", closing, tuple(held))
    return Standing(model, day, Tier.UNKNOWN, "how it can be reached is not on file", (), tuple(held))


def tiers(catalog: Catalog, day: dt.date) -> list[Standing]:
    """Every model that was out on ``day``, by tier and then the newest first. Raises `InputError` for a day before
    the first."""
    catalog.check_day(day)
    order = list(Tier)
    found = (standing(one, day) for one in catalog.by_id.values() if one.released <= day)
    return sorted(found, key=lambda one: (order.index(one.tier), -one.model.released.toordinal(), one.model.id))


def changes(catalog: Catalog, first: dt.date, last: dt.date) -> list[Change]:
    """Every change of tier after ``first``, up to and on ``last``, in order of days; a release is one. Raises
    `InputError` where ``last`` is the earlier day, or ``first`` lies before the first model."""
    if last < first:
        raise InputError(f"{last} lies before {first}: give the earlier day first")
    catalog.check_day(first)
    found = []
    for model in catalog.by_id.values():
        before = standing(model, first)
        turns = {model.released, *(day for one in model.access for day in (one.since, one.until) if day is not None)}
        for day in sorted(day for day in turns if first < day <= last):
            after = standing(model, day)
            if after.tier is not before.tier:
                began = tuple(one for one in model.access if one.since == day)
                ended = tuple(one for one in model.access if one.until == day)
                found.append(Change(model, day, before.tier, after.tier, after.because, began, ended))
            before = after
    return sorted(found, key=lambda one: (one.day, one.model.id))
