"""OpenSanctions entities in the FollowTheMoney model (followthemoney.tech): JSON lines, as `entities.ftm.json`.

`Ownership` is a stake, with its percentage where it has one; `Directorship` and the like are roles; `Family` and other
personal ties are not read, nor what persons were born, live and hold passports of. A party is on the list of each
`Sanction` that names it, and on `topic:...` of the topics that say sanctions or export controls.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Final

from tiergate.parties.fact_rows import WHOLE_PPM, Fact, Listing, Party, Stake, cleaned, distinct, fact_key, party_id
from tiergate.parties.sources.gleif import register_numbers
from tiergate.parties.sources.reading import Feed, Row, json_objects
from tiergate.parties.sources.values import Bounds, UnreadableError, bounds, instant

_KINDS: Final = {
    "Person": "person",
    "Company": "organisation",
    "Organization": "organisation",
    "PublicBody": "organisation",
    "LegalEntity": "unknown",
}
_ROLES: Final = {
    # schema: property of who has the role, property of whom it is in
    "Directorship": ("director", "organization"),
    "Employment": ("employee", "employer"),
    "Membership": ("member", "organization"),
    "Representation": ("agent", "client"),
}
_TOPICS: Final = ("sanction", "export.control")
_NUMBER: Final = re.compile(r"(\d{1,3}(?:[.,]\d{1,10})?) ?%?")
_MOST_VALUES: Final = 256


def read(paths: Sequence[Path], feed: Feed) -> Iterator[Fact]:
    """Facts of the entities that are parties, stakes, roles or sanctions; other schemata are passed over."""
    for path in paths:
        for number, row in json_objects(path, feed):
            try:
                facts = list(_facts(row, feed.source))
            except UnreadableError as error:
                feed.refuse(path, number, error.column, error.reason, row.get("id"))
                continue
            yield from facts


def _facts(row: Row, source: str) -> Iterator[Fact]:
    name, schema, properties = row.get("id"), row.get("schema"), row.get("properties")
    if not isinstance(name, str) or not name:
        raise UnreadableError("id", "is missing")
    if not isinstance(schema, str) or not isinstance(properties, dict):
        raise UnreadableError("schema" if not isinstance(schema, str) else "properties", "is missing")
    if schema in _KINDS:
        yield from _party(name, schema, properties, source)
    elif schema == "Ownership":
        share = _share(_texts(properties, "percentage"))
        yield from _ties(name, properties, ("owner", "asset"), "shares", share, source)
    elif schema in _ROLES:
        yield from _ties(name, properties, _ROLES[schema], "role", (WHOLE_PPM, WHOLE_PPM), source)
    elif schema == "Sanction":
        yield from _sanctions(name, properties, source)


def _party(name: str, schema: str, properties: Row, source: str) -> Iterator[Fact]:
    party = party_id(source, name)
    names = _texts(properties, "name")
    identifiers: list[str] = []
    if schema != "Person":
        identifiers += register_numbers("lei", _texts(properties, "leiCode"))
        places = {place.lower() for place in _texts(properties, "jurisdiction")}
        if places == {"gb"}:
            identifiers += register_numbers("GB-COH", _texts(properties, "registrationNumber"))
    seats = _texts(properties, "mainCountry")
    yield Party(
        key=fact_key(source, name),
        party=party,
        kind=_KINDS[schema],
        name=names[0] if names else cleaned(properties.get("caption")),
        aliases=distinct([*names[1:], *_texts(properties, "alias"), *_texts(properties, "weakAlias")]),
        previous_names=distinct(_texts(properties, "previousName")),
        legal_form=next(iter(_texts(properties, "legalForm")), None),
        incorporated_in=next(iter(_texts(properties, "jurisdiction")), None) if schema != "Person" else None,
        headquarters=next(iter(seats), None) if schema != "Person" else None,
        identifiers=identifiers,
    )
    for topic in _texts(properties, "topics"):
        if topic.startswith(_TOPICS):
            yield Listing(key=fact_key(source, name, topic), party=party, list=f"topic:{topic}")


def _ties(name: str, properties: Row, ends: tuple[str, str], prong: str, share: Bounds, source: str) -> Iterator[Fact]:
    owners, owned = _texts(properties, ends[0]), _texts(properties, ends[1])
    if not owners or not owned:
        raise UnreadableError(ends[0] if not owners else ends[1], "is missing")
    pairs = [(a, b) for a in owners for b in owned][:_MOST_VALUES]
    # One tie of several owners: what it gives is what they have together, so each may have all or nothing of it.
    low, high = share if len(pairs) == 1 or prong == "role" else (0, share[1])
    # Statements are not all dated; several dates are several claims, of which the widest period is kept.
    starts = [instant(one, "startDate") for one in _texts(properties, "startDate")]
    finishes = [instant(one, "endDate", end=True) for one in _texts(properties, "endDate")]
    for part, (owner, asset) in enumerate(pairs):
        yield Stake(
            key=fact_key(source, name),
            owner=party_id(source, owner),
            owned=party_id(source, asset),
            prong=prong,
            lo_ppm=low,
            hi_ppm=high,
            valid_from_us=min((one for one in starts if one is not None), default=None),
            valid_to_us=max((one for one in finishes if one is not None), default=None),
            part=part,
        )


def _sanctions(name: str, properties: Row, source: str) -> Iterator[Fact]:
    entities = _texts(properties, "entity")
    if not entities:
        raise UnreadableError("entity", "is missing")
    authority = next(iter(_texts(properties, "authority")), None) or next(iter(_texts(properties, "country")), "?")
    starts = [instant(one, "startDate") for one in _texts(properties, "startDate") or _texts(properties, "listingDate")]
    finishes = [instant(one, "endDate", end=True) for one in _texts(properties, "endDate")]
    for entity in entities:
        yield Listing(
            key=fact_key(source, name, entity),
            party=party_id(source, entity),
            list=authority,
            programme=next(iter(_texts(properties, "programId") or _texts(properties, "program")), None),
            valid_from_us=min((one for one in starts if one is not None), default=None),
            valid_to_us=max((one for one in finishes if one is not None), default=None),
        )


def _share(values: list[str]) -> Bounds:
    """Bounds of a percentage; all that is possible where none can be read, for the tie is there all the same."""
    shares = []
    for value in values:
        number = _NUMBER.fullmatch(value)
        if number is None:
            return 0, WHOLE_PPM
        shares.append(bounds(number[1].replace(",", "."), column="percentage"))
    if not shares:
        return 0, WHOLE_PPM
    return min(low for low, _ in shares), max(high for _, high in shares)


def _texts(properties: Row, name: str) -> list[str]:
    values: Any = properties.get(name)
    values = values if isinstance(values, list) else [values]
    return list(distinct(values[:_MOST_VALUES]))
