"""Accounts under `summarise`: answers come without reasoning and log-probabilities, and clients go on."""

from __future__ import annotations

import json
import threading
import urllib.request
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import anthropic
import openai
import pytest
from anthropic.lib.streaming._messages import accumulate_event
from anthropic.types import RawMessageStreamEvent
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter

from tests.gateway.conftest import Customer, Deployed, deployed
from tests.gateway.test_translation import cuts_anywhere, datas, fed, message_events, whole_messages
from tiergate.errors import UpstreamError
from tiergate.gateway.dialects.sse import LONGEST_EVENT
from tiergate.gateway.dialects.summarised import SummarisedStream, summarised_answer, summarised_request
from tiergate.ledger.verdicts import Action

Json = dict[str, Any]
event_types: TypeAdapter[RawMessageStreamEvent] = TypeAdapter(RawMessageStreamEvent)
SECRET = "hidden-chain"
"""In every part of an answer that must not pass."""

WEIGHED = {"content": [{"token": SECRET, "logprob": -0.1, "bytes": None, "top_logprobs": []}], "refusal": None}
CHAT_USAGE = {
    "prompt_tokens": 5, "completion_tokens": 9, "total_tokens": 14,
    "completion_tokens_details": {"reasoning_tokens": 7},
}  # fmt: skip
HEAD = {"id": "c", "created": 1, "model": "m"}
CALL = {"id": "call_1", "type": "function", "function": {"name": "look", "arguments": '{"thinking": 1}'}}
CHAT = HEAD | {
    "object": "chat.completion", "usage": CHAT_USAGE, "prompt_logprobs": [SECRET],
    "choices": [{
        "index": 0, "finish_reason": "stop", "logprobs": WEIGHED,
        "message": {
            "role": "assistant", "content": "Tin.", "reasoning": SECRET, "reasoning_content": SECRET,
            "reasoning_details": [{"text": SECRET}], "tool_calls": [CALL],
        },
    }],
}  # fmt: skip


def chunk(delta: Json, **more: Any) -> Json:
    return HEAD | {"object": "chat.completion.chunk", "choices": [{"index": 0, "delta": delta} | more]}


CHAT_EVENTS = [
    chunk({"role": "assistant", "content": ""}, logprobs=None),
    chunk({"reasoning_content": SECRET, "reasoning": SECRET}),
    chunk({"content": "Tin."}, logprobs=WEIGHED),
    chunk({}, finish_reason="stop"),
    HEAD | {"object": "chat.completion.chunk", "choices": [], "usage": CHAT_USAGE},
]
TOKEN = {"token": SECRET, "logprob": -0.1, "top_logprobs": [], "bytes": []}
THOUGHT = {
    "type": "reasoning", "id": "rs_1", "summary": [{"type": "summary_text", "text": SECRET}],
    "content": [{"type": "reasoning_text", "text": SECRET}], "encrypted_content": SECRET, "status": "completed",
}  # fmt: skip
PART = {"type": "output_text", "text": "Tin.", "annotations": [], "logprobs": [TOKEN]}
SAID = {"type": "message", "id": "msg_1", "role": "assistant", "status": "completed", "content": [PART]}
RESPONSE = {
    "id": "resp_1", "object": "response", "created_at": 1, "model": "m", "status": "completed", "tools": [],
    "tool_choice": "auto", "parallel_tool_calls": True, "reasoning": {"effort": "high", "summary": "auto"},
    "output": [THOUGHT, SAID],
    "usage": {
        "input_tokens": 5, "output_tokens": 9, "total_tokens": 14, "input_tokens_details": {"cached_tokens": 0},
        "output_tokens_details": {"reasoning_tokens": 7},
    },
}  # fmt: skip
BEGUN = RESPONSE | {"status": "in_progress", "output": []}
RESPONSE_EVENTS = [
    {"type": "response.created", "response": BEGUN},
    {"type": "response.output_item.added", "output_index": 0, "item": THOUGHT},
    {"type": "response.reasoning_summary_part.added", "output_index": 0, "part": {"text": SECRET}},
    {"type": "response.reasoning_summary_text.delta", "output_index": 0, "delta": SECRET},
    {"type": "response.reasoning_text.delta", "output_index": 0, "delta": SECRET},
    {"type": "response.content_part.added", "output_index": 0, "part": {"type": "reasoning_text", "text": SECRET}},
    {"type": "response.output_item.done", "output_index": 0, "item": THOUGHT},
    {"type": "response.output_item.added", "output_index": 1, "item": SAID | {"content": []}},
    {"type": "response.content_part.added", "output_index": 1, "content_index": 0, "part": PART | {"text": ""}},
    {"type": "response.output_text.delta", "output_index": 1, "content_index": 0, "delta": "Tin.", "logprobs": [TOKEN]},
    {"type": "response.output_text.done", "output_index": 1, "content_index": 0, "text": "Tin.", "logprobs": [TOKEN]},
    {"type": "response.content_part.done", "output_index": 1, "content_index": 0, "part": PART},
    {"type": "response.output_item.done", "output_index": 1, "item": SAID},
    {"type": "response.completed", "response": RESPONSE},
]
MESSAGE = {
    "id": "msg_1", "type": "message", "role": "assistant", "model": "m", "stop_reason": "tool_use",
    "stop_sequence": None,
    "usage": {"input_tokens": 5, "output_tokens": 9, "output_tokens_details": {"thinking_tokens": 7}},
    "content": [
        {"type": "thinking", "thinking": SECRET, "signature": SECRET},
        {"type": "redacted_thinking", "data": SECRET, "thinking": SECRET},
        {"type": "text", "text": "Tin."},
        {"type": "thinking", "thinking": SECRET, "signature": SECRET},
        {"type": "tool_use", "id": "toolu_1", "name": "look", "input": {"thinking": 1}},
    ],
}  # fmt: skip


def streamed(path: str) -> bytes:
    if path.endswith("/messages"):
        signed = {"type": "content_block_delta", "index": 0, "delta": {"type": "signature_delta", "signature": SECRET}}
        told = message_events(MESSAGE, 3)
        stop = told.index(b"event: content_block_stop")
        return (
            told[:stop]
            + b"event: content_block_delta\r\ndata: "
            + json.dumps(signed).encode()
            + b"\r\n\r\n"
            + told[stop:]
        )
    events = RESPONSE_EVENTS if path.endswith("/responses") else CHAT_EVENTS
    named = b"".join(
        b"event: %s\ndata: %s\n\n" % (str(event.get("type", "message")).encode(), json.dumps(event).encode())
        for event in (event | {"sequence_number": number} for number, event in enumerate(events))
    )
    return b": begun\n\n" + named + (b"" if path.endswith("/responses") else b"data: [DONE]\n\n")


WHOLE = {"/v1/chat/completions": CHAT, "/v1/responses": RESPONSE, "/v1/messages": MESSAGE}


class Reasoning(BaseHTTPRequestHandler):
    """An upstream that tells all it has."""

    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        request = json.loads(self.rfile.read(int(self.headers["content-length"])))
        stream = request.get("stream", False)
        body = streamed(self.path) if stream else json.dumps(WHOLE[self.path]).encode()
        if request["model"] == "garbled":
            body = body[: len(body) // 2]
        self.send_response(200)
        self.send_header("content-type", "text/event-stream" if stream else "application/json")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        return None


@pytest.fixture(scope="module")
def reasoning() -> Iterator[str]:
    with ThreadingHTTPServer(("127.0.0.1", 0), Reasoning) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


@pytest.fixture(scope="module")
def gateways(
    reasoning: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[dict[str, tuple[Deployed, Customer]]]:
    """A gateway over each kind of upstream, with a customer under `summarise`."""
    with (
        deployed(tmp_path_factory.mktemp("openai"), reasoning) as over_openai,
        deployed(tmp_path_factory.mktemp("anthropic"), reasoning, upstream_dialect="anthropic") as over_anthropic,
    ):
        found = {}
        for name, gateway in (("openai", over_openai), ("anthropic", over_anthropic)):
            customer = gateway.customer()
            gateway.put("case-summarise", Action.SUMMARISE, customer)
            found[name] = gateway, customer
        yield found


def test_completions(gateways: dict[str, tuple[Deployed, Customer]]) -> None:
    gateway, customer = gateways["openai"]
    raw = customer.client.chat.completions.with_raw_response.create(
        model="m", messages=[{"role": "user", "content": "?"}], logprobs=True
    )
    whole = raw.parse()
    assert whole.choices[0].message.content == "Tin."
    assert whole.choices[0].message.tool_calls[0].function.arguments == '{"thinking": 1}'
    assert whole.usage.completion_tokens_details.reasoning_tokens == 7
    assert SECRET not in raw.text
    assert raw.headers["x-tiergate-verdict"] == "summarise"
    assert raw.headers["x-tiergate-notice"].startswith(f"{gateway.address}/verdicts/")
    with customer.client.chat.completions.stream(model="m", messages=[], logprobs=True) as events:
        for _ in events:
            pass
        last = events.get_final_completion()
    assert last.choices[0].message.content == "Tin."
    assert SECRET not in repr(last)
    for row in gateway.rows(customer.account_id):
        assert (row["output_tokens"], row["reasoning_tokens"]) == (9, 7)


def test_responses(gateways: dict[str, tuple[Deployed, Customer]]) -> None:
    _, customer = gateways["openai"]
    raw = customer.client.responses.with_raw_response.create(
        model="m", input="?", include=["reasoning.encrypted_content"]
    )
    whole = raw.parse()
    assert (whole.output_text, [item.type for item in whole.output]) == ("Tin.", ["reasoning", "message"])
    assert whole.reasoning is not None
    assert whole.reasoning.effort == "high"
    assert SECRET not in raw.text
    with customer.client.responses.stream(model="m", input="?") as events:
        told = [repr(event) for event in events]
        assert events.get_final_response().output_text == "Tin."
    assert SECRET not in "".join(told)


@pytest.mark.parametrize("over", ["anthropic", "openai"])
def test_messages(gateways: dict[str, tuple[Deployed, Customer]], over: str) -> None:
    gateway, customer = gateways[over]
    asked: Any = {"model": "m", "max_tokens": 99, "messages": [{"role": "user", "content": "?"}]}
    with anthropic.Anthropic(base_url=gateway.address, api_key=customer.key, max_retries=0) as client:
        raw = client.messages.with_raw_response.create(**asked)
        whole = raw.parse()
        with client.messages.stream(**asked) as events:
            told = [repr(event) for event in events]
            last = events.get_final_message()
    assert raw.headers["x-tiergate-verdict"] == "summarise"
    for message in (whole, last):
        assert [block.type for block in message.content][:1] == ["text"]
        assert message.usage.output_tokens == 9
    assert SECRET not in raw.http_response.text + "".join(told) + repr(last)
    if over == "anthropic":
        assert [block.type for block in last.content] == ["text", "tool_use"]
        assert last.content[1].input == {"thinking": 1}


def test_all_others_get_every_byte(gateways: dict[str, tuple[Deployed, Customer]]) -> None:
    for over, path in (("openai", "/chat/completions"), ("openai", "/responses"), ("anthropic", "/messages")):
        other = gateways[over][0].customer()
        for stream in (False, True):
            body = {"model": "m", "messages": [], "input": "?", "stream": stream}
            body |= {"max_tokens": 9} if over == "anthropic" else {"stream_options": {"include_usage": True}}
            headers = {"authorization": f"Bearer {other.key}"}
            asked = urllib.request.Request(f"{gateways[over][0].address}/v1{path}", json.dumps(body).encode(), headers)
            with urllib.request.urlopen(asked) as answer:
                got = answer.read()
            assert "x-tiergate-verdict" not in answer.headers
            assert got == (streamed(path) if stream else json.dumps(WHOLE[f"/v1{path}"]).encode())


def test_what_cannot_be_read_is_not_passed_on(gateways: dict[str, tuple[Deployed, Customer]]) -> None:
    _, customer = gateways["openai"]
    with pytest.raises(openai.APIStatusError) as refused:
        customer.client.chat.completions.create(model="garbled", messages=[])
    assert (refused.value.status_code, SECRET in refused.value.response.text) == (502, False)


def test_a_loop_of_tools_goes_on_without_the_thinking_that_was_left_out() -> None:
    call = {"role": "assistant", "content": [{"type": "tool_use", "id": "t", "name": "n", "input": {}}]}
    request = {"model": "m", "thinking": {"type": "enabled", "budget_tokens": 2048}, "messages": [call]}
    body = json.dumps(request).encode()
    assert json.loads(summarised_request("messages", body)) == request | {"thinking": {"type": "disabled"}}
    whole = call | {"content": [{"type": "thinking"}, *call["content"]]}
    for same in ({"messages": [whole]}, {"thinking": {"type": "adaptive"}}, {"messages": []}):
        body = json.dumps(request | same).encode()
        assert summarised_request("messages", body) is body
    lost = {"type": "reasoning", "id": "r", "encrypted_content": None}
    kept = lost | {"encrypted_content": "x"}
    body = json.dumps({"model": "m", "store": False, "input": [lost, kept]}).encode()
    assert json.loads(summarised_request("responses", body))["input"] == [kept]
    body = json.dumps({"model": "m", "input": [lost]}).encode()
    assert summarised_request("responses", body) is body


@given(whole_messages(), st.integers(1, 9), cuts_anywhere)
def test_a_message_is_the_same_whole_and_streamed(message: Json, size: int, cuts: list[int]) -> None:
    whole = json.loads(summarised_answer("messages", json.dumps(message).encode()))
    assert whole["content"] == [block for block in message["content"] if "thinking" not in block["type"]]
    snapshot, buffers = None, dict[int, bytes]()
    for event in datas(fed(SummarisedStream("messages"), message_events(message, size), cuts)):
        if event["type"] != "ping":
            said = event_types.validate_python(event)
            snapshot = accumulate_event(event=said, current_snapshot=snapshot, json_bufs=buffers)
    assert snapshot is not None
    told = [block.to_dict() for block in snapshot.content]
    names = ("type", "text", "id", "name", "input")
    seen = [[[block.get(name) for name in names] for block in blocks] for blocks in (told, whole["content"])]
    assert seen[0] == seen[1]


@pytest.mark.parametrize("operation", ["chat", "responses", "messages"])
@given(noise=st.binary(max_size=200), cuts=cuts_anywhere)
def test_no_bytes_bring_reasoning_through(operation: Any, noise: bytes, cuts: list[int]) -> None:
    path = {"chat": "/chat/completions", "responses": "/responses", "messages": "/messages"}[operation]
    out = fed(SummarisedStream(operation), b"data: " + noise + b"\n" + streamed(path), cuts)
    assert SECRET.encode() not in out


def test_an_event_beyond_all_bounds_ends_the_stream() -> None:
    stream = SummarisedStream("chat")
    with pytest.raises(UpstreamError):
        stream.feed(b"data: " + b"x" * LONGEST_EVENT)
    stream = SummarisedStream("chat")
    with pytest.raises(UpstreamError):
        stream.feed(b"data: 0\n" * (LONGEST_EVENT // 8 + 1))
