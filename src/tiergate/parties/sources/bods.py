"""Beneficial Ownership Data Standard 0.4 (openownership.org): a JSON array or JSON lines of statements.

A record is told by one or more statements. The first holds from the beginning; an `updated` one from its
`statementDate` on, with what the record said before kept for the time before; a `closed` one ends it. An interest
declared `indirect` names the records that it adds up (`componentRecords`): they stay a chain of their own, so the
declared sum is never counted beside them. Nationalities, birth dates, and identifiers of persons are not read.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Final

from tiergate.parties.fact_rows import (
    DIRECTNESS,
    MOST_PARTS,
    WHOLE_PPM,
    Fact,
    Party,
    Stake,
    Undisclosed,
    cleaned,
    distinct,
    fact_key,
    party_id,
)
from tiergate.parties.sources.gleif import register_numbers
from tiergate.parties.sources.reading import Feed, Row, json_objects
from tiergate.parties.sources.values import Bounds, UnreadableError, bounds, instant

_PRONGS: Final = {
    "shareholding": "shares",
    "rightsToSurplusAssetsOnDissolution": "shares",
    "rightsToProfitOrIncome": "shares",
    "beneficiaryOfLegalArrangement": "shares",
    "votingRights": "votes",
    "appointmentOfBoard": "board",
    "otherInfluenceOrControl": "control",
    "controlViaCompanyRulesOrArticles": "control",
    "controlByLegalFramework": "control",
    "rightsGrantedByContract": "control",
    "conditionalRightsGrantedByContract": "control",
    "settlor": "control",
    "trustee": "control",
    "protector": "control",
    "nominator": "control",
    "nominee": "role",
    "seniorManagingOfficial": "role",
    "boardMember": "role",
    "boardChair": "role",
    "enjoymentAndUseOfAssets": "role",
    "rightToProfitOrIncomeFromAssets": "role",
    "unknownInterest": "unknown",
    "unpublishedInterest": "unknown",
}
_POSSIBLE: Final = frozenset({"conditionalRightsGrantedByContract"})
_MOST_ALIASES: Final = 1 << 20


def read(paths: Sequence[Path], feed: Feed) -> Iterator[Fact]:
    """Facts of statements, in the order of the files."""
    for path in paths:
        # Publishers name components by record, as 0.4 has it, or by statement, as before.
        aliases: dict[str, str] = {}
        for number, row in json_objects(path, feed):
            try:
                facts = _facts(row, aliases, feed.source)
            except UnreadableError as error:
                feed.refuse(path, number, error.column, error.reason, row.get("statementId"))
                continue
            yield from facts


def _facts(row: Row, aliases: dict[str, str], source: str) -> list[Fact]:
    record, kind, details = row.get("recordId"), row.get("recordType"), row.get("recordDetails")
    if not isinstance(record, str) or not record:
        raise UnreadableError("recordId", "is missing: statements before BODS 0.4 are not read")
    if not isinstance(details, dict):
        raise UnreadableError("recordDetails", "is no object")
    status = row.get("recordStatus")
    told = instant(row.get("statementDate"), "statementDate")
    closed = status == "closed"
    if status in ("updated", "closed") and told is None:
        raise UnreadableError("statementDate", f"is missing, which an {status} record needs")
    since = told if status in ("updated", "closed") else None
    statement = row.get("statementId")
    if isinstance(statement, str) and statement != record and len(aliases) < _MOST_ALIASES:
        aliases[statement] = record
    key = fact_key(source, record)
    if kind == "entity":
        # An entity that a source stops telling of is the same party still: its stakes say what ended.
        return [_entity(key, record, details, source, since)]
    if kind == "person":
        return [_person(key, record, details, source, since)]
    if kind == "relationship":
        return _relationship(key, details, aliases, source, since, closed=closed)
    raise UnreadableError("recordType", "is none of entity, person, relationship")


def _entity(key: bytes, record: str, details: Row, source: str, since: int | None) -> Party:
    name = cleaned(details.get("name"))
    form = details.get("entityType")
    form = form if isinstance(form, dict) else {}
    place = details.get("jurisdiction")
    place = place if isinstance(place, dict) else {}
    seats = [one for one in _objects(details.get("addresses")) if one.get("type") in ("headquarters", "business")]
    country = seats[0].get("country") if seats else None
    return Party(
        key=key,
        party=party_id(source, record),
        name=name,
        aliases=distinct(_list(details.get("alternateNames")), but=name),
        legal_form=cleaned(form.get("details")) or cleaned(form.get("subtype")) or cleaned(form.get("type")),
        incorporated_in=cleaned(place.get("code")) or cleaned(place.get("name")),
        headquarters=cleaned(country.get("code") if isinstance(country, dict) else country),
        identifiers=list(_identifiers(details)),
        valid_from_us=instant(details.get("foundingDate"), "foundingDate"),
        valid_to_us=instant(details.get("dissolutionDate"), "dissolutionDate", end=True),
        effective_us=since,
    )


def _identifiers(details: Row) -> Iterator[str]:
    for one in _objects(details.get("identifiers"))[:64]:
        scheme, value = cleaned(one.get("scheme")), cleaned(one.get("id"))
        if scheme and value and ":" not in scheme:
            yield from register_numbers("lei" if scheme.upper() in ("XI-LEI", "LEI") else scheme, [value])


def _person(key: bytes, record: str, details: Row, source: str, since: int | None) -> Party:
    names = [(cleaned(one.get("fullName")), one.get("type")) for one in _objects(details.get("names"))]
    first = next((text for text, kind in names if text and kind in (None, "legal", "individual")), None)
    name = first or next((text for text, _ in names if text), None)
    return Party(
        key=key,
        party=party_id(source, record),
        kind="person",
        name=name,
        aliases=distinct([text for text, kind in names if kind not in ("former", "birth")], but=name),
        previous_names=distinct([text for text, kind in names if kind in ("former", "birth")], but=name),
        effective_us=since,
    )


def _relationship(
    key: bytes, details: Row, aliases: dict[str, str], source: str, since: int | None, *, closed: bool
) -> list[Fact]:
    subject, holder = details.get("subject"), details.get("interestedParty")
    if not isinstance(subject, str) or not subject:
        raise UnreadableError("subject", "is no record")
    owned = party_id(source, subject)
    if not isinstance(holder, str):
        reason = cleaned(holder.get("reason")) if isinstance(holder, dict) else None
        if reason is None:
            raise UnreadableError("interestedParty", "is neither a record nor a reason why there is none")
        return [
            Undisclosed(key=key, party=owned, scope="owners", reason=reason, effective_us=since, retracted=closed),
            _nothing(key, owned, since),
        ]
    owner = party_id(source, holder)
    interests = _objects(details.get("interests"))
    if not interests and not closed:
        interests = [{}]
    if len(interests) > MOST_PARTS:
        raise UnreadableError("interests", f"are more than {MOST_PARTS}")
    parts = [one for one in _list(details.get("componentRecords"))[:MOST_PARTS] if isinstance(one, str)]
    components = [fact_key(source, aliases.get(one, one)) for one in parts]
    if closed:
        return [_nothing(key, owned, since)]
    return [_stake(key, part, owner, owned, one, components, since) for part, one in enumerate(interests)]


def _nothing(key: bytes, owned: bytes, since: int | None) -> Stake:
    """A record of which no stake is left: whatever it said before ends."""
    return Stake(
        key=key, owner=bytes(16), owned=owned, prong="unknown", lo_ppm=0, hi_ppm=WHOLE_PPM,
        effective_us=since, retracted=True,
    )  # fmt: skip


def _stake(
    key: bytes, part: int, owner: bytes, owned: bytes, interest: Row, components: list[bytes], since: int | None
) -> Stake:
    kind = interest.get("type")
    if kind is not None and (not isinstance(kind, str) or kind not in _PRONGS):
        raise UnreadableError("interests.type", "is no interest type that BODS 0.4 has")
    prong = _PRONGS[kind] if kind is not None else "unknown"
    low, high = _share(prong, kind, interest.get("share"))
    directness = interest.get("directOrIndirect")
    directness = directness if isinstance(directness, str) and directness in DIRECTNESS else "unknown"
    return Stake(
        key=key,
        owner=owner,
        owned=owned,
        prong=prong,
        lo_ppm=low,
        hi_ppm=high,
        directness=directness,
        components=components if directness == "indirect" else (),
        valid_from_us=instant(interest.get("startDate"), "interests.startDate"),
        valid_to_us=instant(interest.get("endDate"), "interests.endDate", end=True),
        effective_us=since,
        part=part,
    )


def _share(prong: str, kind: str | None, share: Any) -> Bounds:
    if share is not None and not isinstance(share, dict):
        raise UnreadableError("interests.share", "is no object")
    share = share or {}
    low, high = 0, WHOLE_PPM
    if share:
        low, high = _exclusive(share)
    if prong in ("shares", "votes"):
        return low, high
    if prong == "unknown" or kind in _POSSIBLE:
        return 0, WHOLE_PPM
    if prong == "board" and share:
        # A part of the board that is no majority of it is no control; one that may be, may be.
        return (WHOLE_PPM if low > WHOLE_PPM // 2 else 0), (WHOLE_PPM if high > WHOLE_PPM // 2 else 0)
    return WHOLE_PPM, WHOLE_PPM


def _exclusive(share: Row) -> Bounds:
    above, below = share.get("exclusiveMinimum"), share.get("exclusiveMaximum")
    minimum, maximum = share.get("minimum"), share.get("maximum")
    # Up to 0.3 the two were flags beside the bounds.
    if isinstance(above, bool):
        above, minimum = (minimum, None) if above else (None, minimum)
    if isinstance(below, bool):
        below, maximum = (maximum, None) if below else (None, maximum)
    return bounds(share.get("exact"), minimum, maximum, above=above, below=below, column="interests.share")


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


def _objects(value: Any) -> list[Row]:
    return [one for one in _list(value) if isinstance(one, dict)]
