"""The names of those who are on lists, as the facts have them, to be screened against."""

from __future__ import annotations

from tiergate.parties.fact_rows import shown_id
from tiergate.parties.names import Kind, parse
from tiergate.parties.screening import Listed, NameIndex
from tiergate.parties.snapshot import Snapshot


def listed_names(snapshot: Snapshot) -> tuple[NameIndex, int]:
    """Every name, alias and earlier name of every listed party, with its id as reference; and how many cannot be read
    as a name, because they hold no letter or are too long, and so are not screened against."""
    names: dict[Listed, None] = {}
    unread = 0
    for number in sorted({int(one) for numbers in snapshot.seeds.values() for one in numbers}):
        reference = shown_id(snapshot.ids_of(number)[0])
        for row in snapshot.records(number):
            country = row["incorporated_in"] or row["headquarters"] or ""
            # Some sources write a country out; only codes can be compared.
            code = country if len(country) == len("XX") else None
            for name in (row["name"], *row["aliases"], *row["previous_names"]):
                if name:
                    names[Listed(name, Kind(row["kind"]), reference, code)] = None
    readable = []
    for listed in names:
        read = parse(listed.name, listed.kind)
        if read.cut or not read.tokens:
            unread += 1
        else:
            readable.append(listed)
    return NameIndex(readable), unread
