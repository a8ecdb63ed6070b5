"""The bundled mock answers the official clients of both APIs."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator

import anthropic
import openai
import pytest

MESSAGES = [{"role": "user", "content": "What is tin?"}]
TOOL_MESSAGES = [{"role": "user", "content": "please use-a-tool now"}]
PARAMETERS = {"type": "object", "properties": {}}


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    command = [sys.executable, "-m", "tiergate.simulation.mock_upstream", "--port", "0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout is not None
        yield json.loads(server.stdout.readline())["address"]
        server.terminate()


@pytest.fixture
def chat(address: str) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=f"{address}/v1", api_key="any") as client:
        yield client


@pytest.fixture
def messages(address: str) -> Iterator[anthropic.Anthropic]:
    with anthropic.Anthropic(base_url=address, api_key="any") as client:
        yield client


def test_openai_chat_whole_and_streamed_say_the_same(chat: openai.OpenAI) -> None:
    whole = chat.chat.completions.create(model="model-large", messages=MESSAGES)
    assert whole.usage.completion_tokens == len(whole.choices[0].message.content.split())
    again = chat.chat.completions.create(model="model-large", messages=MESSAGES)
    assert again == whole
    options = {"stream": True, "stream_options": {"include_usage": True}}
    events = list(chat.chat.completions.create(model="model-large", messages=MESSAGES, **options))
    text = "".join(e.choices[0].delta.content or "" for e in events if e.choices)
    assert len(text.split()) == events[-1].usage.completion_tokens > 3
    assert [e.choices[0].finish_reason for e in events if e.choices][-1] == "stop"


def test_openai_tools_and_models(chat: openai.OpenAI) -> None:
    tools = [{"type": "function", "function": {"name": "lookup", "parameters": PARAMETERS}}]
    answer = chat.chat.completions.create(model="m", messages=TOOL_MESSAGES, tools=tools)
    assert answer.choices[0].message.tool_calls[0].function.name == "lookup"
    events = list(chat.chat.completions.create(model="m", messages=TOOL_MESSAGES, tools=tools, stream=True))
    assert events[-1].choices[0].finish_reason == "tool_calls"
    assert {model.id for model in chat.models.list()} >= {"model-large"}


def test_anthropic_messages_whole_and_streamed(messages: anthropic.Anthropic) -> None:
    whole = messages.messages.create(model="m", max_tokens=100, messages=MESSAGES)
    assert whole.stop_reason == "end_turn"
    assert whole.usage.output_tokens == len(whole.content[0].text.split())
    with messages.messages.stream(model="m", max_tokens=100, messages=MESSAGES) as stream:
        final = stream.get_final_message()
    assert len(final.content[0].text.split()) == final.usage.output_tokens
    tools = [{"name": "lookup", "input_schema": PARAMETERS}]
    with messages.messages.stream(model="m", max_tokens=100, messages=TOOL_MESSAGES, tools=tools) as stream:
        assert stream.get_final_message().content[0].name == "lookup"


def test_what_is_no_json_is_refused(chat: openai.OpenAI) -> None:
    with pytest.raises(openai.BadRequestError):
        chat.post("/chat/completions", cast_to=object, content=b"{")
    with pytest.raises(openai.NotFoundError):
        chat.moderations.create(input="x")
