"""The facts that a decision about a tier reads, and nothing else.

Whoever keeps a fact maps it to these shapes; a decision does no I/O. Ids are content-free. Times are whole
microseconds since the epoch, UTC; a span holds its start and not its end. None, or a key that is not there, always
means that the fact is not known, and is never an allow. Containers belong to the fact: do not change them afterwards,
make a new fact and raise the epoch (`tiergate.admission.epochs`). Facts on record leave out what has its default, so a
default never changes. There are hundreds of thousands of them and they hold no cycles, so the garbage collector is told
to leave them alone (`gc=False`).
"""

from __future__ import annotations

from typing import Annotated, Final, Literal

import msgspec

Verdict3 = Literal["yes", "no", "not_known"]
"""Whether a rule pack bars somebody: `yes` is barred, `no` is cleared."""

Retention = Literal["zero", "sketches", "text"]
"""What is kept of an exchange beyond its numbers, least first."""

RETENTION_RANK: Final[dict[str | None, int]] = {"zero": 0, "sketches": 1, "text": 2}

Tier = Literal["classified", "commodity", "open"]

TIER_RANK: Final[dict[str, int]] = {"classified": 2, "commodity": 1, "open": 0}

Price = Annotated[int, msgspec.Meta(ge=0, le=10**12)]

FOREVER: Final = 2**63 - 1
"""The end of a span that has none: the largest time that a policy can hold."""


class MembershipFact(msgspec.Struct, frozen=True, gc=False, kw_only=True, omit_defaults=True):
    """Membership of a programme. Only the state `active` counts; ``terms_accepted``: of the version in force."""

    programme: str
    state: str
    terms_accepted: bool


class ClassFact(msgspec.Struct, frozen=True, gc=False, kw_only=True, omit_defaults=True):
    """A person's signed class under one rule pack, from an issuer that the pack trusts, until it expires."""

    value: Literal["eligible", "ineligible"]
    issuer: str
    expires_at_us: int


class PurposeFact(msgspec.Struct, frozen=True, gc=False, kw_only=True, omit_defaults=True):
    """A purpose that is allowed, and the assets that it is authorised for.

    ``asset_needed`` is False only for a purpose that is about no asset at all; ``ends_us`` None does not end.
    """

    assets: tuple[str, ...] = ()
    asset_needed: bool = True
    ends_us: int | None = None


class GrantFact(msgspec.Struct, frozen=True, gc=False, kw_only=True, omit_defaults=True):
    """What a programme grants to one person or one workload, in one project. A grant to neither grants nothing."""

    grant_id: str
    programme: str
    person_id: str | None = None
    workload_id: str | None = None
    project: str
    models: tuple[str, ...]
    surfaces: tuple[str, ...]
    purposes: tuple[str, ...]
    starts_us: int
    ends_us: int
    credit_line: str | None = None


class Standing(msgspec.Struct, frozen=True, gc=False, kw_only=True, omit_defaults=True):
    """Everything known about who holds a credential.

    :param credential_bound: presented together with a second proof (sign-in, client certificate) that belongs to it.
    :param second_proof: of a key that has one on file and came without it: `missing`, or `other` where another came.
    :param credential_live: not revoked.
    :param employer_id: the employer of record of the person; the organisation's own id for its own staff, None where
        nobody has said.
    :param organisation_verdicts: by rule pack; ``employer_verdicts`` likewise, not read where the employer is the
        organisation.
    :param ownership_wanted: by rule pack, what would settle a verdict on the organisation that is not known, in words
        that name no other party; no gate reads it.
    :param person_classes: by rule pack; of the person, or of the person who answers for a workload.
    :param purposes: by code.
    :param revoked: by programme, the last revoked grant of a holder who has no other.
    :param retention: the most that may be kept of this organisation's exchanges.
    """

    credential_id: str
    credential_bound: bool
    credential_live: bool
    organisation_id: str | None = None
    person_id: str | None = None
    workload_id: str | None = None
    employer_id: str | None = None
    memberships: tuple[MembershipFact, ...] = ()
    organisation_verdicts: dict[str, Verdict3] = {}
    employer_verdicts: dict[str, Verdict3] = {}
    person_classes: dict[str, ClassFact] = {}
    purposes: dict[str, PurposeFact] = {}
    grants: tuple[GrantFact, ...] = ()
    retention: Retention | None = None
    ownership_wanted: dict[str, tuple[str, ...]] = {}
    second_proof: Literal["missing", "other"] | None = None
    revoked: dict[str, str] = {}


class ModelFact(msgspec.Struct, frozen=True, gc=False, kw_only=True, omit_defaults=True):
    """A model's tier and what its row asks: the active rule packs for organisations and persons, and retention.

    Prices are micro-dollars for a million tokens, None where the row has none; no gate reads them.
    """

    model: str
    tier: Tier
    programme: str | None = None
    organisation_packs: tuple[str, ...] = ()
    person_packs: tuple[str, ...] = ()
    retention_needed: Retention = "zero"
    input_price: Price | None = None
    output_price: Price | None = None


class RequestFact(msgspec.Struct, frozen=True, gc=False, kw_only=True, omit_defaults=True):
    """One request.

    :param account: the code of `tiergate.admission.decision.admit`; anything but `allowed` refuses.
    :param current: whether changes of the facts were heard of lately enough.
    :param estimate_micro_usd: what the request may cost; for whoever answers ``credit_available``, no gate reads it.
    :param credit_available: whether the grant's credit line covers the estimate, None where that is not known.
    """

    model: str
    surface: str
    now_us: int
    account: str
    current: bool
    project: str | None = None
    purpose: str | None = None
    asset: str | None = None
    estimate_micro_usd: int = 0
    credit_available: bool | None = None
