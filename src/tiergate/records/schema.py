"""Columns of the exchange log, of accounts and of model releases: Tiergate's public table formats.

Column names and types are public API: columns may be added, none renamed or repurposed. Names follow the
OpenTelemetry GenAI semantic conventions where one exists (`tiergate.records.conventions`). All times are UTC.
"""

from __future__ import annotations

from typing import Final, Literal

import msgspec
import pyarrow as pa

TIME: Final = pa.timestamp("us", tz="UTC")

OPERATIONS: Final = ("chat", "responses", "messages", "embeddings")


def _field(name: str, kind: pa.DataType, *, required: bool = False) -> pa.Field:
    return pa.field(name, kind, nullable=not required)


EXCHANGE_SCHEMA: Final = pa.schema(
    [
        _field("exchange_id", pa.string(), required=True),
        _field("started_at", TIME, required=True),
        _field("account_id", pa.string(), required=True),
        _field("organization_id", pa.string()),
        _field("credential_id", pa.string()),
        _field("end_user_id", pa.string()),
        _field("session_id", pa.string()),
        _field("provider", pa.string()),
        _field("operation", pa.string(), required=True),
        _field("request_model", pa.string(), required=True),
        _field("response_model", pa.string()),
        _field("stream", pa.bool_()),
        _field("temperature", pa.float64()),
        _field("max_tokens", pa.int64()),
        _field("tool_names", pa.list_(pa.string())),
        _field("message_count", pa.int32()),
        _field("system_text", pa.string()),
        _field("prompt_text", pa.string()),
        _field("response_text", pa.string()),
        _field("input_tokens", pa.int64()),
        _field("output_tokens", pa.int64()),
        _field("cached_input_tokens", pa.int64()),
        _field("reasoning_tokens", pa.int64()),
        _field("status", pa.int32(), required=True),
        _field("finish_reason", pa.string()),
        _field("latency_ms", pa.float64()),
        _field("cost_usd", pa.float64()),
        _field("client_address", pa.string()),
        _field("client_asn", pa.int64()),
        _field("client_country", pa.string()),
        _field("user_agent", pa.string()),
        _field("tls_fingerprint", pa.string()),
        _field("project_id", pa.string()),
        _field("cache_write_tokens", pa.int64()),
        _field("usage_source", pa.string()),
        _field("cost_micro_usd", pa.int64()),
        _field("route_model", pa.string()),
        _field("upstream", pa.string()),
        _field("attempts", pa.int32()),
    ]
)
"""One row per exchange: one request to a model and its answer."""

TEXT_COLUMNS: Final = ("system_text", "prompt_text", "response_text")
"""Columns that are absent or null when text is not retained."""

SKETCH_SCHEMA: Final = pa.schema(
    [
        _field("sketch_key_id", pa.string()),
        _field("sketch_system", pa.list_(pa.int64())),
        _field("sketch_template", pa.list_(pa.int64())),
        _field("sketch_words", pa.list_(pa.int64())),
        _field("sketch_prompt", pa.int64()),
        _field("sketch_intent", pa.int64()),
    ]
)
"""Keyed sketches that stand in for text; `tiergate.ledger.sketches` says how each is made."""

LOG_SCHEMA: Final = pa.schema([*EXCHANGE_SCHEMA, *SKETCH_SCHEMA])
"""Columns of the exchange log as it is kept and read: exchanges with their sketches."""

ACCOUNT_SCHEMA: Final = pa.schema(
    [
        _field("account_id", pa.string(), required=True),
        _field("organization_id", pa.string()),
        _field("created_at", TIME, required=True),
        _field("closed_at", TIME),
        _field("status", pa.string()),
        _field("plan", pa.string()),
        _field("signup_path", pa.string()),
        _field("declared_country", pa.string()),
        _field("email_domain", pa.string()),
        _field("email_hash", pa.string()),
        _field("phone_hash", pa.string()),
        _field("phone_country", pa.string()),
        _field("payment_hash", pa.string()),
        _field("payment_bin", pa.string()),
        _field("payment_country", pa.string()),
        _field("signup_address", pa.string()),
        _field("signup_user_agent", pa.string()),
        _field("signup_tls_fingerprint", pa.string()),
        _field("verification", pa.string()),
    ]
)
"""One row per registered account. The whole table may be missing."""

MODEL_RELEASE_SCHEMA: Final = pa.schema(
    [_field("model", pa.string(), required=True), _field("released_at", TIME, required=True)]
)

ALLOWED_VALUES: Final[dict[str, tuple[str, ...]]] = {
    "operation": OPERATIONS,
    "usage_source": ("upstream", "estimate"),
    "status": ("active", "suspended", "closed"),
    "plan": ("free", "pay_as_you_go", "subscription", "team", "enterprise"),
    "signup_path": (
        "self_serve",
        "education",
        "startup",
        "security_research",
        "marketplace",
        "reseller",
        "sales",
    ),
    "verification": ("none", "email", "phone", "payment", "identity", "organization"),
}
"""Closed vocabularies of string columns (`status` here is the account's; the exchange's is an HTTP number)."""

Retention = Literal["text", "sketches"]
"""Whether the ledger keeps text beside the sketches, or the sketches alone."""


class Exchange(msgspec.Struct, kw_only=True, omit_defaults=True, gc=False):
    """One exchange as the gateway makes it; fields are the columns of `EXCHANGE_SCHEMA`.

    ``started_at`` is microseconds since the Unix epoch, UTC.
    """

    exchange_id: str
    started_at: int
    account_id: str
    operation: str
    request_model: str
    status: int
    organization_id: str | None = None
    credential_id: str | None = None
    end_user_id: str | None = None
    session_id: str | None = None
    provider: str | None = None
    response_model: str | None = None
    stream: bool | None = None
    temperature: float | None = None
    max_tokens: int | None = None
    tool_names: list[str] | None = None
    message_count: int | None = None
    system_text: str | None = None
    prompt_text: str | None = None
    response_text: str | None = None
    input_tokens: int | None = None
    output_tokens: int | None = None
    cached_input_tokens: int | None = None
    reasoning_tokens: int | None = None
    finish_reason: str | None = None
    latency_ms: float | None = None
    cost_usd: float | None = None
    client_address: str | None = None
    client_asn: int | None = None
    client_country: str | None = None
    user_agent: str | None = None
    tls_fingerprint: str | None = None
    project_id: str | None = None
    cache_write_tokens: int | None = None
    usage_source: str | None = None
    cost_micro_usd: int | None = None
    route_model: str | None = None
    upstream: str | None = None
    attempts: int | None = None
