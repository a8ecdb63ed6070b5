"""The model behind the door: one upstream API, called over pooled connections."""

from __future__ import annotations

import hashlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

import aiohttp

from tiergate.errors import UpstreamError
from tiergate.settings import Settings

FORWARDED: Final = {
    "openai": (b"accept", b"openai-beta"),
    "anthropic": (b"accept", b"anthropic-version", b"anthropic-beta"),
}
"""Request headers that pass as they are, by what the upstream speaks. All others stay here, the caller's key first of
all."""

ANTHROPIC_VERSION: Final = "2023-06-01"
"""What an upstream of Anthropic's dialect is told where the caller does not say."""

RETURNED: Final = (
    "content-type",
    "content-encoding",
    "retry-after",
    "x-request-id",
    "request-id",
    "openai-processing-ms",
    "openai-version",
)


class Upstream:
    """Calls the upstream with our key; must be made and closed within a running event loop."""

    def __init__(self, settings: Settings) -> None:
        key = settings.upstream_api_key.get_secret_value() if settings.upstream_api_key else None
        self._base = settings.upstream_url
        self._forwarded = FORWARDED[settings.upstream_dialect]
        # Bytes go through as they come, and usage is read from them: ask for them uncompressed.
        self._ours = {"Accept-Encoding": "identity"}
        anthropic = settings.upstream_dialect == "anthropic"
        self._defaults = {"anthropic-version": ANTHROPIC_VERSION} if anthropic else {}
        if key is not None:
            self._ours |= {"x-api-key": key} if anthropic else {"Authorization": f"Bearer {key}"}
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=0, keepalive_timeout=30),
            timeout=aiohttp.ClientTimeout(
                total=None, sock_connect=settings.connect_timeout_s, sock_read=settings.read_timeout_s
            ),
            auto_decompress=False,
            cookie_jar=aiohttp.DummyCookieJar(),
        )

    @asynccontextmanager
    async def call(
        self, method: str, path: str, headers: list[tuple[bytes, bytes]], body: bytes | None, account_id: str = ""
    ) -> AsyncIterator[aiohttp.ClientResponse]:
        """Send a request of an account's; the block reads the answer and closes the connection if it leaves early.

        Raises `UpstreamError` (502, or 504 for a time-out) when there is no answer or it breaks off.
        """
        passed = {n.decode("latin-1"): value.decode("latin-1") for n, value in headers if n in self._forwarded}
        key = dict(headers).get(b"idempotency-key")
        if key is not None:
            # To the upstream all callers are one: a key that two of them chose must not give one the other's answer.
            passed["Idempotency-Key"] = hashlib.blake2b(account_id.encode() + b"\n" + key, digest_size=32).hexdigest()
        if body is not None:
            # It was read as JSON in UTF-8 here, and is to be read so there, whatever the caller calls it.
            passed["Content-Type"] = "application/json"
        passed = self._defaults | passed | self._ours
        try:
            async with self._session.request(
                method, self._base + path, data=body, headers=passed, allow_redirects=False
            ) as answer:
                yield answer
        except TimeoutError as error:
            raise UpstreamError("the upstream model did not answer in time", status=504) from error
        except aiohttp.ClientError as error:
            raise UpstreamError("the upstream model could not be reached or broke off", status=502) from error

    async def close(self) -> None:
        await self._session.close()


def returned_headers(answer: aiohttp.ClientResponse) -> list[tuple[bytes, bytes]]:
    """Headers of the upstream's answer that pass to the caller."""
    return [
        (name.encode("latin-1"), answer.headers[name].encode("latin-1")) for name in RETURNED if name in answer.headers
    ]
