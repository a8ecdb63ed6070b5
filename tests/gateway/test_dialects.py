"""Dialects on their own: what is read of requests and of event streams that come in any pieces."""

from __future__ import annotations

import itertools
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tiergate.gateway.dialects import openai_chat
from tiergate.gateway.dialects.bodies import with_stream_usage
from tiergate.gateway.dialects.common import Usage
from tiergate.gateway.dialects.sse import LONGEST_EVENT, EventStream

CHAT_EVENTS = [
    {"model": "m-1", "choices": [{"index": 0, "delta": {"role": "assistant", "content": "über"}}]},
    {"choices": [{"index": 0, "delta": {"content": " tin"}, "finish_reason": None}]},
    {"choices": [{"index": 0, "delta": {}, "finish_reason": "length"}]},
]
CHAT_USAGE = {"choices": [], "usage": {"prompt_tokens": 7, "completion_tokens": 2}}


def event_bytes(*events: dict[str, Any]) -> bytes:
    return "".join(f"data: {json.dumps(event, ensure_ascii=False)}\r\n\r\n" for event in events).encode()


BEFORE_USAGE = b": hello\r\n\r\n" + event_bytes(*CHAT_EVENTS)
AFTER_USAGE = b"data: \x00 no JSON\n\ndata: [DONE]\n\n"
CHAT_BYTES = BEFORE_USAGE + event_bytes(CHAT_USAGE) + AFTER_USAGE
STREAMS = {"chat": (openai_chat.ChatStream, CHAT_BYTES, "length")}
any_cuts = st.lists(st.integers(0, len(CHAT_BYTES)), max_size=40)


def fed(stream: EventStream, data: bytes, cuts: list[int]) -> bytes:
    """What a stream passes on when ``data`` comes in pieces."""
    edges = [0, *sorted(cuts), len(data)]
    return b"".join(stream.feed(data[start:end]) for start, end in itertools.pairwise(edges)) + stream.end()


@pytest.mark.parametrize("name", STREAMS)
@given(cuts=any_cuts)
def test_a_stream_says_the_same_in_any_pieces_and_passes_as_it_came(name: str, cuts: list[int]) -> None:
    kind, data, finish = STREAMS[name]
    stream = kind(keep_text=True)
    assert fed(stream, data, cuts) == data
    assert (stream.model, stream.finish_reason, stream.text, stream.done) == ("m-1", finish, "über tin", True)
    assert stream.usage == Usage(input_tokens=7, output_tokens=2)
    assert stream.pieces == 2


@given(any_cuts)
def test_usage_that_the_caller_did_not_ask_for_is_read_and_does_not_pass(cuts: list[int]) -> None:
    stream = openai_chat.ChatStream(keep_text=False, hide_usage=True)
    assert fed(stream, CHAT_BYTES, cuts) == BEFORE_USAGE + AFTER_USAGE
    assert stream.usage == Usage(input_tokens=7, output_tokens=2)


def test_usage_beside_content_passes() -> None:
    data = event_bytes(CHAT_EVENTS[0] | {"usage": CHAT_USAGE["usage"]})
    stream = openai_chat.ChatStream(keep_text=False, hide_usage=True)
    assert stream.feed(data) == data
    assert stream.usage is not None


@pytest.mark.parametrize("name", STREAMS)
@given(noise=st.binary(max_size=300))
def test_no_bytes_break_a_stream(name: str, noise: bytes) -> None:
    kind, data, finish = STREAMS[name]
    stream = kind(keep_text=True)
    stream.feed(b"data: " + noise + b"\n")
    stream.feed(b"\n" + data)
    assert stream.finish_reason == finish


@pytest.mark.parametrize("hide_usage", [False, True])
def test_an_endless_line_is_not_kept(hide_usage: bool) -> None:
    stream = openai_chat.ChatStream(keep_text=False, hide_usage=hide_usage)
    passed = 0
    for _ in range(6):
        passed += len(stream.feed(b"x" * (1 << 20)))
    assert len(stream._rest) <= LONGEST_EVENT
    passed += len(stream.feed(b"\n" + BEFORE_USAGE))
    assert passed == 6 * (1 << 20) + 1 + len(BEFORE_USAGE)
    assert (stream.finish_reason, stream.text) == ("length", None)


@pytest.mark.parametrize(
    "given_options",
    ["", '"stream_options": null, ', '"stream_options": {"include_obfuscation": false}, ', '"say": "stream_options", '],
)
def test_a_stream_is_asked_for_its_usage(given_options: str) -> None:
    body = '{"model": "m", ' + given_options + '"messages": [{"role": "user", "content": "}"}], "stream": true } \n'
    before, after = json.loads(body), json.loads(with_stream_usage(body.encode()))
    options = (before.pop("stream_options", None) or {}) | {"include_usage": True}
    assert after == before | {"stream_options": options}


def chat(*messages: dict[str, Any], **more: Any) -> bytes:
    return json.dumps({"model": "m", "messages": messages} | more).encode()


def test_what_is_read_of_a_chat_completion_request() -> None:
    parts = [{"type": "text", "text": "one"}, {"type": "image_url", "image_url": {}}, {"type": "text", "text": "two"}]
    tools = [{"type": "function", "function": {"name": "f"}}, {"type": "custom"}, {"custom": {"name": "g"}}]
    asked = openai_chat.read_request(
        chat(
            {"role": "developer", "content": "be brief"},
            {"role": "user", "content": parts},
            {"role": "assistant", "content": None, "tool_calls": []},
            {"role": "tool", "content": "42"},
            tools=tools,
            max_tokens=5,
            max_completion_tokens=9,
            response_format={"type": "json_object"},
            safety_identifier="end-1",
            n=2,
        )
    )
    assert (asked.system_text, asked.prompt_text, asked.tool_names) == ("be brief", "one\ntwo\n42", ["f", "g"])
    assert (asked.max_tokens, asked.answers, asked.end_user, asked.message_count) == (9, 2, "end-1", 4)
    assert (asked.needs_tools, asked.needs_vision, asked.needs_structure) == (True, True, True)


def test_results_of_tools_that_were_answered_before_are_no_prompt() -> None:
    called = {"role": "assistant", "content": None}
    asked = openai_chat.read_request(
        chat({"role": "user", "content": "do"}, called, {"role": "tool", "content": "old"}, called,
             {"role": "tool", "content": "new"}, {"role": "tool", "content": "newer"})
    )  # fmt: skip
    assert asked.prompt_text == "do\nnew\nnewer"
