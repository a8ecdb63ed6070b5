"""Running the control API."""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextlib import suppress

from starlette.types import ASGIApp

from tiergate.admission.appeals import Appeal
from tiergate.api.app import control_app
from tiergate.api.services import Services, open_services
from tiergate.api.settings import ControlSettings
from tiergate.clock import SystemClock
from tiergate.gateway.serving.listening import address_of, listen
from tiergate.gateway.serving.starlette import serve


def serve_control(
    settings: ControlSettings,
    *,
    application: Callable[[Services], ASGIApp] = control_app,
    ready: Callable[[str, Services], None] | None = None,
) -> None:
    """Serve until SIGINT or SIGTERM, then finish what is under way.

    :param application: makes what is served: the API alone, or with the console's pages.
    :param ready: called once with the address, such as `http://localhost:8090`, when connections are accepted.
    Raises `SettingsError` when the data folder or the address cannot be used.
    """
    with listen(settings.host, settings.port) as listener:
        address = address_of(settings.host, listener)
        if settings.host == "127.0.0.1":
            # Browsers let a passkey belong to a name alone, never to a number.
            address = address_of("localhost", listener)
        with open_services(settings, SystemClock(), address) as services, services.traffic.kept_up():
            # Before the first request asks for it, which would have to wait.
            threading.Thread(target=_read_ahead, args=[services], name="read-ahead", daemon=True).start()
            if ready is not None:
                ready(services.public_url, services)
            serve(application(services), listener, ending=services.streams.end)


def _read_ahead(services: Services) -> None:
    """Read what is kept in memory."""
    # Whoever asks for it is told what is wrong with it.
    with suppress(Exception):
        services.cases.index.files()
        services.standing.every(Appeal)
