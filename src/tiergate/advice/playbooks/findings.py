"""What a check answers: in force, not in force or not known, by what, and what to do about it."""

from __future__ import annotations

import datetime as dt
from typing import Literal, NamedTuple

import msgspec

from tiergate.admission.known_facts import ModelFact
from tiergate.advice.playbooks.adoption import Adoption
from tiergate.advice.playbooks.configuration import Configuration
from tiergate.advice.playbooks.playbook import Playbook
from tiergate.gateway.routing.candidates import Candidate, Group
from tiergate.gateway.routing.requirements import Requirements

State = Literal["in force", "not in force", "not known"]


class Fault(NamedTuple):
    """One reason why a control is not in force, or, where it is not ``known``, may not be; ``do``: what mends it."""

    because: str
    do: str
    known: bool = True


class Found(NamedTuple):
    """``shown``: what stands here, for where nothing is wrong; ``stated``: it is somebody's word and not a setting."""

    shown: str
    faults: tuple[Fault, ...] = ()
    stated: bool = False


class Finding(msgspec.Struct, frozen=True, kw_only=True):
    """A control's answer. ``because``: what was seen, fault by fault; ``do``: what to do, empty where in force."""

    control: str
    state: State
    because: tuple[str, ...]
    do: tuple[str, ...] = ()
    stated: bool = False


class Situation(NamedTuple):
    """What a check looks at. ``day`` and ``now_us`` are one moment, UTC."""

    playbook: Playbook
    adoption: Adoption
    here: Configuration
    now_us: int
    day: dt.date

    @property
    def named(self) -> str:
        """The organisation's id for a command line, or what stands for one."""
        return self.adoption.organisation or "ORGANISATION"

    def groups(self) -> list[Group]:
        """The groups that the adoption names; those that there are not are left out (`tiers` complains of them)."""
        routes = self.here.routes
        found = [routes.group(name) for name in self.adoption.models] if routes is not None else []
        return [one for one in found if one is not None]

    def model_names(self) -> list[str]:
        """Models that may answer the use case's requests, by the name that `models.toml` has them under."""
        if self.here.routes is None:
            return list(self.adoption.models)
        return list(dict.fromkeys(one.name for group in self.groups() for one in group.candidates))

    def listed(self) -> list[ModelFact]:
        """Rows of `models.toml` on them."""
        by_name = self.here.models.by_name
        return [by_name[name] for name in self.model_names() if name in by_name]

    def policy(self) -> Requirements:
        """What `gateway.yaml` requires of every request of the organisation, whoever sends it."""
        if self.here.routes is None:
            return Requirements()
        return self.here.routes.policy(organisation_id=self.adoption.organisation, account_id="", credential_id="")

    def unreadable(self, *names: str) -> list[Fault]:
        """A fault for each of these files that cannot be used: what it would say is not known."""
        return [
            Fault(f"`{name}` cannot be used: {self.here.unreadable[name]}", f"mend `{name}`", known=False)
            for name in names
            if name in self.here.unreadable
        ]

    def candidates(self) -> list[Candidate]:
        return [one for group in self.groups() for one in group.candidates]


def finding(control: str, found: Found) -> Finding:
    """The answer that a check's reasons make."""
    if not found.faults:
        return Finding(control=control, state="in force", because=(found.shown,), stated=found.stated)
    return Finding(
        control=control,
        state="not in force" if any(one.known for one in found.faults) else "not known",
        because=tuple(one.because for one in found.faults),
        do=tuple(dict.fromkeys(one.do for one in found.faults)),
        stated=found.stated,
    )
