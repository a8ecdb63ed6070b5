"""Operations on rule packs: which bind, who flips if that changes, and changing it: one proposes, another confirms."""

from __future__ import annotations

import threading
from datetime import UTC, date, datetime, time
from typing import Annotated, Any, Final, Literal

import msgspec

from tiergate.admission.activations import Activation as Recorded
from tiergate.admission.activations import day_of
from tiergate.admission.drill import Drill, drill
from tiergate.admission.on_file import on_file
from tiergate.admission.ownership_facts import OwnershipFacts, no_facts
from tiergate.admission.preview import Preview, Row
from tiergate.admission.preview import preview as previewed
from tiergate.admission.rule_packs import RulePack, find_pack, load_packs, standing
from tiergate.api.members import Given, Id
from tiergate.api.operations import Call, Operation
from tiergate.api.operators import Permission
from tiergate.api.pack_proposals import LASTS_US, Proposal, new_proposal_id
from tiergate.api.paging import Page, PageQuery, page
from tiergate.api.problems import ProblemError, not_found
from tiergate.api.services import Services
from tiergate.errors import InputError

MOST_ROWS: Final = 1000
_DRILLING: Final = threading.Lock()
"""A drill judges everybody three times: one at a time is enough."""
Action = Literal["activate", "deactivate"]


class PackView(msgspec.Struct, frozen=True, kw_only=True):
    """A rule pack today. ``text_says``: what its own text says of today; ``active``: whether it binds."""

    name: str
    kind: str
    title: str
    text_says: str
    active: bool
    customer_text: str
    appeal_text: str


class Trial(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A change to try. ``day`` is today where none is given; ``confirmed``: as if the rule were confirmed where its
    text leaves open whether it is in force."""

    action: Action = "activate"
    day: date | None = None
    confirmed: bool = False


class Tried(msgspec.Struct, frozen=True, kw_only=True):
    """Who is concerned by a change, of parties, holders of keys and their organisations: those who flip first, at most
    `MOST_ROWS`; ``rows_in_all`` says how many are, ``not_known`` of how many organisations the pack does not know."""

    pack: str
    action: str
    day: date
    standing: str
    flips: int
    counts: dict[str, dict[str, int]]
    rows: list[Row]
    rows_in_all: int
    not_known: int


class PackChange(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A change to propose. ``confirmation``: the source that says a rule is in force where its text leaves it open."""

    action: Action
    day: date
    reason: Given
    confirmation: Annotated[str, msgspec.Meta(max_length=10_000)] | None = None


class Reference(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which proposal is confirmed. ``fingerprint``: of the pack, as the proposal shows it."""

    fingerprint: Id


class DrillRequest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A drill to run. ``models``: those that the order closes; where none are given, two that the deployment has."""

    models: Annotated[list[Id], msgspec.Meta(max_length=10)] = []


def list_packs(call: Call) -> Page[PackView]:
    day = day_of(call.now_us)
    store = call.services.activations
    known = store.with_kept(load_packs(call.services.settings.packs))
    active = {one.pack.name for one in store.active(known, day)}
    views = [
        PackView(
            name=pack.name,
            kind=pack.kind,
            title=pack.title,
            text_says=standing(pack, day).value,
            active=pack.name in active,
            customer_text=pack.customer_text,
            appeal_text=pack.appeal_text,
        )
        for pack in known.values()
    ]
    return page(views, lambda view: view.name, call.query)


def preview(call: Call) -> Tried:
    shown = whole_preview(call.services, call.path("pack"), call.body, call.now_us)
    return Tried(
        pack=shown.pack,
        action=shown.action,
        day=day_of(shown.at_us),
        standing=shown.standing,
        flips=shown.flips,
        counts=shown.counts,
        rows=shown.rows[:MOST_ROWS],
        rows_in_all=len(shown.rows),
        not_known=shown.not_known,
    )


def whole_preview(services: Services, name: str, asked: Trial, now_us: int) -> Preview:
    """A preview with all its rows. Raises `ProblemError` for a pack that is not there."""
    known, pack = pack_of(services, name)
    today = day_of(now_us)
    day = asked.day or today
    at_us = now_us if day == today else int(datetime.combine(day, time(), UTC).timestamp()) * 1_000_000
    active = services.activations.active(known, day)
    held = on_file(services.engine)
    return previewed(
        pack,
        asked.action,
        active,
        _facts(services, at_us),
        at_us,
        confirmed=asked.confirmed,
        also=held.organisations,
        persons=held.persons,
        issuers=held.issuers,
        signatures_checked=True,
    )


def run_drill(call: Call) -> Drill:
    settings = call.services.settings
    if not _DRILLING.acquire(blocking=False):
        raise ProblemError(409, "drill_under_way", "a drill is under way already", "ask again when it is done")
    try:
        return drill(settings.data, call.body.models, call.now_us, packs=settings.packs)
    finally:
        _DRILLING.release()


def list_proposals(call: Call) -> Page[Proposal]:
    return page(call.services.proposals.every(call.now_us), lambda one: one.proposal_id, call.query)


def propose(call: Call) -> Proposal:
    asked: PackChange = call.body
    _, pack = pack_of(call.services, call.path("pack"))
    if asked.day < day_of(call.now_us):
        raise InputError(f"`{asked.day}` is past: what was decided then stays; choose today or later")
    call.require_passkey()
    proposal = Proposal(
        proposal_id=new_proposal_id(),
        pack=pack.name,
        fingerprint=pack.fingerprint(),
        proposed_by=call.operator.name,
        operator_id=call.operator.operator_id,
        expires_at=call.now_us + LASTS_US,
        **msgspec.structs.asdict(asked),
    )
    call.services.proposals.put(proposal)
    return proposal


def confirm(call: Call) -> Recorded:
    proposal_id = call.path("proposal_id")
    held = [one for one in call.services.proposals.every(call.now_us) if one.proposal_id == proposal_id]
    if not held:
        raise not_found("proposal", proposal_id)
    (proposal,) = held
    _, pack = pack_of(call.services, proposal.pack)
    if proposal.operator_id == call.operator.operator_id:
        raise ProblemError(
            409, "second_person_needed", "whoever proposed a change cannot confirm it", "ask another administrator"
        )
    proposer = call.services.operators.get(proposal.operator_id)
    if proposer is None or not proposer.may(Permission.ACTIVATE_PACK):
        raise ProblemError(
            409, "proposer_left", "whoever proposed this is no longer at work here", "propose it again, by two who are"
        )
    if not call.body.fingerprint == proposal.fingerprint == pack.fingerprint():
        raise ProblemError(
            409, "pack_changed", "the pack is not what was proposed", "look at it anew and propose it again"
        )
    call.require_passkey()
    store = call.services.activations
    recorded = store.record(
        pack,
        proposal.action,
        day=proposal.day,
        names=(proposal.proposed_by, call.operator.name),
        reason=proposal.reason,
        now_us=call.now_us,
        confirmation=proposal.confirmation,
    )
    # Taken after it is recorded: recorded twice says the same twice, lost it would have to be proposed again.
    call.services.proposals.take(proposal_id, call.now_us)
    return recorded


def pack_of(services: Services, name: str) -> tuple[dict[tuple[str, int], RulePack], RulePack]:
    """All packs that are known, and the one of this name. Raises `ProblemError` where there is none."""
    known = services.activations.with_kept(load_packs(services.settings.packs))
    try:
        return known, find_pack(known, name)
    except InputError:
        raise not_found("rule pack", name) from None


def _facts(services: Services, at_us: int) -> OwnershipFacts:
    world = services.ownership.world(at_us)
    return no_facts() if world is None else world.facts


def _operation(method: str, path: str, name: str, summary: str, permission: Permission, **more: Any) -> Operation:
    return Operation(
        method=method, path=path, name=name, summary=summary, permission=permission, subject="packs", **more
    )


OPERATIONS: Final = (
    _operation("GET", "/v1/packs", "list_packs", "Rule packs, and which bind today", Permission.READ,
               handler=list_packs, query=PageQuery, gives=Page[PackView]),
    _operation("POST", "/v1/packs/{pack}/preview", "preview_pack", "Who flips if a pack's standing changes",
               Permission.PREVIEW_PACK, handler=preview, takes=Trial, gives=Tried),
    _operation("POST", "/v1/drill", "drill", "The June drill in a copy of the deployment, which itself stays as it is",
               Permission.PREVIEW_PACK, handler=run_drill, takes=DrillRequest, gives=Drill),
    _operation("POST", "/v1/packs/{pack}/proposals", "propose_pack", "Propose to activate or deactivate a pack",
               Permission.ACTIVATE_PACK, handler=propose, takes=PackChange, gives=Proposal, status=201,
               step_up="always"),
    _operation("GET", "/v1/pack-proposals", "list_proposals", "Proposals that wait for a second person",
               Permission.PREVIEW_PACK, handler=list_proposals, query=PageQuery, gives=Page[Proposal]),
    _operation("POST", "/v1/pack-proposals/{proposal_id}/confirmation", "confirm_pack",
               "Confirm another person's proposal: the pack binds, or no longer does", Permission.ACTIVATE_PACK,
               handler=confirm, takes=Reference, gives=Recorded, step_up="always"),
)  # fmt: skip
