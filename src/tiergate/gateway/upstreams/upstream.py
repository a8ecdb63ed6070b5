"""The model behind the door: one upstream API, asked with our key over connections that are kept.

Whether a request is sent a second time: once, on a new connection, when a kept connection was closed without a byte of
an answer, and the request is a GET or carries an `Idempotency-Key`, by which the upstream does it only once. Any other
may have been done, and would be done and paid for twice (RFC 9110, section 9.2.2): it fails instead.
"""

from __future__ import annotations

import hashlib
from types import TracebackType
from typing import Final

from tiergate.errors import InputError, UpstreamError
from tiergate.gateway.routing.urls import address_fault
from tiergate.gateway.upstreams.addresses import is_literal, parse
from tiergate.gateway.upstreams.answer import Answer
from tiergate.gateway.upstreams.connection import Connection
from tiergate.gateway.upstreams.pool import Limits, Pool
from tiergate.settings import Dialect

RawHeaders = list[tuple[bytes, bytes]]

FORWARDED: Final[dict[Dialect, frozenset[bytes]]] = {
    "openai": frozenset((b"accept", b"openai-beta")),
    "anthropic": frozenset((b"accept", b"anthropic-version", b"anthropic-beta")),
}
"""Request headers that pass as they are, by what the upstream speaks. All others stay here, the caller's key first of
all."""

ANTHROPIC_VERSION: Final = b"anthropic-version"
DEFAULT_VERSION: Final = b"2023-06-01"
"""What an upstream of Anthropic's dialect is told where the caller does not say."""

RETURNED: Final = frozenset(
    (
        b"content-type",
        b"content-encoding",
        b"retry-after",
        b"x-request-id",
        b"request-id",
        b"openai-processing-ms",
        b"openai-version",
    )
)


class Upstream:
    """Calls one upstream. Made and closed within a running event loop. Raises `InputError` for an unfit ``url``."""

    def __init__(self, url: str, key: str | None, limits: Limits, dialect: Dialect = "openai") -> None:
        address = parse(url)
        if is_literal(address.host) and not limits.link_local:
            fault = address_fault(address.host, private=limits.private)
            if fault is not None:
                raise InputError(f"`{url}`: {fault}")
        self._pool = Pool(address, limits)
        self._path = address.path
        # Bytes go through as they come, and usage is read from them: ask for them uncompressed.
        self._head = f"Host: {address.authority}\r\nAccept-Encoding: identity\r\n".encode("ascii")
        self._dialect: Dialect = dialect
        self._forwarded = FORWARDED[dialect]
        if key is not None:
            name = b"x-api-key: " if dialect == "anthropic" else b"Authorization: Bearer "
            self._head += name + key.encode("latin-1") + b"\r\n"

    def call(
        self, method: str, path: str, headers: RawHeaders, body: bytes | None, account_id: str = "",
        ours: RawHeaders | None = None,
    ) -> Calling:  # fmt: skip
        """Send a request of an account's: `async with` gives its answer, and closes the connection where the block
        leaves early. ``ours``: headers that we add.

        The block raises `UpstreamError` (502, 503 or 504) when there is no answer, and reading it when it breaks off.
        """
        lines, key, versioned = [], None, self._dialect != "anthropic"
        for name, value in headers:
            if name in self._forwarded:
                lines.append(b"%b: %b\r\n" % (name, value))
                versioned = versioned or name == ANTHROPIC_VERSION
            elif name == b"idempotency-key" and key is None:
                key = value
        lines += [b"%b: %b\r\n" % line for line in ours or ()]
        if not versioned:
            lines.append(b"%b: %b\r\n" % (ANTHROPIC_VERSION, DEFAULT_VERSION))
        if key is not None:
            # To the upstream all callers are one: a key that two of them chose must not give one the other's answer.
            digest = hashlib.blake2b(account_id.encode() + b"\n" + key, digest_size=32).hexdigest()
            lines.append(b"idempotency-key: %b\r\n" % digest.encode())
        if body is not None:
            # It was read as JSON in UTF-8 here, and is to be read so there, whatever the caller calls it.
            lines.append(b"content-type: application/json\r\nContent-Length: %d\r\n" % len(body))
        again = method == "GET" or key is not None
        head = b"%b %b HTTP/1.1\r\n" % (method.encode("ascii"), (self._path + path).encode("ascii"))
        return Calling(self._pool, b"".join((head, self._head, *lines, b"\r\n")), body, again=again)

    @property
    def counts(self) -> tuple[int, int, int]:
        """Connections in use, idle ones, and requests that wait for one."""
        return self._pool.counts

    async def close(self) -> None:
        """Close all connections; calls under way fail."""
        self._pool.close()

    def retire(self) -> None:
        """Keep no connection any more; calls under way go on."""
        self._pool.retire()


class Calling:
    """One call, from taking a connection to giving it back."""

    def __init__(self, pool: Pool, head: bytes, body: bytes | None, *, again: bool) -> None:
        self._pool, self._head, self._body, self._again = pool, head, body, again
        self._connection: Connection | None = None
        self._called_off = False

    async def __aenter__(self) -> Answer:
        try:
            while True:
                connection = self._connection = await self._pool.take(fresh=self._connection is not None)
                if self._called_off:
                    raise UpstreamError("the request was called off", status=502)
                answer = connection.send(self._head, self._body)
                try:
                    await answer.head()
                    return answer
                except UpstreamError:
                    if not (self._again and connection.used and connection.untouched) or self._called_off:
                        raise
        except BaseException as error:
            if isinstance(error, UpstreamError) and self._connection is not None:
                error.reached = True
            self._give_back()
            raise

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._give_back()

    def call_off(self, _: object = None) -> None:
        """Close the connection: whoever waits for the answer, now or later, meets `UpstreamError`."""
        self._called_off = True
        if self._connection is not None:
            self._connection.abort()

    def _give_back(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            self._pool.give_back(connection)


def returned_headers(answer: Answer) -> RawHeaders:
    """Headers of the upstream's answer that pass to the caller."""
    return [line for line in answer.headers if line[0] in RETURNED]
