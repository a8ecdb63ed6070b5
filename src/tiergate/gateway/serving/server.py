"""Accepting connections, looking after those who let us wait, and draining at the end."""

from __future__ import annotations

import asyncio
import socket
from contextlib import suppress
from email.utils import formatdate
from typing import Final

from tiergate.gateway.serving.connection import Application, ClientConnection, Patience

LOOKS_EVERY_S: Final = 1.0
CUT_OFF_S: Final = 5.0


class HttpServer:
    """Serves ``application`` on ``listener`` within the running event loop, at most ``most`` connections at once."""

    def __init__(
        self, application: Application, listener: socket.socket, *, most: int, patience: Patience | None = None
    ) -> None:
        self.application, self.most = application, most
        self.patience = patience or Patience()
        self.connections: set[ClientConnection] = set()
        self.closing = False
        self.date = b""
        self._emptied = asyncio.Event()
        self._loop = asyncio.get_running_loop()
        self._listener = listener
        self._server: asyncio.Server | None = None
        self._every_s = min(LOOKS_EVERY_S, *(limit / 5 for limit in self.patience))
        self._look()

    async def start(self) -> None:
        self._server = await self._loop.create_server(
            lambda: ClientConnection(self), sock=self._listener, backlog=self.most
        )

    async def close(self, drain_s: float) -> None:
        """Accept nothing more, let what is under way end, and cut off what is left after ``drain_s`` seconds."""
        self.closing = True
        if self._server is not None:
            self._server.close()
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
