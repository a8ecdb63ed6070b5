"""The mock's answers in the form of OpenAI's chat completions and embeddings."""

from __future__ import annotations

import base64
import hashlib
import json
import struct
from itertools import takewhile
from typing import Any, Final

from tiergate.simulation.mock_upstream.saying import CREATED, MODELS, Json, Said, count_tokens, say

DIMENSIONS: Final = 8
DONE: Final = "data: [DONE]\n\n"


def error(status: int, message: str) -> Json:
    return {"error": {"message": message, "type": "mock_error", "param": None, "code": f"mock_{status}"}}


def models() -> Json:
    return {"object": "list", "data": [model(name) for name in MODELS]}


def model(name: str) -> Json:
    return {"id": name, "object": "model", "created": CREATED, "owned_by": "mock"}


def parts_of(content: Any) -> list[Json]:
    """Content as a list of parts, whichever form it has."""
    return [{"type": "text", "text": content}] if isinstance(content, str) else content or []


def texts_of(content: Any) -> str:
    return " ".join(str(part["text"]) for part in parts_of(content) if "text" in part)


def chat_said(request: Json, body: bytes) -> Said:
    messages = request.get("messages") or []
    results = list(takewhile(lambda message: message.get("role") == "tool", reversed(messages)))
    functions = [tool["function"] for tool in request.get("tools") or [] if "function" in tool]
    return say(
        request,
        body,
        tools=[(one["name"], one.get("parameters") or {}) for one in functions],
        results=[texts_of(message.get("content")) for message in reversed(results)],
        images=sum(part.get("type") == "image_url" for m in messages for part in parts_of(m.get("content"))),
        schema=((request.get("response_format") or {}).get("json_schema") or {}).get("schema"),
    )


def _usage(said: Said) -> Json:
    return {
        "prompt_tokens": said.input_tokens,
        "completion_tokens": said.output_tokens,
        "total_tokens": said.input_tokens + said.output_tokens,
        "prompt_tokens_details": {"cached_tokens": said.cached_tokens},
    }


def _head(said: Said, kind: str) -> Json:
    return {"id": f"chatcmpl-{said.answer_id}", "object": kind, "created": CREATED, "model": said.model} | said.echo


def _call(number: int, name: str, arguments: str) -> Json:
    return {"id": f"call_{number + 1}", "type": "function", "function": {"name": name, "arguments": arguments}}


def chat_answer(said: Said) -> Json:
    message: Json = {"role": "assistant", "content": said.text or None}
    if said.calls:
        message["tool_calls"] = [_call(n, name, json.dumps(given)) for n, (name, given) in enumerate(said.calls)]
    choice = {"index": 0, "message": message, "logprobs": None, "finish_reason": _finish(said)}
    return _head(said, "chat.completion") | {"choices": [choice], "usage": _usage(said)}


def _finish(said: Said) -> str:
    return "tool_calls" if said.calls else "stop"


def chat_events(said: Said, request: Json) -> list[str]:
    head = _head(said, "chat.completion.chunk")

    def event(delta: Json, finish: str | None = None) -> Json:
        return head | {"choices": [{"index": 0, "delta": delta, "finish_reason": finish}]}

    events = [event({"role": "assistant", "content": ""})]
    events += [event({"content": piece}) for piece in said.pieces]
    for number, (name, given) in enumerate(said.calls):
        events.append(event({"tool_calls": [{"index": number} | _call(number, name, "")]}))
        events += [
            event({"tool_calls": [{"index": number, "function": {"arguments": piece}}]})
            for piece in in_pieces(json.dumps(given))
        ]
    events.append(event({}, _finish(said)))
    if (request.get("stream_options") or {}).get("include_usage"):
        events.append(head | {"choices": [], "usage": _usage(said)})
    return [f"data: {json.dumps(one)}\n\n" for one in events] + [DONE]


def in_pieces(text: str) -> list[str]:
    """A text as models write it: a few letters at a time."""
    return [text[start : start + 5] for start in range(0, len(text), 5)]


def embeddings(request: Json, body: bytes) -> Json:
    """Vectors made from a hash of each input."""
    given = request.get("input")
    whole = not isinstance(given, list) or (bool(given) and isinstance(given[0], int))
    size = int(request.get("dimensions") or DIMENSIONS)
    data = []
    for number, one in enumerate([given] if whole else given or []):
        seed = hashlib.shake_128(json.dumps(one).encode()).digest(size)
        vector: Any = [(byte - 128) / 128 for byte in seed]
        if request.get("encoding_format") == "base64":
            vector = base64.b64encode(struct.pack(f"<{size}f", *vector)).decode()
        data.append({"object": "embedding", "index": number, "embedding": vector})
    tokens = count_tokens(body)
    usage = {"prompt_tokens": tokens, "total_tokens": tokens}
    return {"object": "list", "data": data, "model": request.get("model", MODELS[0]), "usage": usage}
