"""What providers of models offer an enterprise, by date: `facts/providers.toml`.

A fact counts from its day `since`, or, where that is not known, from the day it was read. What nobody published, or we
did not find, is unknown: an empty cell is never a no.
"""

from __future__ import annotations

import datetime as dt
import difflib
from enum import StrEnum
from functools import cache
from importlib.resources import as_file, files
from typing import Final, Literal

import msgspec

from tiergate.catalog.cited import Cited, read_facts
from tiergate.errors import InputError

FILE: Final = "providers.toml"


class Attribute(StrEnum):
    """What a buyer asks of a provider."""

    SOC2 = "soc2"
    """A SOC 2 Type II report."""
    ISO_27001 = "iso_27001"
    ISO_42001 = "iso_42001"
    BAA = "baa"
    """A business-associate agreement under HIPAA."""
    ZERO_RETENTION = "zero_retention"
    """Prompts and answers are not stored after the answer."""
    FEDRAMP = "fedramp"
    REGIONS = "regions"
    """A choice of the region in which data stays."""


class ProviderFact(Cited, frozen=True, kw_only=True):
    """``value``: yes, no, or on request (by contract or approval only); ``detail``: level, scope or exceptions.

    ``places``: of the attribute `regions`, where data can be kept, or are where there is no choice: ISO 3166-1 alpha-2
    codes, `EU`, `APAC`; empty where that is not on file. Others may be offered as well.
    """

    attribute: Attribute
    value: Literal["yes", "on request", "no"]
    detail: str = ""
    places: tuple[str, ...] = ()
    since: dt.date | None = None
    until: dt.date | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.places and self.attribute is not Attribute.REGIONS:
            raise ValueError(f"`places` is only for the attribute `{Attribute.REGIONS}`")

    def holds_on(self, day: dt.date) -> bool:
        return (self.since or self.as_of) <= day and (self.until is None or day < self.until)


class Provider(Cited, frozen=True, kw_only=True):
    """A provider and what is on file of it. ``country``: of its seat, ISO 3166-1 alpha-2."""

    id: str
    name: str
    country: str
    fact: tuple[ProviderFact, ...]

    def on(self, day: dt.date) -> dict[Attribute, ProviderFact]:
        """The fact in force of each attribute, the one read last where there are several."""
        held = sorted((one for one in self.fact if one.holds_on(day)), key=lambda one: one.as_of)
        return {one.attribute: one for one in held}


class ProvidersFile(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`[[provider]]` rows, each with `[[provider.fact]]` rows."""

    provider: tuple[Provider, ...]


@cache
def load_providers() -> dict[str, Provider]:
    """The providers that come with Tiergate, by id."""
    with as_file(files("tiergate.catalog") / "facts" / FILE) as path:
        return {one.id: one for one in read_facts(path, ProvidersFile).provider}


def find_provider(name: str) -> Provider:
    """The provider of that id or name. Raises `InputError` and names those there are."""
    known = {key.casefold(): one for one in load_providers().values() for key in (one.id, one.name)}
    found = known.get(name.casefold())
    if found is None:
        near = difflib.get_close_matches(name.casefold(), known, n=1)
        meant = f"did you mean `{known[near[0]].id}`? " if near else ""
        raise InputError(f"no provider is called `{name}`: {meant}there are {', '.join(load_providers())}")
    return found
