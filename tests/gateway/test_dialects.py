"""Dialects on their own: what is read of requests and of event streams that come in any pieces."""

from __future__ import annotations

import copy
import gzip
import itertools
import json
import os
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tiergate.errors import InputError
from tiergate.gateway.dialects import (
    anthropic_messages,
    chat_over_messages_answer,
    messages_over_chat_answer,
    model_lists,
    openai_chat,
    openai_embeddings,
    openai_responses,
    parts,
)
from tiergate.gateway.dialects.bodies import with_stream_usage
from tiergate.gateway.dialects.common import UNREADABLE, Usage
from tiergate.gateway.dialects.sse import LATER, LONGEST_EVENT, EventStream
from tiergate.gateway.metered import seen_in_stream

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
RESPONSE_BYTES = event_bytes(
    {"type": "response.created", "response": {"model": "m-1", "status": "in_progress", "output": []}},
    {"type": "response.output_text.delta", "delta": "über"},
    {"type": "response.output_text.delta", "delta": " tin"},
    {
        "type": "response.incomplete",
        "response": {
            "model": "m-1",
            "status": "incomplete",
            "incomplete_details": {"reason": "max_output_tokens"},
            "output": [{"type": "of_the_future", "content": 7}],
            "usage": {"input_tokens": 7, "output_tokens": 2},
        },
    },
)
MESSAGE_BYTES = event_bytes(
    {"type": "message_start", "message": {"model": "m-1", "usage": {"input_tokens": 4, "cache_read_input_tokens": 3}}},
    {"type": "content_block_delta", "delta": {"type": "text_delta", "text": "über"}},
    {"type": "content_block_delta", "delta": {"type": "text_delta", "text": " tin"}},
    {"type": "message_delta", "delta": {"stop_reason": "max_tokens"}, "usage": {"output_tokens": 2}},
    {"type": "message_stop"},
)
STREAMS: dict[str, tuple[type[EventStream], bytes, str]] = {
    "chat": (openai_chat.ChatStream, CHAT_BYTES, "length"),
    "responses": (openai_responses.ResponseStream, RESPONSE_BYTES, "max_output_tokens"),
    "messages": (anthropic_messages.MessageStream, MESSAGE_BYTES, "max_tokens"),
}
any_cuts = st.lists(st.integers(0, min(len(data) for _, data, _ in STREAMS.values())), max_size=40)


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
    assert stream.usage is not None
    assert (stream.usage.input_tokens, stream.usage.output_tokens) == (7, 2)
    assert stream.pieces == 2


@pytest.mark.parametrize("repeats", [1, 2 * LATER])
@pytest.mark.parametrize("name", STREAMS)
def test_what_is_read_late_is_read_in_the_end(name: str, repeats: int) -> None:
    kind, data, finish = STREAMS[name]
    events = data.splitlines(keepends=True)
    tin = next(one for one in events if b" tin" in one)
    events[events.index(tin) : events.index(tin) + 1] = [tin] * repeats
    whole, stream = kind(keep_text=True), kind(keep_text=True)
    whole.feed(b"".join(events))
    for number, event in enumerate(events):
        assert stream.feed(event) == event
        if tin in events[:number] and number % 40 < 5:
            cut = copy.deepcopy(stream)
            cut.catch_up()
            assert cut.pieces == 1 + events[: number + 1].count(tin)
    assert seen_in_stream(stream, complete=True) == seen_in_stream(whole, complete=True)
    assert (stream.text, stream.finish_reason, stream.done) == (whole.text, finish, True)


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


class Drop(bytes):
    """A piece of a line that must not be put to what came before it: that would copy all of it for each piece."""

    def __radd__(self, other: object) -> bytes:
        raise AssertionError("what has come of a line is copied for each piece of it")


@pytest.mark.parametrize("hide_usage", [False, True])
def test_a_stream_that_is_compressed_unasked_is_not_taken_for_an_empty_one(hide_usage: bool) -> None:
    stream, packed = openai_chat.ChatStream(keep_text=False, hide_usage=hide_usage), gzip.compress(os.urandom(10_000))
    assert stream.feed(packed) + stream.end() == packed
    seen = seen_in_stream(stream, complete=True)
    assert 9_000 < seen.text_bytes <= len(packed)


@pytest.mark.parametrize("hide_usage", [False, True])
def test_a_line_is_put_together_once_however_many_pieces_it_comes_in(hide_usage: bool) -> None:
    stream = openai_chat.ChatStream(keep_text=False, hide_usage=hide_usage)
    given = b'data: {"choices": [{"delta": {"content": "%s"}}]}' % (b"tin" * 1_000)
    passed = b"".join([stream.feed(Drop(given[at : at + 1])) for at in range(len(given))]) + stream.feed(b"\n")
    assert (passed, stream.text_bytes) == (given + b"\n", 3_000)


ARGUMENTS = '{"said": "' + "tin " * 500 + '"}'
CHAT_CALL = {"choices": [{"index": 0, "delta": {"tool_calls": [{"index": 0, "function": {"arguments": ARGUMENTS}}]}}]}
MESSAGE_CALL = {
    "type": "content_block_delta", "index": 0, "delta": {"type": "input_json_delta", "partial_json": ARGUMENTS}
}  # fmt: skip
CALLING: dict[str, tuple[EventStream, dict[str, Any]]] = {
    "chat": (openai_chat.ChatStream(keep_text=True), CHAT_CALL),
    "responses": (
        openai_responses.ResponseStream(keep_text=True),
        {"type": "response.function_call_arguments.delta", "delta": ARGUMENTS},
    ),
    "messages": (anthropic_messages.MessageStream(keep_text=True), MESSAGE_CALL),
    "messages over chat": (messages_over_chat_answer.MessageOverChat(keep_text=True), CHAT_CALL),
    "chat over messages": (
        chat_over_messages_answer.ChatOverMessages(keep_text=True, show_usage=True, now_us=0), MESSAGE_CALL
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", CALLING)
def test_arguments_of_a_call_that_come_at_once_count_as_the_text_that_they_are(name: str) -> None:
    stream, event = CALLING[name]
    begun = {"type": "content_block_start", "index": 0, "content_block": {"type": "tool_use", "id": "t", "name": "f"}}
    stream.feed(event_bytes(*([begun] if name == "chat over messages" else []), event))
    assert (stream.text_bytes, stream.pieces, stream.text) == (len(ARGUMENTS), 1, None)


@pytest.mark.parametrize("hide_usage", [False, True])
def test_an_endless_line_is_not_kept(hide_usage: bool) -> None:
    stream = openai_chat.ChatStream(keep_text=False, hide_usage=hide_usage)
    passed = 0
    for _ in range(6):
        passed += len(stream.feed(b"x" * (1 << 20)))
    assert sum(map(len, stream._begun)) <= LONGEST_EVENT
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
    image = {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}}
    parts = [{"type": "text", "text": "one"}, image, image, {"type": "text", "text": "two"}]
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
    assert (asked.needs_tools, asked.needs_structure) == (True, True)
    assert asked.images == [len(json.dumps(image["image_url"]))] * 2


def test_results_of_tools_that_were_answered_before_are_no_prompt() -> None:
    called = {"role": "assistant", "content": None}
    asked = openai_chat.read_request(
        chat({"role": "user", "content": "do"}, called, {"role": "tool", "content": "old"}, called,
             {"role": "tool", "content": "new"}, {"role": "tool", "content": "newer"})
    )  # fmt: skip
    assert asked.prompt_text == "do\nnew\nnewer"


def test_a_message_that_is_cut_did_not_cost_the_one_token_of_its_start() -> None:
    stream = anthropic_messages.MessageStream(keep_text=False)
    stream.feed(event_bytes({"type": "message_start", "message": {"usage": {"input_tokens": 4, "output_tokens": 1}}}))
    assert stream.usage == Usage(input_tokens=4)


@pytest.mark.parametrize(
    ("kind", "event"),
    [
        (openai_chat.ChatStream, {"error": {"message": "overloaded"}}),
        (openai_responses.ResponseStream, {"type": "error", "message": "overloaded"}),
        (anthropic_messages.MessageStream, {"type": "error", "error": {"type": "overloaded_error"}}),
    ],
)
def test_an_error_in_a_stream_is_its_end(kind: type[EventStream], event: dict[str, Any]) -> None:
    stream = kind(keep_text=False)
    stream.feed(event_bytes(event))
    assert stream.finish_reason == "upstream_error"


def test_what_is_read_of_a_request_for_a_response() -> None:
    image = {"type": "input_image", "image_url": "https://example.com/x.png"}
    items = [
        {"role": "developer", "content": "be brief"},
        {"role": "user", "content": [{"type": "input_text", "text": "one"}, image]},
        {"type": "reasoning", "content": None, "summary": []},
        {"type": "function_call", "call_id": "c", "name": "f", "arguments": "{}"},
        {"type": "function_call_output", "call_id": "c", "output": [{"type": "input_text", "text": "42"}]},
        {"type": "local_shell_call_output", "output": "43"},
    ]
    asked = openai_responses.read_request(
        json.dumps(
            {
                "model": "m", "instructions": "be kind", "input": items, "max_output_tokens": 9, "user": "end-1",
                "tools": [{"type": "function", "name": "f"}, {"type": "image_generation", "model": "painter"}],
                "text": {"format": {"type": "json_schema", "schema": {}}},
            }
        ).encode()
    )  # fmt: skip
    assert (asked.system_text, asked.prompt_text) == ("be kind\nbe brief", "one\n42\n43")
    assert (asked.tool_names, asked.tool_models) == (["f"], ["painter"])
    assert (asked.max_tokens, asked.end_user, asked.message_count) == (9, "end-1", 6)
    assert (asked.needs_tools, asked.needs_vision, asked.needs_structure) == (True, True, True)
    plain = openai_responses.read_request(b'{"model": "m", "input": "hm", "stream": true}')
    assert (plain.prompt_text, plain.message_count, plain.stream) == ("hm", 1, True)


def test_what_is_read_of_a_request_for_a_message() -> None:
    image = {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "AAAA"}}
    document = {"type": "document", "title": "T", "source": {"type": "text", "media_type": "text/plain", "data": "doc"}}
    found = {"type": "search_result", "source": "web", "title": "S", "content": [{"type": "text", "text": "found"}]}
    result = {"type": "tool_result", "tool_use_id": "t", "content": [{"type": "text", "text": "42"}, image, found]}
    asked = anthropic_messages.read_request(
        json.dumps(
            {
                "model": "m", "max_tokens": 9, "metadata": {"user_id": "end-1"},
                "system": [{"type": "text", "text": "be brief", "cache_control": {"type": "ephemeral"}}],
                "messages": [
                    {"role": "user", "content": [{"type": "text", "text": "one"}, document]},
                    {"role": "assistant", "content": [{"type": "tool_use", "id": "t", "name": "f", "input": {}}]},
                    {"role": "system", "content": "be kind"},
                    {"role": "user", "content": [result]},
                ],
                "tools": [{"name": "f", "input_schema": {}}, {"type": "advisor", "name": "a", "model": "wiser"}],
                "output_config": {"format": {"type": "json_schema", "schema": {}}},
            }
        ).encode()
    )  # fmt: skip
    assert (asked.system_text, asked.prompt_text) == ("be brief\nbe kind", "one\nT\ndoc\n42\nS\nfound")
    assert (asked.tool_names, asked.tool_models) == (["f", "a"], ["wiser"])
    assert (asked.max_tokens, asked.end_user, asked.message_count) == (9, "end-1", 4)
    assert (asked.needs_tools, asked.images, asked.needs_structure) == (True, [len('"AAAA"')], True)
    body = b'{"model": "m", "system": "s", "messages": [{"role": "user", "content": "hm"}]}'
    plain = anthropic_messages.read_count_request(body)
    assert (plain.prompt_text, plain.system_text, plain.answers) == ("hm", "s", 0)


READERS = [
    openai_chat.read_request,
    openai_responses.read_request,
    openai_embeddings.read_request,
    anthropic_messages.read_request,
]
field_names = st.sampled_from(
    ["model", "messages", "input", "role", "content", "type", "text", "source", "data", "system", "tools", "name",
     "output", "metadata", "response_format", "stream_options", "title", "function", "instructions", "format"]
)  # fmt: skip
json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(field_names, inner, max_size=5),
    max_leaves=20,
)


@given(fields=st.dictionaries(field_names, json_values, max_size=8), role=st.sampled_from(["user", "assistant"]))
def test_no_request_breaks_a_reader(fields: dict[str, Any], role: str) -> None:
    """A request is read, or refused as what it is not."""
    whole = {"model": "m", "messages": [], "input": []} | fields
    for name in ("messages", "input"):
        if isinstance(whole[name], list):
            whole[name] = [{"role": role} | one if isinstance(one, dict) else one for one in whole[name]]
    for read in READERS:
        with suppress(InputError, *UNREADABLE):
            asked = read(json.dumps(whole).encode())
            assert isinstance(asked.model, str)
            assert all(isinstance(text, str | None) for text in (asked.prompt_text, asked.system_text))


@given(st.integers(0, 50), st.integers(1, 20))
def test_pages_of_models_are_all_models_in_order(count: int, size: int) -> None:
    models = [{"id": f"m{n}", "extra": n} for n in range(count)]
    seen: list[dict[str, Any]] = []
    query, more = f"limit={size}", True
    while more:
        page = json.loads(model_lists.list_body(models, "anthropic", query))
        assert len(page["data"]) <= size
        seen, more = seen + page["data"], page["has_more"]
        query = f"limit={size}&after_id={page['last_id']}"
    assert seen == models
    if count:
        before = json.loads(model_lists.list_body(models, "anthropic", f"limit={size}&before_id=m{count - 1}"))
        assert before["data"] == models[:-1][-size:]
        assert before["has_more"] == (count - 1 > size)


@pytest.mark.parametrize("query", ["limit=x", "limit=-1", "limit=", "after_id=none", "limit=99999999999", "\x00&&=%%"])
def test_nonsense_in_a_query_is_passed_over(query: str) -> None:
    assert json.loads(model_lists.list_body([{"id": "m"}], "anthropic", query))["data"] == [{"id": "m"}]


JSON_VALUES = st.recursive(
    st.none() | st.text(st.sampled_from('a"\\{[')),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(max_size=2), inner),
)


def parts_of(value: object) -> tuple[int, int]:
    """Objects and lists, and texts and names of fields."""
    if isinstance(value, str):
        return 0, 1
    if not isinstance(value, list | dict):
        return 0, 0
    inner = [parts_of(one) for one in (value.values() if isinstance(value, dict) else value)]
    names = len(value) if isinstance(value, dict) else 0
    return 1 + sum(parts for parts, _ in inner), names + sum(texts for _, texts in inner)


@given(JSON_VALUES, st.integers(0, 6), st.integers(0, 6))
def test_parts_are_counted_as_they_are_decoded(value: object, most: int, most_texts: int) -> None:
    found, texts = parts_of(value)
    with pytest.MonkeyPatch.context() as patch, suppress(InputError):
        patch.setattr(parts, "MOST_PARTS", most)
        patch.setattr(parts, "MOST_TEXTS", most_texts)
        parts.check_parts(json.dumps(value).encode())
        assert (found <= most and texts <= most_texts) or len(json.dumps(value)) <= most
        return
    assert found > most or texts > most_texts
