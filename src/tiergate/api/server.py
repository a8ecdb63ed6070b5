"""Running the control API."""

from __future__ import annotations

from collections.abc import Callable

from starlette.types import ASGIApp

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
            if ready is not None:
                ready(services.public_url, services)
            serve(application(services), listener)
