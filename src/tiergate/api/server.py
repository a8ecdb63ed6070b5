"""Running the control API."""

from __future__ import annotations

import socket
from collections.abc import Callable
from contextlib import suppress

import uvicorn

from tiergate.api.app import control_app
from tiergate.api.services import open_services
from tiergate.api.settings import ControlSettings
from tiergate.clock import SystemClock
from tiergate.errors import SettingsError

DRAIN_S = 10


def serve_control(settings: ControlSettings, *, ready: Callable[[str], None] | None = None) -> None:
    """Serve until SIGINT or SIGTERM, then finish what is under way.

    :param ready: called once with the address, such as `http://127.0.0.1:8090`, when connections are accepted.
    Raises `SettingsError` when the data folder or the address cannot be used.
    """
    with _listen(settings.host, settings.port) as listener:
        host = f"[{settings.host}]" if ":" in settings.host else settings.host
        address = f"http://{host}:{listener.getsockname()[1]}"
        with open_services(settings, SystemClock(), address) as services:
            config = uvicorn.Config(
                control_app(services),
                lifespan="off",
                log_level="warning",
                access_log=False,
                server_header=False,
                proxy_headers=False,
                timeout_graceful_shutdown=DRAIN_S,
            )
            if ready is not None:
                ready(address)
            # uvicorn raises the signal again once it has drained; the command line turns that into this exception.
            with suppress(KeyboardInterrupt):
                uvicorn.Server(config).run([listener])


def _listen(host: str, port: int) -> socket.socket:
    listener = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((host, port))
        listener.listen(128)
    except OSError as error:
        listener.close()
        raise SettingsError(f"cannot listen on {host} port {port}: {error.strerror}") from error
    return listener
