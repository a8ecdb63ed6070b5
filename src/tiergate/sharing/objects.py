"""The objects of STIX 2.1 that findings are told in, and nothing else of it.

Each property is named, limited and typed; a property or a type that is not here is refused. None takes free text, so
there is no place for what labs must not tell each other. What the fields mean: STIX Version 2.1 (OASIS Standard).
"""

from __future__ import annotations

from typing import Annotated, Final, Literal

import msgspec
from msgspec import UNSET, Meta, UnsetType

from tiergate.sharing.finding import Bucket, Capability
from tiergate.sharing.marking import EXTENSION_ID as TLP_EXTENSION_ID

EXTENSION_ID: Final = "extension-definition--0064caef-a483-4b02-b6ac-e6e2d5962bea"
"""Of our own extension: buckets and capabilities of a campaign, and what of it a lab speaks of."""
PATTERN_TYPE: Final = "tiergate-token"
"""Language of our indicators: tokens, with a space between them."""
MOST_REFS: Final = 1_024

_UUID: Final = "[0-9a-f]{8}-[0-9a-f]{4}-[1-5][0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$"
_TIME: Final = (
    "^[0-9]{4}-(0[1-9]|1[012])-(0[1-9]|[12][0-9]|3[01])T([01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9](\\.[0-9]{1,6})?Z$"
)
_PRECISE: Final = (
    "^[0-9]{4}-(0[1-9]|1[012])-(0[1-9]|[12][0-9]|3[01])T([01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9]\\.[0-9]{3,6}Z$"
)
_KEYED: Final = "[a-z0-9-]{1,32}:[0-9A-Za-z.-]{1,32}:[a-z_]{1,32}:[0-9a-f]{32,128}"


def _id(*types: str) -> Meta:
    return Meta(pattern=f"^({'|'.join(types)})--{_UUID}")


Time = Annotated[str, Meta(pattern=_TIME)]
Precise = Annotated[str, Meta(pattern=_PRECISE)]
"""A time to the millisecond at least."""
Text = Annotated[str, Meta(min_length=1, max_length=512)]
Percent = Annotated[int, Meta(ge=0, le=100)]
IdentityId = Annotated[str, _id("identity")]
MarkingId = Annotated[str, _id("marking-definition")]
SubjectId = Annotated[str, _id("campaign", "indicator", "infrastructure")]
"""What can be sighted, and agreed with."""
RelatedId = Annotated[
    str,
    _id(
        "attack-pattern",
        "autonomous-system",
        "campaign",
        "indicator",
        "infrastructure",
        "observed-data",
        "user-account",
    ),
]
AccountId = Annotated[str, _id("user-account")]
Markings = Annotated[list[MarkingId], Meta(min_length=1, max_length=1)]


How = Literal["uses", "indicates", "consists-of", "related-to", "duplicate-of", "derived-from"]


class Object(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag_field="type"):
    """What all have in common."""

    spec_version: Literal["2.1"]
    id: str


class Versioned(Object, frozen=True, kw_only=True):
    """A domain or relationship object: its maker may revoke it, or tell a newer version."""

    created_by_ref: IdentityId | UnsetType = UNSET
    created: Precise
    modified: Precise
    revoked: bool | UnsetType = UNSET
    confidence: Percent | UnsetType = UNSET
    object_marking_refs: Markings | UnsetType = UNSET


class Identity(Versioned, frozen=True, kw_only=True, tag="identity"):
    """A lab, called by its domain. Never a person."""

    id: IdentityId
    name: Text
    identity_class: Literal["organization", "system"]


class ExtensionDefinition(Versioned, frozen=True, kw_only=True, tag="extension-definition"):
    """Our extension, as it is published."""

    id: Literal["extension-definition--0064caef-a483-4b02-b6ac-e6e2d5962bea"]
    name: Text
    description: Text
    schema: Text
    version: Literal["1.0.0"]
    extension_types: Annotated[list[Literal["property-extension"]], Meta(min_length=1, max_length=1)]


class TlpProperties(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A marking of TLP 2.0."""

    extension_type: Literal["property-extension"]
    tlp_2_0: Literal["clear", "green", "amber", "amber+strict", "red"]


class MarkingExtensions(msgspec.Struct, frozen=True, forbid_unknown_fields=True, rename={"tlp": TLP_EXTENSION_ID}):
    """The one extension of a marking."""

    tlp: TlpProperties


class MarkingDefinition(Object, frozen=True, kw_only=True, tag="marking-definition"):
    """One of the five of TLP 2.0, exactly as OASIS has them."""

    id: Annotated[str, _id("marking-definition")]
    created: Precise
    name: Text
    extensions: MarkingExtensions


class CampaignProperties(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Our extension. ``accounts_log2`` is b for 2**(b-1) accounts and more, and less than 2**b; exchanges likewise."""

    extension_type: Literal["property-extension"] = "property-extension"
    accounts_log2: Bucket
    exchanges_log2: Bucket
    capabilities: Annotated[list[Capability], Meta(min_length=1, max_length=len(Capability))] | UnsetType = UNSET


class CampaignExtensions(msgspec.Struct, frozen=True, forbid_unknown_fields=True, rename={"finding": EXTENSION_ID}):
    """The one extension of a campaign."""

    finding: CampaignProperties


class Campaign(Versioned, frozen=True, kw_only=True, tag="campaign"):
    """A distillation campaign."""

    id: Annotated[str, _id("campaign")]
    name: Annotated[str, Meta(pattern="^Distillation campaign [0-9a-f]{8}$")]
    first_seen: Time
    last_seen: Time
    extensions: CampaignExtensions


class Infrastructure(Versioned, frozen=True, kw_only=True, tag="infrastructure"):
    """What a campaign comes through."""

    id: Annotated[str, _id("infrastructure")]
    name: Annotated[str, Meta(pattern="^Fraudulent account network [0-9a-f]{8}$")]
    infrastructure_types: Annotated[list[Literal["anonymization", "unknown"]], Meta(min_length=1, max_length=2)]
    first_seen: Time | UnsetType = UNSET
    last_seen: Time | UnsetType = UNSET


class Indicator(Versioned, frozen=True, kw_only=True, tag="indicator"):
    """Tokens of a campaign."""

    id: Annotated[str, _id("indicator")]
    name: Annotated[str, Meta(pattern="^Tokens of distillation campaign [0-9a-f]{8}$")] | UnsetType = UNSET
    indicator_types: (
        Annotated[list[Literal["anomalous-activity", "malicious-activity"]], Meta(min_length=1, max_length=2)]
        | UnsetType
    ) = UNSET
    pattern: Annotated[str, Meta(pattern=f"^{_KEYED}( {_KEYED})*$", max_length=65_536)]
    pattern_type: Literal["tiergate-token"]
    valid_from: Time
    valid_until: Time | UnsetType = UNSET


class ObservedData(Versioned, frozen=True, kw_only=True, tag="observed-data"):
    """Which accounts were seen. ``number_observed`` is always 1: how often is a bucket of the campaign."""

    id: Annotated[str, _id("observed-data")]
    first_observed: Time
    last_observed: Time
    number_observed: Literal[1]
    object_refs: Annotated[list[AccountId], Meta(min_length=1, max_length=MOST_REFS)]


class UserAccount(Object, frozen=True, kw_only=True, tag="user-account"):
    """An account, as a token."""

    id: Annotated[str, _id("user-account")]
    object_marking_refs: Markings | UnsetType = UNSET
    user_id: Annotated[str, Meta(pattern=f"^{_KEYED}$")]


class AutonomousSystem(Object, frozen=True, kw_only=True, tag="autonomous-system"):
    """A network."""

    id: Annotated[str, _id("autonomous-system")]
    object_marking_refs: Markings | UnsetType = UNSET
    number: Annotated[int, Meta(ge=1, le=4_294_967_295)]


class Reference(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Where a technique is described."""

    source_name: Literal["mitre-atlas"]
    url: Annotated[str, Meta(pattern="^https://atlas\\.mitre\\.org/techniques/AML\\.T[0-9.]{4,8}$")] | UnsetType = UNSET
    external_id: Annotated[str, Meta(pattern="^AML\\.T[0-9]{4}(\\.[0-9]{3})?$")]


class AttackPattern(Versioned, frozen=True, kw_only=True, tag="attack-pattern"):
    """A technique of MITRE ATLAS."""

    id: Annotated[str, _id("attack-pattern")]
    name: Text
    external_references: Annotated[list[Reference], Meta(min_length=1, max_length=1)]


class Relationship(Versioned, frozen=True, kw_only=True, tag="relationship"):
    """How two are related."""

    id: Annotated[str, _id("relationship")]
    relationship_type: How
    source_ref: RelatedId
    target_ref: RelatedId


class SaidProperties(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Our extension of what labs say of a campaign. ``content``: SHA-256 of its networks and tokens as they were."""

    extension_type: Literal["property-extension"] = "property-extension"
    content: Annotated[str, Meta(pattern="^[0-9a-f]{64}$")]


class SaidExtensions(msgspec.Struct, frozen=True, forbid_unknown_fields=True, rename={"said": EXTENSION_ID}):
    """The one extension of a sighting or an opinion."""

    said: SaidProperties


class SightingObject(Versioned, frozen=True, kw_only=True, tag="sighting"):
    """A campaign was met elsewhere. ``count``: accounts there, the least of their bucket."""

    id: Annotated[str, _id("sighting")]
    first_seen: Time | UnsetType = UNSET
    last_seen: Time | UnsetType = UNSET
    count: Annotated[int, Meta(ge=1, le=999_999_999)] | UnsetType = UNSET
    sighting_of_ref: SubjectId
    where_sighted_refs: Annotated[list[IdentityId], Meta(min_length=1, max_length=1)]
    extensions: SaidExtensions


class OpinionObject(Versioned, frozen=True, kw_only=True, tag="opinion"):
    """Whether a lab agrees."""

    id: Annotated[str, _id("opinion")]
    opinion: Literal["strongly-disagree", "disagree", "neutral", "agree", "strongly-agree"]
    object_refs: Annotated[list[SubjectId], Meta(min_length=1, max_length=16)]
    extensions: SaidExtensions


AnyObject = (
    Identity
    | ExtensionDefinition
    | MarkingDefinition
    | Campaign
    | Infrastructure
    | Indicator
    | ObservedData
    | UserAccount
    | AutonomousSystem
    | AttackPattern
    | Relationship
    | SightingObject
    | OpinionObject
)


class Bundle(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag_field="type", tag="bundle"):
    """Objects that travel together."""

    id: Annotated[str, _id("bundle")]
    objects: Annotated[list[AnyObject], Meta(min_length=1)]


ENCODER: Final = msgspec.json.Encoder()
"""Writes an object always in the same bytes."""
