"""Findings, sightings and opinions as objects of STIX 2.1; `reading` has the way back.

A finding is a `campaign` that `uses` its techniques and its `infrastructure` of networks and accounts; an `indicator`
of its tokens `indicates` it. Every id follows from the finding's (UUID version 5), so the same finding is always the
same bytes, and a newer version of it replaces the older one object by object.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any, Final, TypeVar

import msgspec
import rfc8785
from msgspec import UNSET

from tiergate.sharing.atlas import attack_pattern
from tiergate.sharing.finding import (
    ACCOUNT,
    NAMESPACE,
    Capability,
    Finding,
    Lab,
    Opinion,
    Sighting,
    Told,
    least,
)
from tiergate.sharing.marking import CREATED, Tlp
from tiergate.sharing.objects import (
    ENCODER,
    EXTENSION_ID,
    PATTERN_TYPE,
    AnyObject,
    AutonomousSystem,
    Bundle,
    Campaign,
    CampaignExtensions,
    CampaignProperties,
    ExtensionDefinition,
    How,
    Identity,
    Indicator,
    Infrastructure,
    MarkingDefinition,
    MarkingExtensions,
    ObservedData,
    OpinionObject,
    Relationship,
    SaidExtensions,
    SaidProperties,
    SightingObject,
    TlpProperties,
    UserAccount,
    Versioned,
)

SCO_NAMESPACE: Final = uuid.UUID("00abedb4-aa42-466c-9c01-fed23315a9b7")
"""Of ids of cyber-observable objects (STIX 2.1, section 2.9)."""
PUBLISHED: Final = "2026-11-28T00:00:00.000Z"
"""When our extension was."""

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_S: Final = "2.1"
V = TypeVar("V", bound=Versioned)

AUTHOR: Final = Identity(
    spec_version=_S,
    id=f"identity--{uuid.uuid5(NAMESPACE, 'tiergate')}",
    created=PUBLISHED,
    modified=PUBLISHED,
    name="Tiergate",
    identity_class="system",
)
"""Who made the extension."""
EXTENSION: Final = ExtensionDefinition(
    spec_version=_S,
    id=EXTENSION_ID,
    created_by_ref=AUTHOR.id,
    created=PUBLISHED,
    modified=PUBLISHED,
    name="Distillation finding",
    description="Volumes of a distillation campaign as powers of two, the capabilities that it is after, and what of a "
    "campaign a sighting or an opinion speaks of.",
    schema="accounts_log2, exchanges_log2: 0 to 40; b stands for 2**(b-1) and more, less than 2**b; 0: none. "
    f"capabilities: of {', '.join(Capability)}. content: SHA-256 of networks and tokens. "
    "Full text: docs/sharing-schema.md of Tiergate.",
    version="1.0.0",
    extension_types=["property-extension"],
)


def identity(lab: Lab) -> Identity:
    """The lab as an object. What it is called never changes, since its id follows from that."""
    return Identity(
        spec_version=_S,
        id=f"identity--{lab.lab_id}",
        created=PUBLISHED,
        modified=PUBLISHED,
        name=lab.name,
        identity_class="organization",
    )


def marking(tlp: Tlp) -> MarkingDefinition:
    """The object that OASIS has for a marking."""
    return MarkingDefinition(
        spec_version=_S,
        id=tlp.marking_id,
        created=CREATED,
        name=tlp.label,
        extensions=MarkingExtensions(TlpProperties("property-extension", tlp.value)),
    )


def to_bundle(told: Iterable[Told]) -> Bundle:
    """All that is told, as one bundle; objects that several need are in it once."""
    objects: dict[tuple[str, str], AnyObject] = {}
    for one in told:
        for each in to_objects(one):
            objects.setdefault((each.id, each.modified if isinstance(each, Versioned) else ""), each)
    held = list(objects.values())
    name = b"\n".join(ENCODER.encode(one) for one in held)
    return Bundle(id=f"bundle--{uuid.uuid5(NAMESPACE, name.hex())}", objects=held)


def to_bytes(told: Iterable[Told]) -> bytes:
    """All that is told as a bundle in JSON, indented; always the same bytes for the same."""
    return msgspec.json.format(ENCODER.encode(to_bundle(told)), indent=2) + b"\n"


def to_objects(told: Told) -> list[AnyObject]:
    """One of them as objects: those of everybody first, then the lab, then what it says."""
    said = (
        _finding(told)
        if isinstance(told, Finding)
        else _sighting(told)
        if isinstance(told, Sighting)
        else _opinion(told)
    )
    return [AUTHOR, EXTENSION, marking(told.tlp), identity(told.lab), *said]


def revoked(one: V, now_us: int) -> V:
    """The last version of an object: it is withdrawn."""
    return msgspec.structs.replace(one, revoked=True, modified=time_of(now_us))


def _common(told: Told) -> dict[str, Any]:
    return {
        "spec_version": _S,
        "created_by_ref": f"identity--{told.lab.lab_id}",
        "created": time_of(told.created_us),
        "modified": time_of(told.modified_us),
        "revoked": told.revoked or UNSET,
        "object_marking_refs": [told.tlp.marking_id],
    }


def _finding(told: Finding) -> Iterator[AnyObject]:
    common, short = _common(told), told.finding_id[:8]
    seen: dict[str, Any] = {"first_seen": time_of(told.first_seen_us), "last_seen": time_of(told.last_seen_us)}
    marked: dict[str, Any] = {"spec_version": _S, "object_marking_refs": common["object_marking_refs"]}

    def made(kind: str, name: str = "") -> str:
        return f"{kind}--{uuid.uuid5(uuid.UUID(told.finding_id), f'{kind} {name}'.rstrip())}"

    def related(source: str, how: How, target: str) -> Relationship:
        return Relationship(
            **common,
            id=made("relationship", f"{source} {how} {target}"),
            relationship_type=how,
            source_ref=source,
            target_ref=target,
        )

    campaign = Campaign(
        **common,
        **seen,
        id=f"campaign--{told.finding_id}",
        name=f"Distillation campaign {short}",
        confidence=told.confidence,
        extensions=CampaignExtensions(
            CampaignProperties(
                accounts_log2=told.accounts,
                exchanges_log2=told.exchanges,
                capabilities=list(told.capabilities) or UNSET,
            )
        ),
    )
    yield campaign
    for technique in told.techniques:
        pattern = attack_pattern(technique)
        yield pattern
        yield related(campaign.id, "uses", pattern.id)

    accounts = [
        UserAccount(**marked, id=account_id(str(token)), user_id=str(token))
        for token in told.tokens
        if token.kind == ACCOUNT
    ]
    networks = [AutonomousSystem(**marked, id=network_id(number), number=number) for number in told.networks]
    if accounts or networks:
        name = f"Fraudulent account network {short}"
        infrastructure = Infrastructure(
            **common,
            **seen,
            id=made("infrastructure"),
            name=name,
            infrastructure_types=["anonymization"] if networks else ["unknown"],
        )
        yield infrastructure
        yield related(campaign.id, "uses", infrastructure.id)
        for network in networks:
            yield network
            yield related(infrastructure.id, "consists-of", network.id)
        if accounts:
            yield from accounts
            observed = ObservedData(
                **common,
                id=made("observed-data"),
                first_observed=seen["first_seen"],
                last_observed=seen["last_seen"],
                number_observed=1,
                object_refs=[one.id for one in accounts],
            )
            yield observed
            yield related(infrastructure.id, "consists-of", observed.id)

    tokens = [str(token) for token in told.tokens if token.kind != ACCOUNT]
    if tokens:
        indicator = Indicator(
            **common,
            id=made("indicator"),
            name=f"Tokens of distillation campaign {short}",
            indicator_types=["anomalous-activity"],
            pattern=" ".join(tokens),
            pattern_type=PATTERN_TYPE,
            valid_from=seen["first_seen"],
        )
        yield indicator
        yield related(indicator.id, "indicates", campaign.id)


def _sighting(told: Sighting) -> Iterator[AnyObject]:
    yield SightingObject(
        **_common(told),
        id=f"sighting--{told.sighting_id}",
        first_seen=time_of(told.first_seen_us),
        last_seen=time_of(told.last_seen_us),
        count=least(told.accounts),
        sighting_of_ref=f"campaign--{told.about}",
        where_sighted_refs=[f"identity--{told.lab.lab_id}"],
        extensions=SaidExtensions(SaidProperties(content=told.content)),
    )


def _opinion(told: Opinion) -> Iterator[AnyObject]:
    yield OpinionObject(
        **_common(told),
        id=f"opinion--{told.opinion_id}",
        opinion=told.view.value,
        object_refs=[f"campaign--{told.about}"],
        extensions=SaidExtensions(SaidProperties(content=told.content)),
    )


def time_of(at_us: int) -> str:
    """Microseconds since the epoch, UTC, as STIX writes them, to the millisecond."""
    return (_EPOCH + timedelta(microseconds=at_us)).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def us_of(time: str) -> int:
    """The time in microseconds since the epoch. Raises `ValueError` for a day that is none."""
    return (datetime.fromisoformat(time) - _EPOCH) // timedelta(microseconds=1)


def account_id(token: str) -> str:
    """Id of an account, by its token."""
    return _observable("user-account", {"user_id": token})


def network_id(number: int) -> str:
    """Id of an autonomous system."""
    return _observable("autonomous-system", {"number": number})


def _observable(kind: str, properties: dict[str, Any]) -> str:
    return f"{kind}--{uuid.uuid5(SCO_NAMESPACE, rfc8785.dumps(properties).decode())}"
