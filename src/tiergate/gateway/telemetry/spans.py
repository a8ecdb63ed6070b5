"""An exchange as a span's attributes, under the names of the GenAI semantic conventions."""

from __future__ import annotations

from typing import Any, Final

import msgspec

from tiergate.gateway.telemetry.watch import Finished
from tiergate.records.conventions import (
    ERROR_TYPE,
    FIRST_CHUNK,
    OTEL_NAMES,
    OWN_NAMES,
    TOOL_DEFINITIONS,
    operation_name,
    provider_name,
)
from tiergate.records.schema import Exchange

LOST: Final = ("client_disconnected", "upstream_broke_off")
"""Finish reasons of answers that began well and have no end."""

_ELSEWHERE: Final = frozenset(
    ("exchange_id", "operation", "provider", "tool_names", "finish_reason", "system_text", "prompt_text",
     "response_text")
)  # fmt: skip
"""Columns whose attribute is another one than the convention's, or has another shape."""

_AS_THEY_ARE: Final = {column: name for column, name in OTEL_NAMES.items() if column not in _ELSEWHERE} | OWN_NAMES


def attributes(one: Finished) -> dict[str, Any]:
    """All of an exchange that a span tells. Texts and names of tools are in it where the exchange still has them."""
    exchange = one.exchange
    told = {name: value for column, name in _AS_THEY_ARE.items() if (value := getattr(exchange, column)) is not None}
    told[OTEL_NAMES["operation"]] = operation_name(exchange.operation)
    told[OTEL_NAMES["provider"]] = exchange.provider or provider_name(exchange.operation)
    failure = error_type(exchange)
    if failure is not None:
        told[ERROR_TYPE] = failure
    if exchange.finish_reason is not None:
        told[OTEL_NAMES["finish_reason"]] = [exchange.finish_reason]
    if one.first_token_s is not None:
        told[FIRST_CHUNK] = one.first_token_s
    return told | _texts(exchange)


def error_type(exchange: Exchange) -> str | None:
    """What an exchange failed with: the code of a refusal, or its status; None for one that did not fail."""
    if exchange.status >= 400:
        return exchange.finish_reason or str(exchange.status)
    return exchange.finish_reason if exchange.finish_reason in LOST else None


def _texts(exchange: Exchange) -> dict[str, str]:
    """As JSON, since attributes have no structure: the schema is that of `gen_ai.input.messages` and its kin."""
    told: dict[str, Any] = {}
    if exchange.system_text is not None:
        told[OTEL_NAMES["system_text"]] = [_part(exchange.system_text)]
    if exchange.prompt_text is not None:
        told[OTEL_NAMES["prompt_text"]] = [{"role": "user", "parts": [_part(exchange.prompt_text)]}]
    if exchange.response_text is not None:
        said = {"role": "assistant", "parts": [_part(exchange.response_text)]}
        told[OTEL_NAMES["response_text"]] = [said | {"finish_reason": exchange.finish_reason or "stop"}]
    if told and exchange.tool_names:
        told[TOOL_DEFINITIONS] = [{"type": "function", "name": name} for name in exchange.tool_names]
    return {name: msgspec.json.encode(value).decode() for name, value in told.items()}


def _part(text: str) -> dict[str, str]:
    return {"type": "text", "content": text}
