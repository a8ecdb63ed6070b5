"""`tiergate serve`: the gateway."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from tiergate.cli.terminal import note, say
from tiergate.errors import SettingsError

if TYPE_CHECKING:
    from sqlalchemy import Engine

    from tiergate.admission.appeals import Appeals


def serve(
    data: Annotated[Path | None, typer.Option(metavar="DIR", help="Data folder, made if it is not there.")] = None,
    upstream: Annotated[str | None, typer.Option(metavar="URL", help="API that answers, up to and with /v1.")] = None,
    host: Annotated[str | None, typer.Option(metavar="ADDRESS", help="Address to listen on.")] = None,
    port: Annotated[int | None, typer.Option(metavar="PORT", min=0, max=65535, help="Port to listen on.")] = None,
    packs: Annotated[Path | None, typer.Option(metavar="DIR", help="Folder of rule packs of your own.")] = None,
    retention: Annotated[str | None, typer.Option(metavar="text|sketches", help="What is kept of a prompt.")] = None,
    watch: Annotated[
        bool | None, typer.Option("--watch/--no-watch", help="Run `tiergate watch` beside it; not by default.")
    ] = None,
    watch_every: Annotated[
        float | None, typer.Option(metavar="SECONDS", help="From one look's start to the next's; 300 if not given.")
    ] = None,
    console: Annotated[
        bool | None, typer.Option("--console/--no-console", help="Run the console beside it, as by default.")
    ] = None,
    console_port: Annotated[
        int | None, typer.Option(metavar="PORT", min=1, max=65535, help="Port of the console, on loopback; 8090.")
    ] = None,
) -> None:
    """Run the gateway in front of an API.

    What is not given here comes from environment variables: TIERGATE_ and the option's name, and for the
    upstream's key TIERGATE_UPSTREAM_API_KEY.

    \b
    Example:
      tiergate serve --data data --upstream https://api.example.com/v1 --watch
    """
    from pydantic import ValidationError

    from tiergate.cli.beside import Beside, watch_beside
    from tiergate.cli.console_beside import console_beside, observed
    from tiergate.gateway.server import serve as run_gateway
    from tiergate.settings import AUTHORIZER, Settings, refuse_unknown

    refuse_unknown(Settings, os.environ, "TIERGATE_CONTROL_", "TIERGATE_SHARING_", "TIERGATE_TRACEBACK", *AUTHORIZER)
    given: dict[str, Any] = {
        "data": data, "upstream_url": upstream, "host": host, "port": port, "retention": retention,
        "packs": packs, "watch": watch, "watch_every_s": watch_every, "console": console,
        "console_port": console_port,
    }  # fmt: skip
    try:
        settings = Settings(**{name: value for name, value in given.items() if value is not None})
    except ValidationError as error:
        faults = "; ".join(f"`{'.'.join(map(str, e['loc']))}`: {e['msg'].lower()}" for e in error.errors())
        raise SettingsError(f"{faults}; see `tiergate serve --help`") from None
    children: list[Beside] = []

    def start(child: Beside) -> None:
        children.append(child)
        child.start()

    def ready(address: str) -> None:
        say(f"the gateway listens on {address}; Ctrl-C ends it")
        if settings.watch:
            start(watch_beside(settings.data, settings.watch_every_s, note))

    def metrics(address: str) -> None:
        if told_of_metrics:
            note(f"metrics are at {address}/metrics")
        if settings.console:
            start(console_beside(settings, address, note))

    told_of_metrics = settings.metrics_port is not None
    if settings.console:
        settings = observed(settings)
    try:
        run_gateway(settings, ready=ready, told=note, metrics_at=metrics, appeals=_appeals)
    finally:
        for child in children:
            child.stop()


def _appeals(engine: Engine, data: Path) -> Appeals:
    # What judges cases is large, and few gateways are ever asked for it.
    from tiergate.response.contested import appeals_of

    return appeals_of(engine, data)
