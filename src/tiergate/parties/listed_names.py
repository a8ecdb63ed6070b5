"""The names of those who are on lists, as the facts have them, to be screened against."""

from __future__ import annotations

import pyarrow as pa
import pyarrow.compute as pc

from tiergate.parties.fact_rows import shown_id
from tiergate.parties.names import Kind, parse
from tiergate.parties.screening import Listed, NameIndex
from tiergate.parties.snapshot import Snapshot


def listed_names(snapshot: Snapshot) -> tuple[NameIndex, int]:
    """Every name, alias and earlier name of every listed party, with its id as reference; and how many cannot be read
    as a name, because they hold no letter or are too long, and so are not screened against."""
    listed = pa.array(sorted({int(one) for numbers in snapshot.seeds.values() for one in numbers}), pa.int32())
    # One pass over all parties: a register has millions, a list thousands.
    told = snapshot.party_facts.filter(pc.is_in(snapshot.party_facts["number"], listed))
    names: dict[Listed, None] = {}
    references: dict[int, str] = {}
    for row in told.to_pylist():
        reference = references.setdefault(row["number"], shown_id(row["party"]))
        country = row["incorporated_in"] or row["headquarters"] or ""
        # Some sources write a country out; only codes can be compared.
        code = country if len(country) == len("XX") else None
        for name in (row["name"], *row["aliases"], *row["previous_names"]):
            if name:
                names[Listed(name, Kind(row["kind"]), reference, code)] = None
    readable, unread = [], 0
    for one in names:
        read = parse(one.name, one.kind)
        if read.cut or not read.tokens:
            unread += 1
        else:
            readable.append(one)
    return NameIndex(readable), unread
