"""What a deployment has in place, as read from its files and databases: plain facts, which checks only look at."""

from __future__ import annotations

import msgspec

from tiergate.admission.holders import Holder
from tiergate.admission.models import Models
from tiergate.admission.programmes import Programme
from tiergate.admission.purposes import Purpose
from tiergate.admission.rule_packs import Standing
from tiergate.admission.standing import Membership
from tiergate.gateway.metering.limits import Limit
from tiergate.gateway.routing.routes import Routes
from tiergate.parties.registry import Credential


class Response(msgspec.Struct, frozen=True, kw_only=True):
    """Of response. ``approvals``: people who must agree to a step, of the policy's steps; ``alerts``: types that some
    sink is sent; ``overdue``: appeals past their date; ``watched``: whether a watch runs on the folder now."""

    approvals: dict[str, int]
    appeal_days: int
    alerts: frozenset[str]
    overdue: int
    watched: bool


class Kept(msgspec.Struct, frozen=True, kw_only=True):
    """Of the exchange log: exchanges that were looked at, the newest, and those of them with text. ``setting``: what
    the environment says that a gateway started from it would keep."""

    exchanges: int
    with_text: int
    setting: str


class Configuration(msgspec.Struct, frozen=True, kw_only=True):
    """``unreadable``: by file, why it cannot be read; what it would say is then absent here. ``packs``: those that are
    active, with what their text says of the day; ``ownership_packs``: which of them need facts of parties;
    ``decisions``: records of the decision log, None where there is none; ``decisions_fault``: why the newest does not
    hold."""

    models: Models
    routes: Routes | None
    unreadable: dict[str, str]
    limits: tuple[Limit, ...]
    packs: dict[str, Standing]
    ownership_packs: frozenset[str]
    parties: bool
    programmes: dict[str, Programme]
    memberships: tuple[Membership, ...]
    purposes: tuple[Purpose, ...]
    holders: tuple[Holder, ...]
    credentials: tuple[Credential, ...]
    response: Response
    kept: Kept
    decisions: int | None
    decisions_fault: str | None = None
