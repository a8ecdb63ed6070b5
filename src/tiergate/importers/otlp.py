"""OpenTelemetry GenAI spans in OTLP JSON: a file of one export, or one export a line.

Attribute names are the GenAI semantic conventions' (`OTEL_NAMES`), with the earlier names that instrumentations
still send, and those that a gateway of ours adds (`OWN_NAMES`). Spans that are not about a model's answer are passed
over. The account is `user.id`; where that is not set it is `enduser.id`, else the service's name.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import pyarrow as pa

from tiergate.importers.messages import decoded, said_by, system_and_prompt, text_of
from tiergate.importers.rows import Row, in_batches, integer, read_rows
from tiergate.records.conventions import OTEL_NAMES, OWN_NAMES, TOOL_DEFINITIONS
from tiergate.records.refused import RefusedRows

_EARLIER: Final = {
    "provider": ("gen_ai.system",),
    "input_tokens": ("gen_ai.usage.prompt_tokens",),
    "output_tokens": ("gen_ai.usage.completion_tokens",),
    "cache_write_tokens": ("gen_ai.usage.cache_creation.input_tokens",),
    "system_text": ("gen_ai.system.instructions",),
    "prompt_text": ("gen_ai.prompt",),
    "response_text": ("gen_ai.completion",),
    "session_id": ("session.id",),
    "account_id": ("enduser.id", "service.name"),
    "tls_fingerprint": ("tls.client.ja4",),
    "client_address": ("http.client_ip", "net.peer.ip"),
    "user_agent": ("http.user_agent",),
    "status": ("http.status_code",),
}
_OPERATIONS: Final = {
    "chat": "chat",
    "generate_content": "chat",
    "text_completion": "chat",
    "responses": "responses",
    "messages": "messages",
    "embeddings": "embeddings",
}
_ERROR: Final = 2
"""Status code of a failed span (OTLP `STATUS_CODE_ERROR`)."""


def read(path: Path, *, refused: RefusedRows, batch_rows: int = 65_536) -> Iterator[pa.RecordBatch]:
    """Batches of the exchange log's columns. Raises `InputError` when the file is not what it claims.

    A refused span is counted by its number among the file's GenAI spans.
    """
    yield from in_batches(enumerate(_exchanges(path, refused), 1), path, refused, batch_rows)


def _exchanges(path: Path, refused: RefusedRows) -> Iterator[Row]:
    for _, export in read_rows(path, refused):
        # A .json file with one export hands out its list of resource spans; JSON lines hand out whole exports.
        for resource in _items([export], "resourceSpans") if "resourceSpans" in export else [export]:
            shared = _attributes(_get(resource, "resource"))
            for scope in _items([resource], "scopeSpans"):
                for span in _items([scope], "spans"):
                    own = shared | _attributes(span)
                    if any(name.startswith("gen_ai.") for name in own) and _operation(own) is not None:
                        yield _exchange(span, own)


def _exchange(span: Row, attributes: Row) -> Row:
    row = {column: _first(attributes, name, *_EARLIER.get(column, ())) for column, name in OTEL_NAMES.items()}
    row |= {column: attributes[name] for column, name in OWN_NAMES.items() if name in attributes}
    messages = decoded(row["prompt_text"]) or _numbered(attributes, "gen_ai.prompt")
    system, prompt = system_and_prompt(messages)
    answers = decoded(row["response_text"]) or _numbered(attributes, "gen_ai.completion")
    finish = row["finish_reason"]
    code = _get(span, "status").get("code")
    failed = code in (_ERROR, "STATUS_CODE_ERROR")
    start, end = _nanoseconds(span.get("startTimeUnixNano")), _nanoseconds(span.get("endTimeUnixNano"))
    return row | {
        "exchange_id": row["exchange_id"] or span.get("spanId"),
        "started_at": _time(start),
        "operation": _operation(attributes),
        "tool_names": _tool_names(attributes),
        "message_count": len(messages) if isinstance(messages, list) else None,
        "system_text": text_of(decoded(row["system_text"])) or system,
        "prompt_text": prompt,
        "response_text": "\n".join(said_by(answers, "assistant")) or text_of(answers),
        "finish_reason": finish[0] if isinstance(finish, list) and finish else finish or None,
        "status": row["status"] or (500 if failed else 200),
        "latency_ms": (end - start) / 1e6 if start is not None and end is not None else None,
    }


def _numbered(attributes: Row, name: str) -> list[Row] | None:
    """Messages that are spread over attributes such as `gen_ai.prompt.0.role` (OpenLLMetry's way)."""
    messages: dict[int, Row] = {}
    for key, value in attributes.items():
        head, _, part = key.removeprefix(f"{name}.").partition(".")
        if key.startswith(f"{name}.") and head.isdecimal() and len(head) < 6 and part in ("role", "content"):
            messages.setdefault(int(head), {})[part] = decoded(value)
    return [messages[number] for number in sorted(messages)] or None


def _operation(attributes: Row) -> str | None:
    named = attributes.get(OWN_NAMES["operation"], attributes.get(OTEL_NAMES["operation"]))
    if named is None and OTEL_NAMES["request_model"] in attributes:
        return "chat"
    return _OPERATIONS.get(named) if isinstance(named, str) else None


def _tool_names(attributes: Row) -> list[str] | None:
    tools = decoded(attributes.get(TOOL_DEFINITIONS))
    if isinstance(tools, list):
        names = [_get(tool, "function").get("name") or tool.get("name") for tool in tools if isinstance(tool, dict)]
        return [name for name in names if isinstance(name, str)] or None
    name = attributes.get("gen_ai.tool.name")
    return [name] if isinstance(name, str) else name


def _attributes(holder: Row) -> Row:
    """Attributes as a dictionary; values are OTLP's `AnyValue`."""
    return {str(one.get("key")): _value(one.get("value")) for one in _items([holder], "attributes")}


def _value(value: Any) -> Any:
    if not isinstance(value, dict):
        return None
    for kind, inner in value.items():
        if kind == "intValue":  # 64-bit integers are strings in OTLP's JSON
            return integer(inner)
        if kind == "arrayValue":
            return [_value(one) for one in _items([inner] if isinstance(inner, dict) else [], "values")]
        if kind == "kvlistValue":
            pairs = _items([inner] if isinstance(inner, dict) else [], "values")
            return {str(one.get("key")): _value(one.get("value")) for one in pairs}
        return inner
    return None


def _first(attributes: Row, *names: str) -> Any:
    return next((attributes[name] for name in names if attributes.get(name) is not None), None)


def _items(holders: list[Row], name: str) -> list[Row]:
    lists = [holder.get(name) for holder in holders]
    return [one for found in lists if isinstance(found, list) for one in found if isinstance(one, dict)]


def _get(holder: Row, name: str) -> Row:
    value = holder.get(name)
    return value if isinstance(value, dict) else {}


def _nanoseconds(value: Any) -> int | None:
    number = integer(value)
    return number if isinstance(number, int) and number >= 0 else None


def _time(nanoseconds: int | None) -> str | None:
    if nanoseconds is None or nanoseconds > 10**19:
        return None
    seconds, rest = divmod(nanoseconds // 1_000, 1_000_000)
    return datetime.fromtimestamp(seconds, UTC).replace(microsecond=rest).isoformat()
