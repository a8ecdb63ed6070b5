"""What objects of STIX 2.1 tell us, that `check` let pass."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import chain, islice
from typing import Any, TypeVar

from msgspec import UNSET, UnsetType

from tiergate.sharing.finding import (
    MOST_NETWORKS,
    MOST_TOKENS,
    Finding,
    Lab,
    Opinion,
    Sighting,
    Technique,
    Token,
    Told,
    View,
    bucket,
)
from tiergate.sharing.marking import BY_ID, Tlp
from tiergate.sharing.objects import (
    AnyObject,
    AttackPattern,
    AutonomousSystem,
    Campaign,
    Identity,
    Indicator,
    Infrastructure,
    ObservedData,
    OpinionObject,
    Relationship,
    SightingObject,
    UserAccount,
    Versioned,
)
from tiergate.sharing.stix import us_of

Held = TypeVar("Held")
Part = TypeVar("Part", bound=Versioned)


def from_objects(objects: Iterable[AnyObject]) -> list[Told]:
    """What objects tell that `check` let pass: findings, then sightings, then opinions. Of several versions of one
    object the newest counts; what a finding names and is not among them is left out of it."""
    held = _Objects(objects)
    return [
        *(held.finding(one) for one in held.of(Campaign)),
        *(held.sighting(one) for one in held.of(SightingObject) if one.sighting_of_ref.startswith("campaign--")),
        *(held.opinion(one) for one in held.of(OpinionObject) if one.object_refs[0].startswith("campaign--")),
    ]


class _Objects:
    """Objects by id, the newest version of each, and what is related to what."""

    def __init__(self, objects: Iterable[AnyObject]) -> None:
        self.by_id: dict[str, AnyObject] = {}
        for one in objects:
            held = self.by_id.get(one.id)
            if held is None or _version(one) > _version(held):
                self.by_id[one.id] = one
        self._used: set[str] = set()
        self._related: dict[tuple[str, str, str | UnsetType], list[Relationship]] = {}
        for each in self.of(Relationship):
            how, maker = each.relationship_type, each.created_by_ref
            self._related.setdefault((each.source_ref, how, maker), []).append(each)
            self._related.setdefault((each.target_ref, f"{how} by", maker), []).append(each)

    def of(self, kind: type[Held]) -> list[Held]:
        return [one for one in self.by_id.values() if isinstance(one, kind)]

    def _of(self, kind: type[Held], ids: Iterable[str]) -> list[Held]:
        found = (self.by_id.get(one) for one in ids)
        return [one for one in found if isinstance(one, kind)]

    def finding(self, told: Campaign) -> Finding:
        properties = told.extensions.finding

        def related(source: str, how: str, kind: type[Held]) -> list[Held]:
            # Said by whoever told the finding: nobody adds to what another lab says. What was taken back counts no
            # more, unless with the whole finding: then it still says what that was.
            said = self._related.get((source, how, told.created_by_ref), ())
            counts = (one for one in said if one.revoked is not True or told.revoked is True)
            return self._of(kind, (one.source_ref if how.endswith(" by") else one.target_ref for one in counts))

        def parts(source: str, how: str, kind: type[Part]) -> list[Part]:
            # Each is of the first finding that names it: a few that thousands share would unfold without an end.
            new = {one.id: one for one in related(source, how, kind) if one.id not in self._used}
            self._used |= new.keys()
            return list(new.values())

        inside = parts(told.id, "uses", Infrastructure)
        networks = (network.number for one in inside for network in related(one.id, "consists-of", AutonomousSystem))
        seen = [observed for one in inside for observed in parts(one.id, "consists-of", ObservedData)]
        accounts = (account.user_id for one in seen for account in self._of(UserAccount, one.object_refs))
        patterns = (one.pattern.split(" ") for one in parts(told.id, "indicates by", Indicator))
        known = {technique.value for technique in Technique}
        techniques = [one.external_references[0].external_id for one in related(told.id, "uses", AttackPattern)]
        return Finding(
            **self._common(told),
            finding_id=_uuid(told.id),
            first_seen_us=us_of(told.first_seen),
            last_seen_us=us_of(told.last_seen),
            confidence=0 if told.confidence is UNSET else told.confidence,
            accounts=properties.accounts_log2,
            exchanges=properties.exchanges_log2,
            capabilities=() if properties.capabilities is UNSET else tuple(properties.capabilities),
            techniques=tuple(Technique(one) for one in techniques if one in known),
            networks=tuple(islice(networks, MOST_NETWORKS)),
            tokens=tuple(
                sorted(Token.parse(one) for one in islice(chain(accounts, chain.from_iterable(patterns)), MOST_TOKENS))
            ),
        )

    def sighting(self, told: SightingObject) -> Sighting:
        first = told.created if told.first_seen is UNSET else told.first_seen
        return Sighting(
            **self._common(told),
            sighting_id=_uuid(told.id),
            about=_uuid(told.sighting_of_ref),
            content=told.extensions.said.content,
            first_seen_us=us_of(first),
            last_seen_us=us_of(first if told.last_seen is UNSET else told.last_seen),
            accounts=bucket(1 if told.count is UNSET else told.count),
        )

    def opinion(self, told: OpinionObject) -> Opinion:
        return Opinion(
            **self._common(told),
            opinion_id=_uuid(told.id),
            about=_uuid(told.object_refs[0]),
            content=told.extensions.said.content,
            view=View(told.opinion),
        )

    def _common(self, told: Versioned) -> dict[str, Any]:
        maker = "" if told.created_by_ref is UNSET else told.created_by_ref
        lab = self.by_id.get(maker)
        marks = [] if told.object_marking_refs is UNSET else told.object_marking_refs
        return {
            # An identity that travels on its own is known by its id until it arrives.
            "lab": Lab(lab_id=_uuid(maker), name=lab.name if isinstance(lab, Identity) else ""),
            "created_us": us_of(told.created),
            "modified_us": us_of(told.modified),
            "revoked": told.revoked is True,
            "tlp": max((BY_ID[one] for one in marks if one in BY_ID), key=lambda one: one.strictness, default=Tlp.RED),
        }


def _uuid(stix_id: str) -> str:
    return stix_id.partition("--")[2]


def _version(one: AnyObject) -> int:
    return us_of(one.modified) if isinstance(one, Versioned) else 0
