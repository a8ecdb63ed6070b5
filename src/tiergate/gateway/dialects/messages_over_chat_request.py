"""A request for a message of Anthropic's, said as a chat completion request. What is lost: docs/gateway.md."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import msgspec

from tiergate.gateway.dialects.closed import Closed, reader, refused
from tiergate.gateway.dialects.common import Asked, Count

Json = dict[str, Any]


class _Text(Closed, tag="text"):
    text: str
    cache_control: Any = None
    citations: Any = None  # of an answer that is said again


class _Base64(Closed, tag="base64"):
    media_type: str
    data: str


class _Url(Closed, tag="url"):
    url: str


class _Image(Closed, tag="image"):
    source: _Base64 | _Url
    cache_control: Any = None

    def part(self) -> Json:
        source = self.source
        url = source.url if isinstance(source, _Url) else f"data:{source.media_type};base64,{source.data}"
        return {"type": "image_url", "image_url": {"url": url}}


class _ToolUse(Closed, tag="tool_use"):
    id: str
    name: str
    input: msgspec.Raw
    cache_control: Any = None
    caller: Any = None
    toolset_name: None = None

    def call(self) -> Json:
        function = {"name": self.name, "arguments": bytes(self.input).decode()}
        return {"id": self.id, "type": "function", "function": function}


class _ToolResult(Closed, tag="tool_result"):
    tool_use_id: str
    content: str | list[_Text | _Image] | None = None
    is_error: bool = False
    cache_control: Any = None


class _Thinking(Closed, tag="thinking"):
    thinking: Any = None
    signature: Any = None


class _Redacted(Closed, tag="redacted_thinking"):
    data: Any = None


_Block = _Text | _Image | _ToolUse | _ToolResult | _Thinking | _Redacted


class _Message(Closed):
    role: Literal["user", "assistant", "system"]
    content: str | list[_Block]


class _Tool(Closed):
    name: str
    input_schema: msgspec.Raw
    description: str | None = None
    type: Literal["custom"] | None = None
    strict: bool | None = None
    cache_control: Any = None
    eager_input_streaming: Any = None
    allowed_callers: list[Literal["direct"]] | None = None
    defer_loading: bool | None = None


class _ToolChoice(Closed):
    type: Literal["auto", "any", "tool", "none"]
    name: str | None = None
    disable_parallel_tool_use: bool | None = None


class _Metadata(Closed):
    user_id: str | None = None


class _Format(Closed):
    type: Literal["json_schema"]
    schema: msgspec.Raw


class _OutputConfig(Closed):
    effort: str | None = None
    format: _Format | None = None


class _Edit(msgspec.Struct):
    """A change of the context that Anthropic makes before the model reads it: those that only clear are left out."""

    type: Literal["clear_tool_uses_20250919", "clear_thinking_20251015"]


class _ContextManagement(Closed):
    edits: list[_Edit] | None = None


class _Request(Closed):
    model: str
    messages: list[_Message]
    max_tokens: Count
    system: str | list[_Text] | None = None
    stream: bool | None = None
    stop_sequences: list[str] | None = None
    temperature: float | None = None
    top_p: float | None = None
    metadata: _Metadata | None = None
    tools: list[_Tool] | None = None
    tool_choice: _ToolChoice | None = None
    output_config: _OutputConfig | None = None
    context_management: _ContextManagement | None = None
    thinking: Any = None
    cache_control: Any = None
    service_tier: Any = None
    diagnostics: Any = None


_read = reader(_Request, "OpenAI")


def request(body: bytes, _asked: Asked) -> bytes:
    """The chat completion request. Raises `InputError` for what it cannot say."""
    asked = _read(body)
    made: Json = {"model": asked.model, "messages": _messages(asked), "max_completion_tokens": asked.max_tokens}
    if asked.stream:
        made |= {"stream": True, "stream_options": {"include_usage": True}}
    if asked.stop_sequences:
        made["stop"] = asked.stop_sequences
    if asked.metadata and asked.metadata.user_id is not None:
        made["user"] = asked.metadata.user_id
    made |= {name: value for name in ("temperature", "top_p") if (value := getattr(asked, name)) is not None}
    if asked.output_config and asked.output_config.effort is not None:
        made["reasoning_effort"] = asked.output_config.effort
    if asked.output_config and asked.output_config.format:
        schema = {"name": "answer", "schema": asked.output_config.format.schema, "strict": True}
        made["response_format"] = {"type": "json_schema", "json_schema": schema}
    if asked.tools:
        made["tools"] = [{"type": "function", "function": _function(tool)} for tool in asked.tools]
    if asked.tool_choice:
        made |= _tool_choice(asked.tool_choice)
    return msgspec.json.encode(made)


def _function(tool: _Tool) -> Json:
    if tool.defer_loading:
        raise refused("OpenAI", f"`defer_loading` of the tool `{tool.name[:100]}`")
    optional = {"description": tool.description, "strict": tool.strict}
    given = {name: value for name, value in optional.items() if value is not None}
    return {"name": tool.name, "parameters": tool.input_schema} | given


def _tool_choice(choice: _ToolChoice) -> Json:
    named = {"type": "function", "function": {"name": choice.name}}
    made: Json = {"tool_choice": {"any": "required", "tool": named}.get(choice.type, choice.type)}
    if choice.disable_parallel_tool_use is not None:
        made["parallel_tool_calls"] = not choice.disable_parallel_tool_use
    return made


def _messages(asked: _Request) -> list[Json]:
    made: list[Json] = []
    if asked.system:
        made.append({"role": "system", "content": _content(asked.system)})
    for message in asked.messages:
        if message.role == "user":
            made += _user(message)
        elif message.role == "assistant":
            made.append(_assistant(message))
        else:
            made.append({"role": "system", "content": _content(message.content)})
    if asked.messages and asked.messages[-1].role == "assistant":
        raise refused("OpenAI", "an answer that is begun for the model, as the last message does")
    return made


def _content(content: str | Sequence[_Block]) -> str | list[Json]:
    """Text in its shortest form: upstreams take a string everywhere, and parts not everywhere."""
    if isinstance(content, str):
        return content
    parts = [_part(block) for block in content]
    return parts[0]["text"] if len(parts) == 1 and parts[0]["type"] == "text" else parts


def _part(block: _Block) -> Json:
    if isinstance(block, _Text):
        return {"type": "text", "text": block.text}
    if isinstance(block, _Image):
        return block.part()
    raise refused("OpenAI", f"a block of type `{type(block).__struct_config__.tag}` in this place")


def _user(message: _Message) -> list[Json]:
    """Results of tools, each a message of its own, and then all else: images in results follow them."""
    if isinstance(message.content, str):
        return [{"role": "user", "content": message.content}]
    results = [block for block in message.content if isinstance(block, _ToolResult)]
    made: list[Json] = []
    rest: list[_Block] = []
    for result in results:
        given = result.content or []
        blocks = [_Text(given)] if isinstance(given, str) else given
        texts = [block for block in blocks if isinstance(block, _Text)]
        rest += [block for block in blocks if isinstance(block, _Image)]
        if result.is_error:
            texts = [_Text("Error: " + (texts[0].text if texts else "")), *texts[1:]]
        made.append({"role": "tool", "tool_call_id": result.tool_use_id, "content": _content(texts) if texts else ""})
    rest += [block for block in message.content if not isinstance(block, _ToolResult)]
    return [*made, {"role": "user", "content": _content(rest)}] if rest else made


def _assistant(message: _Message) -> Json:
    if isinstance(message.content, str):
        return {"role": "assistant", "content": message.content}
    blocks = [block for block in message.content if not isinstance(block, _Thinking | _Redacted)]
    calls = [block.call() for block in blocks if isinstance(block, _ToolUse)]
    texts = [block for block in blocks if not isinstance(block, _ToolUse)]
    made: Json = {"role": "assistant", "content": _content(texts) if texts else None}
    return made | {"tool_calls": calls} if calls else made
