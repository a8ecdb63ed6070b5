"""What was spent: sums over the exchange log, exact to the micro-dollar."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any, Final

import msgspec
import pyarrow as pa
import pyarrow.compute as pc

COLUMNS: Final = (
    "started_at", "account_id", "organization_id", "credential_id", "project_id", "end_user_id", "request_model",
    "status", "input_tokens", "output_tokens", "cached_input_tokens", "usage_source", "cost_micro_usd",
)  # fmt: skip
"""Columns that are read."""


class Spent(msgspec.Struct, frozen=True, kw_only=True):
    """One group's sums. ``estimated``: exchanges whose tokens no upstream counted; ``unpriced``: answered exchanges
    without a cost, because nothing was priced then."""

    group: dict[str, str | None]
    exchanges: int
    input_tokens: int
    output_tokens: int
    cached_input_tokens: int
    cost_micro_usd: int
    estimated: int
    unpriced: int


_SUMS: Final = Spent.__struct_fields__[1:]


def _owned(name: str) -> Callable[[pa.RecordBatch], Any]:
    """A project or end user with its owner before it: two owners may use one name."""

    def column(batch: pa.RecordBatch) -> Any:
        owner = pc.coalesce(batch.column("organization_id"), batch.column("account_id"))
        return pc.binary_join_element_wise(owner, batch.column(name), "/")

    return column


BY: Final[dict[str, Callable[[pa.RecordBatch], Any]]] = {
    "organisation": lambda batch: batch.column("organization_id"),
    "account": lambda batch: batch.column("account_id"),
    "project": _owned("project_id"),
    "key": lambda batch: batch.column("credential_id"),
    "end-user": _owned("end_user_id"),
    "model": lambda batch: batch.column("request_model"),
    "day": lambda batch: batch.column("started_at").cast(pa.date32()).cast(pa.string()),
}
"""What exchanges may be grouped by."""


def spent(
    batches: Iterable[pa.RecordBatch], by: Sequence[str], *, from_us: int | None = None, to_us: int | None = None
) -> list[Spent]:
    """Sums of exchanges that began from ``from_us`` until before ``to_us`` (microseconds, UTC), a row a group of the
    columns ``by``, those that cost most first."""
    parts = []
    for whole in batches:
        began = whole.column("started_at").cast(pa.int64())
        fits = pc.and_(pc.greater_equal(began, from_us or 0), pc.less(began, 2**63 - 1 if to_us is None else to_us))
        batch = whole.filter(fits)
        cost, answered = batch.column("cost_micro_usd"), pc.less(batch.column("status"), 400)
        columns: dict[str, Any] = {name: BY[name](batch) for name in by}
        columns["exchanges"] = pa.array([1] * batch.num_rows, pa.int64())
        for name in ("input_tokens", "output_tokens", "cached_input_tokens"):
            columns[name] = batch.column(name)
        columns["cost_micro_usd"] = cost
        columns["estimated"] = pc.equal(batch.column("usage_source"), "estimate").cast(pa.int64())
        columns["unpriced"] = pc.and_(pc.is_null(cost), answered).cast(pa.int64())
        parts.append(_grouped(pa.table(columns), by))
    if not parts:
        return []
    rows = _grouped(pa.concat_tables(parts), by).to_pylist()
    made = [
        Spent(group={name: row[name] for name in by}, **{name: row[name] or 0 for name in _SUMS})
        for row in rows
        if row["exchanges"]
    ]
    return sorted(made, key=lambda one: (-one.cost_micro_usd, *(name or "" for name in one.group.values())))


def _grouped(table: pa.Table, by: Sequence[str]) -> pa.Table:
    sums = table.group_by(list(by)).aggregate([(name, "sum") for name in _SUMS])
    return sums.rename_columns([name.removesuffix("_sum") for name in sums.column_names])
