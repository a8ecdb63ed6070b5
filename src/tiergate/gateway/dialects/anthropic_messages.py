"""Anthropic's messages and their token counts: what we read of requests and answers.

Only the fields named here are read; bodies are forwarded as they came, so unknown fields pass through.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

import msgspec

from tiergate.gateway.dialects.adapters import through
from tiergate.gateway.dialects.common import UNREADABLE, UPSTREAM_ERROR, Answered, Asked, Count, Usage, joined, newest
from tiergate.gateway.dialects.sse import EventStream


class _Source(msgspec.Struct):
    """Where an image or a document comes from; data stays undecoded unless it is text."""

    type: str | None = None
    data: msgspec.Raw = msgspec.Raw(b"null")
    content: str | list[_Block] | None = None


class _Block(msgspec.Struct):
    """A block of content, with every field in which text can come."""

    type: str | None = None
    text: Any = None
    title: Any = None
    context: Any = None
    content: str | list[_Block] | _Block | None = None
    source: str | _Source | None = None

    def gather(self, texts: list[str]) -> None:
        """Add its texts, and those of the blocks in it. (Generators within generators would hand each text through all
        that it is nested in.)"""
        texts += [one for one in (self.title, self.context, self.text) if isinstance(one, str)]
        _gather(self.content, texts)
        if isinstance(self.source, _Source):
            if self.source.type == "text":
                texts.append(str(msgspec.json.decode(self.source.data)))
            _gather(self.source.content, texts)

    def is_result(self) -> bool:
        return self.type is not None and self.type.endswith("tool_result")

    def gather_images(self, sizes: list[int]) -> None:
        """Add the bytes of each image."""
        if self.type == "image":
            sizes.append(len(self.source.data) if isinstance(self.source, _Source) else 0)
        for block in self.content if isinstance(self.content, list) else ():
            block.gather_images(sizes)


_Content = str | list[_Block] | _Block | None


def _gather(content: _Content, texts: list[str]) -> None:
    if isinstance(content, str):
        texts.append(content)
    elif content is not None:
        for block in content if isinstance(content, list) else [content]:
            block.gather(texts)


def _text(*contents: _Content) -> str | None:
    texts: list[str] = []
    for content in contents:
        _gather(content, texts)
    return joined(texts)


def _images(messages: list[_Message]) -> list[int]:
    sizes: list[int] = []
    for message in messages:
        for block in message.content if isinstance(message.content, list) else ():
            block.gather_images(sizes)
    return sizes


class _Message(msgspec.Struct):
    role: str
    content: str | list[_Block] = ""


class _Tool(msgspec.Struct):
    name: str | None = None
    model: str | None = None


class _Metadata(msgspec.Struct):
    user_id: str | None = None


class _OutputConfig(msgspec.Struct):
    format: Any = None


class _Request(msgspec.Struct):
    model: str
    messages: list[_Message]
    system: str | list[_Block] | None = None
    stream: bool | None = None
    temperature: float | None = None
    max_tokens: Count | None = None
    tools: list[_Tool] | None = None
    metadata: _Metadata | None = None
    output_config: _OutputConfig | None = None
    output_format: Any = None


class _OutputDetails(msgspec.Struct):
    thinking_tokens: Count | None = None


class MessageUsage(msgspec.Struct):
    """Usage as messages tell it: input leaves out what was read from the cache or written to it."""

    input_tokens: Count | None = None
    cache_read_input_tokens: Count | None = None
    cache_creation_input_tokens: Count | None = None
    output_tokens: Count | None = None
    output_tokens_details: _OutputDetails | None = None

    def usage(self) -> Usage:
        """The same in common terms."""
        read, written, fresh = self.cache_read_input_tokens, self.cache_creation_input_tokens, self.input_tokens
        return Usage(
            input_tokens=None if fresh is None else fresh + (read or 0) + (written or 0),
            output_tokens=self.output_tokens,
            cached_input_tokens=read,
            cache_write_tokens=written,
            reasoning_tokens=self.output_tokens_details.thinking_tokens if self.output_tokens_details else None,
        )

    def later(self, other: MessageUsage) -> MessageUsage:
        """This, where ``other`` does not say otherwise: counts of later events are totals."""
        known = {name: value for name, value in msgspec.structs.asdict(other).items() if value is not None}
        return msgspec.structs.replace(self, **known)


class _Text(msgspec.Struct):
    type: str | None = None
    text: Any = None


class _Answer(msgspec.Struct):
    model: str | None = None
    content: list[_Text] = []
    stop_reason: str | None = None
    usage: MessageUsage | None = None


class _Delta(msgspec.Struct):
    text: Any = None
    partial_json: Any = None
    stop_reason: str | None = None


class _Event(msgspec.Struct):
    type: str | None = None
    message: _Answer | None = None
    delta: _Delta | None = None
    usage: MessageUsage | None = None


FIELDS: Final = _Request.__struct_fields__
_decode_request = msgspec.json.Decoder(_Request).decode
_decode_answer = msgspec.json.Decoder(_Answer).decode
_decode_event = msgspec.json.Decoder(_Event).decode


def read_request(body: bytes) -> Asked:
    """What a request for a message asks. Raises one of `UNREADABLE`."""
    request = _decode_request(body)
    tools, messages, config = request.tools or [], request.messages, request.output_config
    systems = [m.content for m in messages if m.role == "system"]
    return Asked(
        model=request.model,
        stream=bool(request.stream),
        end_user=request.metadata.user_id if request.metadata else None,
        temperature=request.temperature,
        limits=[] if request.max_tokens is None else [request.max_tokens],
        message_count=len(messages),
        system_text=_text(request.system, *systems),
        prompt_text=newest(_turns(messages)),
        tool_names=[tool.name for tool in tools if tool.name] or None,
        tool_models=[tool.model for tool in tools if tool.model is not None],
        needs_tools=bool(tools),
        images=_images(messages),
        needs_structure=request.output_format is not None or bool(config and config.format),
    )


def read_count_request(body: bytes) -> Asked:
    """What a request to count tokens asks: no model answers it. Raises one of `UNREADABLE`."""
    return msgspec.structs.replace(read_request(body), answers=0, stream=False)


def _turns(messages: list[_Message]) -> Iterator[tuple[str, str | None, str | None]]:
    for message in reversed(messages):
        role, content = message.role, message.content
        if role != "user":
            yield role, None, None
        elif isinstance(content, str):
            yield role, content, None
        else:
            own = _text([block for block in content if not block.is_result()])
            yield role, own, _text([block for block in content if block.is_result()])


def read_answer(body: bytes) -> Answered:
    """What a message says. Raises one of `UNREADABLE`."""
    answer = _decode_answer(body)
    texts = [block.text for block in answer.content if isinstance(block.text, str)]
    return Answered(
        model=answer.model,
        usage=answer.usage.usage() if answer.usage else None,
        finish_reason=answer.stop_reason,
        text="".join(texts) or None,
    )


class MessageStream(EventStream):
    """A streamed message."""

    ENDS = (b"message_stop",)

    def __init__(self, *, keep_text: bool) -> None:
        super().__init__(keep_text=keep_text)
        self._usage = MessageUsage()

    def _event(self, data: bytes) -> None:
        try:
            event = _decode_event(data)
        except UNREADABLE:
            return
        if event.type == "content_block_delta":
            self.pieces += 1
            if event.delta:
                if isinstance(event.delta.text, str):
                    self._tell(event.delta.text)
                self._measure(event.delta.partial_json)
        elif event.type == "message_start" and event.message:
            self.model = event.message.model
            if event.message.usage:
                # The output that it tells is that of the first event: a stream that is cut did not cost so little.
                self._count(msgspec.structs.replace(event.message.usage, output_tokens=None))
        elif event.type == "message_delta":
            self.finish_reason = event.delta.stop_reason if event.delta else None
            if event.usage:
                self._count(event.usage)
        elif event.type == "message_stop":
            self.done = True
        elif event.type == "error":
            self.finish_reason = UPSTREAM_ERROR

    def _count(self, usage: MessageUsage) -> None:
        self._usage = self._usage.later(usage)
        self.usage = self._usage.usage()


ADAPTER: Final = through("/messages", read_answer, lambda _, keep_text, __: MessageStream(keep_text=keep_text))
COUNT_ADAPTER: Final = through(
    "/messages/count_tokens", lambda _: Answered(), lambda _, keep_text, __: EventStream(keep_text=keep_text)
)
