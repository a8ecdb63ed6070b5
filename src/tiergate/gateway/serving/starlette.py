"""An ASGI application served by uvicorn: the control API, and the servers of joint detection."""

from __future__ import annotations

import socket
from collections.abc import Callable
from contextlib import suppress
from typing import Final

import uvicorn
from starlette.types import ASGIApp

DRAIN_S: Final = 10


class _Server(uvicorn.Server):
    ending: Callable[[], None] | None = None

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        if self.ending is not None:
            self.ending()
        await super().shutdown(sockets)


def server(app: ASGIApp, *, ending: Callable[[], None] | None = None) -> uvicorn.Server:
    """What serves ``app``, without a log of its own or a header that names it; `serve` runs it.

    :param ending: called before it waits for what is under way, so that answers which go on by themselves end.
    """
    config = uvicorn.Config(
        app,
        lifespan="off",
        log_level="warning",
        access_log=False,
        server_header=False,
        proxy_headers=False,
        timeout_graceful_shutdown=DRAIN_S,
    )
    made = _Server(config)
    made.ending = ending
    return made


def serve(app: ASGIApp, listener: socket.socket, *, ending: Callable[[], None] | None = None) -> None:
    """Serve until SIGINT or SIGTERM, then finish what is under way; ``ending`` as `server` has it."""
    # uvicorn raises the signal again once it has drained; the command line turns that into this exception.
    with suppress(KeyboardInterrupt):
        server(app, ending=ending).run([listener])
