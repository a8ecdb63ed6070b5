"""`tiergate authorize`: the gateway's decision for gateways of others."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated, Any

import typer

from tiergate.cli.terminal import note, say
from tiergate.errors import SettingsError


def authorize(
    data: Annotated[Path | None, typer.Option(metavar="DIR", help="Data folder, made if it is not there.")] = None,
    host: Annotated[str | None, typer.Option(metavar="ADDRESS", help="Address to listen on.")] = None,
    port: Annotated[int | None, typer.Option(metavar="PORT", min=0, max=65535, help="Port for HTTP.")] = None,
    grpc_port: Annotated[int | None, typer.Option(metavar="PORT", min=0, max=65535, help="Port for gRPC.")] = None,
    model_header: Annotated[
        str | None, typer.Option(metavar="NAME", help="Header in which your gateway says the model.")
    ] = None,
    packs: Annotated[Path | None, typer.Option(metavar="DIR", help="Folder of rule packs of your own.")] = None,
) -> None:
    """Decide for a gateway that you have: Envoy's ext_authz, a LiteLLM hook.

    What is not given here comes from environment variables: TIERGATE_ and the option's name, and for the secret of a
    gateway that reports what came of requests TIERGATE_REPORT_TOKEN.

    \b
    Example:
      tiergate authorize --data data --port 8070 --grpc-port 8071
    """
    from pydantic import ValidationError

    from tiergate.gateway.authorizer.server import authorize as run_authorizer
    from tiergate.settings import AuthorizerSettings, refuse_unknown

    refuse_unknown(AuthorizerSettings, os.environ, "TIERGATE_CONTROL_", "TIERGATE_SHARING_", "TIERGATE_TRACEBACK")

    given: dict[str, Any] = {
        "data": data, "host": host, "port": port, "grpc_port": grpc_port, "model_header": model_header, "packs": packs,
    }  # fmt: skip
    try:
        settings = AuthorizerSettings(**{name: value for name, value in given.items() if value is not None})
    except ValidationError as error:
        faults = "; ".join(f"`{'.'.join(map(str, e['loc']))}`: {e['msg'].lower()}" for e in error.errors())
        raise SettingsError(f"{faults}; see `tiergate authorize --help`") from None
    run_authorizer(
        settings,
        ready=lambda address: say(f"the authorizer listens on {address}; Ctrl-C ends it"),
        told=note,
        metrics_at=lambda address: note(f"metrics are at {address}/metrics"),
    )
