"""A playbook: one YAML file a use case, read strictly, with the line of everything that is wrong.

It says whom the use case is for and what it is not for (gates), which controls must be in force here, and what measured
figures must show. What this deployment calls the use case's models and who owns it is said in `adoption`.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from importlib.resources import files
from pathlib import Path
from typing import Annotated, Final, Literal, get_args

import msgspec

from tiergate.admission.known_facts import Tier
from tiergate.catalog.access_programmes import Task
from tiergate.errors import InputError
from tiergate.gateway.metering.limits import Measure, Scope
from tiergate.gateway.routing.candidates import Capability, Days, Region
from tiergate.records.strict_yaml import BAD, Faults, UnreadableError, read_tree, take

Count = Annotated[int, msgspec.Meta(ge=1, le=100)]
KpiName = Literal[
    "exchanges",
    "error_share",
    "refused_share",
    "latency_p95_ms",
    "usd_per_exchange",
    "unpriced_share",
    "outcomes",
    "accepted_share",
    "cost_per_accepted_usd",
]
KPIS: Final[tuple[str, ...]] = get_args(KpiName)
LARGEST_SHOWN: Final = 20
"""Faults that are told at once."""


class _Part(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A field of the file, with fields of its own."""


class Gates(_Part, frozen=True, kw_only=True):
    """What the use case must be before any control counts. ``not_for``: uses that whoever adopts it states it is not,
    code by code; ``tiers``: of the models that it may use; ``eligibility``: who may use them, in words."""

    tasks: list[Task]
    not_for: dict[str, str]
    tiers: list[Tier]
    eligibility: str


class LimitWanted(_Part, frozen=True, kw_only=True):
    """A limit that each request of the use case must meet, of ``most`` dollars, requests or tokens at the most."""

    scope: Scope
    measure: Measure
    most: float


class Controls(_Part, frozen=True, kw_only=True):
    """Controls that must be in force, each with what it asks; those that are not in the file are not asked.

    ``regions``: requests go nowhere else; ``retention_days``: no provider keeps a request longer; ``upstreams``: so
    many different ones stand behind each group; ``log``: what our own log keeps of text; ``approvals``: people who must
    agree to a step of response, by its name; ``appeals``: days within which an appeal is answered; ``reasoning``: the
    step that withholds it waits for so many people at the most; ``alerts``: types that somebody must be told of.
    """

    rule_packs: list[str] | None = None
    membership: bool = False
    grants: bool = False
    purposes: bool = False
    second_proof: bool = False
    regions: list[Region] | None = None
    retention_days: Days | None = None
    capabilities: list[Capability] | None = None
    upstreams: Count | None = None
    budgets: list[LimitWanted] | None = None
    rates: list[LimitWanted] | None = None
    log: Literal["sketches"] | None = None
    approvals: dict[str, Count] | None = None
    appeals: Count | None = None
    reasoning: Annotated[int, msgspec.Meta(ge=0, le=5)] | None = None
    watch: bool = False
    alerts: list[str] | None = None
    decision_log: bool = False


class Threshold(_Part, frozen=True, kw_only=True):
    """What a figure must be, ``least`` and ``most`` included."""

    least: float | None = None
    most: float | None = None

    def met(self, value: float) -> bool:
        return (self.least is None or value >= self.least) and (self.most is None or value <= self.most)


class Playbook(_Part, frozen=True, kw_only=True):
    """The file. ``owners``: what each role answers for; ``reviewed``: when we last looked at the file;
    ``review_months``: for how long an adoption stands; ``not_offered``: controls that one would expect, and that this
    gateway has not; ``not_covered``: what no control here answers."""

    name: str
    text: str
    reviewed: dt.date
    review_months: Annotated[int, msgspec.Meta(ge=1, le=24)]
    owners: dict[str, str]
    gates: Gates
    controls: Controls
    kpis: dict[KpiName, Threshold]
    not_offered: dict[str, str] = {}
    not_covered: list[str] = []
    id: str = ""


def shipped_playbooks() -> dict[str, Playbook]:
    """Those that come with Tiergate, by id, in order of their ids."""
    folder = files("tiergate.advice.playbooks")
    names = sorted(entry.name for entry in folder.iterdir() if entry.name.endswith(".yaml"))
    return {
        name.removesuffix(".yaml"): parse_playbook(folder.joinpath(name).read_bytes(), name.removesuffix(".yaml"))
        for name in names
    }


def find_playbook(named: str) -> Playbook:
    """A playbook by its id, or from a file. Raises `InputError` where there is none, or the file has faults."""
    path = Path(named)
    if path.suffix == ".yaml":
        try:
            return parse_playbook(path.read_bytes(), path.stem)
        except FileNotFoundError:
            raise InputError(f"there is no file `{path}`: see `tiergate playbook show NAME --yaml` for one") from None
    known = shipped_playbooks()
    if named not in known:
        raise InputError(f"there is no playbook `{named[:80]}`: there are {', '.join(known)}, or give a .yaml file")
    return known[named]


def parse_playbook(content: bytes, playbook_id: str) -> Playbook:
    """The same of a file's bytes."""
    faults = Faults()
    try:
        root = read_tree(content)
    except UnreadableError as error:
        raise InputError(f"`{playbook_id}.yaml`: {error}") from error
    found = take(Playbook, root, "", faults)
    if found is not BAD:
        for line, text in _faults(found, _line_of(root.value)):
            faults.add(line, text)
    if faults.found:
        more = len(faults.found) - LARGEST_SHOWN
        shown = [*faults.found[:LARGEST_SHOWN], *([f"and {more} more"] if more > 0 else [])]
        raise InputError("\n".join([f"`{playbook_id}.yaml` is no playbook:", *(f"  {fault}" for fault in shown)]))
    playbook: Playbook = msgspec.structs.replace(found, id=playbook_id)
    return playbook


def wanted(playbook: Playbook) -> dict[str, object]:
    """What each control that is asked for asks, by its name, in the order of the fields of `Controls`."""
    said = {name: getattr(playbook.controls, name) for name in Controls.__struct_fields__}
    return {name: value for name, value in said.items() if value is not None and value is not False}


def _line_of(root: Mapping[str, object]) -> Mapping[str, int]:
    return {name: getattr(node, "line", 1) for name, node in root.items()}


def _faults(playbook: Playbook, lines: Mapping[str, int]) -> list[tuple[int, str]]:
    faults = []
    unknown = sorted(playbook.kpis.keys() - set(KPIS))
    if unknown:
        faults.append((lines["kpis"], f"there is no figure `{unknown[0]}`: there are {', '.join(KPIS)}"))
    for name, one in playbook.kpis.items():
        if one.least is None and one.most is None:
            faults.append((lines["kpis"], f"`kpis.{name}` needs `least` or `most`"))
    if not playbook.gates.tasks or not playbook.gates.tiers:
        faults.append((lines["gates"], "`gates` needs a task and a tier at least"))
    if "accountable" not in playbook.owners:
        faults.append((lines["owners"], "`owners` needs `accountable`: somebody answers for the use case"))
    money = {"budgets": True, "rates": False}
    for field, of_money in money.items():
        for limit in getattr(playbook.controls, field) or ():
            if limit.measure.startswith("usd/") is not of_money:
                place = "budgets" if not of_money else "rates"
                faults.append((lines["controls"], f"`controls.{field}`: `{limit.measure}` belongs to `{place}`"))
    if playbook.id:
        faults.append((lines["id"], "`id` is the name of the file"))
    return faults
