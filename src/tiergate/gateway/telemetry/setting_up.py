"""The parts that observe a gateway, as its settings ask for them."""

from __future__ import annotations

import sys

from tiergate.errors import SettingsError
from tiergate.gateway.telemetry.batches import Batches
from tiergate.gateway.telemetry.logs import access_lines
from tiergate.gateway.telemetry.watch import Finished, Watch
from tiergate.settings import Settings


def watch_of(settings: Settings, instance: str) -> Watch:
    """What watches exchanges. Raises `SettingsError` where what it needs is not installed.

    :param instance: a name that no other process of the deployment has.
    """
    followers: list[Batches[Finished]] = []
    if settings.access_log:
        followers.append(Batches("access_log", access_lines(settings.log, _write)))
    if settings.otlp_endpoint is not None:
        try:
            from tiergate.gateway.telemetry.otlp import Exporter
        except ModuleNotFoundError as error:
            raise SettingsError(
                f"`otlp_endpoint` needs `{error.name}`, which is not installed: pip install 'tiergate[telemetry]'"
            ) from None
        exporter = Exporter(settings.otlp_endpoint, instance)
        followers.append(Batches("otlp", exporter.send, end=exporter.close))
    return Watch(followers, tracing=settings.otlp_endpoint is not None, text=settings.otlp_text)


def _write(lines: str) -> None:
    sys.stderr.write(lines)
    sys.stderr.flush()
