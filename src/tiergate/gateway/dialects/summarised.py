"""Answers without the model's reasoning and without log-probabilities: what accounts under `summarise` get.

Both are what a student model learns most from (DeepSeek-R1's distilled models were trained on reasoning; Hinton,
Vinyals and Dean 2015 on probabilities). Fields of reasoning are told by their names, so that those of upstreams that we
do not know go too. What a model writes of its reasoning into the answer itself stays, and so does its usage.

What cannot be read is not passed on.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any, Final

import msgspec

from tiergate.errors import UpstreamError
from tiergate.gateway.dialects.common import UNREADABLE, Operation
from tiergate.gateway.dialects.sse import LONGEST_EVENT

Json = dict[str, Any]
Change = Callable[[Json], Json | None]
"""From an event or a whole answer to what the caller gets of it, None for nothing."""

_TELLING: Final = re.compile("reasoning|thinking|thought|logprob", re.IGNORECASE)
_KEPT: Final = ("usage", "tool_calls")
"""Of a chat completion, never looked into: counts, and calls, whose signatures an upstream asks back."""
_FIELDS: Final = (b"event:", b"id:", b"retry:", b":")
"""Lines of an event that pass besides its data."""

_decode = msgspec.json.Decoder(Json).decode
_decode_fields = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode


def summarised_request(operation: Operation, body: bytes) -> bytes:
    """The request, without what its upstream would refuse once an earlier answer of it came without reasoning.

    A client that sends a conversation back has no thinking before its last calls of tools, which Anthropic's API asks
    for with `thinking` of type `enabled`; and reasoning of OpenAI's that was not stored is not found without its
    encrypted content.
    """
    if operation == "messages":
        request = _decode(body)
        thinking = request.get("thinking")
        said = [m for m in _objects(request.get("messages")) if m.get("role") == "assistant"]
        enabled = isinstance(thinking, dict) and thinking.get("type") == "enabled"
        if enabled and said and not any(map(_is_thinking, _objects(said[-1].get("content"))[:1])):
            return msgspec.json.encode(_decode_fields(body) | {"thinking": {"type": "disabled"}})
    elif operation == "responses":
        request = _decode(body)
        items = request.get("input")
        if request.get("store") is False and isinstance(items, list):
            kept = [one for one in items if not _is_lost(one)]
            if len(kept) < len(items):
                return msgspec.json.encode(_decode_fields(body) | {"input": kept})
    return body


def summarised_answer(operation: Operation, body: bytes) -> bytes:
    """A whole answer as the caller gets it. Raises `UpstreamError` for one that cannot be read."""
    change = _ANSWERS.get(operation)
    if change is None:
        return body
    try:
        return msgspec.json.encode(change(_decode(body)))
    except UNREADABLE as error:
        raise UpstreamError("the upstream's answer cannot be read, so it is not passed on", status=502) from error


class SummarisedStream:
    """A streamed answer as the caller gets it, fed in whatever pieces it comes. Events pass when they are whole."""

    def __init__(self, operation: Operation) -> None:
        self._change = _MessageEvents() if operation == "messages" else _EVENTS.get(operation, lambda event: event)
        self._rest = b""
        self._event: list[bytes] = []
        self._size = 0

    def feed(self, piece: bytes) -> bytes:
        """Take the next bytes; returns those that the caller gets for them. Raises `UpstreamError` for an event beyond
        all bounds."""
        *lines, self._rest = (self._rest + piece).split(b"\n")
        passed = []
        for line in lines:
            self._event.append(line.removesuffix(b"\r"))
            self._size += len(line) + 1
            if not self._event[-1]:
                passed.append(self._whole())
        if len(self._rest) + self._size > LONGEST_EVENT:
            raise UpstreamError("an event of the upstream's is too long", status=502)
        return b"".join(passed)

    def end(self) -> bytes:
        """What the caller still gets when the upstream has ended its answer."""
        self._event.append(self._rest.removesuffix(b"\r"))
        return self._whole()

    def _whole(self) -> bytes:
        lines, self._event, self._size = self._event, [], 0
        data = b"\n".join(line[5:].strip() for line in lines if line.startswith(b"data:"))
        kept = [line for line in lines if line.startswith(_FIELDS)]
        if data and data != b"[DONE]":
            try:
                event = self._change(_decode(data))
            except UNREADABLE:
                return b""
            if event is None:
                return b""
            data = msgspec.json.encode(event)
        if data:
            kept.append(b"data: " + data)
        return b"\n".join([*kept, b"", b""]) if kept else b""


def _chat(said: Json) -> Json:
    """A chat completion, or a chunk of one."""
    return {name: _without(value, name) for name, value in said.items() if not _TELLING.search(name)}


def _without(value: Any, name: str = "") -> Any:
    if name in _KEPT:
        return value
    if isinstance(value, dict):
        return _chat(value)
    if isinstance(value, list):
        return [_without(one) for one in value if not _is_reasoning(one)]
    return value


def _response(said: Json) -> Json:
    """A response of OpenAI's. Its items stay, as the next request may name them."""
    return said | {"output": [_item(one) for one in _objects(said.get("output"))]} if "output" in said else said


def _item(item: Json) -> Json:
    if _is_reasoning(item):
        emptied: Json = {"summary": [], "content": [], "encrypted_content": None}
        return item | {name: value for name, value in emptied.items() if name in item}
    parts = item.get("content")
    if isinstance(parts, list):
        return item | {"content": [_unweighed(one) for one in _objects(parts) if not _is_reasoning(one)]}
    return item


def _response_event(event: Json) -> Json | None:
    if "reasoning" in str(event.get("type")) or _is_reasoning(event.get("part")):
        return None
    event = _unweighed(event)
    for name, change in (("response", _response), ("item", _item), ("part", _unweighed)):
        if isinstance(event.get(name), dict):
            event = event | {name: change(event[name])}
    return event


def _unweighed(said: Json) -> Json:
    return said | {"logprobs": []} if "logprobs" in said else said


def _message(said: Json) -> Json:
    """A message of Anthropic's."""
    blocks = said.get("content")
    if not isinstance(blocks, list):
        return said
    return said | {"content": [one for one in _objects(blocks) if not _is_thinking(one)]}


class _MessageEvents:
    """Events of a streamed message. Clients put blocks into a list by their index, so there must be no gap."""

    def __init__(self) -> None:
        self._left_out: set[int] = set()

    def __call__(self, event: Json) -> Json | None:
        index = event.get("index")
        if _is_thinking(event.get("content_block")) and isinstance(index, int):
            self._left_out.add(index)
        told = event.get("delta")
        if index in self._left_out or (isinstance(told, dict) and told.get("type") in _HIDDEN_DELTAS):
            return None
        if isinstance(event.get("message"), dict):
            return event | {"message": _message(event["message"])}
        if isinstance(index, int):
            return event | {"index": index - sum(one < index for one in self._left_out)}
        return event


_HIDDEN_DELTAS: Final = ("thinking_delta", "signature_delta")
_ANSWERS: Final[dict[Operation, Callable[[Json], Json]]] = {"chat": _chat, "responses": _response, "messages": _message}
_EVENTS: Final[dict[Operation, Change]] = {"chat": _chat, "responses": _response_event}


def _objects(values: Any) -> list[Json]:
    return [one for one in values if isinstance(one, dict)] if isinstance(values, list) else []


def _is_reasoning(part: Any) -> bool:
    return isinstance(part, dict) and isinstance(part.get("type"), str) and bool(_TELLING.search(part["type"]))


def _is_thinking(block: Any) -> bool:
    return isinstance(block, dict) and "thinking" in str(block.get("type"))


def _is_lost(item: Any) -> bool:
    return _is_reasoning(item) and not item.get("encrypted_content")
