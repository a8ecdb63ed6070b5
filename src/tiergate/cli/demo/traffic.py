"""Sending a simulated world's exchanges to a gateway over HTTP, as its customers would."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import aiohttp

from tiergate.cli.terminal import Advance

CONNECTIONS: Final = 32
TIMEOUT: Final = aiohttp.ClientTimeout(total=60)

Row = dict[str, Any]


@dataclass
class Sent:
    """How many requests got which HTTP status, and how many got no answer at all."""

    statuses: Counter[int] = field(default_factory=Counter)
    failures: int = 0

    @property
    def total(self) -> int:
        return self.statuses.total() + self.failures


@dataclass(frozen=True)
class Reply:
    """One answer: HTTP status and body."""

    status: int
    body: str


def send_all(url: str, exchanges: Sequence[Row], keys: Mapping[str, str], advance: Advance) -> Sent:
    """Send every exchange in turn over `CONNECTIONS` connections; ``keys`` maps account ids to API keys."""
    return asyncio.run(_send_all(url, exchanges, keys, advance))


def send_one(url: str, exchange: Row, key: str) -> Reply:
    """Send one exchange, not streamed, and return what came back."""
    return asyncio.run(_send_one(url, {**exchange, "stream": False}, key))


async def _send_all(url: str, exchanges: Sequence[Row], keys: Mapping[str, str], advance: Advance) -> Sent:
    sent = Sent()
    queue: Iterator[Row] = iter(exchanges)
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=CONNECTIONS), timeout=TIMEOUT) as session:

        async def customer() -> None:
            for exchange in queue:
                try:
                    reply = await _post(session, url, exchange, keys[exchange["account_id"]])
                    sent.statuses[reply.status] += 1
                except (aiohttp.ClientError, TimeoutError):
                    sent.failures += 1
                if sent.total % 64 == 0:
                    advance(f"{sent.total:,} of {len(exchanges):,}", sent.total / len(exchanges))

        await asyncio.gather(*(customer() for _ in range(CONNECTIONS)))
    advance(f"{sent.total:,} of {len(exchanges):,}", 1.0)
    return sent


async def _send_one(url: str, exchange: Row, key: str) -> Reply:
    async with aiohttp.ClientSession(timeout=TIMEOUT) as session:
        return await _post(session, url, exchange, key)


async def _post(session: aiohttp.ClientSession, url: str, exchange: Row, key: str) -> Reply:
    async with session.post(url, json=request_body(exchange), headers=request_headers(exchange, key)) as response:
        return Reply(response.status, (await response.read()).decode(errors="replace"))


def request_body(exchange: Row) -> Row:
    """The OpenAI chat completion request that an exchange records."""
    system = [{"role": "system", "content": exchange["system_text"]}] if exchange["system_text"] else []
    body: Row = {
        "model": exchange["request_model"],
        "messages": [*system, {"role": "user", "content": exchange["prompt_text"] or ""}],
        "stream": bool(exchange["stream"]),
    }
    if body["stream"]:
        body["stream_options"] = {"include_usage": True}
    for name in ("temperature", "max_tokens"):
        if exchange[name] is not None:
            body[name] = exchange[name]
    if exchange["tool_names"]:
        body["tools"] = [{"type": "function", "function": {"name": name}} for name in exchange["tool_names"]]
    return body


def request_headers(exchange: Row, key: str) -> dict[str, str]:
    """What the client and the proxy in front of the gateway would say of a request."""
    headers = {"Authorization": f"Bearer {key}", "X-Tiergate-Time": exchange["started_at"].isoformat()}
    for name, column in (
        ("X-Forwarded-For", "client_address"),
        ("X-JA4", "tls_fingerprint"),
        ("User-Agent", "user_agent"),
    ):
        if exchange[column]:
            headers[name] = exchange[column]
    return headers
