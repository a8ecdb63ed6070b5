"""`tiergate demo`: admit, route, record, detect and respond, all on loopback with a simulated world."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def demo(
    serve: Annotated[
        bool, typer.Option("--serve/--no-serve", help="Leave the gateway running at the end, or end by itself.")
    ] = True,
    seed: Annotated[int, typer.Option(metavar="N", help="Seed of the simulated world.")] = 1,
    out: Annotated[Path, typer.Option(metavar="DIR", help="Folder for everything it makes.")] = Path("demo"),
    port: Annotated[
        int | None, typer.Option(metavar="PORT", min=1, max=65535, help="Port of the gateway; a free one if not given.")
    ] = None,
    console_port: Annotated[
        int | None, typer.Option(metavar="PORT", min=1, max=65535, help="Port of the console; a free one if not given.")
    ] = None,
) -> None:
    """Show it all on this machine, by itself.

    Simulates a small world of customers with one campaign among them, sends its traffic through the real
    gateway to a mock model, detects, acts on the first case and writes a report. Ends with exit code 1 if any
    step did not do what it should.

    \b
    Example:
      tiergate demo --no-serve --seed 7
    """
    from tiergate.cli.demo.run import run_demo

    if not run_demo(out, seed=seed, port=port, keep_serving=serve, console_port=console_port):
        raise typer.Exit(1)
