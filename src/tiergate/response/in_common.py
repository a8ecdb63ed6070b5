"""What accounts of a case have in common, value by value: places, tools, and what they signed up with."""

from __future__ import annotations

from typing import Final

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from tiergate.response.dossier.traffic import KINDS

MOST: Final = 300
"""Values that are told, those with the most accounts."""
SHORT: Final = 16
HASHED: Final = frozenset({"payment_hash", "email_hash", "phone_hash"})


class Common(msgspec.Struct, frozen=True, kw_only=True):
    """A value that two accounts have at least. ``accounts``: their places in the list of members, ascending."""

    kind: str
    value: str
    accounts: list[int]


def in_common(tables: list[pa.Table | None], members: list[str]) -> list[Common]:
    """Of rows with an account_id each, exchanges or accounts, by columns of `dossier.traffic.KINDS`; the values that
    most of ``members`` have come first."""
    inside = pa.array(members, pa.string())
    found: list[Common] = []
    for table in tables:
        for column, kind in KINDS.items():
            if table is None or column not in table.schema.names:
                continue
            pairs = table.select(["account_id", column]).filter(table[column].is_valid())
            pairs = pairs.group_by(["account_id", column]).aggregate([])
            if not len(pairs):
                continue
            place = np.asarray(pc.index_in(pairs["account_id"], value_set=inside).combine_chunks()).astype(np.int64)
            coded = pairs[column].combine_chunks().dictionary_encode()
            code = np.asarray(coded.indices).astype(np.int64)
            holders = np.bincount(code)
            for at in np.argsort(-holders, kind="stable")[:MOST].tolist():
                if holders[at] < 2:
                    break
                value = str(coded.dictionary[at].as_py())
                some = np.sort(place[code == at]).tolist()
                found.append(Common(kind=kind, value=value[:SHORT] if column in HASHED else value, accounts=some))
    return sorted(found, key=lambda one: (-len(one.accounts), one.kind, one.value))[:MOST]
