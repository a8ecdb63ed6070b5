"""What an enterprise asks of a model: one YAML file, read strictly, with the line of everything that is asked.

What is left out is not asked. Countries and nationalities are codes of whole groups of people: nobody's papers are
asked for, and there is no place for a person. Amounts are US dollars; tokens are those of one request.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final, Literal, NamedTuple

import msgspec

from tiergate.catalog.access_programmes import Task
from tiergate.catalog.models import Catalog
from tiergate.catalog.origin_rules import Sector
from tiergate.errors import InputError
from tiergate.records.strict_yaml import BAD, Faults, Node, UnreadableError, read_tree, take

Certification = Literal["soc2", "iso_27001", "iso_42001", "baa", "fedramp"]
Need = Literal["tools", "vision", "structured_output"]
Hosting = Literal["api", "own"]
Criterion = Literal["capability", "cost", "latency", "ways_out", "contracts", "risk"]


class _Part(msgspec.Struct, frozen=True, kw_only=True):
    """A field of the file, with fields of its own."""


class Owner(_Part, frozen=True, kw_only=True):
    """Who holds ``percent`` of the organisation, and where that holder has its headquarters."""

    name: str
    country: str
    percent: float


class Organisation(_Part, frozen=True, kw_only=True):
    """``country``: of its headquarters, ISO 3166-1 alpha-2, or 3166-2 for a state's authority; ``party``: its id in the
    facts of parties of a deployment, whose owners then count in place of ``owners``; None: not declared."""

    name: str
    country: str
    sector: Sector = Sector.BUSINESS
    owners: list[Owner] | None = None
    party: str = ""


class Users(_Part, frozen=True, kw_only=True):
    """Where users are, and which nationalities they hold, each code once."""

    countries: list[str] = []
    nationalities: list[str] = []


class Data(_Part, frozen=True, kw_only=True):
    """``residency``: where data may be, countries or `EU`; ``retention_days``: how long a provider may keep prompts and
    answers at most; ``health``: whether data of patients are in them."""

    residency: list[str] = []
    retention_days: int | None = None
    health: bool = False


class Eval(_Part, frozen=True, kw_only=True):
    """An evaluation of the enterprise's own: what a model has to reach, and what models scored, 0 to 1; ``task``: which
    of the tasks it measures, where it is one alone."""

    name: str
    least: float
    scores: dict[str, float]
    task: Task | None = None


class Capability(_Part, frozen=True, kw_only=True):
    """``least_eci``: points of Epoch's Capabilities Index."""

    least_eci: float | None = None
    evals: list[Eval] = []


class Load(_Part, frozen=True, kw_only=True):
    """``cached_share``: of the input, how much is read from a provider's cache."""

    requests_per_month: float = 0
    input_tokens: int = 0
    output_tokens: int = 0
    cached_share: float = 0.0
    context_tokens: int | None = None
    needs: list[Need] = []


class Latency(_Part, frozen=True, kw_only=True):
    """``most_s``: seconds to a whole answer; ``measured_s``: what you measured, by model."""

    most_s: float
    measured_s: dict[str, float] = {}


class Models(_Part, frozen=True, kw_only=True):
    """Names of the catalog: look at no others than ``only``, and at none of ``avoid``."""

    only: list[str] = []
    avoid: list[str] = []


class Origin(_Part, frozen=True, kw_only=True):
    """The enterprise's own policy on developers' seats, and on developers who are alleged to have distilled."""

    barred: list[str] = []
    only: list[str] = []
    alleged_distillation: Literal["show", "exclude"] = "show"


class Programmes(_Part, frozen=True, kw_only=True):
    """Ids of programmes (`tiergate.catalog.access_programmes`): joined already, and to be joined; codes of their
    requirements that are met."""

    member_of: list[str] = []
    join: list[str] = []
    met: list[str] = []


class Continuity(_Part, frozen=True, kw_only=True):
    """A vendor that vanishes for ``days``: it takes ``switch_days`` to use another model, and each day without one
    costs ``loss_usd_per_day``."""

    days: int = 18
    switch_days: int = 2
    loss_usd_per_day: float = 0.0


class Requirements(_Part, frozen=True, kw_only=True):
    """The file. ``commercial``: whether the use is; ``hosting``: by somebody's API, or of weights on machines of one's
    own, which cost ``own_hosting_usd_per_month``; ``priorities``: criteria, the weightiest first."""

    organisation: Organisation
    tasks: list[Task]
    commercial: bool = True
    users: Users = Users()
    data: Data = Data()
    certifications: list[Certification] = []
    capability: Capability = Capability()
    load: Load = Load()
    budget_usd_per_month: float | None = None
    latency: Latency | None = None
    hosting: list[Hosting] = msgspec.field(default_factory=lambda: ["api", "own"])
    own_hosting_usd_per_month: float | None = None
    models: Models = Models()
    origin: Origin = Origin()
    programmes: Programmes = Programmes()
    continuity: Continuity = Continuity()
    priorities: list[Criterion] = []


class Asked(NamedTuple):
    """Requirements, and the line of each field by its dotted name, `data.retention_days`; items have their number."""

    requirements: Requirements
    lines: Mapping[str, int]

    def line(self, *fields: str) -> int | None:
        """The line of the first of ``fields`` that is in the file."""
        return next((self.lines[field] for field in fields if field in self.lines), None)


LARGEST_SHOWN: Final = 20
"""Faults that are told at once."""


def read_requirements(path: Path, catalog: Catalog, day: dt.date) -> Asked:
    """The file at ``path``. Raises `InputError` that names every fault, and lines that contradict each other."""
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        raise InputError(f"there is no file `{path}`: see docs/advice.md for one to start from") from None
    return parse_requirements(content, catalog, day, path.name)


def parse_requirements(content: bytes, catalog: Catalog, day: dt.date, name: str = "requirements.yaml") -> Asked:
    """The same of its bytes."""
    from tiergate.advice.contradictions import faults_of

    try:
        root = read_tree(content)
    except UnreadableError as error:
        raise InputError(f"`{name}`: {error}") from error
    faults = Faults()
    requirements = take(Requirements, root, "", faults)
    if requirements is not BAD:
        asked = Asked(requirements, dict(_lines(root, "")))
        for line, text in faults_of(asked, catalog, day):
            faults.add(line, text)
    if faults.found:
        more = len(faults.found) - LARGEST_SHOWN
        shown = [*faults.found[:LARGEST_SHOWN], *([f"and {more} more"] if more > 0 else [])]
        raise InputError("\n".join([f"`{name}` cannot be advised on:", *(f"  {fault}" for fault in shown)]))
    return asked._replace(requirements=_with_ids(requirements, catalog))


def _with_ids(told: Requirements, catalog: Catalog) -> Requirements:
    """The same with every model by its id."""

    def by_id(figures: Mapping[str, float]) -> dict[str, float]:
        return {catalog.find(name).id: value for name, value in figures.items()}

    replace = msgspec.structs.replace
    evals = [replace(one, scores=by_id(one.scores)) for one in told.capability.evals]
    latency = told.latency and replace(told.latency, measured_s=by_id(told.latency.measured_s))
    only, avoid = ([catalog.find(name).id for name in names] for names in (told.models.only, told.models.avoid))
    return replace(
        told,
        capability=replace(told.capability, evals=evals),
        latency=latency,
        models=replace(told.models, only=only, avoid=avoid),
    )


def _lines(node: Node, where: str) -> list[tuple[str, int]]:
    found = [(where, node.line)] if where else []
    below: Any = node.value.items() if isinstance(node.value, dict) else ()
    if isinstance(node.value, list):
        below = ((str(place), one) for place, one in enumerate(node.value))
    for name, one in below:
        found += _lines(one, f"{where}.{name}" if where else name)
    return found
