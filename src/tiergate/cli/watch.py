"""`tiergate watch`: detection at work beside the gateway."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from tiergate.cli.terminal import Advance, counted, note, progress, say, say_json
from tiergate.errors import TiergateError

if TYPE_CHECKING:
    from tiergate.detection.run import Parameters
    from tiergate.response.alerts.sending import Alerting
    from tiergate.response.watch import Look, Watch

TELL_EVERY_S = 2.0
"""Between looks alerts are sent so often: people change cases too."""


def watch(
    data: Annotated[Path, typer.Option(metavar="DIR", help="The gateway's data folder.")] = Path("data"),
    every: Annotated[float, typer.Option(metavar="SECONDS", min=1, help="From one look's start to the next's.")] = 300,
    once: Annotated[bool, typer.Option("--once", help="Look once, and end.")] = False,
    policy: Annotated[
        Path | None, typer.Option(metavar="FILE", help="What is done about a case; DIR/response.toml if not given.")
    ] = None,
    decoys: Annotated[int | None, typer.Option(metavar="N", min=1, help="Decoy platforms to score.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print a line of JSON for each look.")] = False,
    beside: Annotated[bool, typer.Option("--beside", hidden=True)] = False,
) -> None:
    """Keep looking at a gateway's log, act as the policy permits, send alerts.

    Each case gets a file that people can work on. A running gateway obeys within a second. Only one watch works on
    a data folder; ended at any moment, the next one goes on where it stood.

    \b
    Example:
      tiergate watch --data data --every 300
    """
    from tiergate.cli.beside import end_with_the_gateway
    from tiergate.cli.deployment import open_deployment
    from tiergate.clock import SystemClock
    from tiergate.detection.run import Parameters
    from tiergate.response.alerts.sending import Alerting
    from tiergate.response.ladder import FILE, load_policy
    from tiergate.response.watch import Watch

    if beside:
        end_with_the_gateway()
    rules, clock = load_policy(policy or data / FILE), SystemClock()
    with open_deployment(data) as deployment:
        watching = Watch(data, deployment.engine, deployment.registry, rules, clock)
        alerting = Alerting(data, deployment.engine, clock, os.environ)
        telling = _Telling(alerting)
        with watching.held():
            failed, failing_since = 0, 0
            telling.step()
            while True:
                began, began_us = time.monotonic(), clock.now_us()
                try:
                    seen = _look(watching, Parameters(decoys=decoys), quiet=beside)
                except _faults() as error:
                    if once:
                        raise
                    # Whatever is wrong with the log, the disk or the database, the next look must find this loop alive.
                    note(f"this look came to nothing: {_said(error)}")
                    failed, failing_since = failed + 1, failing_since or began_us
                    telling.failed(failed, failing_since)
                else:
                    failed, failing_since = 0, 0
                    _show(seen, as_json, quiet=beside)
                    _shared(data, watching, clock.now_us())
                telling.step()
                if once:
                    return
                while (left := every - (time.monotonic() - began)) > 0:
                    time.sleep(min(left, TELL_EVERY_S))
                    telling.step()


class _Telling:
    """Alerts, each complaint about which is said once."""

    def __init__(self, alerting: Alerting) -> None:
        self._alerting = alerting
        self._said: list[str] = []

    def step(self) -> None:
        try:
            faults = self._alerting.step()
        except _faults() as error:
            faults = [f"alerts wait: {_said(error)}"]
        for fault in faults:
            if fault not in self._said:
                note(fault)
        self._said = faults or self._said[-10:]

    def failed(self, looks: int, since_us: int) -> None:
        try:
            self._alerting.failed(looks, since_us)
        except _faults() as error:
            note(f"alerts wait: {_said(error)}")


def _look(watching: Watch, parameters: Parameters, *, quiet: bool) -> Look:
    with _unsaid() if quiet else progress("looking") as advance:
        return watching.look(parameters, advance)


def _faults() -> tuple[type[Exception], ...]:
    """What the disk, the log or the database may raise, also while it is full, locked or away."""
    from sqlalchemy.exc import SQLAlchemyError

    return TiergateError, OSError, SQLAlchemyError


def _said(error: Exception) -> str:
    """An error in a line: those of a database show the statement and its values below it."""
    return str(error).splitlines()[0] if str(error) else type(error).__name__


@contextmanager
def _unsaid() -> Iterator[Advance]:
    """Progress in a gateway's log every few minutes would hide what matters in it."""
    yield lambda _words, _share: None


def _shared(data: Path, watching: Watch, now_us: int) -> None:
    """What peers' findings do here, where there are any."""
    from tiergate.sharing.store import DATABASE

    if not (data / DATABASE).is_file():
        return
    from tiergate.cli.share_leads import settle
    from tiergate.cli.share_peers import opened

    try:
        with opened(data) as sharing:
            for said in settle(data, sharing, watching.desk, now_us):
                note(said)
    except _faults() as error:
        # Peers are not why a deployment's own looks may fail.
        note(f"shared findings wait: {_said(error)}")


def _show(seen: Look, as_json: bool, *, quiet: bool) -> None:
    import msgspec

    if as_json:
        say_json(msgspec.to_builtins(seen))
        return
    for change in seen.changes:
        say(f"{change.case_id}  {change.kind}  {change.action}  {counted(change.accounts, 'account')}")
    if not quiet and seen.folder is None:
        note("too little to look at yet")
    elif not quiet and not seen.changes:
        note("nothing new")
