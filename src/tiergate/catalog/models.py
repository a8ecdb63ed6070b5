"""Models and how each may be reached, by date: `facts/models.toml`.

An access fact holds from its day `since` on, and from its day `until` on no longer; without `until` it is taken to hold
still. What is not on file is unknown, never assumed.
"""

from __future__ import annotations

import datetime as dt
import difflib
from collections.abc import Iterable, Mapping
from enum import StrEnum
from functools import cache
from importlib.resources import as_file, files
from pathlib import Path
from typing import Final, Literal

import msgspec

from tiergate.catalog.cited import Cited, read_facts
from tiergate.errors import InputError

FILE: Final = "models.toml"


class Mode(StrEnum):
    """One way in, or one condition on it."""

    OPEN_WEIGHTS = "open_weights"
    """Anybody can download the weights, under the licence `weights`; what is out does not come back."""
    GENERAL = "general"
    """Whoever signs up and pays is served."""
    VERIFIED = "verified"
    """Whoever passes a check of identity is served, for money."""
    MEMBERSHIP = "membership"
    """Only those are served whom a `programme` took in, for what it is for."""
    NATIONALITY = "nationality"
    """Only nationals of some countries are served, whatever else holds."""
    SUSPENDED = "suspended"
    """Switched off for everyone."""
    RETENTION = "retention"
    """Prompts and answers are kept for `retention_days`, and no contract changes that."""


class Access(Cited, frozen=True, kw_only=True):
    """One access fact. ``use``: what the weights' licence lets one do, where it is known."""

    mode: Mode
    since: dt.date
    until: dt.date | None = None
    programme: str = ""
    weights: str = ""
    use: Literal["", "unrestricted", "restricted", "non_commercial"] = ""
    retention_days: int | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.until is not None and self.until <= self.since:
            raise ValueError(f"`until` is the first day it no longer holds, after {self.since}")
        for name, mode, needed in (
            ("weights", Mode.OPEN_WEIGHTS, False),
            ("use", Mode.OPEN_WEIGHTS, False),
            ("programme", Mode.MEMBERSHIP, True),
            ("retention_days", Mode.RETENTION, True),
        ):
            given = bool(getattr(self, name))
            if given and self.mode is not mode:
                raise ValueError(f"`{name}` is only for the mode `{mode}`")
            if needed and not given and self.mode is mode:
                raise ValueError(f"the mode `{mode}` needs `{name}`")
        if self.until is not None and self.mode is Mode.OPEN_WEIGHTS:
            raise ValueError("weights that were published stay published: leave `until` out")

    def holds_on(self, day: dt.date) -> bool:
        return self.since <= day and (self.until is None or day < self.until)


class Model(Cited, frozen=True, kw_only=True):
    """A model. ``country``: of the developer's seat, ISO 3166-1 alpha-2; ``released``: first day that anybody outside
    could use it; ``names``: other names it is called by, such as ids of APIs."""

    id: str
    name: str
    developer: str
    country: str
    released: dt.date
    names: tuple[str, ...] = ()
    access: tuple[Access, ...] = ()

    def __post_init__(self) -> None:
        super().__post_init__()
        if len(self.country) != 2 or not self.country.isupper():
            raise ValueError(f"`{self.country}` is no country code: two capital letters, as in US")
        early = [one.since for one in self.access if one.since < self.released]
        if early:
            raise ValueError(f"`{self.id}`: an access fact of {min(early)} is older than the release, {self.released}")


class ModelsFile(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`[[model]]` rows, each with `[[model.access]]` rows."""

    model: tuple[Model, ...]


class Catalog:
    """Models by id. Raises `InputError` where two are called the same."""

    def __init__(self, models: Iterable[Model]) -> None:
        self.by_id: Mapping[str, Model] = {one.id: one for one in models}
        self._by_name: dict[str, Model] = {}
        for one in self.by_id.values():
            for name in {_plain(name) for name in (one.id, one.name, *one.names)}:
                other = self._by_name.setdefault(name, one)
                if other is not one:
                    raise InputError(f"`{one.id}` and `{other.id}` are both called `{name}`: rename one")
        if not self.by_id:
            raise InputError("there are no models in the catalog")
        self.begins = min(one.released for one in self.by_id.values())
        self.newest_fact = max(fact.as_of for one in self.by_id.values() for fact in (one, *one.access))

    def named(self, name: str) -> Model | None:
        """The model of that id or name, however it is cased or spaced."""
        return self._by_name.get(_plain(name))

    def find(self, name: str) -> Model:
        """The same. Raises `InputError` for a name that no model has, and says which are nearest."""
        found = self.named(name)
        if found is None:
            near = [self._by_name[one].id for one in difflib.get_close_matches(_plain(name), self._by_name, n=3)]
            meant = f"did you mean {' or '.join(f'`{one}`' for one in dict.fromkeys(near))}? " if near else ""
            raise InputError(f"no model is called `{name}`: {meant}`tiergate catalog tiers` lists all")
        return found

    def check_day(self, day: dt.date) -> None:
        """Raises `InputError` for a day before the first model."""
        if day < self.begins:
            raise InputError(f"nothing is on file of {day}: the catalog begins on {self.begins}, give a later day")

    def seated_in(self, country: str) -> Catalog:
        """The models of developers seated in ``country``, in either case. Raises `InputError` where there are none."""
        found = [one for one in self.by_id.values() if one.country == country.upper()]
        if not found:
            codes = ", ".join(sorted({one.country for one in self.by_id.values()}))
            raise InputError(f"no developer in the catalog has its seat in `{country}`: give one of {codes}")
        return Catalog(found)

    def with_models(self, path: Path) -> Catalog:
        """This catalog with the models of a file added; a model whose id it has already is replaced as a whole."""
        added = read_facts(path, ModelsFile).model
        _refuse_doubles(path.name, added)
        return Catalog((self.by_id | {one.id: one for one in added}).values())  # type: ignore[operator]


@cache
def load_catalog() -> Catalog:
    """The models that come with Tiergate."""
    with as_file(files("tiergate.catalog") / "facts" / FILE) as path:
        rows = read_facts(path, ModelsFile).model
    _refuse_doubles(FILE, rows)
    return Catalog(rows)


def _refuse_doubles(file: str, rows: Iterable[Model]) -> None:
    seen: set[str] = set()
    for one in rows:
        if one.id in seen:
            raise InputError(f"`{file}` has `{one.id}` twice: keep one")
        seen.add(one.id)


def _plain(name: str) -> str:
    return "-".join(name.casefold().replace("_", " ").replace("-", " ").split())
