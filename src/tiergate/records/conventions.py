"""Names that OpenTelemetry gives to what we know, and ours where it has none. No other module spells one out.

They are those of the GenAI semantic conventions v0.1.0 (github.com/open-telemetry/semantic-conventions-genai, the first
release of their own, based on semantic conventions v1.45.0). All `gen_ai.` names have the status Development: a later
release may rename them, and then this module changes.
"""

from __future__ import annotations

from typing import Final

SCHEMA_URL: Final = "https://opentelemetry.io/schemas/1.45.0"

OTEL_NAMES: Final[dict[str, str]] = {
    "exchange_id": "gen_ai.response.id",
    "account_id": "user.id",
    "end_user_id": "enduser.pseudo.id",
    "session_id": "gen_ai.conversation.id",
    "provider": "gen_ai.provider.name",
    "operation": "gen_ai.operation.name",
    "request_model": "gen_ai.request.model",
    "response_model": "gen_ai.response.model",
    "stream": "gen_ai.request.stream",
    "temperature": "gen_ai.request.temperature",
    "max_tokens": "gen_ai.request.max_tokens",
    "tool_names": "gen_ai.tool.name",
    "system_text": "gen_ai.system_instructions",
    "prompt_text": "gen_ai.input.messages",
    "response_text": "gen_ai.output.messages",
    "input_tokens": "gen_ai.usage.input_tokens",
    "output_tokens": "gen_ai.usage.output_tokens",
    "cached_input_tokens": "gen_ai.usage.cache_read.input_tokens",
    "cache_write_tokens": "gen_ai.usage.cache_write.input_tokens",
    "reasoning_tokens": "gen_ai.usage.reasoning.output_tokens",
    "status": "http.response.status_code",
    "finish_reason": "gen_ai.response.finish_reasons",
    "client_address": "client.address",
    "client_country": "geo.country.iso_code",
    "user_agent": "user_agent.original",
    "tls_fingerprint": "tls.client.ja3",
}
"""The attribute behind each column of the exchange log that has one."""

OWN_NAMES: Final[dict[str, str]] = {
    "exchange_id": "tiergate.exchange.id",
    "operation": "tiergate.operation",
    "organization_id": "tiergate.organization.id",
    "credential_id": "tiergate.credential.id",
    "project_id": "tiergate.project.id",
    "usage_source": "tiergate.usage.source",
    "cost_micro_usd": "tiergate.cost.micro_usd",
    "route_model": "tiergate.route.model",
    "upstream": "tiergate.upstream",
    "attempts": "tiergate.attempts",
}
"""Attributes of ours for columns that the conventions have no name for, or another meaning."""

ERROR_TYPE: Final = "error.type"
FIRST_CHUNK: Final = "gen_ai.response.time_to_first_chunk"
TOOL_DEFINITIONS: Final = "gen_ai.tool.definitions"

DURATION: Final[dict[str, str]] = {
    "chat": "gen_ai.client.inference.duration",
    "embeddings": "gen_ai.client.embeddings.duration",
}
"""Histograms of seconds, by the operation's name."""

TIME_TO_FIRST_CHUNK: Final = "gen_ai.client.inference.time_to_first_chunk"
"""A histogram of seconds, of streamed answers alone."""

TOKENS: Final[dict[str, str]] = {
    "input_tokens": "gen_ai.client.inference.usage.input_tokens",
    "output_tokens": "gen_ai.client.inference.usage.output_tokens",
    "cached_input_tokens": "gen_ai.client.inference.usage.cache_read.input_tokens",
    "cache_write_tokens": "gen_ai.client.inference.usage.cache_write.input_tokens",
    "reasoning_tokens": "gen_ai.client.inference.usage.reasoning.output_tokens",
}
"""Counters of tokens of generated answers, by column."""

EMBEDDED_TOKENS: Final = "gen_ai.client.embeddings.operation.input_tokens"
"""A histogram of tokens, of embeddings."""


def operation_name(operation: str) -> str:
    """`gen_ai.operation.name` of a surface: the conventions have one name for all that generates an answer in turn."""
    return "embeddings" if operation == "embeddings" else "chat"


def provider_name(operation: str) -> str:
    """`gen_ai.provider.name` where none is given: whose API was called."""
    return "anthropic" if operation == "messages" else "openai"
