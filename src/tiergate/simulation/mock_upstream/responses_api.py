"""The mock's answers in the form of OpenAI's responses."""

from __future__ import annotations

import itertools
import json
from itertools import takewhile
from typing import Any

from tiergate.simulation.mock_upstream.openai_api import in_pieces, parts_of, texts_of
from tiergate.simulation.mock_upstream.saying import CREATED, Json, Said, say


def said(request: Json, body: bytes) -> Said:
    items = request.get("input") or []
    items = [{"role": "user", "content": items}] if isinstance(items, str) else items
    results = list(takewhile(lambda item: item.get("type") == "function_call_output", reversed(items)))
    tools = [tool for tool in request.get("tools") or [] if tool.get("type") == "function"]
    return say(
        request,
        body,
        tools=[(tool["name"], tool.get("parameters") or {}) for tool in tools],
        results=[texts_of(item.get("output")) for item in reversed(results)],
        images=sum(part.get("type") == "input_image" for item in items for part in parts_of(item.get("content"))),
        schema=((request.get("text") or {}).get("format") or {}).get("schema"),
    )


def answer(said: Said, request: Json) -> Json:
    return _head(said, request) | {"status": "completed", "output": _output(said), "usage": _usage(said)}


def _head(said: Said, request: Json) -> Json:
    return {
        "id": f"resp_{said.answer_id}",
        "object": "response",
        "created_at": CREATED,
        "status": "in_progress",
        "model": said.model,
        "output": [],
        "error": None,
        "incomplete_details": None,
        "instructions": request.get("instructions"),
        "metadata": {},
        "parallel_tool_calls": True,
        "temperature": 1.0,
        "tool_choice": "auto",
        "tools": request.get("tools") or [],
        "top_p": 1.0,
        "usage": None,
    } | said.echo


def _usage(said: Said) -> Json:
    return {
        "input_tokens": said.input_tokens,
        "input_tokens_details": {"cached_tokens": said.cached_tokens, "cache_write_tokens": 0},
        "output_tokens": said.output_tokens,
        "output_tokens_details": {"reasoning_tokens": 0},
        "total_tokens": said.input_tokens + said.output_tokens,
    }


def _text_part(text: str) -> Json:
    return {"type": "output_text", "text": text, "annotations": []}


def _output(said: Said) -> list[Json]:
    if not said.calls:
        return [_message(said, "completed", [_text_part(said.text)])]
    return [_call(said, number, "completed", json.dumps(given)) for number, (_, given) in enumerate(said.calls)]


def _message(said: Said, status: str, content: list[Json]) -> Json:
    head = {"type": "message", "id": f"msg_{said.answer_id}", "status": status, "role": "assistant"}
    return head | {"content": content}


def _call(said: Said, number: int, status: str, arguments: str) -> Json:
    head = {"type": "function_call", "id": f"fc_{said.answer_id}_{number}", "status": status}
    return head | {"call_id": f"call_{number + 1}", "name": said.calls[number][0], "arguments": arguments}


def events(said: Said, request: Json) -> list[str]:
    """Named events, numbered in order."""
    started = _head(said, request)
    made: list[tuple[str, Json]] = [("created", {"response": started}), ("in_progress", {"response": started})]
    if said.calls:
        for number, (_, given) in enumerate(said.calls):
            made += _call_events(said, number, json.dumps(given))
    else:
        made += _text_events(said)
    made.append(("completed", {"response": answer(said, request)}))
    numbers = itertools.count()
    typed = [{"type": f"response.{kind}", "sequence_number": next(numbers)} | fields for kind, fields in made]
    return [f"event: {one['type']}\ndata: {json.dumps(one)}\n\n" for one in typed]


def _text_events(said: Said) -> list[tuple[str, Json]]:
    at: dict[str, Any] = {"item_id": f"msg_{said.answer_id}", "output_index": 0}
    part: dict[str, Any] = at | {"content_index": 0}
    deltas = [("output_text.delta", part | {"delta": piece, "logprobs": []}) for piece in said.pieces]
    whole = _text_part(said.text)
    return [
        ("output_item.added", {"output_index": 0, "item": _message(said, "in_progress", [])}),
        ("content_part.added", part | {"part": _text_part("")}),
        *deltas,
        ("output_text.done", part | {"text": said.text, "logprobs": []}),
        ("content_part.done", part | {"part": whole}),
        ("output_item.done", {"output_index": 0, "item": _message(said, "completed", [whole])}),
    ]


def _call_events(said: Said, number: int, arguments: str) -> list[tuple[str, Json]]:
    at: dict[str, Any] = {"item_id": f"fc_{said.answer_id}_{number}", "output_index": number}
    kind = "function_call_arguments"
    named = at | {"name": said.calls[number][0], "arguments": arguments}
    return [
        ("output_item.added", {"output_index": number, "item": _call(said, number, "in_progress", "")}),
        *[(f"{kind}.delta", at | {"delta": piece}) for piece in in_pieces(arguments)],
        (f"{kind}.done", named),
        ("output_item.done", {"output_index": number, "item": _call(said, number, "completed", arguments)}),
    ]
