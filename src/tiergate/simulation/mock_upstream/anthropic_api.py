"""The mock's answers in the form of Anthropic's API."""

from __future__ import annotations

import json
from typing import Any, Final

from tiergate.simulation.mock_upstream.openai_api import in_pieces, parts_of, texts_of
from tiergate.simulation.mock_upstream.saying import MODELS, Json, Said, say

_KINDS: Final = {400: "invalid_request_error", 401: "authentication_error", 404: "not_found_error"}
_MORE_KINDS: Final = {403: "permission_error", 429: "rate_limit_error", 529: "overloaded_error"}


def error(status: int, message: str) -> Json:
    kind = (_KINDS | _MORE_KINDS).get(status, "api_error")
    return {"type": "error", "error": {"type": kind, "message": message}, "request_id": "req_mock"}


def models() -> Json:
    data = [model(name) for name in MODELS]
    return {"data": data, "has_more": False, "first_id": data[0]["id"], "last_id": data[-1]["id"]}


def model(name: str) -> Json:
    return {"type": "model", "id": name, "display_name": name.title(), "created_at": "2023-11-14T22:13:20Z"}


def said(request: Json, body: bytes) -> Said:
    messages = request.get("messages") or []
    blocks = [block for message in messages for block in parts_of(message.get("content"))]
    last = parts_of(messages[-1].get("content")) if messages else []
    results = [texts_of(block.get("content")) for block in last if block.get("type") == "tool_result"]
    inner = [part for block in blocks if block.get("type") == "tool_result" for part in parts_of(block.get("content"))]
    tools = [tool for tool in request.get("tools") or [] if "input_schema" in tool]
    return say(
        request,
        body,
        tools=[(tool["name"], tool["input_schema"]) for tool in tools],
        results=results,
        images=sum(block.get("type") == "image" for block in blocks + inner),
        schema=((request.get("output_config") or {}).get("format") or {}).get("schema"),
    )


def _usage(said: Said, output_tokens: int) -> Json:
    return {
        "input_tokens": said.input_tokens - said.cached_tokens,
        "cache_read_input_tokens": said.cached_tokens,
        "cache_creation_input_tokens": 0,
        "output_tokens": output_tokens,
    }


def answer(said: Said, request: Json) -> Json:
    content: list[Json] = [{"type": "text", "text": said.text}] if said.pieces else []
    if (request.get("thinking") or {}).get("type") in ("enabled", "adaptive"):
        content.insert(0, {"type": "thinking", "thinking": "first things first", "signature": "c2lnbmVk"})
    for number, (name, given) in enumerate(said.calls):
        content.append({"type": "tool_use", "id": f"toolu_{number + 1}", "name": name, "input": given})
    return {
        "id": f"msg_{said.answer_id}",
        "type": "message",
        "role": "assistant",
        "model": said.model,
        "content": content,
        "stop_reason": "tool_use" if said.calls else "end_turn",
        "stop_sequence": None,
        "usage": _usage(said, said.output_tokens),
    } | said.echo


def events(said: Said, request: Json) -> list[str]:
    """Named events; the first tells all of the input and one token of the output, as the real one does."""
    whole = answer(said, request)
    start = whole | {"content": [], "stop_reason": None, "usage": _usage(said, 1)}
    made: list[Json] = [{"type": "message_start", "message": start}, {"type": "ping"}]
    for index, block in enumerate(whole["content"]):
        empty, deltas = _taken_apart(block, said)
        made.append({"type": "content_block_start", "index": index, "content_block": empty})
        made += [{"type": "content_block_delta", "index": index, "delta": delta} for delta in deltas]
        made.append({"type": "content_block_stop", "index": index})
    ended = {"stop_reason": whole["stop_reason"], "stop_sequence": None}
    made.append({"type": "message_delta", "delta": ended, "usage": {"output_tokens": said.output_tokens}})
    made.append({"type": "message_stop"})
    return [f"event: {one['type']}\ndata: {json.dumps(one)}\n\n" for one in made]


def _taken_apart(block: Json, said: Said) -> tuple[Json, list[dict[str, Any]]]:
    """A block as its stream begins it, and what fills it."""
    if block["type"] == "text":
        return block | {"text": ""}, [{"type": "text_delta", "text": piece} for piece in said.pieces]
    if block["type"] == "thinking":
        thought = [{"type": "thinking_delta", "thinking": block["thinking"]}]
        signed = [{"type": "signature_delta", "signature": block["signature"]}]
        return block | {"thinking": "", "signature": ""}, thought + signed
    pieces = in_pieces(json.dumps(block["input"])) if block["input"] else [""]
    return block | {"input": {}}, [{"type": "input_json_delta", "partial_json": piece} for piece in pieces]
