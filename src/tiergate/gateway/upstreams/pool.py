"""The connections of one upstream: opened when needed, kept while they are fresh, never more than the limit.

A connection is closed when it was idle for a while shorter than servers wait (`idle_s`), so that a request rarely meets
one that is being closed at the other end.
"""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections import deque
from contextlib import suppress
from dataclasses import dataclass
from typing import Final

from tiergate.errors import UpstreamError
from tiergate.gateway.routing.urls import address_fault
from tiergate.gateway.upstreams.addresses import Address
from tiergate.gateway.upstreams.connection import Connection

SWEEPS: Final = 5
"""How often the shortest of the limits in time is looked at while it runs; so much of it is the most they are late."""

RETIRED_S: Final = 60.0
"""Within so many seconds whoever chose a pool that is retired has asked it."""


@dataclass(frozen=True, slots=True)
class Limits:
    """``connect_s`` to open a connection, TLS included, and to wait for one where all are in use; ``read_s`` for the
    upstream's silence, ``answer_s`` for a whole answer, ``idle_s`` for an unused connection, all in seconds;
    ``connections`` open at once; ``answer_bytes`` for an answer that is read as a whole; ``private``: whether
    addresses of private networks may be asked; ``link_local``: whether those may be that are otherwise never asked."""

    connect_s: float = 10.0
    read_s: float = 600.0
    answer_s: float = 3_600.0
    idle_s: float = 4.0
    connections: int = 1_000
    answer_bytes: int = 64 << 20
    private: bool = True
    link_local: bool = False


class Pool:
    """Connections to one address. Belongs to the running event loop."""

    def __init__(self, address: Address, limits: Limits) -> None:
        self._loop = asyncio.get_running_loop()
        self._address, self._limits = address, limits
        self._tls = _tls_context() if address.tls else None
        self._idle: list[Connection] = []
        self._all: set[Connection] = set()
        self._opening = 0
        self._waiting: deque[asyncio.Future[None]] = deque()
        self._closed, self._sweep_until = False, 0.0
        self._every_s = min(limits.read_s, limits.answer_s, limits.idle_s) / SWEEPS
        self._sweeping = self._loop.call_later(self._every_s, self._sweep)

    @property
    def counts(self) -> tuple[int, int, int]:
        """Connections in use, idle ones, and requests that wait for one."""
        return len(self._all) + self._opening - len(self._idle), len(self._idle), len(self._waiting)

    async def take(self, *, fresh: bool = False) -> Connection:
        """A connection for one request; ``fresh`` for one that has carried none yet. Raises `UpstreamError`."""
        if not self._waiting:
            if (kept := self._kept(fresh)) is not None:
                return kept
            if self._room(fresh):
                return await self._open()
        first = False
        try:
            async with asyncio.timeout(self._limits.connect_s):
                while True:
                    await self._turn(first)
                    if (kept := self._kept(fresh)) is not None:
                        return kept
                    if self._room(fresh):
                        break
                    first = True
        except TimeoutError as error:
            raise UpstreamError(
                "all connections to the upstream model are in use", status=503, reached=False
            ) from error
        return await self._open()

    def give_back(self, connection: Connection) -> None:
        """Keep a connection whose answer was read to its end; close any other."""
        if not connection.reusable or self._closed:
            connection.abort()
            return
        connection.idle()
        self._idle.append(connection)
        self._next()

    def retire(self) -> None:
        """Close what is idle, and what is in use when it is given back."""
        self._closed, self._sweep_until = True, self._loop.time() + RETIRED_S
        for connection in list(self._idle):
            connection.abort()

    def close(self) -> None:
        """Close all connections, those in use too."""
        self._closed = True
        self._sweeping.cancel()
        for connection in list(self._all):
            connection.abort()

    async def _open(self) -> Connection:
        self._opening += 1
        try:
            async with asyncio.timeout(self._limits.connect_s):
                return await self._connect()
        except TimeoutError as error:
            raise UpstreamError(
                "the upstream model did not take the connection in time", status=504, reached=False
            ) from error
        except ssl.SSLError as error:
            message = f"the upstream model's certificate or TLS is not accepted: {error.reason}"
            raise UpstreamError(message, status=502, reached=False) from error
        except (OSError, UnicodeError) as error:
            raise UpstreamError("the upstream model could not be reached", status=502, reached=False) from error
        finally:
            self._opening -= 1
            self._next()

    async def _connect(self) -> Connection:
        """Try each of the host's addresses, with an equal share of the time for all but the last."""
        address, limits = self._address, self._limits
        found = await self._loop.getaddrinfo(address.host, address.port, type=socket.SOCK_STREAM)
        hosts = list(dict.fromkeys(str(where[0]) for *_, where in found))
        if not limits.link_local and any(address_fault(host, private=limits.private) for host in hosts):
            message = "the upstream's name leads to an address that is not asked"
            raise UpstreamError(message, status=502, reached=False)
        failure: OSError | None = None
        for number, host in enumerate(hosts, start=1):
            share = None if number == len(hosts) else limits.connect_s / len(hosts)
            try:
                async with asyncio.timeout(share):
                    _, connection = await self._loop.create_connection(
                        lambda: Connection(self._lost, limits.answer_bytes), host, address.port,
                        ssl=self._tls, server_hostname=address.host if self._tls else None,
                    )  # fmt: skip
            except ssl.SSLError:
                raise
            except OSError as error:  # TimeoutError is one
                failure = error
                continue
            self._all.add(connection)
            return connection
        raise failure or OSError("the name leads nowhere")

    def _kept(self, fresh: bool) -> Connection | None:
        """The connection that was used last: the others may become idle for long enough to be closed."""
        while self._idle and not fresh:
            connection = self._idle.pop()
            if connection.reusable:
                return connection
            connection.abort()
        return None

    def _room(self, fresh: bool) -> bool:
        if len(self._all) + self._opening < self._limits.connections:
            return True
        if not fresh or not self._idle:
            return False
        oldest = self._idle.pop(0)
        self._all.discard(oldest)
        oldest.abort()
        return True

    async def _turn(self, first: bool) -> None:
        """Wait until a connection is free or may be opened, before all others that wait if ``first``."""
        turn = self._loop.create_future()
        (self._waiting.appendleft if first else self._waiting.append)(turn)
        try:
            await turn
        except asyncio.CancelledError:
            if turn.cancelled():
                with suppress(ValueError):
                    self._waiting.remove(turn)
            else:
                self._next()
            raise

    def _next(self) -> None:
        while self._waiting:
            turn = self._waiting.popleft()
            if not turn.done():
                turn.set_result(None)
                return

    def _lost(self, connection: Connection) -> None:
        self._all.discard(connection)
        with suppress(ValueError):
            self._idle.remove(connection)
        self._next()

    def _sweep(self) -> None:
        """Close what was idle for too long, and end what the upstream let wait for too long."""
        now, limits = self._loop.time(), self._limits
        idle = set(self._idle)
        for connection in list(self._all):
            if connection in idle:
                if now - connection.heard_at > limits.idle_s:
                    connection.abort()
            elif now - connection.sent_at > limits.answer_s:
                connection.abort(UpstreamError("the upstream model's answer took too long", status=504))
            elif connection.waits:
                connection.heard_at = now
            elif now - connection.heard_at > limits.read_s:
                connection.abort(UpstreamError("the upstream model did not answer in time", status=504))
        if self._all or not self._closed or now < self._sweep_until:
            self._sweeping = self._loop.call_later(self._every_s, self._sweep)


def _tls_context() -> ssl.SSLContext:
    """Certificates are checked against the system's authorities, or those that `SSL_CERT_FILE` names."""
    context = ssl.create_default_context()
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_alpn_protocols(["http/1.1"])
    return context
