"""`tiergate alerts`: whether alerts arrive, and what became of those that do not."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from tiergate.cli.options import Data, Json, deployment, now, show
from tiergate.cli.terminal import counted, moment, note, say
from tiergate.errors import InputError, TiergateError

if TYPE_CHECKING:
    import sqlalchemy as sa

    from tiergate.response.alerts.outbox import Queued
    from tiergate.response.alerts.sending import Alerting

app = typer.Typer(help="Check, test and list alerts.", rich_markup_mode=None, add_completion=False)


def _alerting(data: Path, engine: sa.Engine) -> Alerting:
    from tiergate.clock import SystemClock
    from tiergate.response.alerts.sending import Alerting

    return Alerting(data, engine, SystemClock(), os.environ)


@app.command("check")
def check(data: Data = Path("data")) -> None:
    """Read `alerts.toml` and its secrets, and send nothing.

    \b
    Example:
      tiergate alerts check --data data
    """
    from tiergate.response.alerts.sinks import FILE, load_sinks, read_secret, secrets_of

    sinks = load_sinks(data / FILE)
    for sink in sinks:
        for secret in secrets_of(sink):
            try:
                read_secret(secret, os.environ, data)
            except InputError as error:
                raise InputError(f"sink `{sink.name}`: {error}") from None
        say(f"{sink.name}  {type(sink).__name__.lower()}  {', '.join(sink.types) or 'all'}")
    note(counted(len(sinks), "sink") if sinks else f"there is no `{data / FILE}`: nobody is told anything")


@app.command("test")
def try_(
    sink: Annotated[str | None, typer.Argument(metavar="SINK", help="One sink; all if not given.")] = None,
    data: Data = Path("data"),
) -> None:
    """Send a test to sinks, now.

    \b
    Example:
      tiergate alerts test on-call --data data
    """
    from tiergate.response.alerts.events import trial

    with deployment(data) as opened:
        alerting = _alerting(data, opened.engine)
        sinks = [one for one in alerting.sinks() if sink in (None, one.name)]
        if not sinks:
            raise InputError(
                "there is no such sink in `alerts.toml`" if sink else "there is no sink: see docs/alerts.md"
            )
        refused = 0
        for one in sinks:
            try:
                alerting.deliver(trial(one.name, now()), one)
            except TiergateError as error:
                refused += 1
                note(f"{one.name}: {error}")
            else:
                say(f"{one.name}  took it")
    if refused:
        raise TiergateError(f"{counted(refused, 'sink')} did not take the test")


@app.command("list")
def list_(
    every: Annotated[bool, typer.Option("--all", help="Those that were sent too.")] = False,
    data: Data = Path("data"),
    as_json: Json = False,
) -> None:
    """List alerts that wait or were given up, the newest first.

    \b
    Example:
      tiergate alerts list --data data
    """
    with deployment(data) as opened:
        held = _alerting(data, opened.engine).outbox.listed(["waiting", "dead", *(["sent"] if every else [])])
    show(held, as_json, _line)
    note(counted(len(held), "alert"))


@app.command("retry")
def retry(
    alert: Annotated[list[str] | None, typer.Argument(metavar="ALERT...", help="Ids; all if not given.")] = None,
    data: Data = Path("data"),
) -> None:
    """Let the watch send waiting alerts at once, and given up ones again.

    \b
    Example:
      tiergate alerts retry --data data
    """
    with deployment(data) as opened:
        again = _alerting(data, opened.engine).outbox.retry(alert or [], now())
    if alert and not again:
        raise InputError("no alert with that id waits or was given up: see `tiergate alerts list --all`")
    note(f"{counted(again, 'alert')} to send")


def _line(one: Queued) -> str:
    fault = f"  {one.fault}" if one.fault else ""
    return f"{one.alert.alert_id}  {one.state}  {one.sink}  {moment(one.next_at)}  {one.alert.title}{fault}"
