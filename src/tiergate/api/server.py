"""Running the control API."""

from __future__ import annotations

from collections.abc import Callable

from tiergate.api.app import control_app
from tiergate.api.services import open_services
from tiergate.api.settings import ControlSettings
from tiergate.clock import SystemClock
from tiergate.gateway.serving.listening import address_of, listen
from tiergate.gateway.serving.starlette import serve


def serve_control(settings: ControlSettings, *, ready: Callable[[str], None] | None = None) -> None:
    """Serve until SIGINT or SIGTERM, then finish what is under way.

    :param ready: called once with the address, such as `http://127.0.0.1:8090`, when connections are accepted.
    Raises `SettingsError` when the data folder or the address cannot be used.
    """
    with listen(settings.host, settings.port) as listener:
        address = address_of(settings.host, listener)
        with open_services(settings, SystemClock(), address) as services:
            if ready is not None:
                ready(address)
            serve(control_app(services), listener)
