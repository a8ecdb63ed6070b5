"""A stand-in for a model provider: speaks the OpenAI and Anthropic APIs on loopback, streaming and not.

Answers are made up from a hash of the question, so that the same question gets the same answer. It is for
demonstrations and tests; it checks no key. Run it with ``python -m tiergate.simulation.mock_upstream --port 0``: it
prints one JSON line with its address.
"""

from __future__ import annotations

import argparse
import asyncio
import hashlib
import json
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any, Final

import uvicorn

WORDS: Final = [
    "the",
    "answer",
    "depends",
    "on",
    "what",
    "is",
    "measured",
    "first",
    "and",
    "then",
    "on",
    "how",
    "each",
    "part",
    "adds",
    "to",
    "the",
    "whole",
    "so",
    "take",
    "it",
    "in",
    "order",
    "check",
    "every",
    "step",
    "against",
    "the",
    "question",
    "and",
    "say",
    "plainly",
    "where",
    "the",
    "facts",
    "end",
    "and",
    "the",
    "guess",
    "begins",
]
TOOL_WORD: Final = "use-a-tool"
"""A message with this word gets a call of the first tool that the request offers."""

MODELS: Final = ("model-large", "model-medium", "model-small")

Receive = Callable[[], Awaitable[dict[str, Any]]]
Send = Callable[[dict[str, Any]], Awaitable[None]]


class MockUpstream:
    """The ASGI application. ``delay_s`` passes before an answer and between the events of a streamed one."""

    def __init__(self, delay_s: float = 0.0) -> None:
        self._delay_s = delay_s

    async def __call__(self, scope: dict[str, Any], receive: Receive, send: Send) -> None:
        route = (scope["method"], scope["path"])
        body = await _body(receive)
        try:
            request = json.loads(body) if body else {}
        except ValueError:
            await _json(send, 400, {"error": {"message": "the body is not JSON", "type": "invalid_request_error"}})
            return
        await asyncio.sleep(self._delay_s)
        if route == ("POST", "/v1/chat/completions"):
            await self._answer(send, request, _chat_events(request, body), _chat_answer(request, body))
        elif route == ("POST", "/v1/messages"):
            await self._answer(send, request, _message_events(request, body), _message_answer(request, body))
        elif route == ("GET", "/v1/models"):
            models = [{"id": name, "object": "model", "created": 1_700_000_000, "owned_by": "mock"} for name in MODELS]
            await _json(send, 200, {"object": "list", "data": models})
        else:
            await _json(send, 404, {"error": {"message": "not found", "type": "invalid_request_error"}})

    async def _answer(self, send: Send, request: dict[str, Any], events: list[str], whole: dict[str, Any]) -> None:
        if not request.get("stream"):
            await _json(send, 200, whole)
            return
        headers = [(b"content-type", b"text/event-stream; charset=utf-8")]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        async for event in _paced(events, self._delay_s):
            await send({"type": "http.response.body", "body": event.encode(), "more_body": True})
        await send({"type": "http.response.body", "body": b""})


def _said(body: bytes) -> list[str]:
    digest = hashlib.blake2b(body, digest_size=16).digest()
    return [WORDS[byte % len(WORDS)] for byte in digest[: 6 + digest[0] % 10]]


def _answer_id(body: bytes) -> str:
    return hashlib.blake2b(body, digest_size=12, person=b"answer-id").hexdigest()


def _input_tokens(body: bytes) -> int:
    return max(1, len(body) // 4)


def _tool(request: dict[str, Any], body: bytes) -> str | None:
    tools = request.get("tools") or []
    if not tools or TOOL_WORD.encode() not in body:
        return None
    return str(tools[0].get("function", tools[0])["name"])


def _chat_usage(body: bytes, words: list[str]) -> dict[str, int]:
    asked, said = _input_tokens(body), len(words)
    return {"prompt_tokens": asked, "completion_tokens": said, "total_tokens": asked + said}


def _chat_head(request: dict[str, Any], body: bytes, kind: str) -> dict[str, Any]:
    return {
        "id": f"chatcmpl-{_answer_id(body)}",
        "object": kind,
        "created": 1_700_000_000,
        "model": request.get("model", MODELS[0]),
    }


def _chat_answer(request: dict[str, Any], body: bytes) -> dict[str, Any]:
    words, tool = _said(body), _tool(request, body)
    message: dict[str, Any] = {"role": "assistant", "content": None if tool else " ".join(words)}
    if tool:
        message["tool_calls"] = [{"id": "call_1", "type": "function", "function": {"name": tool, "arguments": "{}"}}]
    choice = {"index": 0, "message": message, "logprobs": None, "finish_reason": "tool_calls" if tool else "stop"}
    return _chat_head(request, body, "chat.completion") | {"choices": [choice], "usage": _chat_usage(body, words)}


def _chat_events(request: dict[str, Any], body: bytes) -> list[str]:
    words, tool = _said(body), _tool(request, body)
    head = _chat_head(request, body, "chat.completion.chunk")

    def event(delta: dict[str, Any], finish: str | None = None) -> dict[str, Any]:
        return head | {"choices": [{"index": 0, "delta": delta, "finish_reason": finish}]}

    events = [event({"role": "assistant", "content": ""})]
    if tool:
        call = {"index": 0, "id": "call_1", "type": "function", "function": {"name": tool, "arguments": "{}"}}
        events.append(event({"tool_calls": [call]}))
    else:
        events += [event({"content": word + " "}) for word in words]
    events.append(event({}, "tool_calls" if tool else "stop"))
    if (request.get("stream_options") or {}).get("include_usage"):
        events.append(head | {"choices": [], "usage": _chat_usage(body, words)})
    return [f"data: {json.dumps(one)}\n\n" for one in events] + ["data: [DONE]\n\n"]


def _message_answer(request: dict[str, Any], body: bytes) -> dict[str, Any]:
    words, tool = _said(body), _tool(request, body)
    content: list[dict[str, Any]] = [{"type": "text", "text": " ".join(words)}]
    if tool:
        content = [{"type": "tool_use", "id": "toolu_1", "name": tool, "input": {}}]
    return {
        "id": f"msg_{_answer_id(body)}",
        "type": "message",
        "role": "assistant",
        "model": request.get("model", MODELS[0]),
        "content": content,
        "stop_reason": "tool_use" if tool else "end_turn",
        "stop_sequence": None,
        "usage": {"input_tokens": _input_tokens(body), "output_tokens": len(words)},
    }


def _message_events(request: dict[str, Any], body: bytes) -> list[str]:
    whole = _message_answer(request, body)
    block = whole["content"][0]
    start = whole | {"content": [], "stop_reason": None, "usage": whole["usage"] | {"output_tokens": 0}}
    if block["type"] == "text":
        empty: dict[str, Any] = {"type": "text", "text": ""}
        deltas = [{"type": "text_delta", "text": word + " "} for word in block["text"].split()]
    else:
        empty = block
        deltas = [{"type": "input_json_delta", "partial_json": "{}"}]
    events: list[dict[str, Any]] = [
        {"type": "message_start", "message": start},
        {"type": "content_block_start", "index": 0, "content_block": empty},
        *({"type": "content_block_delta", "index": 0, "delta": delta} for delta in deltas),
        {"type": "content_block_stop", "index": 0},
        {
            "type": "message_delta",
            "delta": {"stop_reason": whole["stop_reason"], "stop_sequence": None},
            "usage": {"output_tokens": whole["usage"]["output_tokens"]},
        },
        {"type": "message_stop"},
    ]
    return [f"event: {one['type']}\ndata: {json.dumps(one)}\n\n" for one in events]


async def _paced(events: list[str], delay_s: float) -> AsyncIterator[str]:
    for event in events:
        if delay_s:
            await asyncio.sleep(delay_s)
        yield event


async def _body(receive: Receive) -> bytes:
    pieces = []
    while True:
        message = await receive()
        pieces.append(message.get("body", b""))
        if not message.get("more_body"):
            return b"".join(pieces)


async def _json(send: Send, status: int, value: Any) -> None:
    body = json.dumps(value).encode()
    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})


def main() -> None:
    parser = argparse.ArgumentParser(description="A stand-in for a model provider, on loopback.")
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--delay-ms", type=float, default=0.0, help="before an answer and between streamed events")
    options = parser.parse_args()
    listener = socket.socket()
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.bind(("127.0.0.1", options.port))
    listener.listen(1024)
    print(json.dumps({"address": f"http://127.0.0.1:{listener.getsockname()[1]}"}), flush=True)  # noqa: T201
    application = MockUpstream(options.delay_ms / 1000)
    config = uvicorn.Config(application, http="httptools", loop="uvloop", lifespan="off", log_level="warning")
    uvicorn.Server(config).run([listener])


if __name__ == "__main__":
    main()
