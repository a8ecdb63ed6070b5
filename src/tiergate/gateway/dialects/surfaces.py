"""What callers can call, and over which upstreams."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from tiergate.errors import InputError
from tiergate.gateway.dialects import (
    anthropic_messages,
    chat_over_messages_answer,
    messages_over_chat_answer,
    openai_chat,
    openai_embeddings,
    openai_responses,
)
from tiergate.gateway.dialects.adapters import Adapter
from tiergate.gateway.dialects.common import Asked, Operation
from tiergate.gateway.dialects.parts import check_parts
from tiergate.settings import Dialect

LONGEST_MODEL: Final = 1_024
"""Characters of a model's name, by which much is kept in memory."""


@dataclass(frozen=True, slots=True)
class Surface:
    """One path of the gateway's.

    ``what``: what its body is, and ``fields`` those of its fields that are read. ``read``: raises one of `UNREADABLE`,
    or `InputError`. ``adapters``: by what the upstream speaks. ``recorded``: whether a model answers, so that it is an
    exchange and is charged.
    """

    operation: Operation
    dialect: Dialect
    what: str
    fields: tuple[str, ...]
    read: Callable[[bytes], Asked]
    adapters: dict[Dialect, Adapter]
    recorded: bool = True

    def asked(self, body: bytes) -> Asked:
        """What a body of any size asks. Raises as ``read`` does, and `InputError` for one that is too much to read."""
        check_parts(body)
        asked = self.read(body)
        if len(asked.model) > LONGEST_MODEL:
            raise InputError(f"`model` is longer than {LONGEST_MODEL} characters")
        return asked


SURFACES: Final = {
    "/v1/chat/completions": Surface(
        "chat", "openai", "a chat completion request", openai_chat.FIELDS, openai_chat.read_request,
        {"openai": openai_chat.ADAPTER, "anthropic": chat_over_messages_answer.ADAPTER},
    ),
    "/v1/responses": Surface(
        "responses", "openai", "a request for a response", openai_responses.FIELDS, openai_responses.read_request,
        {"openai": openai_responses.ADAPTER},
    ),
    "/v1/embeddings": Surface(
        "embeddings", "openai", "a request for embeddings", openai_embeddings.FIELDS,
        openai_embeddings.read_request, {"openai": openai_embeddings.ADAPTER},
    ),
    "/v1/messages": Surface(
        "messages", "anthropic", "a request for a message", anthropic_messages.FIELDS, anthropic_messages.read_request,
        {"anthropic": anthropic_messages.ADAPTER, "openai": messages_over_chat_answer.ADAPTER},
    ),
    "/v1/messages/count_tokens": Surface(
        "messages", "anthropic", "a request to count tokens", anthropic_messages.FIELDS,
        anthropic_messages.read_count_request, {"anthropic": anthropic_messages.COUNT_ADAPTER}, recorded=False,
    ),
}  # fmt: skip
"""By path; all are asked by POST."""
