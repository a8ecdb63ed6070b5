"""What the accounts of a case sent, counted from the very exchanges that the look read."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from typing import Final

import msgspec
import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from tiergate.clock import DAY, HOUR

I64 = npt.NDArray[np.int64]

COLUMNS: Final = (
    "exchange_id",
    "started_at",
    "account_id",
    "request_model",
    "input_tokens",
    "output_tokens",
    "cost_usd",
    "client_address",
    "client_asn",
    "user_agent",
    "tls_fingerprint",
)
KINDS: Final = {
    "client_address": "network address",
    "client_asn": "autonomous system",
    "user_agent": "user agent",
    "tls_fingerprint": "TLS fingerprint",
    "payment_hash": "payment instrument",
    "email_domain": "e-mail domain",
    "email_hash": "e-mail address",
    "phone_hash": "phone number",
    "organization_id": "declared organisation",
    "signup_address": "address at sign-up",
    "signup_user_agent": "user agent at sign-up",
}
BINS: Final = ((HOUR, "hour"), (6 * HOUR, "six hours"), (DAY, "day"), (7 * DAY, "week"))
MOST_BINS: Final = 180
NEAR_CERTAIN: Final = 0.95


class Shared(msgspec.Struct, frozen=True, kw_only=True):
    """One kind of identifier: distinct ``values`` among the case's accounts, how many of these have one at all
    (``having``), share one with another of the case (``sharing``), and the ``most`` that share one value."""

    kind: str
    values: int
    having: int
    sharing: int
    most: int


class Value(msgspec.Struct, frozen=True, kw_only=True):
    """USD as recorded. ``low``: of exchanges that belong to the case at 0.95 or more; ``recorded``: of all that are
    charged; ``high``: those without a price too, at the dearest price per output token that was recorded. None where
    no exchange has a price. ``priced`` of ``exchanges`` have one."""

    low: float | None
    recorded: float | None
    high: float | None
    priced: int
    exchanges: int


class Sampled(msgspec.Struct, frozen=True, kw_only=True):
    """One exchange of the sample. Times are microseconds, UTC."""

    exchange_id: str
    at_us: int
    account_id: str
    model: str
    output_tokens: int | None


class Strip(msgspec.Struct, frozen=True, kw_only=True):
    """Charged exchanges of one account by bin of time (bins,)."""

    account_id: str
    counts: list[int]


class Traffic(msgspec.Struct, frozen=True, kw_only=True):
    """Exchanges that are charged, of ``exchanges`` that the case's accounts sent. ``last_us`` by account; ``models``:
    charged exchanges by model; bins of ``step_us`` from ``start_us`` on, called ``bin_name``."""

    charged: int
    exchanges: int
    input_tokens: int | None
    output_tokens: int
    models: dict[str, int]
    value: Value
    shared: list[Shared]
    sample: list[Sampled]
    last_us: dict[str, int]
    start_us: int
    step_us: int
    bin_name: str
    strips: list[Strip]


def count(
    batches: Iterable[pa.RecordBatch],
    accounts: pa.Table | None,
    members: list[str],
    charged: pa.Table,
    *,
    seed: int,
    sample: int,
) -> Traffic:
    """Count what ``members`` sent.

    :param batches: exchanges with `COLUMNS`.
    :param accounts: rows of `ACCOUNT_SCHEMA`, or None.
    :param charged: the case's rows of `case_exchanges`.
    :param sample: how many exchanges to name: those with the least SHA-256 of ``<seed>:<exchange id>``.
    """
    inside = pa.array(members, pa.string())
    theirs = [batch.filter(pc.is_in(batch.column("account_id"), value_set=inside)) for batch in batches]
    sent = _once(pa.Table.from_batches(theirs))
    rows = sent.filter(pc.is_in(sent["exchange_id"], value_set=charged["exchange_id"].combine_chunks()))
    time = np.asarray(rows["started_at"].cast(pa.int64()))
    start, step, name = _bins(time)
    place = pc.index_in(rows["account_id"], value_set=inside)
    owner = np.asarray(place.combine_chunks() if isinstance(place, pa.ChunkedArray) else place).astype(np.int64)
    bins = int((time.max() - start) // step) + 1 if len(time) else 0
    held = np.bincount(owner * bins + (time - start) // step, minlength=len(members) * bins).reshape(-1, max(bins, 1))
    last = np.zeros(len(members), np.int64)
    np.maximum.at(last, owner, time)
    tally = rows["request_model"].value_counts()
    models = {one["values"]: one["counts"] for one in tally.to_pylist()}
    return Traffic(
        charged=len(rows),
        exchanges=len(sent),
        input_tokens=pc.sum(rows["input_tokens"]).as_py(),
        output_tokens=pc.sum(rows["output_tokens"]).as_py() or 0,
        models=dict(sorted(models.items(), key=lambda one: (-one[1], one[0]))),
        value=_value(rows, charged),
        shared=[*_shared(sent, KINDS), *_shared(_of_members(accounts, inside), KINDS)],
        sample=_sample(rows, seed, sample),
        last_us=dict(zip(members, last.tolist(), strict=True)),
        start_us=start,
        step_us=step,
        bin_name=name,
        strips=[Strip(account_id=one, counts=counts.tolist()) for one, counts in zip(members, held, strict=True)],
    )


def _once(rows: pa.Table) -> pa.Table:
    """Each exchange once, the earliest, in order of time."""
    ordered = rows.sort_by([("started_at", "ascending"), ("exchange_id", "ascending")])
    code = np.asarray(ordered["exchange_id"].combine_chunks().dictionary_encode().indices)
    return ordered.take(pa.array(np.sort(np.unique(code, return_index=True)[1])))


def _of_members(accounts: pa.Table | None, inside: pa.Array) -> pa.Table | None:
    return None if accounts is None else accounts.filter(pc.is_in(accounts["account_id"], value_set=inside))


def _shared(rows: pa.Table | None, kinds: dict[str, str]) -> list[Shared]:
    told = []
    for column, kind in kinds.items():
        if rows is None or column not in rows.schema.names:
            continue
        pairs = rows.select(["account_id", column]).filter(rows[column].is_valid())
        pairs = pairs.group_by(["account_id", column]).aggregate([])
        if not len(pairs):
            continue
        value = np.asarray(pairs[column].combine_chunks().dictionary_encode().indices)
        owner = np.asarray(pairs["account_id"].combine_chunks().dictionary_encode().indices)
        holders = np.bincount(value)
        told.append(
            Shared(
                kind=kind,
                values=len(holders),
                having=len(np.unique(owner)),
                sharing=len(np.unique(owner[holders[value] > 1])),
                most=int(holders.max()),
            )
        )
    return told


def _value(rows: pa.Table, charged: pa.Table) -> Value:
    cost = np.asarray(rows["cost_usd"].cast(pa.float64()).fill_null(np.nan))
    tokens = np.asarray(rows["output_tokens"].fill_null(0)).astype(np.float64)
    place = pc.index_in(rows["exchange_id"], value_set=charged["exchange_id"].combine_chunks())
    belief = np.asarray(charged["membership"].combine_chunks().take(place.combine_chunks()))
    known = ~np.isnan(cost)
    if not known.any():
        return Value(low=None, recorded=None, high=None, priced=0, exchanges=len(rows))
    recorded = float(cost[known].sum())
    rates = cost[known & (tokens > 0)] / tokens[known & (tokens > 0)]
    return Value(
        low=float(cost[known & (belief >= NEAR_CERTAIN)].sum()),
        recorded=recorded,
        high=recorded + float(tokens[~known].sum()) * float(rates.max(initial=0.0)),
        priced=int(known.sum()),
        exchanges=len(rows),
    )


def _sample(rows: pa.Table, seed: int, size: int) -> list[Sampled]:
    ids = rows["exchange_id"].to_pylist()
    ranked = sorted(range(len(ids)), key=lambda at: hashlib.sha256(f"{seed}:{ids[at]}".encode()).digest())[:size]
    columns = ("exchange_id", "started_at", "account_id", "request_model", "output_tokens")
    some = rows.select(columns).take(pa.array(sorted(ranked), pa.int64()))
    some = some.set_column(1, "started_at", some["started_at"].cast(pa.int64()))
    names = ("exchange_id", "at_us", "account_id", "model", "output_tokens")
    return [Sampled(**dict(zip(names, row.values(), strict=True))) for row in some.to_pylist()]


def _bins(time: I64) -> tuple[int, int, str]:
    """Start, width and name of the bins that hold all of ``time``."""
    if not len(time):
        return 0, HOUR, "hour"
    span = int(time.max() - time.min())
    step, name = next((one for one in BINS if span / one[0] <= MOST_BINS), BINS[-1])
    return int(time.min()) // step * step, step, name
