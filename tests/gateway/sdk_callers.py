"""The official Python clients behind one interface, so that each test of conformance holds for every surface."""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from dataclasses import dataclass
from types import ModuleType
from typing import Any, Literal

import anthropic
import openai
from pydantic import BaseModel

MODEL = "model-small"
PIXEL = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mP8z8BQDwAEhQGAhKmMIQAAAABJRU5ErkJggg=="


class Tool(BaseModel):
    """A tool by its name and the schema of its arguments."""

    name: str
    parameters: dict[str, Any]


@dataclass
class Said:
    """An answer: its text, calls of tools as id, name and arguments, and tokens; ``raw`` goes into the next request."""

    text: str
    calls: list[tuple[str, str, dict[str, Any]]]
    finish: str
    tokens: tuple[int, int]
    raw: Any
    pieces: int = 1


class SdkCaller(ABC):
    """One surface as its official client calls it, without retries."""

    sdk: ModuleType
    operation: Literal["chat", "responses", "messages"]
    client: Any

    @abstractmethod
    def request(self, question: str, tools: list[Tool], image: bool) -> dict[str, Any]:
        """Arguments for the client."""

    @abstractmethod
    def whole(self, **request: Any) -> Said: ...

    @abstractmethod
    def streamed(self, **request: Any) -> Said: ...

    @abstractmethod
    def stream(self, **request: Any) -> Any:
        """The client's own iterator over a stream."""

    @abstractmethod
    def with_results(self, request: dict[str, Any], said: Said, results: list[str]) -> dict[str, Any]:
        """The request that tells what tools answered."""

    @abstractmethod
    def parsed(self, shape: type[BaseModel], **request: Any) -> Any:
        """A structured answer by the client's own helper."""

    def ask(self, question: str, *, stream: bool = False, tools: list[Tool] | None = None, **more: Any) -> Said:
        """Ask, and read the answer to its end."""
        request = self.request(question, tools or [], more.pop("image", False)) | more
        return self.streamed(**request) if stream else self.whole(**request)


class Chat(SdkCaller):
    """Chat completions."""

    sdk = openai
    operation = "chat"

    def __init__(self, address: str, key: str) -> None:
        self.client = openai.OpenAI(base_url=f"{address}/v1", api_key=key, max_retries=0, timeout=60)

    def request(self, question: str, tools: list[Tool], image: bool) -> dict[str, Any]:
        content: list[dict[str, Any]] = [{"type": "text", "text": question}]
        if image:
            content.append({"type": "image_url", "image_url": {"url": f"data:image/png;base64,{PIXEL}"}})
        request: dict[str, Any] = {"model": MODEL, "messages": [{"role": "user", "content": content}]}
        if tools:
            request["tools"] = [{"type": "function", "function": tool.model_dump()} for tool in tools]
        return request

    def whole(self, **request: Any) -> Said:
        return self._said(self.client.chat.completions.create(**request))

    def streamed(self, **request: Any) -> Said:
        pieces = 0
        with self.client.chat.completions.stream(**request, stream_options={"include_usage": True}) as stream:
            for event in stream:
                pieces += event.type == "content.delta" and bool(event.delta)
            said = self._said(stream.get_final_completion())
        said.pieces = pieces
        return said

    def stream(self, **request: Any) -> Any:
        return self.client.chat.completions.create(**request, stream=True)

    def _said(self, answer: Any) -> Said:
        message, usage = answer.choices[0].message, answer.usage
        calls = [
            (call.id, call.function.name, json.loads(call.function.arguments)) for call in message.tool_calls or []
        ]
        tokens = (usage.prompt_tokens, usage.completion_tokens) if usage else (-1, -1)
        return Said(message.content or "", calls, answer.choices[0].finish_reason, tokens, answer)

    def with_results(self, request: dict[str, Any], said: Said, results: list[str]) -> dict[str, Any]:
        answered = said.raw.choices[0].message.model_dump()
        pairs = zip(said.calls, results, strict=True)
        told = [{"role": "tool", "tool_call_id": call[0], "content": result} for call, result in pairs]
        return request | {"messages": [*request["messages"], answered, *told]}

    def parsed(self, shape: type[BaseModel], **request: Any) -> Any:
        return self.client.chat.completions.parse(response_format=shape, **request).choices[0].message.parsed


class Responses(SdkCaller):
    """Responses."""

    sdk = openai
    operation = "responses"

    def __init__(self, address: str, key: str) -> None:
        self.client = openai.OpenAI(base_url=f"{address}/v1", api_key=key, max_retries=0, timeout=60)

    def request(self, question: str, tools: list[Tool], image: bool) -> dict[str, Any]:
        content: list[dict[str, Any]] = [{"type": "input_text", "text": question}]
        if image:
            content.append({"type": "input_image", "image_url": f"data:image/png;base64,{PIXEL}", "detail": "auto"})
        request: dict[str, Any] = {"model": MODEL, "input": [{"role": "user", "content": content}]}
        if tools:
            request["tools"] = [{"type": "function", "strict": False} | tool.model_dump() for tool in tools]
        return request

    def whole(self, **request: Any) -> Said:
        return self._said(self.client.responses.create(**request))

    def streamed(self, **request: Any) -> Said:
        pieces = 0
        with self.client.responses.stream(**request) as stream:
            for event in stream:
                pieces += event.type == "response.output_text.delta"
            said = self._said(stream.get_final_response())
        said.pieces = pieces
        return said

    def stream(self, **request: Any) -> Any:
        return self.client.responses.create(**request, stream=True)

    def _said(self, answer: Any) -> Said:
        called = [item for item in answer.output if item.type == "function_call"]
        calls = [(item.call_id, item.name, json.loads(item.arguments)) for item in called]
        return Said(
            answer.output_text, calls, answer.status, (answer.usage.input_tokens, answer.usage.output_tokens), answer
        )

    def with_results(self, request: dict[str, Any], said: Said, results: list[str]) -> dict[str, Any]:
        pairs = zip(said.calls, results, strict=True)
        told = [{"type": "function_call_output", "call_id": call[0], "output": result} for call, result in pairs]
        answered = [
            {"type": "function_call", "call_id": item.call_id, "name": item.name, "arguments": item.arguments}
            for item in said.raw.output
        ]
        return request | {"input": [*request["input"], *answered, *told]}

    def parsed(self, shape: type[BaseModel], **request: Any) -> Any:
        return self.client.responses.parse(text_format=shape, **request).output_parsed


class Messages(SdkCaller):
    """Anthropic's messages."""

    sdk = anthropic
    operation = "messages"

    def __init__(self, address: str, key: str) -> None:
        self.client = anthropic.Anthropic(base_url=address, api_key=key, max_retries=0, timeout=60)

    def request(self, question: str, tools: list[Tool], image: bool) -> dict[str, Any]:
        content: list[dict[str, Any]] = [{"type": "text", "text": question}]
        if image:
            source = {"type": "base64", "media_type": "image/png", "data": PIXEL}
            content.append({"type": "image", "source": source})
        request: dict[str, Any] = {"model": MODEL, "max_tokens": 4096}
        request["messages"] = [{"role": "user", "content": content}]
        if tools:
            request["tools"] = [{"name": tool.name, "input_schema": tool.parameters} for tool in tools]
        return request

    def whole(self, **request: Any) -> Said:
        return self._said(self.client.messages.create(**request))

    def streamed(self, **request: Any) -> Said:
        pieces = 0
        with self.client.messages.stream(**request) as stream:
            for event in stream:
                pieces += event.type == "content_block_delta" and event.delta.type == "text_delta"
            said = self._said(stream.get_final_message())
        said.pieces = pieces
        return said

    def stream(self, **request: Any) -> Any:
        return self.client.messages.create(**request, stream=True)

    def _said(self, answer: Any) -> Said:
        text = "".join(block.text for block in answer.content if block.type == "text")
        calls = [(block.id, block.name, block.input) for block in answer.content if block.type == "tool_use"]
        usage = answer.usage
        read, written = usage.cache_read_input_tokens or 0, usage.cache_creation_input_tokens or 0
        return Said(text, calls, answer.stop_reason, (usage.input_tokens + read + written, usage.output_tokens), answer)

    def with_results(self, request: dict[str, Any], said: Said, results: list[str]) -> dict[str, Any]:
        pairs = zip(said.calls, results, strict=True)
        told = [{"type": "tool_result", "tool_use_id": call[0], "content": result} for call, result in pairs]
        answered = [block.model_dump() for block in said.raw.content]
        turns = [{"role": "assistant", "content": answered}, {"role": "user", "content": told}]
        return request | {"messages": [*request["messages"], *turns]}

    def parsed(self, shape: type[BaseModel], **request: Any) -> Any:
        return self.client.messages.parse(output_format=shape, **request).parsed_output
