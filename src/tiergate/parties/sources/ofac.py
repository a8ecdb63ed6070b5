"""OFAC's Specially Designated Nationals, as the CSV files sdn.csv, add.csv and alt.csv (treasury.gov, "SDN data
formats"): no header, `-0-` for nothing, a control character at the end.

Vessels and aircraft are passed over: they own nothing. A remark `Linked To:` is a tie that OFAC names and does not
weigh; it becomes a `role`, of the party whose name it gives. Nationalities and personal numbers are not read.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

from tiergate.errors import InputError
from tiergate.parties.fact_rows import WHOLE_PPM, Fact, Listing, Party, Stake, cleaned, distinct, fact_key, party_id
from tiergate.parties.sources.reading import Feed, csv_records

LIST: Final = "SDN"
_NOTHING: Final = ("-0-", "")
_FIELDS: Final = {12: "sdn", 6: "add", 5: "alt"}
_THINGS: Final = ("vessel", "aircraft")
_LINKED: Final = re.compile(r"Linked To: ([^;]+?)\.?(?:;|$)", re.IGNORECASE)
_LEI: Final = re.compile(r"Legal Entity (?:Identifier|Number) ([A-Z0-9]{20})\b")
MOST_ROWS: Final = 2_000_000
"""The three files are joined in memory; the list has some 10**4 entries."""


def read(paths: Sequence[Path], feed: Feed) -> Iterator[Fact]:
    """Parties, entries and ties. The files may come in any order: they are told apart by their number of fields.

    Raises `InputError` when none of them is sdn.csv.
    """
    tables: dict[str, list[tuple[Path, int, list[str]]]] = {"sdn": [], "add": [], "alt": []}
    for path in paths:
        table: str | None = None
        for number, record in csv_records(path, feed, fallback="cp1252"):
            fields = [value.strip() for value in record]
            table = table or _FIELDS.get(len(fields))
            if table is None:
                raise InputError(f"`{path}` is none of sdn.csv, add.csv, alt.csv: it has {len(fields)} fields")
            if _FIELDS.get(len(fields)) != table:
                feed.refuse(path, number, "", "has not as many fields as its file", ",".join(record))
            elif not fields[0].isdecimal() or len(fields[0]) > 12:
                feed.refuse(path, number, "ent_num", "is no number", fields[0])
            else:
                tables[table].append((path, number, fields))
                if len(tables[table]) > MOST_ROWS:
                    raise InputError(f"`{path}` has over {MOST_ROWS:,} rows: that is not OFAC's list")
    if not tables["sdn"]:
        raise InputError("no sdn.csv was given: it has the entries that add.csv and alt.csv belong to")
    yield from _entries(tables, feed)


def _entries(tables: dict[str, list[tuple[Path, int, list[str]]]], feed: Feed) -> Iterator[Fact]:
    countries: dict[str, str] = {}
    names: dict[str, list[tuple[str, str]]] = {}
    for _, _, (entry, _, _, _, country, _) in tables["add"]:
        if country not in _NOTHING:
            countries.setdefault(entry, country)
    for _, _, (entry, _, sort, other, _) in tables["alt"]:
        names.setdefault(entry, []).append((sort.lower(), other))
    seen: set[str] = set()
    by_name: dict[str, str] = {}
    for path, number, (entry, name, kind, *_rest) in tables["sdn"]:
        if name in _NOTHING or not cleaned(name):
            feed.refuse(path, number, "SDN_Name", "is missing", entry)
        elif kind.lower() not in _THINGS:
            by_name.setdefault(name.casefold(), entry)
    for path, number, fields in tables["sdn"]:
        entry, called, kind = fields[0], cleaned(fields[1]), fields[2].lower()
        if kind in _THINGS or called is None or fields[1] in _NOTHING:
            continue
        if entry in seen:
            feed.refuse(path, number, "ent_num", "comes twice", entry)
            continue
        seen.add(entry)
        yield from _entry(entry, called, kind, fields, countries.get(entry), names.get(entry, []), by_name, feed.source)


def _entry(
    entry: str,
    name: str,
    kind: str,
    fields: list[str],
    country: str | None,
    names: list[tuple[str, str]],
    by_name: dict[str, str],
    source: str,
) -> Iterator[Fact]:
    party = party_id("ofac", entry)
    person = kind == "individual"
    remarks = fields[11]
    yield Party(
        key=fact_key(source, entry),
        party=party,
        kind="person" if person else "organisation",
        name=name,
        aliases=distinct([text for kind, text in names if kind != "fka"], but=name),
        previous_names=distinct([text for kind, text in names if kind == "fka"], but=name),
        headquarters=None if person else cleaned(country),
        identifiers=[f"ofac:{entry}", *(f"lei:{lei}" for lei in _LEI.findall(remarks) if not person)],
    )
    for programme in fields[3].split("] ["):
        text = cleaned(programme.strip("[] "))
        if text is not None and text not in _NOTHING:
            yield Listing(key=fact_key(source, entry, text), party=party, list=LIST, programme=text)
    for linked in dict.fromkeys(_LINKED.findall(remarks)):
        other = by_name.get(linked.strip().casefold())
        # One that the list has under another name is a party of its own, found by that name.
        owner = party_id("ofac", other) if other else party_id("ofac-name", linked.strip().casefold())
        if owner == party:
            continue
        if other is None:
            key = fact_key(source, "named", linked.strip().casefold())
            yield Party(key=key, party=owner, kind="unknown", name=cleaned(linked))
        yield Stake(
            key=fact_key(source, entry, "linked", linked),
            owner=owner, owned=party, prong="role", lo_ppm=WHOLE_PPM, hi_ppm=WHOLE_PPM,
        )  # fmt: skip
