"""`tiergate control`: the control API."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from tiergate.cli.terminal import say
from tiergate.errors import SettingsError

if TYPE_CHECKING:
    from tiergate.api.services import Services


def control(
    data: Annotated[Path | None, typer.Option(metavar="DIR", help="Data folder, the gateway's.")] = None,
    host: Annotated[str | None, typer.Option(metavar="ADDRESS", help="Address to listen on.")] = None,
    port: Annotated[int | None, typer.Option(metavar="PORT", min=0, max=65535, help="Port to listen on.")] = None,
    public_url: Annotated[str | None, typer.Option(metavar="URL", help="Address browsers reach it at.")] = None,
    pages: Annotated[bool, typer.Option("--pages/--no-pages", help="Serve the console's pages too.")] = True,
    beside: Annotated[bool, typer.Option("--beside", hidden=True)] = False,
) -> None:
    """Run the console and the control API.

    What is not given here comes from environment variables: TIERGATE_CONTROL_ and the option's name, and for sign-in
    TIERGATE_CONTROL_OIDC_ISSUER, _OIDC_CLIENT_ID and _OIDC_CLIENT_SECRET.

    \b
    Example:
      tiergate control --data data
    """
    from pydantic import ValidationError

    from tiergate.api.server import serve_control
    from tiergate.api.settings import ControlSettings
    from tiergate.settings import refuse_unknown

    if beside:
        from tiergate.cli.beside import end_with_the_gateway

        end_with_the_gateway()
    refuse_unknown(ControlSettings, os.environ)
    given: dict[str, Any] = {"data": data, "host": host, "port": port, "public_url": public_url}
    try:
        settings = ControlSettings(**{name: value for name, value in given.items() if value is not None})
    except ValidationError as error:
        faults = "; ".join(f"`{'.'.join(map(str, e['loc']))}`: {e['msg'].lower()}" for e in error.errors())
        raise SettingsError(f"{faults}; see `tiergate control --help`") from None
    if not pages:
        serve_control(settings, ready=lambda address, _: say(f"the control API listens on {address}; Ctrl-C ends it"))
        return
    from tiergate.console.app import console_app

    serve_control(settings, application=console_app, ready=_ready)


def _ready(address: str, services: Services) -> None:
    say(f"the console and the control API listen on {address}; Ctrl-C ends them")
    if services.first_run.token is not None:
        say(f"nobody can sign in yet; the first administrator: {address}/first-run?token={services.first_run.token}")
