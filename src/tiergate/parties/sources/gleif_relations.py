"""GLEIF golden copies, level 2 (RR-CDF 2.1): who consolidates whom. CSV or XML, packed or not.

A relation says whose accounts a company goes into. That is control, seldom with a percentage, and never evidence of
50%: it becomes a stake of the prong `consolidation`, and of `shares` besides only where a quantifier gives a
percentage. Funds are tied to their manager, umbrella or master fund by `fund`. A branch is no person of its own: its
head office holds all of it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from tiergate.parties.fact_rows import WHOLE_PPM, Fact, Stake, fact_key, party_id
from tiergate.parties.sources.gleif import VOID, dotted, lei_of
from tiergate.parties.sources.reading import Feed, Node, csv_rows, is_xml, xml_records
from tiergate.parties.sources.values import UnreadableError, bounds, instant

_KINDS: Final = {
    # relation: prong, directness, whether the start of the relation is the owner
    "IS_DIRECTLY_CONSOLIDATED_BY": ("consolidation", "direct", False),
    "IS_ULTIMATELY_CONSOLIDATED_BY": ("consolidation", "indirect", False),
    "IS_INTERNATIONAL_BRANCH_OF": ("shares", "direct", False),
    "IS_FUND-MANAGED_BY": ("fund", "direct", False),
    "IS_SUBFUND_OF": ("fund", "direct", False),
    "IS_FEEDER_TO": ("fund", "direct", True),
}
_CONFIDENCE: Final = {"FULLY_CORROBORATED": 1.0, "PARTIALLY_CORROBORATED": 0.75, "ENTITY_SUPPLIED_ONLY": 0.5}
_NEEDED: Final = ("Relationship.StartNode.NodeID", "Relationship.EndNode.NodeID", "Relationship.RelationshipType")


@dataclass
class _Relation:
    start: str | None
    end: str | None
    kind: str | None
    status: str | None
    registered: str | None
    updated: str | None
    validation: str | None
    periods: list[tuple[str | None, str | None, str | None]]
    """Start, end and type."""
    amounts: list[tuple[str | None, str | None]]
    """Amount and unit."""


def read(paths: Sequence[Path], feed: Feed) -> Iterator[Fact]:
    """Stakes of relations: one a record, two where it gives a percentage."""
    for path in paths:
        for number, relation in _records(path, feed):
            try:
                yield from _stakes(relation, feed.source)
            except UnreadableError as error:
                feed.refuse(path, number, error.column, error.reason, f"{relation.start} {relation.kind}")


def _stakes(relation: _Relation, source: str) -> list[Fact]:
    start, end = lei_of(relation.start, _NEEDED[0]), lei_of(relation.end, _NEEDED[1])
    if relation.kind not in _KINDS:
        raise UnreadableError(_NEEDED[2], "is no relation that RR-CDF 2.1 has")
    prong, directness, start_owns = _KINDS[relation.kind]
    owner, owned = (start, end) if start_owns else (end, start)
    # Accounting and filing periods say which accounts were looked at, not since when.
    period = next((p for p in relation.periods if p[2] in (None, "RELATIONSHIP_PERIOD")), (None, None, None))
    valid_to = instant(period[1], "Relationship.Period.endDate", end=True)
    if relation.status == "INACTIVE" and valid_to is None:
        valid_to = instant(relation.updated, "Registration.LastUpdateDate")
    valid_from = instant(period[0], "Relationship.Period.startDate")
    if valid_from is not None and valid_to is not None and valid_from > valid_to:
        valid_from = None

    def stake(part: int, prong: str, low: int, high: int) -> Stake:
        return Stake(
            key=fact_key(source, start, relation.kind or "", end),
            part=part,
            owner=party_id("lei", owner),
            owned=party_id("lei", owned),
            prong=prong,
            lo_ppm=low,
            hi_ppm=high,
            directness=directness,
            confidence=_CONFIDENCE.get(relation.validation or ""),
            valid_from_us=valid_from,
            valid_to_us=valid_to,
            retracted=relation.registered in VOID,
        )

    facts: list[Fact] = [stake(0, prong, WHOLE_PPM, WHOLE_PPM)]
    for amount, unit in relation.amounts:
        if amount and unit == "PERCENTAGE" and prong == "consolidation":
            facts.append(stake(1, "shares", *bounds(amount, column="Relationship.Quantifiers.QuantifierAmount")))
            break
    return facts


def _records(path: Path, feed: Feed) -> Iterator[tuple[int, _Relation]]:
    if is_xml(path, feed):
        for number, node in xml_records(path, feed, "RelationshipRecord"):
            yield number, _from_xml(node)
        return
    for number, row in csv_rows(path, feed, _NEEDED):
        yield number, _from_csv(row)


def _from_xml(node: Node) -> _Relation:
    get = dotted(node)
    periods = node.all("Relationship", "RelationshipPeriods", "RelationshipPeriod")
    amounts = node.all("Relationship", "RelationshipQuantifiers", "RelationshipQuantifier")
    return _Relation(
        start=get(_NEEDED[0]),
        end=get(_NEEDED[1]),
        kind=get(_NEEDED[2]),
        status=get("Relationship.RelationshipStatus"),
        registered=get("Registration.RegistrationStatus"),
        updated=get("Registration.LastUpdateDate"),
        validation=get("Registration.ValidationSources"),
        periods=[(p.get("StartDate"), p.get("EndDate"), p.get("PeriodType")) for p in periods],
        amounts=[(a.get("QuantifierAmount"), a.get("QuantifierUnits")) for a in amounts],
    )


def _from_csv(row: dict[str, str]) -> _Relation:
    names = [f"Relationship.Period.{place}" for place in range(1, 6)]
    amounts = [f"Relationship.Quantifiers.{place}" for place in range(1, 6)]
    return _Relation(
        start=row.get(_NEEDED[0]),
        end=row.get(_NEEDED[1]),
        kind=row.get(_NEEDED[2]),
        status=row.get("Relationship.RelationshipStatus"),
        registered=row.get("Registration.RegistrationStatus"),
        updated=row.get("Registration.LastUpdateDate"),
        validation=row.get("Registration.ValidationSources"),
        periods=[
            (row.get(f"{name}.startDate"), row.get(f"{name}.endDate"), row.get(f"{name}.periodType"))
            for name in names
            if f"{name}.startDate" in row
        ],
        amounts=[(row.get(f"{name}.QuantifierAmount"), row.get(f"{name}.QuantifierUnits")) for name in amounts],
    )
