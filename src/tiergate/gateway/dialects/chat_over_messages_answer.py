"""A message of Anthropic's passed on as a chat completion, whole or while it comes."""

from __future__ import annotations

from typing import Any, Final

import msgspec

from tiergate.errors import UpstreamError
from tiergate.gateway.dialects.adapters import Adapter
from tiergate.gateway.dialects.anthropic_messages import MessageUsage
from tiergate.gateway.dialects.chat_over_messages_request import request
from tiergate.gateway.dialects.common import UNREADABLE, UPSTREAM_ERROR, Answered, Asked
from tiergate.gateway.dialects.errors import error_body, message_of, translated_error
from tiergate.gateway.dialects.openai_chat import DONE
from tiergate.gateway.dialects.sse import EventStream

Json = dict[str, Any]
_FINISH_REASONS: Final = {
    "end_turn": "stop",
    "stop_sequence": "stop",
    "pause_turn": "stop",
    "max_tokens": "length",
    "model_context_window_exceeded": "length",
    "tool_use": "tool_calls",
    "refusal": "content_filter",
}


class _Block(msgspec.Struct):
    type: str
    text: str = ""
    id: str = ""
    name: str = ""
    input: msgspec.Raw = msgspec.Raw(b"{}")


class _Message(msgspec.Struct):
    id: str
    model: str
    content: list[_Block]
    stop_reason: str | None = None
    usage: MessageUsage | None = None


_decode_answer = msgspec.json.Decoder(_Message).decode


def _chat_usage(usage: MessageUsage) -> Json:
    told = usage.usage()
    read, written = told.input_tokens or 0, told.output_tokens or 0
    return {
        "prompt_tokens": read,
        "completion_tokens": written,
        "total_tokens": read + written,
        "prompt_tokens_details": {
            "cached_tokens": told.cached_input_tokens or 0,
            "cache_write_tokens": told.cache_write_tokens or 0,
        },
        "completion_tokens_details": {"reasoning_tokens": told.reasoning_tokens or 0},
    }


def answer(status: int, body: bytes, now_us: int) -> tuple[bytes, Answered]:
    """The chat completion that a message is, made now. Raises `UpstreamError` (502) for what is no message."""
    if status >= 400:
        return translated_error("openai", status, body), Answered()
    try:
        said = _decode_answer(body)
    except UNREADABLE as error:
        raise UpstreamError("the upstream's answer is no message", status=502) from error
    text = "".join(block.text for block in said.content if block.type == "text") or None
    message: Json = {"role": "assistant", "content": text, "refusal": None}
    calls = [
        {"id": block.id, "type": "function", "function": {"name": block.name, "arguments": bytes(block.input).decode()}}
        for block in said.content
        if block.type == "tool_use"
    ]
    if calls:
        message["tool_calls"] = calls
    finish = _FINISH_REASONS.get(said.stop_reason or "end_turn", "stop")
    choice = {"index": 0, "message": message, "logprobs": None, "finish_reason": finish}
    made = {"id": said.id, "object": "chat.completion", "created": now_us // 1_000_000, "model": said.model}
    made |= {"choices": [choice], "usage": _chat_usage(said.usage or MessageUsage())}
    usage = said.usage.usage() if said.usage else None
    return msgspec.json.encode(made), Answered(model=said.model, usage=usage, finish_reason=finish, text=text)


class _Delta(msgspec.Struct):
    type: str | None = None
    text: str = ""
    partial_json: str = ""
    stop_reason: str | None = None


class _Event(msgspec.Struct):
    type: str
    index: int = 0
    message: _Message | None = None
    content_block: _Block | None = None
    delta: _Delta | None = None
    usage: MessageUsage | None = None


_decode_event = msgspec.json.Decoder(_Event).decode


class ChatOverMessages(EventStream):
    """Fed the events of a message; gives the chunks of a chat completion."""

    def __init__(self, *, keep_text: bool, show_usage: bool, now_us: int) -> None:
        super().__init__(keep_text=keep_text)
        self._show_usage = show_usage
        self._head: Json = {"id": "", "object": "chat.completion.chunk", "created": now_us // 1_000_000, "model": ""}
        self._message_usage = MessageUsage()
        self._calls: dict[int, int] = {}
        self._argued: set[int] = set()
        self._out: list[bytes] = []

    def feed(self, piece: bytes) -> bytes:
        super().feed(piece)
        return self._given()

    def end(self) -> bytes:
        """An error, where the upstream did not come to an end."""
        if not self.done:
            self._fail("the upstream ended its answer before it was whole")
        return self._given()

    def _given(self) -> bytes:
        out, self._out = self._out, []
        return b"".join(out)

    def _event(self, data: bytes) -> None:
        if self.done:
            return
        try:
            event = _decode_event(data)
        except UNREADABLE:
            self._fail("the upstream said what is no part of a message")
            return
        if event.type == "message_start" and event.message:
            self._start(event.message)
        elif event.type == "content_block_start" and event.content_block:
            self._begin(event.index, event.content_block)
        elif event.type == "content_block_delta" and event.delta:
            self.pieces += 1
            self._say(event.index, event.delta)
        elif event.type == "content_block_stop" and event.index in self._calls and event.index not in self._argued:
            self._argue(event.index, "{}")
        elif event.type == "message_delta":
            self._finish(event)
        elif event.type == "message_stop":
            self._close()
        elif event.type == "error":
            self._fail(message_of(data) or "the upstream failed")

    def _start(self, message: _Message) -> None:
        self._head |= {"id": message.id, "model": message.model}
        self.model = message.model
        if message.usage:
            # The output that it tells is that of the first event alone.
            self._count(msgspec.structs.replace(message.usage, output_tokens=None))
        self._choice({"role": "assistant", "content": "", "refusal": None})

    def _begin(self, index: int, block: _Block) -> None:
        if block.type == "text" and block.text:
            self._say(index, _Delta("text_delta", text=block.text))
        if block.type == "tool_use":
            number = self._calls[index] = len(self._calls)
            function = {"name": block.name, "arguments": ""}
            self._choice({"tool_calls": [{"index": number, "id": block.id, "type": "function", "function": function}]})

    def _say(self, index: int, delta: _Delta) -> None:
        if delta.type == "text_delta" and delta.text:
            self._tell(delta.text)
            self._choice({"content": delta.text})
        elif delta.type == "input_json_delta" and delta.partial_json and index in self._calls:
            self._argue(index, delta.partial_json)

    def _argue(self, index: int, arguments: str) -> None:
        self._argued.add(index)
        self._measure(arguments)
        self._choice({"tool_calls": [{"index": self._calls[index], "function": {"arguments": arguments}}]})

    def _finish(self, event: _Event) -> None:
        if event.usage:
            self._count(event.usage)
        reason = event.delta.stop_reason if event.delta else None
        self.finish_reason = _FINISH_REASONS.get(reason or "end_turn", "stop")
        self._choice({}, self.finish_reason)

    def _count(self, usage: MessageUsage) -> None:
        self._message_usage = self._message_usage.later(usage)
        self.usage = self._message_usage.usage()

    def _close(self) -> None:
        self.done = True
        if self._show_usage:
            self._chunk({"choices": [], "usage": _chat_usage(self._message_usage)})
        self._out.append(b"data: %s\n\n" % DONE)

    def _fail(self, message: str) -> None:
        self.done, self.finish_reason = True, UPSTREAM_ERROR
        self._out.append(b"data: %s\n\n" % error_body("openai", 502, UPSTREAM_ERROR, message))

    def _choice(self, delta: Json, finish: str | None = None) -> None:
        self._chunk({"choices": [{"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish}]})

    def _chunk(self, fields: Json) -> None:
        self._out.append(b"data: %s\n\n" % msgspec.json.encode(self._head | fields))


def _stream(asked: Asked, keep_text: bool, now_us: int) -> EventStream:
    return ChatOverMessages(keep_text=keep_text, show_usage=asked.show_usage, now_us=now_us)


ADAPTER: Final = Adapter("/messages", request, answer, _stream)
