"""Whole bodies over ASGI: requests read, answers sent."""

from __future__ import annotations

import math
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any, Final, Protocol

from tiergate.admission.decision import Decision
from tiergate.gateway.dialects.errors import error_body, refusal_body
from tiergate.settings import Dialect

Scope = dict[str, Any]
Receive = Callable[[], Awaitable[dict[str, Any]]]
Send = Callable[[dict[str, Any]], Awaitable[None]]
RawHeaders = list[tuple[bytes, bytes]]

JSON: Final = b"application/json"


class Door(Protocol):
    """An ASGI application, and how many requests it has under way."""

    under_way: int

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None: ...


class ClientGoneError(Exception):
    """The caller hung up, or must not get the rest: nothing more is sent."""


async def read_body(receive: Receive, headers: dict[bytes, bytes], limit: int) -> bytes | None:
    """The whole body, or None when it is larger than ``limit``."""
    with suppress(ValueError):
        if int(headers.get(b"content-length", b"0")) > limit:
            return None
    pieces, size = [], 0
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise ClientGoneError
        pieces.append(message.get("body", b""))
        size += len(pieces[-1])
        if size > limit:
            return None
        if not message.get("more_body"):
            return b"".join(pieces)


async def refuse(
    send: Send, dialect: Dialect, decision: Decision, link: str | None, *more: tuple[bytes, bytes]
) -> None:
    """Send what a decision on the account refuses with."""
    headers = list(more)
    if decision.retry_after_s is not None:
        # Rounded up: who waits as told must not come too early.
        headers.append((b"retry-after", str(max(1, math.ceil(decision.retry_after_s))).encode()))
    await reply(send, decision.status, refusal_body(dialect, decision, link), headers)


async def reply(
    send: Send, status: int, body: bytes, headers: RawHeaders | None = None, *, kind: bytes | None = JSON
) -> None:
    typed = [] if kind is None else [(b"content-type", kind)]
    length = (b"content-length", str(len(body)).encode())
    await send({"type": "http.response.start", "status": status, "headers": [*typed, *(headers or []), length]})
    await send({"type": "http.response.body", "body": body})


async def fail(
    send: Send, dialect: Dialect, status: int, code: str, message: str, headers: RawHeaders | None = None
) -> None:
    """Send an error in the caller's dialect."""
    await reply(send, status, error_body(dialect, status, code, message), headers)
