"""An ASGI application served by uvicorn: the control API, and the servers of joint detection."""

from __future__ import annotations

import socket
from contextlib import suppress
from typing import Final

import uvicorn
from starlette.types import ASGIApp

DRAIN_S: Final = 10


def server(app: ASGIApp) -> uvicorn.Server:
    """What serves ``app``, without a log of its own or a header that names it; `serve` runs it."""
    config = uvicorn.Config(
        app,
        lifespan="off",
        log_level="warning",
        access_log=False,
        server_header=False,
        proxy_headers=False,
        timeout_graceful_shutdown=DRAIN_S,
    )
    return uvicorn.Server(config)


def serve(app: ASGIApp, listener: socket.socket) -> None:
    """Serve until SIGINT or SIGTERM, then finish what is under way."""
    # uvicorn raises the signal again once it has drained; the command line turns that into this exception.
    with suppress(KeyboardInterrupt):
        server(app).run([listener])
