"""Every reader of what an upstream answers, given right answers in which something is not as it should be."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import pytest

from tiergate.errors import UpstreamError
from tiergate.gateway.dialects.common import Asked, Usage
from tiergate.gateway.dialects.surfaces import SURFACES

CALL = {"index": 0, "id": "c", "type": "function", "function": {"name": "f", "arguments": '{"a": 1}'}}
CHAT_USAGE = {
    "prompt_tokens": 7, "completion_tokens": 2, "prompt_tokens_details": {"cached_tokens": 3},
    "completion_tokens_details": {"reasoning_tokens": 1},
}  # fmt: skip
CHAT = {
    "id": "c", "object": "chat.completion", "created": 1, "model": "m", "usage": CHAT_USAGE,
    "choices": [
        {"index": 0, "finish_reason": "tool_calls",
         "message": {"role": "assistant", "content": "tin", "refusal": None, "tool_calls": [CALL]}}
    ],
}  # fmt: skip
MESSAGE_USAGE = {
    "input_tokens": 4, "cache_read_input_tokens": 3, "cache_creation_input_tokens": 1, "output_tokens": 2
}  # fmt: skip
MESSAGE = {
    "id": "m", "type": "message", "role": "assistant", "model": "m", "stop_reason": "tool_use", "stop_sequence": None,
    "usage": MESSAGE_USAGE,
    "content": [{"type": "text", "text": "tin"}, {"type": "tool_use", "id": "t", "name": "f", "input": {"a": 1}}],
}  # fmt: skip
RESPONSE = {
    "id": "r", "object": "response", "model": "m", "status": "incomplete",
    "incomplete_details": {"reason": "max_output_tokens"},
    "output": [{"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": "tin"}]}],
    "usage": {"input_tokens": 7, "input_tokens_details": {"cached_tokens": 3}, "output_tokens": 2,
              "output_tokens_details": {"reasoning_tokens": 1}},
}  # fmt: skip
CHUNK = {"id": "c", "object": "chat.completion.chunk", "created": 1, "model": "m"}
CHAT_EVENTS = [
    CHUNK | {"choices": [{"index": 0, "delta": {"role": "assistant", "content": "tin"}, "finish_reason": None}]},
    CHUNK | {"choices": [{"index": 0, "delta": {"tool_calls": [CALL]}, "finish_reason": None}]},
    CHUNK | {"choices": [{"index": 0, "delta": {}, "finish_reason": "tool_calls"}]},
    CHUNK | {"choices": [], "usage": CHAT_USAGE},
]
MESSAGE_EVENTS = [
    {"type": "message_start", "message": MESSAGE | {"content": [], "stop_reason": None}},
    {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}},
    {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "tin"}},
    {"type": "content_block_stop", "index": 0},
    {"type": "content_block_start", "index": 1,
     "content_block": {"type": "tool_use", "id": "t", "name": "f", "input": {}}},
    {"type": "content_block_delta", "index": 1, "delta": {"type": "input_json_delta", "partial_json": '{"a": 1}'}},
    {"type": "content_block_stop", "index": 1},
    {"type": "message_delta", "delta": {"stop_reason": "tool_use", "stop_sequence": None}, "usage": MESSAGE_USAGE},
    {"type": "message_stop"},
]  # fmt: skip
RESPONSE_EVENTS = [
    {"type": "response.created", "response": RESPONSE | {"status": "in_progress", "output": []}},
    {"type": "response.output_text.delta", "delta": "tin", "item_id": "i", "output_index": 0},
    {"type": "response.incomplete", "response": RESPONSE},
]
ANSWERS: dict[tuple[str, str], tuple[Any, list[Any]]] = {
    ("/v1/chat/completions", "openai"): (CHAT, CHAT_EVENTS),
    ("/v1/chat/completions", "anthropic"): (MESSAGE, MESSAGE_EVENTS),
    ("/v1/messages", "openai"): (CHAT, CHAT_EVENTS),
    ("/v1/messages", "anthropic"): (MESSAGE, MESSAGE_EVENTS),
    ("/v1/responses", "openai"): (RESPONSE, RESPONSE_EVENTS),
    ("/v1/embeddings", "openai"): ({"model": "m", "data": [], "usage": {"prompt_tokens": 3}}, []),
    ("/v1/messages/count_tokens", "anthropic"): ({"input_tokens": 3}, []),
}
"""What each surface's upstreams say, by their dialect: a whole answer and a stream."""

ODD: list[Any] = [
    None, True, 0, -1, 2**64, 1.5, "", "{", "error", "\ud800", [], [None], ["tin"], [[]], {}, {"a": None},
    {"type": "error"}, {"message": 1},
]  # fmt: skip


def spoilt(value: Any) -> Iterator[Any]:
    """``value`` with any one part of it something odd, left out, or there twice."""
    yield from ODD
    below = list(value) if isinstance(value, dict) else range(len(value)) if isinstance(value, list) else []
    for at in below:
        for other in spoilt(value[at]):
            copy = value.copy()
            copy[at] = other
            yield copy
        copy = value.copy()
        del copy[at]
        yield copy
        if isinstance(value, list):
            yield [*value[:at], value[at], *value[at:]]


def test_every_way_to_an_upstream_is_tried_here() -> None:
    assert set(ANSWERS) == {(path, dialect) for path, surface in SURFACES.items() for dialect in surface.adapters}


def counts(usage: Usage | None) -> bool:
    return usage is None or all(isinstance(getattr(usage, name), int | None) for name in usage.__struct_fields__)


@pytest.mark.parametrize("way", ANSWERS, ids=" over ".join)
def test_no_answer_breaks_its_reader(way: tuple[str, str]) -> None:
    """It passes or is an error of the upstream's, and what is read of it is of the right kind."""
    adapter = SURFACES[way[0]].adapters[way[1]]  # type: ignore[index]
    for answer in spoilt(ANSWERS[way][0]):
        for status in (200, 500):
            with suppress(UpstreamError):
                passed, said = adapter.answer(status, json.dumps(answer).encode(), 0)
                assert isinstance(passed, bytes)
                assert all(isinstance(one, str | None) for one in (said.text, said.model, said.finish_reason)), answer
                assert counts(said.usage), answer


@pytest.mark.parametrize("way", [way for way, (_, events) in ANSWERS.items() if events], ids=" over ".join)
def test_no_event_breaks_a_stream(way: tuple[str, str]) -> None:
    """Nor does what is read depend on how events are cut."""
    for number, events in enumerate(one for one in spoilt(ANSWERS[way][1]) if isinstance(one, list)):
        said = b"".join(b"data: %s\n\n" % json.dumps(event).encode() for event in events)
        assert read(way, said, 1 + number % 90) == read(way, said, len(said) or 1), events


def read(way: tuple[str, str], said: bytes, step: int) -> tuple[Any, ...]:
    """What is known of a stream that came in pieces of ``step`` bytes."""
    asked = Asked(model="m", stream=True, show_usage=False)
    stream = SURFACES[way[0]].adapters[way[1]].stream(asked, True, 0)  # type: ignore[index]
    with suppress(UpstreamError):
        for at in range(0, len(said), step):
            assert isinstance(stream.feed(said[at : at + step]), bytes)
        stream.end()
    assert all(isinstance(one, str | None) for one in (stream.text, stream.model, stream.finish_reason)), said
    assert counts(stream.usage), said
    return stream.text, stream.finish_reason, stream.pieces, stream.usage, stream.done
