"""Spend as FOCUS 1.2, the FinOps Foundation's cost and usage specification (focus.finops.org), from the exchange log.

A row is a day's use of one model by one credential for one project. The billing account is the organisation, the sub
account the account that pays; tokens are what is consumed, a million of them what is priced, as the specification's
guide to AI services has it. Costs are those that the gateway charged, so they sum up to what `tiergate spend` says, to
the micro-dollar. An exchange with several kinds of token has one cost, so no unit price is stated.

Columns that the specification calls custom begin with `x_`. With ``draft``, the columns by which version 1.5 (a draft)
says who used what are there too: `PrincipalId`, `CredentialId`, `SkuPriceDetails`.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any, Final

import pyarrow as pa
import pyarrow.compute as pc

READ: Final = (
    "started_at", "account_id", "organization_id", "credential_id", "project_id", "provider", "request_model",
    "response_model", "status", "input_tokens", "output_tokens", "cached_input_tokens", "usage_source",
    "cost_micro_usd",
)  # fmt: skip
"""Columns of the exchange log that are read."""
TOKENS_PRICED: Final = 1_000_000
_BY: Final = (
    "day", "organization_id", "account_id", "credential_id", "project_id", "provider", "request_model",
    "response_model",
)  # fmt: skip
_SUMS: Final = (
    "exchanges", "input_tokens", "output_tokens", "cached_input_tokens", "cost_micro_usd", "estimated", "unpriced",
)  # fmt: skip
_MONEY, _MILLIONS, _TEXT = pa.decimal128(30, 6), pa.decimal128(38, 6), pa.string()
_TIME: Final = pa.timestamp("s", "UTC")
SCHEMA: Final = pa.schema(
    [
        ("BilledCost", _MONEY), ("BillingAccountId", _TEXT), ("BillingAccountName", _TEXT),
        ("BillingCurrency", _TEXT), ("BillingPeriodEnd", _TIME), ("BillingPeriodStart", _TIME),
        ("ChargeCategory", _TEXT), ("ChargeClass", _TEXT), ("ChargeDescription", _TEXT), ("ChargeFrequency", _TEXT),
        ("ChargePeriodEnd", _TIME), ("ChargePeriodStart", _TIME), ("CommitmentDiscountStatus", _TEXT),
        ("ConsumedQuantity", _MILLIONS),
        ("ConsumedUnit", _TEXT), ("ContractedCost", _MONEY), ("EffectiveCost", _MONEY), ("InvoiceId", _TEXT),
        ("InvoiceIssuerName", _TEXT), ("ListCost", _MONEY), ("PricingQuantity", _MILLIONS), ("PricingUnit", _TEXT),
        ("ProviderName", _TEXT), ("PublisherName", _TEXT), ("ServiceCategory", _TEXT), ("ServiceName", _TEXT),
        ("ServiceSubcategory", _TEXT), ("SubAccountId", _TEXT), ("SubAccountName", _TEXT), ("Tags", _TEXT),
        ("x_CredentialId", _TEXT), ("x_Model", _TEXT), ("x_ModelAnswered", _TEXT), ("x_Exchanges", pa.int64()),
        ("x_InputTokens", pa.int64()), ("x_CachedInputTokens", pa.int64()), ("x_OutputTokens", pa.int64()),
        ("x_EstimatedExchanges", pa.int64()), ("x_UnpricedExchanges", pa.int64()),
    ]
)  # fmt: skip
"""Columns of FOCUS 1.2 in its order of letters, then our own."""
DRAFT: Final = pa.schema([("CredentialId", _TEXT), ("PrincipalId", _TEXT), ("SkuPriceDetails", _TEXT)])
"""Columns of the draft of FOCUS 1.5."""


def focus_rows(
    batches: Iterable[pa.RecordBatch],
    *,
    seller: str,
    from_us: int | None = None,
    to_us: int | None = None,
    draft: bool = False,
) -> pa.Table:
    """The charges for exchanges that began from ``from_us`` until before ``to_us`` (microseconds, UTC).

    :param batches: of the exchange log, with the columns `READ`.
    :param seller: who sells the service and sends the invoice; the upstream is the publisher.
    """
    schema = pa.unify_schemas([SCHEMA, DRAFT]) if draft else SCHEMA
    rows = [_row(group, seller, draft) for group in _groups(batches, from_us, to_us)]
    return pa.Table.from_pylist(rows, schema=schema)


def _groups(batches: Iterable[pa.RecordBatch], from_us: int | None, to_us: int | None) -> Iterator[dict[str, Any]]:
    parts = []
    for whole in batches:
        began = whole.column("started_at").cast(pa.int64())
        fits = pc.and_(pc.greater_equal(began, from_us or 0), pc.less(began, 2**63 - 1 if to_us is None else to_us))
        batch = whole.filter(fits)
        cost = batch.column("cost_micro_usd")
        columns: dict[str, Any] = {name: batch.column(name) for name in _BY[1:]}
        columns["day"] = batch.column("started_at").cast(pa.date32())
        columns["exchanges"] = pa.array([1] * batch.num_rows, pa.int64())
        for name in ("input_tokens", "output_tokens", "cached_input_tokens"):
            columns[name] = batch.column(name)
        columns["cost_micro_usd"] = cost
        columns["estimated"] = pc.equal(batch.column("usage_source"), "estimate").cast(pa.int64())
        columns["unpriced"] = pc.and_(pc.is_null(cost), pc.less(batch.column("status"), 400)).cast(pa.int64())
        parts.append(_grouped(pa.table(columns)))
    if parts:
        whole_table = _grouped(pa.concat_tables(parts))
        yield from whole_table.sort_by([(name, "ascending") for name in _BY]).to_pylist()


def _grouped(table: pa.Table) -> pa.Table:
    sums = table.group_by(list(_BY)).aggregate([(name, "sum") for name in _SUMS])
    return sums.rename_columns([name.removesuffix("_sum") for name in sums.column_names])


def _row(group: Mapping[str, Any], seller: str, draft: bool) -> dict[str, Any]:
    begins = datetime.combine(group["day"], datetime.min.time(), UTC)
    month = begins.replace(day=1)
    tokens = (group["input_tokens"] or 0) + (group["output_tokens"] or 0)
    cost = Decimal(group["cost_micro_usd"] or 0) / 1_000_000
    account, model = group["account_id"], group["request_model"]
    # A caller of no organisation is billed by itself.
    billed = group["organization_id"] or account
    publisher = group["provider"] or seller
    row = {
        "BilledCost": cost, "ContractedCost": cost, "EffectiveCost": cost, "ListCost": cost,
        "BillingAccountId": billed, "BillingAccountName": billed,
        "BillingCurrency": "USD",
        "BillingPeriodStart": month, "BillingPeriodEnd": (month + timedelta(days=32)).replace(day=1),
        "ChargeCategory": "Usage", "ChargeClass": None, "ChargeFrequency": "Usage-Based",
        "ChargeDescription": f"Tokens of {model}",
        "ChargePeriodStart": begins, "ChargePeriodEnd": begins + timedelta(days=1),
        "CommitmentDiscountStatus": None,
        "ConsumedQuantity": Decimal(tokens), "ConsumedUnit": "Tokens",
        "PricingQuantity": Decimal(tokens) / TOKENS_PRICED, "PricingUnit": f"{TOKENS_PRICED} Tokens",
        "InvoiceId": None, "InvoiceIssuerName": seller, "ProviderName": seller,
        "PublisherName": publisher,
        "ServiceCategory": "AI and Machine Learning", "ServiceSubcategory": "Generative AI", "ServiceName": "Model API",
        "SubAccountId": account, "SubAccountName": account,
        "Tags": json.dumps({"project": group["project_id"]} if group["project_id"] else {}),
        "x_CredentialId": group["credential_id"], "x_Model": model, "x_ModelAnswered": group["response_model"],
        "x_Exchanges": group["exchanges"], "x_InputTokens": group["input_tokens"] or 0,
        "x_CachedInputTokens": group["cached_input_tokens"] or 0, "x_OutputTokens": group["output_tokens"] or 0,
        "x_EstimatedExchanges": group["estimated"] or 0, "x_UnpricedExchanges": group["unpriced"] or 0,
    }  # fmt: skip
    if draft:
        details = {"ModelDeveloper": group["provider"], "ModelId": group["response_model"] or model}
        row |= {
            "CredentialId": group["credential_id"],
            "PrincipalId": account,
            "SkuPriceDetails": json.dumps({name: value for name, value in details.items() if value}),
        }
    return row
