"""What callers can call, and over which upstreams."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from tiergate.gateway.dialects import openai_chat
from tiergate.gateway.dialects.adapters import Adapter
from tiergate.gateway.dialects.common import Asked, Dialect, Operation


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


SURFACES: Final = {
    "/v1/chat/completions": Surface(
        "chat", "openai", "a chat completion request", openai_chat.FIELDS, openai_chat.read_request,
        {"openai": openai_chat.ADAPTER},
    ),
}  # fmt: skip
"""By path; all are asked by POST."""
