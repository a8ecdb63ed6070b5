"""Programmes that let members use what is not sold, as published: `facts/access_programmes.toml`.

What a provider's contract says is not here. ``template`` names the programme of `tiergate.admission` that is modelled
on it, whose requirements and purposes are the closest that is public.
"""

from __future__ import annotations

from enum import StrEnum
from functools import cache
from importlib.resources import as_file, files
from typing import Final, Literal

import msgspec

from tiergate.catalog.cited import Cited, read_facts
from tiergate.catalog.models import Access, Mode

FILE: Final = "access_programmes.toml"


class Task(StrEnum):
    """What a model is used for. The last four are what programmes are for."""

    AGENTS = "agents"
    ANALYSIS = "analysis"
    CODING = "coding"
    DOCUMENT_REVIEW = "document_review"
    EXTRACTION = "extraction"
    SEARCH = "search"
    SUPPORT = "support"
    TRANSLATION = "translation"
    WRITING = "writing"
    INCIDENT_RESPONSE = "incident_response"
    LIFE_SCIENCES = "life_sciences"
    PENETRATION_TEST = "penetration_test"
    VULNERABILITY_RESEARCH = "vulnerability_research"


class AccessProgramme(Cited, frozen=True, kw_only=True):
    """A programme. ``called``: what access facts of the catalog call it; ``entry``: whether anybody can apply;
    ``needs_retention``: whether organisations that let nothing be retained are not eligible, None where not published;
    ``decision_days``: working days that a decision is aimed at; ``appeal``: whether a refusal can be appealed."""

    id: str
    name: str
    operator: str
    called: tuple[str, ...]
    entry: Literal["open", "invitation", "not known"]
    tasks: tuple[Task, ...]
    template: str = ""
    needs_retention: bool | None = None
    decision_days: int | None = None
    appeal: Literal["yes", "no", "not known"] = "not known"

    def admits_to(self, fact: Access) -> bool:
        """Whether a fact of membership is of this programme."""
        return fact.mode is Mode.MEMBERSHIP and any(name in fact.programme for name in self.called)


class AccessProgrammesFile(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`[[access_programme]]` rows."""

    access_programme: tuple[AccessProgramme, ...]


@cache
def load_access_programmes() -> tuple[AccessProgramme, ...]:
    """Those that come with Tiergate."""
    with as_file(files("tiergate.catalog") / "facts" / FILE) as path:
        return read_facts(path, AccessProgrammesFile).access_programme


@cache
def gated_tasks() -> frozenset[Task]:
    """Tasks for which there is a programme: models that anybody can use may refuse them."""
    return frozenset(task for one in load_access_programmes() for task in one.tasks)
