"""Accepting connections, looking after those who let us wait, and draining at the end."""

from __future__ import annotations

import asyncio
import socket
from collections import Counter
from contextlib import suppress
from email.utils import formatdate
from typing import Final

from tiergate.gateway.serving.connection import Application, ClientConnection, Patience

LOOKS_EVERY_S: Final = 1.0
CUT_OFF_S: Final = 5.0
SETTLE_S: Final = 0.02


class HttpServer:
    """Serves ``application`` on ``listener`` within the running event loop, at most ``most`` connections at once.

    :param paths: those that answers are counted by; all others are `other`.
    """

    def __init__(
        self, application: Application, listener: socket.socket, *, most: int, patience: Patience | None = None,
        paths: frozenset[str] = frozenset(),
    ) -> None:  # fmt: skip
        self.application, self.most = application, most
        self.patience = patience or Patience()
        self.connections: set[ClientConnection] = set()
        self.closing = self.leaving = False
        self.date = b""
        self.answers: Counter[tuple[str, int]] = Counter()
        """Requests by path and status; the path of one that could not be read is empty."""
        self._paths = paths | {""}
        self._emptied = asyncio.Event()
        self._loop = asyncio.get_running_loop()
        self._listener = listener
        self._server: asyncio.Server | None = None
        self._every_s = min(LOOKS_EVERY_S, *(limit / 5 for limit in self.patience))
        self._look()

    async def start(self) -> None:
        # The loop's own descriptor: `_stop_accepting` still needs ours when the loop has closed its.
        self._server = await self._loop.create_server(
            lambda: ClientConnection(self), sock=self._listener.dup(), backlog=self.most
        )

    def leave(self) -> None:
        """Send callers elsewhere: every answer closes its connection. New ones are still accepted."""
        self.leaving = True
        for connection in self.connections:
            connection.leave()

    async def close(self, drain_s: float) -> None:
        """Accept nothing more, let what is under way end, and cut off what is left after ``drain_s`` seconds."""
        await self._stop_accepting()
        # What callers had sent by now is read, so that no connection is closed with a request in it.
        await asyncio.sleep(SETTLE_S)
        self.closing = True
        for connection in list(self.connections):
            connection.drain()
        with suppress(TimeoutError):
            if self.connections:
                await asyncio.wait_for(self._emptied.wait(), drain_s)
        tasks = [connection.task for connection in self.connections if connection.task is not None]
        self.abort()
        if tasks:
            # What was cut off is recorded as such.
            await asyncio.wait(tasks, timeout=CUT_OFF_S)
        self._looking.cancel()
        if self._server is not None:
            await self._server.wait_closed()

    async def _stop_accepting(self) -> None:
        """Close the listener, but answer who got through to it before: closing it would reset them, and where another
        process has the same port they would be met there had they come a moment later."""
        if self._server is not None:
            self._server.close()
        self.leave()
        accepted: list[socket.socket] = []
        with suppress(OSError):
            self._listener.setblocking(False)
            while len(accepted) < self.most:
                accepted.append(self._listener.accept()[0])
        self._listener.close()
        for connection in accepted:
            connection.setblocking(False)
            await self._loop.connect_accepted_socket(lambda: ClientConnection(self), connection)

    def answered(self, path: str, status: int) -> None:
        """Count an answer."""
        self.answers[path if path in self._paths else "other", status] += 1

    def left(self, connection: ClientConnection) -> None:
        """A connection is gone."""
        self.connections.discard(connection)
        if self.closing and not self.connections:
            self._emptied.set()

    def abort(self) -> None:
        """Cut off all connections."""
        for connection in list(self.connections):
            connection.abort()

    def _look(self) -> None:
        now = self._loop.time()
        self.date = f"date: {formatdate(usegmt=True)}\r\n\r\n".encode("ascii")
        for connection in list(self.connections):
            connection.look(now)
        self._looking = self._loop.call_later(self._every_s, self._look)
