"""The OpenAI chat completions dialect: what we read of requests and answers, and how we say no.

Only the fields named here are read; bodies are forwarded as they came, so unknown fields pass through.
"""

from __future__ import annotations

from typing import Annotated, Any, Final

import msgspec

from tiergate.admission.decision import Decision
from tiergate.errors import InputError

Count = Annotated[int, msgspec.Meta(ge=-(2**63), le=2**63 - 1)]
"""A whole number that a column of the exchange log can hold."""


class Message(msgspec.Struct):
    """One message; content is text, a list of parts, or absent."""

    role: str
    content: str | list[dict[str, Any]] | None = None

    def text(self) -> str | None:
        """The text of the message, its text parts joined."""
        if isinstance(self.content, str) or self.content is None:
            return self.content
        parts = [part["text"] for part in self.content if isinstance(part.get("text"), str)]
        return "\n".join(parts) or None


class Function(msgspec.Struct):
    """A function that is offered."""

    name: str


class Tool(msgspec.Struct):
    """A tool that is offered."""

    function: Function | None = None


class ChatRequest(msgspec.Struct):
    """What the exchange log wants to know of a request."""

    model: str
    messages: list[Message]
    stream: bool | None = None
    temperature: float | None = None
    max_tokens: Count | None = None
    max_completion_tokens: Count | None = None
    n: Count | None = None
    tools: list[Tool] | None = None
    user: str | None = None

    def system_text(self) -> str | None:
        """System and developer messages, joined."""
        texts = [text for m in self.messages if m.role in ("system", "developer") and (text := m.text())]
        return "\n".join(texts) or None

    def prompt_text(self) -> str | None:
        """The last user message."""
        return next((m.text() for m in reversed(self.messages) if m.role == "user"), None)

    def tool_names(self) -> list[str] | None:
        """Names of the functions offered."""
        return [tool.function.name for tool in self.tools or [] if tool.function] or None


class _Cached(msgspec.Struct):
    cached_tokens: Count | None = None


class _Reasoning(msgspec.Struct):
    reasoning_tokens: Count | None = None


class Usage(msgspec.Struct):
    """Tokens as the upstream counted them."""

    prompt_tokens: Count | None = None
    completion_tokens: Count | None = None
    prompt_tokens_details: _Cached | None = None
    completion_tokens_details: _Reasoning | None = None


class _Content(msgspec.Struct):
    content: str | None = None


class _Choice(msgspec.Struct):
    finish_reason: str | None = None
    message: _Content | None = None
    delta: _Content | None = None


class ChatAnswer(msgspec.Struct):
    """An answer, or one event of a streamed one."""

    model: str | None = None
    usage: Usage | None = None
    choices: list[_Choice] = []


UNREADABLE: Final = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)
"""What decoding raises for bytes that are no such message."""

decode_request = msgspec.json.Decoder(ChatRequest).decode
_OTHER_MODELS: Final = ("models", "fallbacks", "context_window_fallbacks", "content_policy_fallbacks", "extra_body")
_READ: Final = ChatRequest.__struct_fields__
_decode_fields = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode
decode_answer = msgspec.json.Decoder(ChatAnswer).decode


def with_one_model(body: bytes, model: str) -> bytes:
    """The body with its model, and every other field, said once, as we read it.

    Upstreams differ in which of two `model` fields they take, and some take `Model` for it: what was judged must be
    what is asked for. Raises `InputError` for fields by which some upstreams ask further models, and for `Max_Tokens`
    and the like, which some take for what we read under another spelling.
    """
    fields = {name: value for name, value in _decode_fields(body).items() if name.casefold() != "model"}
    others = [name for name in fields if name.casefold() in _OTHER_MODELS]
    if others:
        raise InputError(f"`{others[0]}` would ask models that were not judged: leave it out")
    respelt = [name for name in fields if name not in _READ and name.casefold() in _READ]
    if respelt:
        raise InputError(f"write `{respelt[0]}` as `{respelt[0].casefold()}`, or leave it out")
    return msgspec.json.encode({"model": model} | fields)


def error_body(status: int, code: str, message: str, **details: object) -> bytes:
    """An error in OpenAI's form; what only we know stands under `tiergate`."""
    kinds = {400: "invalid_request_error", 401: "authentication_error", 413: "invalid_request_error"}
    kind = kinds.get(status, "access_denied" if status in (403, 429) else "api_error")
    error: dict[str, object] = {"message": message, "type": kind, "param": None, "code": code}
    if details:
        error["tiergate"] = details
    return msgspec.json.encode({"error": error})


def refusal_body(decision: Decision, link: str | None) -> bytes:
    """The error that a decision calls for, with a link to the notice where a verdict is behind it."""
    verdict = decision.verdict
    if verdict is None:
        return error_body(decision.status, decision.code, decision.message)
    details: dict[str, object] = {
        "verdict_id": verdict.verdict_id,
        "case_id": verdict.case_id,
        "action": verdict.action.value,
        "link": link,
    }
    if decision.retry_after_s is not None:
        details["retry_after_seconds"] = round(decision.retry_after_s, 1)
    return error_body(decision.status, decision.code, decision.message, **details)
