"""Requests and answers carried over to the other dialect and back: nothing is lost that is not said to be."""

from __future__ import annotations

import itertools
import json
import re
from pathlib import Path
from typing import Any

import pytest
from anthropic.lib.streaming._messages import accumulate_event
from anthropic.types import RawMessageStreamEvent
from hypothesis import given
from hypothesis import strategies as st
from openai.lib.streaming.chat import ChatCompletionStreamState
from openai.types.chat import ChatCompletionChunk
from pydantic import TypeAdapter

from tiergate.errors import InputError, UpstreamError
from tiergate.gateway.dialects import (
    anthropic_messages,
    chat_over_messages_answer,
    chat_over_messages_request,
    messages_over_chat_answer,
    messages_over_chat_request,
    openai_chat,
)

Json = dict[str, Any]
DOCUMENT = (Path(__file__).resolve().parents[2] / "docs" / "gateway.md").read_text(encoding="utf-8")


def to_messages(request: Json) -> Json:
    body = json.dumps(request).encode()
    made: Json = json.loads(chat_over_messages_request.request(body, openai_chat.read_request(body)))
    return made


def to_chat(request: Json) -> Json:
    body = json.dumps(request).encode()
    made: Json = json.loads(messages_over_chat_request.request(body, anthropic_messages.read_request(body)))
    return made


# Requests in the one form that both translations give, so that there and back is where they began.

words = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=12)
names = st.from_regex(r"[a-z_]{1,8}", fullmatch=True)
schemas = st.sampled_from(
    [{"type": "object", "properties": {}}, {"type": "object", "properties": {"n": {"type": "integer"}}}]
)
arguments = st.dictionaries(names, st.integers() | words | st.none() | st.lists(st.booleans(), max_size=2), max_size=3)
images = st.sampled_from(["data:image/png;base64,iVBORw0KGgo=", "https://example.com/x.png"]).map(
    lambda url: {"type": "image_url", "image_url": {"url": url}}
)


def shortest(parts: list[Json]) -> str | list[Json]:
    return parts[0]["text"] if len(parts) == 1 and "text" in parts[0] else parts


texts = words.map(lambda text: {"type": "text", "text": text})
user_turns = st.lists(texts | images, min_size=1, max_size=3).map(
    lambda parts: {"role": "user", "content": shortest(parts)}
)


@st.composite
def model_turns(draw: st.DrawFn) -> list[Json]:
    """What the model says, and what its tools answer."""
    said = draw(st.none() | st.lists(texts, min_size=1, max_size=2).map(shortest))
    calls = draw(st.lists(st.tuples(names, arguments), min_size=said is None, max_size=3))
    turn: Json = {"role": "assistant", "content": said}
    if calls:
        turn["tool_calls"] = [
            {"id": f"call_{n}", "type": "function", "function": {"name": name, "arguments": json.dumps(given)}}
            for n, (name, given) in enumerate(calls)
        ]
    answers = draw(st.lists(st.lists(texts, max_size=2), min_size=len(calls), max_size=len(calls)))
    results = [
        {"role": "tool", "tool_call_id": f"call_{n}", "content": shortest(parts) if parts else ""}
        for n, parts in enumerate(answers)
    ]
    return [turn, *results]


@st.composite
def chat_requests(draw: st.DrawFn) -> Json:
    system = draw(st.lists(texts, max_size=2))
    messages: list[Json] = [{"role": "system", "content": shortest(system)}] if system else []
    messages.append(draw(user_turns))
    for turns in draw(st.lists(model_turns(), max_size=3)):
        messages += turns
        if draw(st.booleans()) or messages[-1]["role"] == "assistant":
            messages.append(draw(user_turns))
    request: Json = {"model": draw(words), "messages": messages, "max_completion_tokens": draw(st.integers(1, 99))}
    optional = {
        "stop": st.lists(words, min_size=1, max_size=3),
        "user": words,
        "temperature": st.floats(0, 1),
        "top_p": st.floats(0, 1),
        "reasoning_effort": st.sampled_from(["low", "medium", "high", "xhigh", "max"]),
        "response_format": schemas.map(
            lambda schema: {
                "type": "json_schema",
                "json_schema": {"name": "answer", "schema": schema, "strict": True},
            }
        ),
    }
    request |= draw(st.fixed_dictionaries({}, optional=optional))
    if draw(st.booleans()):
        request |= {"stream": True, "stream_options": {"include_usage": True}}
    functions = draw(st.lists(st.tuples(names, schemas, st.none() | words, st.none() | st.booleans()), max_size=3))
    if functions:
        request["tools"] = [{"type": "function", "function": _function(*function)} for function in functions]
        named = {"type": "function", "function": {"name": functions[0][0]}}
        request |= draw(
            st.sampled_from([{}, {"tool_choice": "none"}])
            | st.fixed_dictionaries(
                {"tool_choice": st.sampled_from(["auto", "required", named])},
                optional={"parallel_tool_calls": st.just(False)},
            )
        )
    return request


def _function(name: str, schema: Json, description: str | None, strict: bool | None) -> Json:
    made: Json = {"name": name, "parameters": schema}
    optional = {"description": description, "strict": strict}
    return made | {field: value for field, value in optional.items() if value is not None}


@given(chat_requests())
def test_a_request_is_the_same_there_and_back(request: Json) -> None:
    over = to_messages(request)
    assert to_chat(over) == request
    assert to_messages(to_chat(over)) == over


@given(chat_requests())
def test_what_is_carried_over_is_read_alike(request: Json) -> None:
    """What admission, charging and detection know of a request does not depend on the dialect."""
    body, over = json.dumps(request).encode(), json.dumps(to_messages(request)).encode()
    here, there = openai_chat.read_request(body), anthropic_messages.read_request(over)
    for name in here.__struct_fields__:
        if name not in ("message_count", "show_usage", "images"):
            assert getattr(here, name) == getattr(there, name), name
    assert len(here.images) == len(there.images)


CHAT: Json = {"model": "m", "messages": [{"role": "user", "content": "hm"}]}
MESSAGE: Json = CHAT | {"max_tokens": 5}
A_TOOL = {"name": "f", "input_schema": {"type": "object"}}


def with_block(*blocks: Json, role: str = "user") -> Json:
    return {"messages": [{"role": role, "content": list(blocks)}, {"role": "user", "content": "go on"}]}


REFUSED_OVER_OPENAI: list[tuple[str, Json]] = [
    ("top_k", {"top_k": 5}),
    ("inference_geo", {"inference_geo": "us"}),
    ("container", {"container": "c"}),
    ("mcp_servers", {"mcp_servers": []}),
    ("web_search_20250305", {"tools": [{"type": "web_search_20250305", "name": "web_search"}]}),
    ("input_examples", {"tools": [A_TOOL | {"input_examples": [{}]}]}),
    ("defer_loading", {"tools": [A_TOOL | {"defer_loading": True}]}),
    ("document", with_block({"type": "document", "source": {"type": "text", "data": "x"}})),
    ("search_result", with_block({"type": "search_result", "source": "s", "title": "t", "content": []})),
    ("file", with_block({"type": "image", "source": {"type": "file", "file_id": "f"}})),
    ("tool_use", with_block({"type": "tool_use", "id": "t", "name": "f", "input": {}})),
    ("compact_20260112", {"context_management": {"edits": [{"type": "compact_20260112"}]}}),
    ("begun for the model", {"messages": [{"role": "assistant", "content": "It is"}]}),
]
REFUSED_OVER_ANTHROPIC: list[tuple[str, Json]] = [
    ("logit_bias", {"logit_bias": {"1": 2}}),
    ("logprobs", {"logprobs": True}),
    ("presence_penalty", {"presence_penalty": 0.5}),
    ("frequency_penalty", {"frequency_penalty": -0.5}),
    ("n", {"n": 2}),
    ("audio", {"modalities": ["text", "audio"]}),
    ("functions", {"functions": [{"name": "f"}]}),
    ("verbosity", {"verbosity": "low"}),
    ("web_search_options", {"web_search_options": {}}),
    ("json_object", {"response_format": {"type": "json_object"}}),
    ("minimal", {"reasoning_effort": "minimal"}),
    ("custom", {"tools": [{"type": "custom", "custom": {"name": "f"}}]}),
    ("allowed_tools", {"tool_choice": {"type": "allowed_tools", "allowed_tools": {}}}),
    ("input_audio", with_block({"type": "input_audio", "input_audio": {}})),
    ("file", with_block({"type": "file", "file": {}})),
    ("base64", with_block({"type": "image_url", "image_url": {"url": "data:image/svg+xml,<svg/>"}})),
    ("name", {"messages": [{"role": "user", "content": "hm", "name": "ann"}]}),
    ("no JSON object", with_block(role="assistant") | {
        "messages": [{"role": "assistant", "tool_calls": [{"id": "c", "function": {"name": "f", "arguments": "["}}]}]
    }),
    ("begun for the model", {"messages": [{"role": "assistant", "content": "It is"}]}),
]  # fmt: skip


@pytest.mark.parametrize(("said", "more"), REFUSED_OVER_OPENAI)
def test_what_openais_api_cannot_say_is_refused(said: str, more: Json) -> None:
    with pytest.raises(InputError, match=rf"OpenAI's API.*{re.escape(said)}"):
        to_chat(MESSAGE | more)
    assert said in DOCUMENT


@pytest.mark.parametrize(("said", "more"), REFUSED_OVER_ANTHROPIC)
def test_what_anthropics_api_cannot_say_is_refused(said: str, more: Json) -> None:
    with pytest.raises(InputError, match=rf"Anthropic's API.*{re.escape(said)}"):
        to_messages(CHAT | more)
    assert said in DOCUMENT


LEFT_OUT_OVER_OPENAI: list[Json] = [
    {"thinking": {"type": "adaptive"}},
    {"cache_control": {"type": "ephemeral"}},
    {"service_tier": "auto"},
    {"diagnostics": {}},
    {"context_management": {"edits": [{"type": "clear_tool_uses_20250919", "keep": 3}]}},
]
LEFT_OUT_OVER_ANTHROPIC: list[Json] = [
    {"seed": 1},
    {"store": True},
    {"metadata": {"a": "b"}},
    {"prediction": {"type": "content", "content": "x"}},
    {"prompt_cache_key": "k"},
    {"prompt_cache_options": {}},
    {"prompt_cache_retention": "24h"},
    {"service_tier": "auto"},
    {"logprobs": False, "presence_penalty": 0.0, "frequency_penalty": 0, "n": 1, "response_format": {"type": "text"}},
]


@pytest.mark.parametrize("more", LEFT_OUT_OVER_OPENAI, ids=str)
def test_what_is_left_out_over_openai_changes_nothing_else(more: Json) -> None:
    assert to_chat(MESSAGE | more) == to_chat(MESSAGE)
    assert all(f"`{name}`" in DOCUMENT for name in more)


@pytest.mark.parametrize("more", LEFT_OUT_OVER_ANTHROPIC, ids=str)
def test_what_is_left_out_over_anthropic_changes_nothing_else(more: Json) -> None:
    assert to_messages(CHAT | more) == to_messages(CHAT)
    assert all(f"`{name}`" in DOCUMENT for name in more)


@pytest.mark.parametrize("kind", [chat_over_messages_request._Request, messages_over_chat_request._Request])
def test_every_field_that_is_known_is_documented(kind: Any) -> None:
    assert [name for name in kind.__struct_fields__ if f"`{name}`" not in DOCUMENT] == []


def test_a_failed_tool_is_told_and_its_image_follows() -> None:
    image = {"type": "image", "source": {"type": "url", "url": "https://example.com/x.png"}}
    failed = {"type": "tool_result", "tool_use_id": "t", "content": "no file", "is_error": True}
    silent = {"type": "tool_result", "tool_use_id": "u", "is_error": True}
    shown = {"type": "tool_result", "tool_use_id": "v", "content": [image]}
    called = {"role": "assistant", "content": [
        {"type": "thinking", "thinking": "hm", "signature": "s"}, {"type": "redacted_thinking", "data": "x"},
        {"type": "tool_use", "id": "t", "name": "f", "input": {"a": 1}},
    ]}  # fmt: skip
    turn = {"role": "user", "content": [failed, silent, shown, {"type": "text", "text": "and now?"}]}
    made = to_chat(MESSAGE | {"messages": [*CHAT["messages"], called, turn]})["messages"]
    arguments_said = made[1]["tool_calls"][0]["function"].pop("arguments")
    assert json.loads(arguments_said) == {"a": 1}
    call = {"id": "t", "type": "function", "function": {"name": "f"}}
    assert made == [
        {"role": "user", "content": "hm"},
        {"role": "assistant", "content": None, "tool_calls": [call]},
        {"role": "tool", "tool_call_id": "t", "content": "Error: no file"},
        {"role": "tool", "tool_call_id": "u", "content": "Error: "},
        {"role": "tool", "tool_call_id": "v", "content": ""},
        {
            "role": "user",
            "content": [
                {"type": "image_url", "image_url": {"url": "https://example.com/x.png"}},
                {"type": "text", "text": "and now?"},
            ],
        },
    ]


def test_a_request_without_a_limit_gets_one() -> None:
    assert to_messages(CHAT)["max_tokens"] == chat_over_messages_request.MAX_TOKENS
    assert f"{chat_over_messages_request.MAX_TOKENS:,}" in DOCUMENT


# Answers: what the official clients put together from a stream is what they get whole.

usages = st.tuples(*[st.integers(0, 99)] * 4)
message_blocks = st.lists(
    words.map(lambda text: {"type": "text", "text": text})
    | st.tuples(names, arguments).map(lambda call: {"type": "tool_use", "name": call[0], "input": call[1]})
    | st.just({"type": "thinking", "thinking": "hm", "signature": "s"}),
    max_size=4,
)


@st.composite
def whole_messages(draw: st.DrawFn) -> Json:
    blocks = [
        block | {"id": f"toolu_{n}"} if block["type"] == "tool_use" else block
        for n, block in enumerate(draw(message_blocks))
    ]
    fresh, read, written, out = draw(usages)
    usage = {"input_tokens": fresh, "cache_read_input_tokens": read, "cache_creation_input_tokens": written}
    reason = draw(st.sampled_from(["max_tokens", "refusal", "stop_sequence"]))
    if any(block["type"] == "tool_use" for block in blocks):
        reason = "tool_use"
    return {
        "id": "msg_1", "type": "message", "role": "assistant", "model": "m", "content": blocks,
        "stop_reason": reason, "stop_sequence": None, "usage": usage | {"output_tokens": out},
    }  # fmt: skip


def message_events(message: Json, size: int) -> bytes:
    """A message as its API streams it, in deltas of ``size`` letters."""

    def pieces(text: str) -> list[str]:
        return [text[start : start + size] for start in range(0, len(text), size)]

    start = message | {"content": [], "stop_reason": None, "usage": message["usage"] | {"output_tokens": 1}}
    events: list[Json] = [{"type": "message_start", "message": start}, {"type": "ping"}]
    for index, block in enumerate(message["content"]):
        if block["type"] == "text":
            empty, deltas = (
                block | {"text": ""},
                [{"type": "text_delta", "text": piece} for piece in pieces(block["text"])],
            )
        elif block["type"] == "tool_use":
            said = pieces(json.dumps(block["input"])) if block["input"] else [""]
            empty, deltas = block | {"input": {}}, [{"type": "input_json_delta", "partial_json": p} for p in said]
        else:
            empty, deltas = block | {"thinking": ""}, [{"type": "thinking_delta", "thinking": block["thinking"]}]
        events.append({"type": "content_block_start", "index": index, "content_block": empty})
        events += [{"type": "content_block_delta", "index": index, "delta": delta} for delta in deltas]
        events.append({"type": "content_block_stop", "index": index})
    delta = {"stop_reason": message["stop_reason"], "stop_sequence": None}
    told = {"output_tokens": message["usage"]["output_tokens"]}
    events += [{"type": "message_delta", "delta": delta, "usage": told}, {"type": "message_stop"}]
    return b"".join(f"event: {e['type']}\ndata: {json.dumps(e)}\n\n".encode() for e in events)


def fed(stream: Any, data: bytes, cuts: list[int]) -> bytes:
    edges = [0, *sorted(cut % (len(data) + 1) for cut in cuts), len(data)]
    return b"".join(stream.feed(data[start:end]) for start, end in itertools.pairwise(edges)) + bytes(stream.end())


def datas(stream: bytes) -> list[Json]:
    lines = [line[6:] for line in stream.split(b"\n") if line.startswith(b"data: ")]
    return [json.loads(line) for line in lines if line != b"[DONE]"]


cuts_anywhere = st.lists(st.integers(0, 10_000), max_size=10)


@given(whole_messages(), st.integers(1, 9), cuts_anywhere)
def test_a_message_is_the_same_completion_whole_and_streamed(message: Json, size: int, cuts: list[int]) -> None:
    whole, said = chat_over_messages_answer.answer(200, json.dumps(message).encode(), 1_700_000_000_000_000)
    stream = chat_over_messages_answer.ChatOverMessages(keep_text=True, show_usage=True, now_us=1_700_000_000_000_000)
    out = fed(stream, message_events(message, size), cuts)
    state = ChatCompletionStreamState()
    for chunk in datas(out):
        state.handle_chunk(ChatCompletionChunk.model_validate(chunk))
    together = state.current_completion_snapshot.to_dict(exclude_none=True)
    expected = json.loads(whole)
    for answer in (together, expected):
        choice = answer["choices"][0]
        choice["message"]["content"] = choice["message"].get("content") or ""
        for call in choice["message"].get("tool_calls") or []:
            call.pop("index", None)
            call["function"]["arguments"] = json.loads(call["function"]["arguments"])
    assert together["choices"][0]["message"] | {"refusal": None} == expected["choices"][0]["message"]
    assert together["choices"][0]["finish_reason"] == expected["choices"][0]["finish_reason"]
    assert together["usage"] == expected["usage"]
    assert expected["usage"]["prompt_tokens"] == sum(
        message["usage"][name] for name in message["usage"] if name != "output_tokens"
    )
    assert out.endswith(b"data: [DONE]\n\n")
    assert stream.done
    assert (stream.usage, stream.finish_reason, stream.text) == (said.usage, said.finish_reason, said.text)


@st.composite
def whole_completions(draw: st.DrawFn) -> Json:
    text = draw(st.none() | words)
    calls = [
        {"id": f"call_{n}", "type": "function", "function": {"name": name, "arguments": json.dumps(given)}}
        for n, (name, given) in enumerate(draw(st.lists(st.tuples(names, arguments), max_size=3)))
    ]
    read, cached, written, out = draw(usages)
    finish = draw(st.sampled_from(["tool_calls", "stop"] if calls else ["stop", "length", "content_filter"]))
    details = {"cached_tokens": cached, "cache_write_tokens": written}
    usage = {"prompt_tokens": read + cached + written, "completion_tokens": out, "prompt_tokens_details": details}
    message = {"role": "assistant", "content": text} | ({"tool_calls": calls} if calls else {})
    choice = {"index": 0, "message": message, "finish_reason": finish}
    return {"id": "chatcmpl-1", "model": "m", "choices": [choice], "usage": usage}


@st.composite
def completion_chunks(draw: st.DrawFn, completion: Json) -> bytes:
    """A completion as its API streams it; calls of tools may take turns."""
    choice = completion["choices"][0]
    message, size = choice["message"], draw(st.integers(1, 9))

    def pieces(text: str) -> list[str]:
        return [text[start : start + size] for start in range(0, len(text), size)]

    deltas: list[Json] = [{"role": "assistant", "content": ""}]
    deltas += [{"content": piece} for piece in pieces(message["content"] or "")]
    queues = []
    for index, call in enumerate(message.get("tool_calls", [])):
        first = {"index": index} | call | {"function": {"name": call["function"]["name"], "arguments": ""}}
        rest = [{"index": index, "function": {"arguments": p}} for p in pieces(call["function"]["arguments"])]
        queues.append([first, *rest])
    in_turns = draw(st.booleans())
    while queues:
        queue = queues[draw(st.integers(0, len(queues) - 1)) if in_turns else 0]
        deltas.append({"tool_calls": [queue.pop(0)]})
        queues = [one for one in queues if one]
    head = {"id": completion["id"], "model": completion["model"]}
    chunks = [head | {"choices": [{"index": 0, "delta": delta}]} for delta in deltas]
    chunks.append(head | {"choices": [{"index": 0, "delta": {}, "finish_reason": choice["finish_reason"]}]})
    chunks.append(head | {"choices": [], "usage": completion["usage"]})
    end = draw(st.sampled_from([b"data: [DONE]\n\n", b""]))
    return b"".join(b"data: %s\n\n" % json.dumps(chunk).encode() for chunk in chunks) + end


event_types: TypeAdapter[Any] = TypeAdapter(RawMessageStreamEvent)


@given(st.data(), whole_completions(), cuts_anywhere)
def test_a_completion_is_the_same_message_whole_and_streamed(data: st.DataObject, completion: Json, cuts: Any) -> None:
    whole, said = messages_over_chat_answer.answer(200, json.dumps(completion).encode(), 0)
    stream = messages_over_chat_answer.MessageOverChat(keep_text=True)
    out = fed(stream, data.draw(completion_chunks(completion)), cuts)
    snapshot, buffers = None, dict[int, bytes]()
    for event in datas(out):
        snapshot = accumulate_event(
            event=event_types.validate_python(event), current_snapshot=snapshot, json_bufs=buffers
        )
    assert snapshot is not None
    together, expected = snapshot.to_dict(), json.loads(whole)
    # Calls that take turns begin in the order in which they were begun.
    for answer in (together, expected):
        answer["content"].sort(key=lambda block: (block["type"], block.get("id", "")))
    assert {name: together.get(name) for name in expected} == expected
    assert stream.done
    assert (stream.usage, stream.finish_reason, stream.text) == (said.usage, said.finish_reason, said.text)
    assert [event["type"] for event in datas(out)][-2:] == ["message_delta", "message_stop"]


@given(whole_messages())
def test_an_answer_is_the_same_there_and_back(message: Json) -> None:
    """But for thinking, for text after a call and for words that the other API does not have."""
    over, _ = chat_over_messages_answer.answer(200, json.dumps(message).encode(), 0)
    back = json.loads(messages_over_chat_answer.answer(200, over, 0)[0])
    text = "".join(block["text"] for block in message["content"] if block["type"] == "text")
    calls = [block for block in message["content"] if block["type"] == "tool_use"]
    assert back["content"] == ([{"type": "text", "text": text}] if text else []) + calls
    assert back["usage"] == message["usage"]
    assert back["stop_reason"] == {"stop_sequence": "end_turn"}.get(message["stop_reason"], message["stop_reason"])


def completion_with(**message: Any) -> bytes:
    return json.dumps({"choices": [{"message": message, "finish_reason": "stop"}]}).encode()


def test_arguments_that_are_no_json_are_given_as_they_are() -> None:
    call = {"id": "c", "function": {"name": "f", "arguments": '{"a": '}}
    whole = json.loads(messages_over_chat_answer.answer(200, completion_with(tool_calls=[call]), 0)[0])
    assert whole["content"][0]["input"] == {"INVALID_JSON": '{"a": '}
    assert whole["stop_reason"] == "tool_use"


def test_a_refusal_is_text_and_its_reason() -> None:
    whole = json.loads(messages_over_chat_answer.answer(200, completion_with(refusal="I may not"), 0)[0])
    assert (whole["content"], whole["stop_reason"]) == ([{"type": "text", "text": "I may not"}], "refusal")


@pytest.mark.parametrize("body", [b"", b"<html>", b"{}", b'{"choices": []}', b"\xff"])
def test_what_is_no_answer_is_an_error_of_the_upstreams(body: bytes) -> None:
    for answer in (messages_over_chat_answer.answer, chat_over_messages_answer.answer):
        with pytest.raises(UpstreamError):
            answer(200, body, 0)
        translated = json.loads(answer(503, body, 0)[0])
        assert translated["error"]["message"] == "the upstream answered with status 503"


BROKEN_CHAT = [
    (b'data: {"choices":[{"delta":{"content":"half"}}]}\n\n', "before it was whole"),
    (b'data: {"choices":[{"delta":{"content":"half"}}]}\n\ndata: {"error":{"message":"oh"}}\n\n', "oh"),
    (b'data: {"error":"oh"}\n\n', "the upstream failed"),
    (b"data: {no JSON\n\ndata: [DONE]\n\n", "no part of a chat completion"),
]
BROKEN_MESSAGE = [
    (b'data: {"type":"content_block_delta","delta":{"type":"text_delta","text":"half"}}\n\n', "before it was whole"),
    (b'event: error\ndata: {"type":"error","error":{"type":"overloaded_error","message":"oh"}}\n\n', "oh"),
    (b'data: {no JSON\n\ndata: {"type":"message_stop"}\n\n', "no part of a message"),
]


@pytest.mark.parametrize(("data", "said"), BROKEN_CHAT)
def test_a_broken_completion_ends_in_an_error(data: bytes, said: str) -> None:
    stream = messages_over_chat_answer.MessageOverChat(keep_text=False)
    last = datas(stream.feed(data) + stream.end())[-1]
    assert (last["type"], said in last["error"]["message"]) == ("error", True)
    assert (stream.done, stream.finish_reason, stream.feed(data) + stream.end()) == (True, "upstream_error", b"")


@pytest.mark.parametrize(("data", "said"), BROKEN_MESSAGE)
def test_a_broken_message_ends_in_an_error(data: bytes, said: str) -> None:
    stream = chat_over_messages_answer.ChatOverMessages(keep_text=False, show_usage=True, now_us=0)
    last = datas(stream.feed(data) + stream.end())[-1]
    assert said in last["error"]["message"]
    assert (stream.done, stream.finish_reason, stream.feed(data) + stream.end()) == (True, "upstream_error", b"")


def test_calls_that_are_not_numbered_are_told_apart_by_their_ids() -> None:
    calls = [{"id": f"c{n}", "function": {"name": "f", "arguments": f'{{"n": {n}}}'}} for n in range(2)]
    chunks = [{"choices": [{"delta": {"tool_calls": [call]}}]} for call in calls]
    stream = messages_over_chat_answer.MessageOverChat(keep_text=False)
    data = b"".join(b"data: %s\n\n" % json.dumps(chunk).encode() for chunk in chunks)
    events = datas(stream.feed(data + b"data: [DONE]\n\n"))
    assert [e["content_block"]["id"] for e in events if e["type"] == "content_block_start"] == ["c0", "c1"]
    assert [(e["index"], e["delta"]["partial_json"]) for e in events if e["type"] == "content_block_delta"] == [
        (0, '{"n": 0}'), (1, '{"n": 1}'),
    ]  # fmt: skip


@given(st.binary(max_size=80), st.sampled_from([b"data: ", b"", b'data: {"type":"message_delta","delta":']))
def test_no_bytes_break_a_translated_stream(noise: bytes, before: bytes) -> None:
    for stream in (
        messages_over_chat_answer.MessageOverChat(keep_text=True),
        chat_over_messages_answer.ChatOverMessages(keep_text=True, show_usage=True, now_us=0),
    ):
        stream.feed(before + noise + b"\n\n")
        stream.end()
        assert stream.done


def test_a_refusal_repeats_no_more_of_a_request_than_is_read() -> None:
    with pytest.raises(InputError, match="carried over") as refused:
        to_messages({"model": "m", "messages": [], "x" * 1_000_000: 1})
    assert len(str(refused.value)) < 1_000
