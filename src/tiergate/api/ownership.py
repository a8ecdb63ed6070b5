"""Operations on ownership: who holds an organisation, and what rule packs say of it; the facts of one party.

The house reads everything. Who belongs to an organisation reads of that organisation what a pack says and which kind of
fact would settle it, without any other party: holders of its holders may have told us in confidence.
"""

from __future__ import annotations

from typing import Any, Final

import msgspec

from tiergate.admission.activations import ActivePack, day_of
from tiergate.admission.eligibility import PackVerdicts
from tiergate.admission.rule_packs import RulePack, find_pack, load_packs
from tiergate.admission.wanted_facts import wanted_facts
from tiergate.api.members import Id
from tiergate.api.operations import Call, Operation
from tiergate.api.operators import Permission
from tiergate.api.ownership_desk import World
from tiergate.api.problems import not_found
from tiergate.errors import InputError
from tiergate.parties.fact_rows import read_id
from tiergate.parties.neighbours import Owners, Party, Record, Tie

MOST_TIES: Final = 200


class OwnershipQuery(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """``pack``: look under this one too, as if it bound. ``confirmed``: as if it were confirmed to be in force."""

    pack: Id | None = None
    confirmed: bool = False


class PackSays(msgspec.Struct, frozen=True, kw_only=True):
    """What one pack says of an organisation. ``wanted``: what would settle it where it is not known, cheapest first.
    ``proof``: steps from those listed to the organisation, each with its stakes."""

    pack: str
    active: bool
    standing: str
    verdict: str
    reason: str
    outcome: str
    notes: tuple[str, ...]
    wanted: list[str]
    proof_reference: str | None = None
    proof: dict[str, Any] | None = None


class OwnershipView(msgspec.Struct, frozen=True, kw_only=True):
    """An organisation's ownership. ``facts`` names the facts it was judged on, None where there are none; ``known``:
    whether they have the organisation; ``owners``: who holds it, for the house alone."""

    organisation_id: str
    day: str
    facts: str | None
    known: bool
    says: list[PackSays]
    owners: Owners | None = None


class PartyView(msgspec.Struct, frozen=True, kw_only=True):
    """What sources say of one party. ``owners`` and ``owns``: the largest stakes in it and of it."""

    party: Party
    ids: list[str]
    records: list[Record]
    owners: list[Tie]
    owns: list[Tie]


def ownership(call: Call) -> OwnershipView:
    return ownership_of(call, call.path("organisation_id"), call.query)


def ownership_of(call: Call, organisation_id: str, asked: OwnershipQuery) -> OwnershipView:
    """The ownership of an organisation that the caller may see. Raises `ProblemError` otherwise."""
    if not call.operator.sees(organisation_id):
        raise not_found("organisation", organisation_id)
    services, day = call.services, day_of(call.now_us)
    world = services.ownership.world(call.now_us)
    number = None if world is None else world.facts.number(organisation_id)
    store = services.activations
    known = store.with_kept(load_packs(services.settings.packs))
    active = [one for one in store.active(known, day) if one.pack.kind == "ownership"]
    looked = {one.pack.name: one for one in active}
    if asked.pack is not None:
        tried = _pack(known, asked.pack)
        looked.setdefault(tried.name, ActivePack(tried, asked.confirmed))
    binding = {one.pack.name for one in active}
    house = call.operator.organisation_id is None
    says = [] if world is None else [
        _says(world.judged(one, day), organisation_id, active=name in binding, house=house)
        for name, one in sorted(looked.items())
    ]  # fmt: skip
    shown = None if world is None or number is None or not house else world.neighbours.owners(number)
    return OwnershipView(
        organisation_id=organisation_id, day=day.isoformat(), facts=None if world is None else world.facts.reference,
        known=number is not None, says=says, owners=shown,
    )  # fmt: skip


def party(call: Call) -> PartyView:
    name = call.path("party")
    world = call.services.ownership.world(call.now_us)
    number = number_of(world, name)
    if call.operator.organisation_id is not None or world is None or number is None:
        raise not_found("party", name)
    near = world.neighbours
    return PartyView(
        party=near.party(number),
        ids=[near.id_of(number)],
        records=near.records(number),
        owners=near.held(number, of=True, most=MOST_TIES),
        owns=near.held(number, of=False, most=MOST_TIES),
    )


def number_of(world: World | None, name: str) -> int | None:
    """The party with this id, None where there is none."""
    wanted = read_id(name)
    return None if world is None or wanted is None else world.snapshot.number(wanted)


def _says(verdicts: PackVerdicts, organisation_id: str, *, active: bool, house: bool) -> PackSays:
    said = verdicts.of(organisation_id)
    wanted = wanted_facts(verdicts, organisation_id)
    entity = verdicts.facts.number(organisation_id)
    return PackSays(
        pack=verdicts.pack.name,
        active=active,
        standing=verdicts.standing.value,
        verdict=said.verdict.name.lower(),
        reason=said.reason.value,
        outcome=said.outcome.name.lower(),
        notes=said.notes if house else (),
        wanted=[one.text if house else one.told for one in wanted],
        proof_reference=said.proof,
        proof=verdicts.proof(entity) if house and entity is not None else None,
    )


def _pack(known: dict[tuple[str, int], RulePack], name: str) -> RulePack:
    try:
        pack = find_pack(known, name)
    except InputError:
        raise not_found("rule pack", name) from None
    if pack.kind != "ownership":
        raise InputError(f"`{pack.name}` is about persons: it says nothing of who owns an organisation")
    return pack


OPERATIONS: Final = (
    Operation(method="GET", path="/v1/organisations/{organisation_id}/ownership", name="ownership",
              summary="Who holds an organisation, and what rule packs say of it", subject="packs",
              permission=Permission.READ, handler=ownership, query=OwnershipQuery, gives=OwnershipView),
    Operation(method="GET", path="/v1/parties/{party}", name="party", summary="What sources say of one party",
              subject="packs", permission=Permission.PREVIEW_PACK, handler=party, gives=PartyView),
)  # fmt: skip
