"""What the clients of a case have in common that hardly anybody else has: what is worth telling, and no more."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

import pyarrow as pa
import pyarrow.compute as pc

COLUMNS: Final = ("client_asn", "tls_fingerprint", "user_agent")
LEAST_ACCOUNTS: Final = 2
LEAST_SHARE: Final = 0.1
MOST_VALUES: Final = 32
MOST_NEW: Final = 2_000_000
"""Pairs that may wait for being made distinct."""


def telling(batches: Iterable[pa.RecordBatch], members: Iterable[str]) -> dict[str, list[str | int]]:
    """Values by column of `COLUMNS`, those that most members have first.

    A value is told where a tenth of the members have it, two at least, and more than half of all accounts that have it
    are members. What is common (a large provider's network, a popular library) tells of others more than of the case.

    :param batches: exchanges with ``account_id`` and `COLUMNS`; all of the log, since others decide what is common.
    """
    inside = pa.array(sorted(set(members)), pa.string())
    pairs = {name: Pairs() for name in COLUMNS}
    for batch in batches:
        for name in COLUMNS:
            pairs[name].add(batch.column("account_id"), batch.column(name))
    return {name: _telling(held.distinct(), inside) for name, held in pairs.items()}


class Pairs:
    """Which accounts have which values, each pair once, in memory that grows with the pairs and not with the log."""

    def __init__(self) -> None:
        self._tables: list[pa.Table] = []
        self._new = 0

    def add(self, accounts: pa.Array, values: pa.Array) -> None:
        rows = pa.table({"account": accounts, "value": values})
        rows = rows.filter(pc.is_valid(rows["value"])).group_by(["account", "value"]).aggregate([])
        self._tables.append(rows)
        self._new += len(rows)
        if self._new > MOST_NEW:
            self._tables, self._new = [self.distinct()], 0

    def distinct(self) -> pa.Table | None:
        return pa.concat_tables(self._tables).group_by(["account", "value"]).aggregate([]) if self._tables else None


def _telling(pairs: pa.Table | None, inside: pa.Array) -> list[str | int]:
    if pairs is None:
        return []
    member = pc.is_in(pairs["account"], value_set=inside).cast(pa.int64())
    counted = (
        pairs.append_column("member", member).group_by("value").aggregate([("member", "sum"), ("member", "count")])
    )
    least = max(LEAST_ACCOUNTS, LEAST_SHARE * len(inside))
    found = [
        (-row["member_sum"], row["value"])
        for row in counted.filter(pc.greater_equal(counted["member_sum"], least)).to_pylist()
        if 2 * row["member_sum"] > row["member_count"] and row["value"] not in ("", 0)
    ]
    return [value for _, value in sorted(found)[:MOST_VALUES]]
