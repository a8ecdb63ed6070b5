"""A chat completion request, said as a request for a message of Anthropic's. What is lost: docs/gateway.md."""

from __future__ import annotations

import re
from typing import Any, Final, Literal

import msgspec

from tiergate.gateway.dialects.closed import Closed, reader, refused
from tiergate.gateway.dialects.common import UNREADABLE, Asked, Count

Json = dict[str, Any]
MAX_TOKENS: Final = 4_096
"""Of an answer whose request sets no limit, which Anthropic's API demands."""

_DATA_URL: Final = re.compile(r"data:([\w.+-]+/[\w.+-]+);base64,(.*)", re.DOTALL)
_NO_ARGUMENTS: Final = msgspec.Raw(b'{"type":"object","properties":{}}')


class _Text(Closed, tag="text"):
    text: str
    prompt_cache_breakpoint: Any = None


class _Refusal(Closed, tag="refusal"):
    refusal: str


class _ImageUrl(Closed):
    url: str
    detail: Any = None


class _Image(Closed, tag="image_url"):
    image_url: _ImageUrl
    prompt_cache_breakpoint: Any = None


class _CalledFunction(Closed):
    name: str
    arguments: str
    parsed_arguments: Any = None  # of an answer that OpenAI's client parsed, said again; so is `parsed` below


class _Call(Closed):
    id: str
    function: _CalledFunction
    type: Literal["function"] = "function"
    index: Any = None


class _Message(Closed):
    role: Literal["system", "developer", "user", "assistant", "tool"]
    content: str | list[_Text | _Image | _Refusal] | None = None
    tool_calls: list[_Call] | None = None
    tool_call_id: str | None = None
    refusal: str | None = None
    annotations: Any = None
    parsed: Any = None
    audio: None = None
    function_call: None = None


class _Function(Closed):
    name: str
    description: str | None = None
    parameters: msgspec.Raw = _NO_ARGUMENTS
    strict: bool | None = None


class _Tool(Closed):
    function: _Function
    type: Literal["function"] = "function"


class _Named(Closed):
    name: str


class _NamedChoice(Closed):
    function: _Named
    type: Literal["function"] = "function"


class _JsonSchema(Closed):
    schema: msgspec.Raw
    name: Any = None
    description: str | None = None
    strict: Any = None


class _PlainFormat(Closed, tag="text"):
    pass


class _SchemaFormat(Closed, tag="json_schema"):
    json_schema: _JsonSchema


class _StreamOptions(Closed):
    include_usage: bool | None = None
    include_obfuscation: Any = None


class _Request(Closed):
    model: str
    messages: list[_Message]
    stream: bool | None = None
    stream_options: _StreamOptions | None = None
    max_tokens: Count | None = None
    max_completion_tokens: Count | None = None
    n: Literal[1] | None = None
    stop: str | list[str] | None = None
    temperature: float | None = None
    top_p: float | None = None
    presence_penalty: float | None = None
    frequency_penalty: float | None = None
    logprobs: bool | None = None
    modalities: list[Literal["text"]] | None = None
    response_format: _PlainFormat | _SchemaFormat | None = None
    reasoning_effort: Literal["low", "medium", "high", "xhigh", "max"] | None = None
    tools: list[_Tool] | None = None
    tool_choice: Literal["none", "auto", "required"] | _NamedChoice | None = None
    parallel_tool_calls: bool | None = None
    user: str | None = None
    safety_identifier: str | None = None
    metadata: Any = None
    prediction: Any = None
    prompt_cache_key: Any = None
    prompt_cache_options: Any = None
    prompt_cache_retention: Any = None
    seed: Any = None
    service_tier: Any = None
    store: Any = None


_read = reader(_Request, "Anthropic")
_decode_arguments = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode


def request(body: bytes, asked: Asked) -> bytes:
    """The request for a message. Raises `InputError` for what it cannot say."""
    given = _read(body)
    for name in ("presence_penalty", "frequency_penalty", "logprobs"):
        if getattr(given, name):
            raise refused("Anthropic", f"`{name}`")
    made: Json = {"model": given.model, "max_tokens": MAX_TOKENS if asked.max_tokens is None else asked.max_tokens}
    system, messages = _conversation(given.messages)
    if system:
        made["system"] = system
    made["messages"] = messages
    made |= {name: value for name in ("stream", "temperature", "top_p") if (value := getattr(given, name)) is not None}
    if given.stop:
        made["stop_sequences"] = [given.stop] if isinstance(given.stop, str) else given.stop
    if asked.end_user is not None:
        made["metadata"] = {"user_id": asked.end_user}
    if given.tools:
        made["tools"] = [_tool(tool.function) for tool in given.tools]
    if choice := _tool_choice(given):
        made["tool_choice"] = choice
    if config := _output_config(given):
        made["output_config"] = config
    return msgspec.json.encode(made)


def _tool(function: _Function) -> Json:
    optional = {"description": function.description, "strict": function.strict}
    given = {name: value for name, value in optional.items() if value is not None}
    return {"name": function.name, "input_schema": function.parameters} | given


def _tool_choice(given: _Request) -> Json | None:
    choice = given.tool_choice
    one_at_a_time = given.parallel_tool_calls is False and choice != "none"
    made: Json | None = {"type": "auto"} if one_at_a_time else None
    if isinstance(choice, _NamedChoice):
        made = {"type": "tool", "name": choice.function.name}
    elif choice is not None:
        made = {"type": "any" if choice == "required" else choice}
    return made | {"disable_parallel_tool_use": True} if made and one_at_a_time else made


def _output_config(given: _Request) -> Json:
    config: Json = {}
    if given.reasoning_effort is not None:
        config["effort"] = given.reasoning_effort
    if isinstance(given.response_format, _SchemaFormat):
        config["format"] = {"type": "json_schema", "schema": given.response_format.json_schema.schema}
    return config


def _conversation(messages: list[_Message]) -> tuple[list[Json], list[Json]]:
    """What the system says before anybody else, and then the turns; results of tools are of the user's turn."""
    first = next((n for n, one in enumerate(messages) if one.role not in ("system", "developer")), len(messages))
    system = [block for message in messages[:first] for block in _blocks(message)]
    turns: list[Json] = []
    after_tool = False
    for message in messages[first:]:
        role, blocks = _turn(message)
        if after_tool and role == "user":
            turns[-1]["content"] += blocks
        elif blocks:
            turns.append({"role": role, "content": blocks})
        after_tool = message.role == "tool"
    if messages and messages[-1].role == "assistant":
        raise refused("Anthropic", "an answer that is begun for the model, as the last message does")
    return system, turns


def _turn(message: _Message) -> tuple[str, list[Json]]:
    if message.role == "tool":
        result: Json = {"type": "tool_result", "tool_use_id": message.tool_call_id or ""}
        if blocks := _blocks(message):
            result["content"] = message.content if isinstance(message.content, str) else blocks
        return "user", [result]
    role = "system" if message.role == "developer" else message.role
    blocks = _blocks(message)
    if message.refusal:
        blocks.append({"type": "text", "text": message.refusal})
    return role, blocks + [_tool_use(call) for call in message.tool_calls or []]


def _blocks(message: _Message) -> list[Json]:
    """The content; Anthropic's API takes no empty text."""
    content = message.content
    parts = [_Text(content)] if isinstance(content, str) else content or []
    return [block for part in parts if (block := _block(part)) is not None]


def _block(part: _Text | _Image | _Refusal) -> Json | None:
    if isinstance(part, _Image):
        return {"type": "image", "source": _source(part.image_url.url)}
    text = part.refusal if isinstance(part, _Refusal) else part.text
    return {"type": "text", "text": text} if text else None


def _source(url: str) -> Json:
    if data := _DATA_URL.fullmatch(url):
        return {"type": "base64", "media_type": data[1], "data": data[2]}
    if url.startswith("data:"):
        raise refused("Anthropic", "an image whose data is not in base64")
    return {"type": "url", "url": url}


def _tool_use(call: _Call) -> Json:
    try:
        given = _decode_arguments(call.function.arguments or "{}")
    except UNREADABLE as error:
        raise refused("Anthropic", f"arguments of the call `{call.id[:100]}` that are no JSON object") from error
    return {"type": "tool_use", "id": call.id, "name": call.function.name, "input": given}
