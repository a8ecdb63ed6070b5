"""Rules of law on whose models an organisation may use, by date: `facts/origin_rules.toml`.

A starting point and no legal advice. A rule counts from its day `since`, or from the day it was read where that is not
known. Each says whom it binds, by sector and seat, and whom it is about, by developer or country.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable
from enum import StrEnum
from functools import cache
from importlib.resources import as_file, files
from typing import Final, Literal

import msgspec

from tiergate.catalog.cited import Cited, read_facts
from tiergate.catalog.models import Model

FILE: Final = "origin_rules.toml"


class Sector(StrEnum):
    """What an organisation is, as far as rules on origin ask."""

    BUSINESS = "business"
    FINANCE = "finance"
    HEALTH = "health"
    CRITICAL_INFRASTRUCTURE = "critical_infrastructure"
    DEFENCE = "defence"
    """A defence ministry, or a contractor in work for one."""
    INTELLIGENCE = "intelligence"
    GOVERNMENT = "government"
    """A national government."""
    STATE_GOVERNMENT = "state_government"
    GOVERNMENT_CONTRACTOR = "government_contractor"


class OriginRule(Cited, frozen=True, kw_only=True):
    """One rule.

    ``sectors`` and ``seats``: whom it binds; empty sectors are all. Seats are ISO 3166-1 alpha-2 or 3166-2 codes, and
    `US` covers `US-TX`. ``developers`` and ``countries``: whose models it is about; ``only``: it is about those from
    anywhere else; with none of the three, about all. ``reach``: the developer's own `service`, or the `model` wherever
    it runs. ``effect``: `bar`, or `review` where it bars under conditions, its state is not known, or it is a draft; a
    `duty` bars nothing.
    """

    id: str
    title: str
    effect: Literal["bar", "review", "duty"]
    status: Literal["in force", "proposed"] = "in force"
    reach: Literal["service", "model"]
    says: str
    seats: tuple[str, ...]
    sectors: tuple[Sector, ...] = ()
    developers: tuple[str, ...] = ()
    countries: tuple[str, ...] = ()
    only: tuple[str, ...] = ()
    since: dt.date | None = None
    until: dt.date | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.status == "proposed" and self.effect == "bar":
            raise ValueError(f"`{self.id}` is a draft: it can ask for review, and bars nobody")
        if self.only and (self.developers or self.countries):
            raise ValueError(f"`{self.id}`: `only` says whose models are free, so leave `developers` and `countries`")

    def holds_on(self, day: dt.date) -> bool:
        return (self.since or self.as_of) <= day and (self.until is None or day < self.until)

    def binds(self, seat: str, sector: Sector) -> bool:
        """Whether an organisation with its seat there is bound."""
        here = any(seat == one or seat.startswith(f"{one}-") for one in self.seats)
        return here and (not self.sectors or sector in self.sectors)

    def is_about(self, model: Model) -> bool:
        """Whether it is about models of that developer."""
        if self.only:
            return model.country not in self.only
        if not self.developers and not self.countries:
            return True
        return model.developer in self.developers or model.country in self.countries


class OriginRulesFile(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`[[origin_rule]]` rows."""

    origin_rule: tuple[OriginRule, ...]


@cache
def load_origin_rules() -> tuple[OriginRule, ...]:
    """Those that come with Tiergate."""
    with as_file(files("tiergate.catalog") / "facts" / FILE) as path:
        return read_facts(path, OriginRulesFile).origin_rule


def binding(seat: str, sector: Sector, day: dt.date) -> Iterable[OriginRule]:
    """Rules that bind an organisation on ``day``, in the order of the file."""
    return (one for one in load_origin_rules() if one.holds_on(day) and one.binds(seat, sector))
