"""The mock's paths."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from typing import Any

from tiergate.simulation.mock_upstream import anthropic_api, openai_api, responses_api
from tiergate.simulation.mock_upstream.saying import FAILURE, Json, count_tokens

Receive = Callable[[], Awaitable[dict[str, Any]]]
Send = Callable[[dict[str, Any]], Awaitable[None]]


class MockUpstream:
    """The ASGI application. ``delay_s`` passes before an answer and between the events of a streamed one."""

    def __init__(self, delay_s: float = 0.0) -> None:
        self._delay_s = delay_s

    async def __call__(self, scope: dict[str, Any], receive: Receive, send: Send) -> None:
        method, path = scope["method"], scope["path"]
        anthropic = path.startswith("/v1/messages") or b"anthropic-version" in dict(scope["headers"])
        api = anthropic_api if anthropic else openai_api
        body = await _body(receive)
        try:
            request = json.loads(body) if body else {}
        except ValueError:
            await _json(send, 400, api.error(400, "the body is not JSON"))
            return
        await asyncio.sleep(self._delay_s)
        if failure := FAILURE.search(body):
            await _json(send, int(failure[1]), api.error(int(failure[1]), "as asked"))
        elif method == "POST":
            await self._asked(path, request, body, send)
        elif path == "/v1/models":
            await _json(send, 200, api.models())
        elif path.startswith("/v1/models/"):
            await _json(send, 200, api.model(path.removeprefix("/v1/models/")))
        else:
            await _json(send, 404, api.error(404, "not found"))

    async def _asked(self, path: str, request: Json, body: bytes, send: Send) -> None:
        streamed = bool(request.get("stream"))
        if path == "/v1/chat/completions":
            said = openai_api.chat_said(request, body)
            await self._say(send, openai_api.chat_events(said, request) if streamed else openai_api.chat_answer(said))
        elif path == "/v1/responses":
            said = responses_api.said(request, body)
            answer = responses_api.events(said, request) if streamed else responses_api.answer(said, request)
            await self._say(send, answer)
        elif path == "/v1/embeddings":
            await self._say(send, openai_api.embeddings(request, body))
        elif path == "/v1/messages":
            said = anthropic_api.said(request, body)
            answer = anthropic_api.events(said, request) if streamed else anthropic_api.answer(said, request)
            await self._say(send, answer)
        elif path == "/v1/messages/count_tokens":
            await self._say(send, {"input_tokens": count_tokens(body)})
        else:
            await _json(send, 404, openai_api.error(404, "not found"))

    async def _say(self, send: Send, answer: Json | list[str]) -> None:
        """A whole answer, or the events of a streamed one."""
        if isinstance(answer, dict):
            await _json(send, 200, answer)
            return
        headers = [(b"content-type", b"text/event-stream; charset=utf-8")]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        for event in answer:
            if self._delay_s:
                await asyncio.sleep(self._delay_s)
            await send({"type": "http.response.body", "body": event.encode(), "more_body": True})
        await send({"type": "http.response.body", "body": b""})


async def _body(receive: Receive) -> bytes:
    pieces = []
    while True:
        message = await receive()
        pieces.append(message.get("body", b""))
        if not message.get("more_body"):
            return b"".join(pieces)


async def _json(send: Send, status: int, value: Json) -> None:
    body = json.dumps(value).encode()
    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
