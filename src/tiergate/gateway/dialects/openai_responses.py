"""OpenAI's responses: what we read of requests and answers.

Only the fields named here are read; bodies are forwarded as they came, so unknown fields pass through.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

import msgspec

from tiergate.errors import InputError
from tiergate.gateway.dialects.adapters import through
from tiergate.gateway.dialects.common import UNREADABLE, UPSTREAM_ERROR, Answered, Asked, Count, Usage, joined, newest
from tiergate.gateway.dialects.sse import EventStream

_ENDS: Final = ("response.completed", "response.incomplete", "response.failed", "error")
"""Events after which nothing comes."""

_CALLING: Final = tuple(
    f"response.{what}.delta"
    for what in (
        "refusal", "function_call_arguments", "custom_tool_call_input", "mcp_call_arguments",
        "code_interpreter_call_code",
    )
)  # fmt: skip
"""Events with text that is no part of a message."""


class _Part(msgspec.Struct):
    type: str | None = None
    text: Any = None
    image_url: msgspec.Raw = msgspec.Raw()


_Content = str | list[_Part] | _Part | None


class _Item(msgspec.Struct):
    """A message, a call, the output of a call, or something that has no text."""

    type: str | None = None
    role: str | None = None
    content: _Content = None
    output: _Content = None

    def images(self) -> Iterator[int]:
        for content in (self.content, self.output):
            for part in _parts(content):
                if part.type in ("input_image", "computer_screenshot"):
                    yield len(part.image_url)


def _parts(content: _Content) -> list[_Part]:
    if content is None or isinstance(content, str):
        return []
    return content if isinstance(content, list) else [content]


def _text(content: _Content) -> str | None:
    if isinstance(content, str):
        return content
    return joined(part.text for part in _parts(content) if isinstance(part.text, str))


class _Tool(msgspec.Struct):
    type: str | None = None
    name: str | None = None
    model: str | None = None


class _Format(msgspec.Struct):
    type: str | None = None


class _TextConfig(msgspec.Struct):
    format: _Format | None = None


class _Request(msgspec.Struct):
    model: str
    input: str | list[_Item] | None = None
    instructions: str | None = None
    stream: bool | None = None
    background: bool | None = None
    temperature: float | None = None
    max_output_tokens: Count | None = None
    tools: list[_Tool] | None = None
    text: _TextConfig | None = None
    user: str | None = None
    safety_identifier: str | None = None
    prompt_cache_key: Any = None
    previous_response_id: Any = None


class _InputDetails(msgspec.Struct):
    cached_tokens: Count | None = None
    cache_write_tokens: Count | None = None


class _OutputDetails(msgspec.Struct):
    reasoning_tokens: Count | None = None


class _Usage(msgspec.Struct):
    input_tokens: Count | None = None
    output_tokens: Count | None = None
    input_tokens_details: _InputDetails | None = None
    output_tokens_details: _OutputDetails | None = None

    def usage(self) -> Usage:
        """The same in common terms."""
        read, written = self.input_tokens_details, self.output_tokens_details
        return Usage(
            input_tokens=self.input_tokens,
            output_tokens=self.output_tokens,
            cached_input_tokens=read.cached_tokens if read else None,
            cache_write_tokens=read.cache_write_tokens if read else None,
            reasoning_tokens=written.reasoning_tokens if written else None,
        )


class _Incomplete(msgspec.Struct):
    reason: str | None = None


class _Answer(msgspec.Struct):
    model: str | None = None
    status: str | None = None
    incomplete_details: _Incomplete | None = None
    usage: _Usage | None = None
    output: msgspec.Raw = msgspec.Raw(b"[]")

    def answered(self) -> Answered:
        """The same in common terms, with the text of its messages. An item that cannot be read hides no usage."""
        try:
            texts = [_text(item.content) or "" for item in _decode_output(self.output) if item.type == "message"]
        except UNREADABLE:
            texts = []
        reason = self.incomplete_details.reason if self.incomplete_details else None
        return Answered(
            model=self.model,
            usage=self.usage.usage() if self.usage else None,
            finish_reason=reason or self.status,
            text="".join(texts) or None,
        )


class _Event(msgspec.Struct):
    type: str | None = None
    response: _Answer | None = None
    delta: Any = None


FIELDS: Final = _Request.__struct_fields__
_decode_request = msgspec.json.Decoder(_Request).decode
_decode_answer = msgspec.json.Decoder(_Answer).decode
_decode_output = msgspec.json.Decoder(list[_Item]).decode
_decode_event = msgspec.json.Decoder(_Event).decode


def read_request(body: bytes) -> Asked:
    """What a request for a response asks.

    Raises one of `UNREADABLE`, and `InputError` for an answer in the background: it comes when nobody can charge it.
    """
    request = _decode_request(body)
    if request.background:
        raise InputError("`background` is not supported: stream the response, or wait for it")
    items, tools = request.input if isinstance(request.input, list) else [], request.tools or []
    format_type = request.text.format.type if request.text and request.text.format else None
    system = [_text(item.content) for item in items if item.role in ("system", "developer")]
    return Asked(
        model=request.model,
        stream=bool(request.stream),
        end_user=request.safety_identifier if request.user is None else request.user,
        temperature=request.temperature,
        limits=[] if request.max_output_tokens is None else [request.max_output_tokens],
        message_count=1 if isinstance(request.input, str) else len(items),
        system_text=joined([request.instructions, *system]),
        prompt_text=request.input if isinstance(request.input, str) else newest(_turns(items)),
        tool_names=[tool.name for tool in tools if tool.name] or None,
        tool_models=[tool.model for tool in tools if tool.model is not None],
        cache_key=request.prompt_cache_key if isinstance(request.prompt_cache_key, str) else None,
        continues=request.previous_response_id if isinstance(request.previous_response_id, str) else None,
        needs_tools=bool(tools),
        images=[size for item in items for size in item.images()],
        needs_structure=format_type not in (None, "text"),
    )


def _turns(items: list[_Item]) -> Iterator[tuple[str, str | None, str | None]]:
    for item in reversed(items):
        role = item.role or ("assistant" if item.type and item.type.endswith("_call") else "")
        yield role, _text(item.content) if role == "user" else None, _text(item.output)


def read_answer(body: bytes) -> Answered:
    """What a response says. Raises one of `UNREADABLE`."""
    return _decode_answer(body).answered()


class ResponseStream(EventStream):
    """A streamed response."""

    ENDS = tuple(kind.encode() for kind in _ENDS)

    def _event(self, data: bytes) -> None:
        try:
            event = _decode_event(data)
        except UNREADABLE:
            return
        if event.type is not None and event.type.endswith(".delta"):
            self.pieces += 1
        if event.type == "response.output_text.delta":
            if isinstance(event.delta, str):
                self._tell(event.delta)
        elif event.type in _CALLING:
            self._measure(event.delta)
        elif event.type in _ENDS:
            self.done = True
            said = event.response.answered() if event.response else Answered(finish_reason=UPSTREAM_ERROR)
            self.model = said.model or self.model
            self.usage, self.finish_reason = said.usage, said.finish_reason


ADAPTER: Final = through("/responses", read_answer, lambda _, keep_text, __: ResponseStream(keep_text=keep_text))
