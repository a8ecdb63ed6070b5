"""OpenAI's chat completions: what we read of requests and answers.

Only the fields named here are read; bodies are forwarded as they came, so unknown fields pass through.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from typing import Any, Final

import msgspec

from tiergate.gateway.dialects.adapters import through
from tiergate.gateway.dialects.bodies import with_stream_usage
from tiergate.gateway.dialects.common import UNREADABLE, UPSTREAM_ERROR, Answered, Asked, Count, Usage, joined, newest
from tiergate.gateway.dialects.sse import KNOWN, LONGEST_EVENT, EventStream

DONE: Final = b"[DONE]"


class _Part(msgspec.Struct, gc=False):
    type: str | None = None
    text: Any = None
    image_url: msgspec.Raw = msgspec.Raw()


class _Message(msgspec.Struct, gc=False):
    role: str
    content: str | list[_Part] | None = None

    def text(self) -> str | None:
        if isinstance(self.content, list):
            return joined(part.text for part in self.content if isinstance(part.text, str))
        return self.content


class _Named(msgspec.Struct, gc=False):
    name: str


class _Tool(msgspec.Struct, gc=False):
    function: _Named | None = None
    custom: _Named | None = None
    model: str | None = None


class _Format(msgspec.Struct, gc=False):
    type: str | None = None


class _StreamOptions(msgspec.Struct, gc=False):
    include_usage: bool | None = None


class _Request(msgspec.Struct, gc=False):
    model: str
    messages: list[_Message]
    stream: bool | None = None
    stream_options: _StreamOptions | None = None
    temperature: float | None = None
    max_tokens: Count | None = None
    max_completion_tokens: Count | None = None
    n: Count | None = None
    tools: list[_Tool] | None = None
    functions: list[_Named] | None = None
    response_format: _Format | None = None
    user: str | None = None
    safety_identifier: str | None = None
    prompt_cache_key: Any = None


class _InputDetails(msgspec.Struct, gc=False):
    cached_tokens: Count | None = None
    cache_write_tokens: Count | None = None


class _OutputDetails(msgspec.Struct, gc=False):
    reasoning_tokens: Count | None = None


class ChatUsage(msgspec.Struct, gc=False):
    """Usage as chat completions tell it."""

    prompt_tokens: Count | None = None
    completion_tokens: Count | None = None
    prompt_tokens_details: _InputDetails | None = None
    completion_tokens_details: _OutputDetails | None = None

    def usage(self) -> Usage:
        """The same in common terms."""
        read, written = self.prompt_tokens_details, self.completion_tokens_details
        return Usage(
            input_tokens=self.prompt_tokens,
            output_tokens=self.completion_tokens,
            cached_input_tokens=read.cached_tokens if read else None,
            cache_write_tokens=read.cache_write_tokens if read else None,
            reasoning_tokens=written.reasoning_tokens if written else None,
        )


class _Content(msgspec.Struct, gc=False):
    content: Any = None  # parts, with some upstreams


class _Delta(_Content, gc=False):
    refusal: Any = None
    tool_calls: msgspec.Raw = msgspec.Raw()


class _Function(msgspec.Struct, gc=False):
    name: Any = None
    arguments: Any = None


class _Call(msgspec.Struct, gc=False):
    function: _Function | None = None


class _Choice(msgspec.Struct, gc=False):
    finish_reason: str | None = None
    message: _Content | None = None
    delta: _Delta | None = None


class _Answer(msgspec.Struct, gc=False):
    """An answer, or one event of a streamed one."""

    model: str | None = None
    usage: ChatUsage | None = None
    choices: list[_Choice] = []
    error: Any = None


FIELDS: Final = _Request.__struct_fields__
_decode_request = msgspec.json.Decoder(_Request).decode
_decode_answer = msgspec.json.Decoder(_Answer).decode
_decode_calls = msgspec.json.Decoder(list[_Call] | None).decode


def read_request(body: bytes) -> Asked:
    """What a request asks. Raises one of `UNREADABLE`."""
    request = _decode_request(body)
    options, messages = request.stream_options, request.messages
    asked = Asked(
        model=request.model,
        stream=bool(request.stream),
        show_usage=bool(options and options.include_usage),
        end_user=request.safety_identifier if request.user is None else request.user,
        temperature=request.temperature,
        limits=[limit for limit in (request.max_tokens, request.max_completion_tokens) if limit is not None],
        answers=max(1, request.n or 1),
        message_count=len(messages),
        system_text=joined([m.text() for m in messages if m.role in ("system", "developer")]),
        prompt_text=newest(_turns(messages)),
        cache_key=request.prompt_cache_key if isinstance(request.prompt_cache_key, str) else None,
        needs_structure=request.response_format is not None and request.response_format.type not in (None, "text"),
    )
    for message in messages:
        if isinstance(message.content, list):
            asked.images += [len(part.image_url) for part in message.content if part.type == "image_url"]
    if request.tools or request.functions:
        tools = request.tools or []
        named = [tool.function or tool.custom for tool in tools] + list(request.functions or [])
        asked.tool_names = [one.name for one in named if one] or None
        asked.tool_models = [tool.model for tool in tools if tool.model is not None]
        asked.needs_tools = bool(named)
    return asked


def _turns(messages: list[_Message]) -> Iterator[tuple[str, str | None, str | None]]:
    for message in reversed(messages):
        role = message.role
        own = message.text() if role == "user" else None
        yield role, own, message.text() if role in ("tool", "function") else None


def read_answer(body: bytes) -> Answered:
    """What an answer says. Raises one of `UNREADABLE`."""
    answer = _decode_answer(body)
    choice = answer.choices[0] if answer.choices else None
    return Answered(
        model=answer.model,
        usage=answer.usage.usage() if answer.usage else None,
        finish_reason=choice.finish_reason if choice else None,
        text=_said(choice.message) if choice else None,
    )


def _said(content: _Content | None) -> str | None:
    return content.content if content and isinstance(content.content, str) else None


def with_usage(body: bytes, asked: Asked) -> bytes:
    """The request as its upstream gets it: a stream always tells its usage, or it could not be charged."""
    return body if not asked.stream or asked.show_usage else with_stream_usage(body)


class ChatStream(EventStream):
    """A streamed chat completion.

    ``hide_usage``: the event that tells the usage was asked for by us, and does not pass. Then nothing passes before
    its line is whole.
    """

    ENDS = (DONE,)

    def __init__(self, *, keep_text: bool, hide_usage: bool = False) -> None:
        super().__init__(keep_text=keep_text)
        self._hide_usage = hide_usage
        self._hidden = False

    def feed(self, piece: bytes) -> bytes:
        if not self._hide_usage:
            return super().feed(piece)
        passed = []
        for line in self._lines(piece):
            after_hidden, self._hidden = self._hidden, False
            if line.startswith(b"data:"):
                self._event(line[5:].strip())
            elif after_hidden and not line.strip():
                continue  # the blank line that ends the hidden event
            elif line and not line.startswith(KNOWN):
                self.unread += len(line)
            if not self._hidden:
                passed.append(line + b"\n")
        if self._size > LONGEST_EVENT:
            passed.append(self._rest())
        return b"".join(passed)

    def end(self) -> bytes:
        rest = self._rest()
        return rest if self._hide_usage else b""

    def _event(self, data: bytes) -> None:
        if data == DONE:
            self.done = True
            return
        try:
            event = _decode_answer(data)
        except UNREADABLE:
            return
        self.model = event.model or self.model
        if event.usage is not None:
            self.usage = event.usage.usage()
            self._hidden = not event.choices
        if event.error is not None:
            self.finish_reason = UPSTREAM_ERROR
        for choice in event.choices:
            self.pieces += choice.finish_reason is None
            self.finish_reason = choice.finish_reason or self.finish_reason
            if choice.delta is not None:
                self._say(choice.delta)

    def _say(self, delta: _Delta) -> None:
        if text := _said(delta):
            self._tell(text)
        if delta.refusal is not None:
            self._measure(delta.refusal)
        if delta.tool_calls:
            # Some upstreams tell a whole call at once: whoever hangs up then has all of it.
            with suppress(*UNREADABLE):
                for call in _decode_calls(delta.tool_calls) or ():
                    if call.function is not None:
                        self._measure(call.function.name)
                        self._measure(call.function.arguments)


ADAPTER: Final = through(
    "/chat/completions",
    read_answer,
    lambda asked, keep_text, _: ChatStream(keep_text=keep_text, hide_usage=not asked.show_usage),
    with_usage,
)
