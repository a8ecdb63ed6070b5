"""Standings, models and requests by lot: near to what passes, each with a few things wrong, so that gates meet."""

from __future__ import annotations

import random
from typing import Any

import msgspec

from tiergate.admission.known_facts import (
    ClassFact,
    GrantFact,
    MembershipFact,
    ModelFact,
    PurposeFact,
    RequestFact,
    Standing,
)

T0 = 1_800_000_000_000_000
HOUR = 3_600_000_000
PACKS = ("pack_half", "pack_over_half", "pack_seat")
CLASSES = ("class_residence", "class_nationality")
PROGRAMMES = ("prog_a", "prog_b")
PURPOSES = ("defence", "research", "audit")
ASSETS = ("asset_1", "asset_2", "asset_3")
PROJECTS = ("project_1", "project_2")
SURFACES = ("chat", "batch")
MODELS = (
    ModelFact(model="c-full", tier="classified", programme="prog_a", organisation_packs=PACKS, person_packs=CLASSES,
              retention_needed="sketches"),
    ModelFact(model="c-packs", tier="classified", programme="prog_a", organisation_packs=PACKS[:1]),
    ModelFact(model="c-bare", tier="classified", programme="prog_b", person_packs=CLASSES[:1], retention_needed="text"),
    ModelFact(model="c-orphan", tier="classified"),
    ModelFact(model="m-packs", tier="commodity", organisation_packs=PACKS[:2], person_packs=CLASSES[1:]),
    ModelFact(model="m-kept", tier="commodity", retention_needed="text"),
    ModelFact(model="m-bare", tier="commodity"),
    ModelFact(model="o-bare", tier="open"),
    ModelFact(model="o-packs", tier="open", organisation_packs=PACKS[2:]),
    ModelFact(model="x-tier", tier="secret", organisation_packs=PACKS[:1]),  # type: ignore[arg-type]
)  # fmt: skip
OFFERS = tuple(model for model in MODELS if model.tier in ("commodity", "open"))


def standing(rng: random.Random, number: int, wrong: float) -> Standing:
    """A standing whose facts are each spoilt with the chance ``wrong``."""

    def spoilt() -> bool:
        return rng.random() < wrong

    def verdicts() -> dict[str, Any]:
        drawn = {pack: rng.choice(("yes", "not_known", "odd", None)) if spoilt() else "no" for pack in PACKS}
        return {pack: verdict for pack, verdict in drawn.items() if verdict is not None}

    def when(ends: bool) -> int:
        return T0 + (rng.randint(-3, 3) if spoilt() else (48 if ends else -48)) * HOUR

    organisation = None if spoilt() else f"org_{number}"
    person = None if rng.random() < 0.2 else f"person_{number}"
    workload = None if person and not spoilt() else f"workload_{number}"
    if spoilt():
        person = workload = None
    return Standing(
        credential_id=f"key_{number}",
        credential_bound=not spoilt(),
        credential_live=not spoilt(),
        organisation_id=organisation,
        person_id=person,
        workload_id=workload,
        employer_id=rng.choice((None, "org_contractor")) if rng.random() < max(0.3, wrong) else organisation,
        memberships=tuple(
            MembershipFact(
                programme=rng.choice(PROGRAMMES) if spoilt() else programme,
                state=rng.choice(("pending", "suspended", "")) if spoilt() else "active",
                terms_accepted=not spoilt(),
            )
            for programme in PROGRAMMES
            if not spoilt()
        ),
        organisation_verdicts=verdicts(),
        employer_verdicts=verdicts(),
        person_classes={
            pack: ClassFact(value="ineligible" if spoilt() else "eligible", issuer="org", expires_at_us=when(True))
            for pack in CLASSES
            if not spoilt()
        },
        purposes={
            purpose: PurposeFact(
                assets=tuple(asset for asset in ASSETS if not spoilt()),
                asset_needed=rng.random() < 0.7,
                ends_us=None if rng.random() < 0.4 else when(True),
            )
            for purpose in PURPOSES
            if not spoilt()
        },
        grants=tuple(_grant(rng, wrong, name, person, workload, when) for name in range(rng.randint(0, 5))),
        retention=rng.choice(("zero", "sketches", None)) if spoilt() else "text",
        second_proof=rng.choice(("missing", "other", None)),
        revoked={rng.choice(PROGRAMMES): "grant_0"} if spoilt() else {},
    )


def _grant(
    rng: random.Random, wrong: float, name: int, person: str | None, workload: str | None, when: Any
) -> GrantFact:
    def spoilt() -> bool:
        return rng.random() < wrong

    return GrantFact(
        grant_id=f"grant_{name}",
        programme=rng.choice(PROGRAMMES),
        person_id=rng.choice((None, "somebody")) if spoilt() else person,
        workload_id=rng.choice((None, "something")) if spoilt() else workload,
        project=rng.choice(PROJECTS),
        models=tuple(model.model for model in MODELS[:3] if not spoilt()),
        surfaces=SURFACES[:1] if spoilt() else SURFACES,
        purposes=tuple(purpose for purpose in PURPOSES if not spoilt()),
        starts_us=when(False),
        ends_us=when(True),
    )


def request(rng: random.Random, model: ModelFact, wrong: float) -> RequestFact:
    """A request at a whole hour of the day around `T0`, or a microsecond beside one."""

    def or_wrong(right: Any, *others: Any) -> Any:
        return rng.choice(others) if rng.random() < wrong else right

    return RequestFact(
        model=model.model,
        surface=or_wrong(rng.choice(SURFACES), "elsewhere"),
        now_us=T0 + rng.randint(-4, 4) * HOUR + rng.choice((-1, 0, 0, 1)),
        account=or_wrong("allowed", "account_suspended", ""),
        current=or_wrong(True, False),
        project=or_wrong(rng.choice(PROJECTS), None, "project_x"),
        purpose=or_wrong(rng.choice(PURPOSES), None, "mischief"),
        asset=or_wrong(rng.choice(ASSETS), None, "asset_x"),
        credit_available=or_wrong(True, False, None),
    )


def right(**changes: Any) -> tuple[Standing, ModelFact, RequestFact]:
    """Facts that pass every gate of a classified model, with ``changes`` by name of the field of any of the three."""
    standing = Standing(
        credential_id="key_1",
        credential_bound=True,
        credential_live=True,
        organisation_id="org_1",
        person_id="person_1",
        employer_id="org_2",
        memberships=(MembershipFact(programme="prog_a", state="active", terms_accepted=True),),
        organisation_verdicts={"pack_half": "no", "pack_seat": "no"},
        employer_verdicts={"pack_half": "no", "pack_seat": "no"},
        person_classes={"class_residence": ClassFact(value="eligible", issuer="org_1", expires_at_us=T0 + 2 * HOUR)},
        purposes={"defence": PurposeFact(assets=("asset_1",), ends_us=T0 + 4 * HOUR)},
        grants=(RIGHT_GRANT,),
        retention="sketches",
    )
    model = ModelFact(
        model="c-full", tier="classified", programme="prog_a", organisation_packs=("pack_half", "pack_seat"),
        person_packs=("class_residence",), retention_needed="sketches",
    )  # fmt: skip
    request = RequestFact(
        model="c-full", surface="chat", now_us=T0, account="allowed", current=True, project="project_1",
        purpose="defence", asset="asset_1", credit_available=True,
    )  # fmt: skip
    made = []
    for fact in (standing, model, request):
        mine = {name: value for name, value in changes.items() if name in fact.__struct_fields__}
        made.append(msgspec.structs.replace(fact, **mine))
    return made[0], made[1], made[2]  # type: ignore[return-value]


RIGHT_GRANT = GrantFact(
    grant_id="grant_1", programme="prog_a", person_id="person_1", project="project_1", models=("c-full",),
    surfaces=("chat",), purposes=("defence",), starts_us=T0 - HOUR, ends_us=T0 + 3 * HOUR, credit_line="line_1",
)  # fmt: skip
