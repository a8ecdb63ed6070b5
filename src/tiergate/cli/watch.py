"""`tiergate watch`: detection at work beside the gateway."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Annotated

import typer

from tiergate.cli.terminal import counted, note, progress, say, say_json
from tiergate.errors import TiergateError


def watch(
    data: Annotated[Path, typer.Option(metavar="DIR", help="The gateway's data folder.")] = Path("data"),
    every: Annotated[float, typer.Option(metavar="SECONDS", min=1, help="From one look's start to the next's.")] = 300,
    once: Annotated[bool, typer.Option("--once", help="Look once, and end.")] = False,
    policy: Annotated[
        Path | None, typer.Option(metavar="FILE", help="What is done about a case; DIR/response.toml if not given.")
    ] = None,
    decoys: Annotated[int | None, typer.Option(metavar="N", min=1, help="Decoy platforms to score.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print a line of JSON for each look.")] = False,
) -> None:
    """Keep looking at a gateway's log, and act as the policy permits.

    Each case gets a file that people can work on. A running gateway obeys within a second. Only one watch works on
    a data folder; ended at any moment, the next one goes on where it stood.

    \b
    Example:
      tiergate watch --data data --every 300
    """
    import msgspec

    from tiergate.cli.deployment import open_deployment
    from tiergate.clock import SystemClock
    from tiergate.detection.run import Parameters
    from tiergate.response.ladder import FILE, load_policy
    from tiergate.response.watch import Watch

    rules = load_policy(policy or data / FILE)
    with open_deployment(data) as deployment:
        watching = Watch(data, deployment.engine, deployment.registry, rules, SystemClock())
        with watching.held():
            while True:
                began = time.monotonic()
                try:
                    with progress("looking") as advance:
                        seen = watching.look(Parameters(decoys=decoys), advance)
                except TiergateError as error:
                    if once:
                        raise
                    # Whatever is wrong with the log or the database, the next look must find this loop alive.
                    note(f"this look came to nothing: {error}")
                else:
                    if as_json:
                        say_json(msgspec.to_builtins(seen))
                    else:
                        for change in seen.changes:
                            accounts = counted(change.accounts, "account")
                            say(f"{change.case_id}  {change.kind}  {change.action}  {accounts}")
                        if seen.folder is None:
                            note("too little to look at yet")
                        elif not seen.changes:
                            note("nothing new")
                if once:
                    return
                time.sleep(max(0.0, every - (time.monotonic() - began)))
