"""LiteLLM spend logs: the table `LiteLLM_SpendLogs`, exported as CSV, JSON or JSON lines.

Columns as in LiteLLM's `schema.prisma` (request_id, call_type, api_key, spend, prompt_tokens, completion_tokens,
startTime, endTime, model, custom_llm_provider, user, team_id, organization_id, end_user, requester_ip_address,
session_id, status, metadata, messages, response, proxy_server_request). `api_key` is a hash already. The account is
`user`; where a deployment issues keys to no user it is the team, else the key.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any, Final

import pyarrow as pa

from tiergate.importers.messages import decoded, system_and_prompt, text_of
from tiergate.importers.rows import Row, in_batches, integer, read_rows
from tiergate.records.refused import RefusedRows

_OPERATIONS: Final = {
    "completion": "chat",
    "acompletion": "chat",
    "text_completion": "chat",
    "atext_completion": "chat",
    "generate_content": "chat",
    "agenerate_content": "chat",
    "generate_content_stream": "chat",
    "agenerate_content_stream": "chat",
    "responses": "responses",
    "aresponses": "responses",
    "anthropic_messages": "messages",
    "aanthropic_messages": "messages",
    "embedding": "embeddings",
    "aembedding": "embeddings",
}


def read(path: Path, *, refused: RefusedRows, batch_rows: int = 65_536) -> Iterator[pa.RecordBatch]:
    """Batches of the exchange log's columns. Raises `InputError` when the file is not what it claims."""
    rows = ((number, _exchange(row)) for number, row in read_rows(path, refused))
    yield from in_batches(rows, path, refused, batch_rows)


def _exchange(row: Row) -> Row:
    metadata = _object(row.get("metadata"))
    request = _object(row.get("proxy_server_request"))
    usage = _object(metadata.get("usage_object"))
    messages = decoded(row.get("messages"))
    system, prompt = system_and_prompt(messages or decoded(request.get("messages")))
    response = _object(row.get("response"))
    choices = response.get("choices")
    choice = choices[0] if isinstance(choices, list) and choices and isinstance(choices[0], dict) else {}
    call_type = row.get("call_type")
    return {
        "exchange_id": row.get("request_id"),
        "started_at": row.get("startTime"),
        "account_id": row.get("user") or row.get("team_id") or row.get("api_key"),
        "organization_id": row.get("organization_id") or row.get("team_id"),
        "credential_id": row.get("api_key") or None,
        "end_user_id": row.get("end_user") or None,
        "session_id": row.get("session_id") or None,
        "provider": row.get("custom_llm_provider") or None,
        # A call type that is no model call (an image, a file) is refused by the check of the vocabulary.
        "operation": _OPERATIONS.get(call_type, call_type) if isinstance(call_type, str) else None,
        "request_model": row.get("model_group") or row.get("model"),
        "response_model": row.get("model") or None,
        "stream": request.get("stream"),
        "temperature": _number(request.get("temperature")),
        "max_tokens": request.get("max_tokens"),
        "tool_names": _tools(request.get("tools")),
        "message_count": len(messages) if isinstance(messages, list) and messages else None,
        "system_text": system,
        "prompt_text": prompt,
        "response_text": text_of(choice.get("message")) if isinstance(choice.get("message"), dict) else None,
        "input_tokens": integer(row.get("prompt_tokens")),
        "output_tokens": integer(row.get("completion_tokens")),
        "cached_input_tokens": _object(usage.get("prompt_tokens_details")).get("cached_tokens"),
        "reasoning_tokens": _object(usage.get("completion_tokens_details")).get("reasoning_tokens"),
        "status": _status(row, metadata),
        "finish_reason": choice.get("finish_reason"),
        "latency_ms": _milliseconds(row.get("startTime"), row.get("endTime")),
        "cost_usd": _number(row.get("spend")),
        "client_address": row.get("requester_ip_address") or None,
        "user_agent": metadata.get("user_agent"),
    }


def _status(row: Row, metadata: Row) -> int:
    if row.get("status") != "failure" and metadata.get("status") != "failure":
        return 200
    code = integer(_object(metadata.get("error_information")).get("error_code"))
    return code if isinstance(code, int) and 100 <= code <= 599 else 500


def _object(value: Any) -> Row:
    value = decoded(value)
    return value if isinstance(value, dict) else {}


def _tools(tools: Any) -> list[str] | None:
    if not isinstance(tools, list):
        return None
    names = [_object(tool.get("function")).get("name") or tool.get("name") for tool in tools if isinstance(tool, dict)]
    return [name for name in names if isinstance(name, str)] or None


def _number(value: Any) -> Any:
    """CSV has no numbers; what is none stays as it is and is refused with its row."""
    if not isinstance(value, str):
        return value
    try:
        return float(value)
    except ValueError:
        return value


def _milliseconds(start: Any, end: Any) -> float | None:
    try:
        return (datetime.fromisoformat(end) - datetime.fromisoformat(start)).total_seconds() * 1000
    except (TypeError, ValueError):
        return None
