"""The console beside a gateway: `tiergate control` as its child, told where the gateway can be asked."""

from __future__ import annotations

import secrets
import socket
from collections.abc import Callable
from typing import TYPE_CHECKING

from tiergate.cli.beside import Beside

if TYPE_CHECKING:
    from pydantic import SecretStr

    from tiergate.settings import Settings

TAKEN = "port {port} is taken, by another console perhaps; waiting for it: --console-port takes another"


def observed(settings: Settings) -> Settings:
    """The settings with an address for operators, on loopback and under a token that nobody else has, where they
    have none: so that the console shows the gateway as it is now."""
    from pydantic import SecretStr

    if settings.metrics_port is not None:
        return settings
    token = SecretStr(secrets.token_urlsafe(32))
    changed = {"metrics_port": 0, "metrics_host": "127.0.0.1", "metrics_token": token}
    return settings.model_copy(update=changed)


def console_beside(settings: Settings, metrics: str, told: Callable[[str], None]) -> Beside:
    """The console of a gateway whose metrics are at the address ``metrics``. It waits while its port is taken."""
    environment: dict[str, str] = {"TIERGATE_CONTROL_METRICS_URL": metrics}
    token: SecretStr | None = settings.metrics_token
    if token is not None:
        environment["TIERGATE_CONTROL_METRICS_TOKEN"] = token.get_secret_value()
    arguments = ["--data", str(settings.data), "--host", "127.0.0.1", "--port", str(settings.console_port)]

    def elsewhere() -> str | None:
        return TAKEN.format(port=settings.console_port) if _is_taken(settings.console_port) else None

    return Beside("control", arguments, told, environment=environment, elsewhere=elsewhere)


def _is_taken(port: int) -> bool:
    """Whether nobody could listen on a port of loopback now."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return True
    return False
