"""The Consolidated Screening List (trade.gov), as its CSV file: eleven lists of three departments in one table.

The list of an entry is the abbreviation that its `source` has in brackets: SDN, EL, DPL, MEU, UVL and so on. Vessels
and aircraft are passed over. Nationalities, birth dates and personal numbers are not read.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

from tiergate.parties.fact_rows import Fact, Listing, Party, cleaned, distinct, fact_key, party_id
from tiergate.parties.sources.reading import Feed, csv_rows
from tiergate.parties.sources.values import UnreadableError, instant

_KINDS: Final = {"individual": "person", "entity": "organisation", "": "unknown"}
_THINGS: Final = ("vessel", "aircraft")
_SHORT: Final = re.compile(r"\(([A-Z0-9-]{2,12})\)")
_COUNTRY: Final = re.compile(r"(?:^|, ?)([A-Z]{2})\s*$")


def read(paths: Sequence[Path], feed: Feed) -> Iterator[Fact]:
    """A party and its entries, for each row."""
    for path in paths:
        for number, row in csv_rows(path, feed, ("_id", "source", "name", "type")):
            try:
                facts = _facts(row, feed.source)
            except UnreadableError as error:
                feed.refuse(path, number, error.column, error.reason, row.get("_id"))
                continue
            yield from facts


def _facts(row: dict[str, str], source: str) -> list[Fact]:
    kind = row.get("type", "").strip().lower()
    if kind in _THINGS:
        return []
    identity, name, listed = cleaned(row.get("_id")), cleaned(row.get("name")), cleaned(row.get("source"))
    for column, value in (("_id", identity), ("name", name), ("source", listed)):
        if value is None:
            raise UnreadableError(column, "is missing")
    if kind not in _KINDS:
        raise UnreadableError("type", "is none of Individual, Entity, Vessel, Aircraft")
    assert identity is not None
    assert listed is not None
    party = party_id("csl", identity)
    short = _SHORT.search(listed)
    country = _COUNTRY.search(row.get("addresses", "").split(";")[0])
    start = instant(row.get("start_date"), "start_date")
    end = instant(row.get("end_date"), "end_date", end=True)
    number = row.get("entity_number", "").strip()
    ofac = "OFAC" in listed or "Treasury" in listed
    facts: list[Fact] = [
        Party(
            key=fact_key(source, identity),
            party=party,
            kind=_KINDS[kind],
            name=name,
            aliases=distinct(row.get("alt_names", "").split(";"), but=name),
            headquarters=country[1] if country and kind == "entity" else None,
            # Treasury's entries have the number of OFAC's own file, by which the two are one party.
            identifiers=[f"ofac:{number}"] if ofac and number.isdecimal() else (),
        )
    ]
    programmes = distinct(row.get("programs", "").split(";")) or (None,)
    facts += [
        Listing(
            key=fact_key(source, identity, programme or ""),
            party=party,
            list=short[1] if short else listed,
            programme=programme,
            valid_from_us=start,
            valid_to_us=end,
        )
        for programme in programmes
    ]
    return facts
