"""`tiergate share key-server`, `hub`, `token` and `demo`: the parties of joint detection."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from tiergate.cli.terminal import counted, note, say

if TYPE_CHECKING:
    from collections.abc import Callable

    from starlette.applications import Starlette

    from tiergate.sharing.tokens.group import Group

Folder = Annotated[Path, typer.Option(metavar="DIR", help="Folder with labs.toml, of this party alone.")]
Host = Annotated[str, typer.Option(metavar="ADDRESS", help="Address to listen on.")]
Port = Annotated[int, typer.Option(metavar="PORT", min=0, max=65535, help="Port to listen on; 0 takes a free one.")]


def register(app: typer.Typer) -> None:
    """Add the commands of this module to ``app``."""
    app.command("token")(token)
    app.command("key-server")(key_server)
    app.command("hub")(hub)
    app.command("demo")(demo)


def token() -> None:
    """Make a lab's token for a key server or a hub, and the hash that goes into its `labs.toml`.

    \b
    Example:
      tiergate share token
    """
    from tiergate.parties.tokens import new_token
    from tiergate.sharing.tokens.group import KIND

    made = new_token(KIND)
    say(made)
    note(f'token_sha256 = "{hashlib.sha256(made.encode()).hexdigest()}"')


def key_server(data: Folder = Path("key-server"), host: Host = "127.0.0.1", port: Port = 8091) -> None:
    """Run the key server of a group: it turns blinded items into tokens, within quotas, and sees no item.

    Put a proxy with TLS before it.

    \b
    Example:
      tiergate share key-server --data key-server
    """
    from tiergate.clock import SystemClock
    from tiergate.sharing.tokens.blinding import suite
    from tiergate.sharing.tokens.group import FILE, load_group
    from tiergate.sharing.tokens.key_server import KeyServer, key_server_app

    suite()
    group = load_group(data / FILE)
    server = KeyServer(data, group, SystemClock())
    try:
        _serve("key server", lambda of: key_server_app(server, of), group, host, port)
    finally:
        server.close()


def hub(data: Folder = Path("hub"), host: Host = "127.0.0.1", port: Port = 8092) -> None:
    """Run the hub of a group: it opens items that enough labs hold, and tells each lab of its own alone.

    Put a proxy with TLS before it. Whoever runs it must not run a key server of the group.

    \b
    Example:
      tiergate share hub --data hub
    """
    from tiergate.clock import SystemClock
    from tiergate.sharing.tokens.group import FILE, load_group
    from tiergate.sharing.tokens.hub import Hub, hub_app

    group = load_group(data / FILE)
    held = Hub(data, group, SystemClock())
    try:
        _serve("hub", lambda of: hub_app(held, of), group, host, port)
    finally:
        held.close()


def _serve(what: str, app: Callable[[Group], Starlette], group: Group, host: str, port: int) -> None:
    from tiergate.gateway.serving.listening import address_of, listen
    from tiergate.gateway.serving.starlette import serve

    with listen(host, port) as listener:
        labs = counted(len(group.labs), "lab")
        say(f"the {what} of {labs} listens on {address_of(host, listener)}; Ctrl-C ends it")
        serve(app(group), listener)


def demo(
    seed: Annotated[int, typer.Option(metavar="N", help="Seed of the simulated world.")] = 1,
    people: Annotated[int, typer.Option(metavar="N", min=50, help="Honest people in it.")] = 400,
) -> None:
    """Five labs on this machine find a simulated campaign that has four accounts at each of them.

    \b
    Example:
      tiergate share demo
    """
    from tiergate.cli.share_demo import run

    run(seed, people)
