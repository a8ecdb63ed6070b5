"""A chat completion passed on as a message of Anthropic's, whole or while it comes."""

from __future__ import annotations

from typing import Any, Final

import msgspec

from tiergate.errors import UpstreamError
from tiergate.gateway.dialects.adapters import Adapter
from tiergate.gateway.dialects.common import UNREADABLE, UPSTREAM_ERROR, Answered
from tiergate.gateway.dialects.errors import error_body, message_of, translated_error
from tiergate.gateway.dialects.messages_over_chat_request import request
from tiergate.gateway.dialects.openai_chat import DONE, ChatUsage
from tiergate.gateway.dialects.sse import EventStream

Json = dict[str, Any]
NO_JSON: Final = "INVALID_JSON"
"""Under which a tool's input stands that is no JSON object (Anthropic's advice on fine-grained tool streaming)."""


class _Function(msgspec.Struct):
    """A call's function, or a part of it in a stream."""

    name: str | None = None
    arguments: str | None = None


class _Call(msgspec.Struct):
    """A call of a tool, or a part of it in a stream."""

    index: int | None = None
    id: str | None = None
    function: _Function | None = None


class _Spoken(msgspec.Struct):
    """What the model says, whole or in part."""

    content: str | None = None
    refusal: str | None = None
    tool_calls: list[_Call] | None = None


class _Choice(msgspec.Struct):
    message: _Spoken | None = None
    delta: _Spoken | None = None
    finish_reason: str | None = None


class _Answer(msgspec.Struct):
    choices: list[_Choice]
    id: str | None = None
    model: str | None = None
    usage: ChatUsage | None = None


_decode_answer = msgspec.json.Decoder(_Answer).decode
_decode_object = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode
_STOP_REASONS: Final = {
    "stop": "end_turn",
    "length": "max_tokens",
    "tool_calls": "tool_use",
    "function_call": "tool_use",
}


def _stop_reason(finish: str | None, *, called: bool, refused: bool) -> str:
    """Anthropic's word. Some upstreams end a call that was demanded with `stop`."""
    if refused or finish == "content_filter":
        return "refusal"
    return "tool_use" if called and finish != "length" else _STOP_REASONS.get(finish or "stop", "end_turn")


def _message_usage(usage: ChatUsage | None) -> Json:
    """Usage as messages tell it; all 0 where the upstream tells none."""
    told = (usage or ChatUsage()).usage()
    read, written = told.cached_input_tokens or 0, told.cache_write_tokens or 0
    return {
        "input_tokens": max(0, (told.input_tokens or 0) - read - written),
        "cache_read_input_tokens": read,
        "cache_creation_input_tokens": written,
        "output_tokens": told.output_tokens or 0,
    }


def answer(status: int, body: bytes, _now_us: int) -> tuple[bytes, Answered]:
    """The message that a chat completion is. Raises `UpstreamError` (502) for what is none."""
    if status >= 400:
        return translated_error("anthropic", status, body), Answered()
    try:
        said = _decode_answer(body)
        choice = said.choices[0]
    except (*UNREADABLE, IndexError) as error:
        raise UpstreamError("the upstream's answer is no chat completion", status=502) from error
    spoken = choice.message or _Spoken()
    texts = [text for text in (spoken.content, spoken.refusal) if text]
    content: list[Json] = [{"type": "text", "text": text} for text in texts]
    content += [_tool_use(number, call) for number, call in enumerate(spoken.tool_calls or [])]
    reason = _stop_reason(choice.finish_reason, called=bool(spoken.tool_calls), refused=bool(spoken.refusal))
    made = {
        "id": said.id or "",
        "type": "message",
        "role": "assistant",
        "model": said.model or "",
        "content": content,
        "stop_reason": reason,
        "stop_sequence": None,
        "usage": _message_usage(said.usage),
    }
    usage = said.usage.usage() if said.usage else None
    text = "".join(texts) or None
    return msgspec.json.encode(made), Answered(model=said.model, usage=usage, finish_reason=reason, text=text)


def _tool_use(number: int, call: _Call) -> Json:
    function = call.function or _Function()
    arguments = function.arguments or "{}"
    given: Any
    try:
        given = _decode_object(arguments)
    except UNREADABLE:
        given = {NO_JSON: arguments}
    return {"type": "tool_use", "id": call.id or f"toolu_{number}", "name": function.name or "", "input": given}


class _Chunk(msgspec.Struct):
    id: str | None = None
    model: str | None = None
    choices: list[_Choice] | None = None
    usage: ChatUsage | None = None
    error: Any = None


_decode_chunk = msgspec.json.Decoder(_Chunk).decode


def _event_bytes(kind: str, **fields: Any) -> bytes:
    """A named event with its data."""
    return b"event: %s\ndata: %s\n\n" % (kind.encode(), msgspec.json.encode({"type": kind} | fields))


class MessageOverChat(EventStream):
    """Fed the chunks of a chat completion; gives the events of a message.

    One block is open at a time. A call that goes on after another has begun is passed on under its own index.
    """

    def __init__(self, *, keep_text: bool) -> None:
        super().__init__(keep_text=keep_text)
        self._chat_usage: ChatUsage | None = None
        self._finish: str | None = None
        self._refused = False
        self._started = False
        self._blocks = 0
        self._open: int | None = None
        self._text_is_open = False
        self._calls: dict[int | None, tuple[str | None, int]] = {}
        self._out: list[bytes] = []

    def feed(self, piece: bytes) -> bytes:
        super().feed(piece)
        out, self._out = self._out, []
        return b"".join(out)

    def end(self) -> bytes:
        """The end, where the upstream did not mark it; an error where it did not come to one."""
        if not self.done and self._finish is not None:
            self._close()
        elif not self.done:
            self._fail("the upstream ended its answer before it was whole")
        out, self._out = self._out, []
        return b"".join(out)

    def _event(self, data: bytes) -> None:
        if self.done:
            return
        if data == DONE:
            self._close()
            return
        try:
            chunk = _decode_chunk(data)
        except UNREADABLE:
            self._fail("the upstream said what is no part of a chat completion")
            return
        if chunk.error is not None:
            self._fail(message_of(data) or "the upstream failed")
            return
        self._start(chunk)
        if chunk.usage is not None:
            self._chat_usage, self.usage = chunk.usage, chunk.usage.usage()
        for choice in (chunk.choices or [])[:1]:
            self.pieces += choice.finish_reason is None
            self._finish = choice.finish_reason or self._finish
            if choice.delta is not None:
                self._say(choice.delta)

    def _start(self, chunk: _Chunk) -> None:
        if self._started:
            return
        self._started, self.model = True, chunk.model
        head: Json = {
            "id": chunk.id or "",
            "type": "message",
            "role": "assistant",
            "model": chunk.model or "",
            "content": [],
        }
        head |= {"stop_reason": None, "stop_sequence": None, "usage": _message_usage(None)}
        self._out.append(_event_bytes("message_start", message=head))

    def _say(self, delta: _Spoken) -> None:
        for text in (delta.content, delta.refusal):
            if text:
                self._say_text(text)
        self._refused = self._refused or bool(delta.refusal)
        for call in delta.tool_calls or []:
            self._say_call(call)

    def _say_text(self, text: str) -> None:
        if not self._text_is_open:
            self._begin({"type": "text", "text": ""})
            self._text_is_open = True
        self._tell(text)
        self._delta(self._blocks - 1, {"type": "text_delta", "text": text})

    def _say_call(self, call: _Call) -> None:
        function = call.function
        known = self._calls.get(call.index)
        # Some upstreams number no calls: another id is another call.
        if known is None or (call.id and known[0] and call.id != known[0]):
            name = (function.name if function else None) or ""
            self._begin({"type": "tool_use", "id": call.id or f"toolu_{self._blocks}", "name": name, "input": {}})
            known = self._calls[call.index] = (call.id, self._blocks - 1)
        if function and function.arguments:
            self._measure(function.arguments)
            self._delta(known[1], {"type": "input_json_delta", "partial_json": function.arguments})

    def _begin(self, block: Json) -> None:
        self._end_block()
        self._open = self._blocks
        self._out.append(_event_bytes("content_block_start", index=self._blocks, content_block=block))
        self._blocks += 1

    def _delta(self, index: int, delta: Json) -> None:
        self._out.append(_event_bytes("content_block_delta", index=index, delta=delta))

    def _end_block(self) -> None:
        if self._open is not None:
            self._out.append(_event_bytes("content_block_stop", index=self._open))
        self._open, self._text_is_open = None, False

    def _close(self) -> None:
        self.done = True
        self._start(_Chunk())
        self._end_block()
        self.finish_reason = _stop_reason(self._finish, called=bool(self._calls), refused=self._refused)
        ended = {"stop_reason": self.finish_reason, "stop_sequence": None}
        self._out.append(_event_bytes("message_delta", delta=ended, usage=_message_usage(self._chat_usage)))
        self._out.append(_event_bytes("message_stop"))

    def _fail(self, message: str) -> None:
        self.done, self.finish_reason = True, UPSTREAM_ERROR
        body = error_body("anthropic", 502, UPSTREAM_ERROR, message)
        self._out.append(b"event: error\ndata: %s\n\n" % body)


ADAPTER: Final = Adapter(
    "/chat/completions", request, answer, lambda _, keep_text, __: MessageOverChat(keep_text=keep_text)
)
