"""Who is alleged to have distilled whose model, by whom, and what was answered: `facts/allegations.toml`.

An allegation is its author's word, not a finding. Nothing here decides a tier, and nothing in detection reads it.
"""

from __future__ import annotations

import datetime as dt
from functools import cache
from importlib.resources import as_file, files
from typing import Final, Literal

import msgspec

from tiergate.catalog.cited import Cited, read_facts
from tiergate.errors import InputError

FILE: Final = "allegations.toml"


class Answer(Cited, frozen=True, kw_only=True):
    """What was said to it on the day `on`. ``said``: whether it was denied, disputed by a third party, or not answered
    as far as was found."""

    by: str
    on: dt.date
    said: Literal["denied", "disputed", "not answered"]


class Allegation(Cited, frozen=True, kw_only=True):
    """One allegation. ``against`` and ``teacher``: developers, as the catalog calls them; ``exchanges`` and
    ``accounts``: at least so many, as alleged, None where no figure was given; ``first`` and ``last``: days of the
    activity, where they were given."""

    id: str
    against: str
    teacher: str
    alleged_by: str
    on: dt.date
    exchanges: int | None = None
    accounts: int | None = None
    first: dt.date | None = None
    last: dt.date | None = None
    answer: tuple[Answer, ...] = ()

    def __post_init__(self) -> None:
        super().__post_init__()
        early = [one.by for one in self.answer if one.on < self.on]
        if early:
            raise ValueError(f"`{self.id}`: what {early[0]} said is older than the allegation, and no answer to it")

    def answers_on(self, day: dt.date) -> tuple[Answer, ...]:
        """What had been said to it by ``day``."""
        return tuple(one for one in self.answer if one.on <= day)


class AllegationsFile(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`[[allegation]]` rows, each with `[[allegation.answer]]` rows."""

    allegation: tuple[Allegation, ...]


@cache
def load_allegations() -> tuple[Allegation, ...]:
    """Those that come with Tiergate, in order of days."""
    with as_file(files("tiergate.catalog") / "facts" / FILE) as path:
        return tuple(sorted(read_facts(path, AllegationsFile).allegation, key=lambda one: (one.on, one.id)))


def alleged(day: dt.date, developer: str | None = None) -> tuple[Allegation, ...]:
    """What was public on ``day``, against ``developer`` or against anybody. Raises `InputError` for a developer
    against whom nothing is on file, and names those there are."""
    known = {one.against.casefold(): one.against for one in load_allegations()}
    if developer is not None and developer.casefold() not in known:
        raise InputError(f"nothing is alleged of `{developer}` on file: there are {', '.join(sorted(known.values()))}")
    return tuple(
        one
        for one in load_allegations()
        if one.on <= day and (developer is None or one.against.casefold() == developer.casefold())
    )
