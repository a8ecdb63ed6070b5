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


def telling(batches: Iterable[pa.RecordBatch], members: Iterable[str]) -> dict[str, list[str | int]]:
    """Values by column of `COLUMNS`, those that most members have first.

    A value is told where a tenth of the members have it, two at least, and more than half of all accounts that have it
    are members. What is common (a large provider's network, a popular library) tells of others more than of the case.

    :param batches: exchanges with ``account_id`` and `COLUMNS`; all of the log, since others decide what is common.
    """
    inside = pa.array(sorted(set(members)), pa.string())
    pairs: dict[str, list[pa.Table]] = {name: [] for name in COLUMNS}
    for batch in batches:
        for name in COLUMNS:
            rows = pa.table({"account": batch.column("account_id"), "value": batch.column(name)})
            pairs[name].append(rows.filter(pc.is_valid(rows["value"])).group_by(["account", "value"]).aggregate([]))
    return {name: _telling(tables, inside) for name, tables in pairs.items()}


def _telling(tables: list[pa.Table], inside: pa.Array) -> list[str | int]:
    if not tables:
        return []
    pairs = pa.concat_tables(tables).group_by(["account", "value"]).aggregate([])
    member = pc.is_in(pairs["account"], value_set=inside).cast(pa.int64())
    counted = (
        pairs.append_column("member", member).group_by("value").aggregate([("member", "sum"), ("member", "count")])
    )
    least = max(LEAST_ACCOUNTS, LEAST_SHARE * len(inside))
    found = [
        (-row["member_sum"], row["value"])
        for row in counted.to_pylist()
        if row["member_sum"] >= least and 2 * row["member_sum"] > row["member_count"] and row["value"] not in ("", 0)
    ]
    return [value for _, value in sorted(found)[:MOST_VALUES]]
