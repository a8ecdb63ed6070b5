"""`tiergate share peers`: with whom we share."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from tiergate.cli.options import Data, Json, now
from tiergate.cli.terminal import counted, moment, note, say, say_json
from tiergate.clock import DAY
from tiergate.errors import InputError

if TYPE_CHECKING:
    from tiergate.sharing.exchange import Exchange
    from tiergate.sharing.peers import Peers
    from tiergate.sharing.receiving import Receiving
    from tiergate.sharing.store import SharedStore

app = typer.Typer(help="With whom we share.", rich_markup_mode=None, add_completion=False)


class Clearance(StrEnum):
    """Markings that a peer may have without being named, as `sharing.marking` has them."""

    CLEAR = "clear"
    GREEN = "green"
    AMBER = "amber"
    AMBER_STRICT = "amber+strict"


@dataclass(frozen=True, slots=True)
class Sharing:
    """What a deployment shares, and with whom."""

    peers: Peers
    store: SharedStore
    receiving: Receiving
    exchange: Exchange


@contextmanager
def opened(data: Path, *, create: bool = False) -> Iterator[Sharing]:
    """The sharing of a data folder. Raises `InputError` when it shares with nobody and ``create`` is not set."""
    from tiergate.database import open_database
    from tiergate.parties.tokens import load_or_create_pepper
    from tiergate.sharing.exchange import Exchange
    from tiergate.sharing.peers import Peers
    from tiergate.sharing.receiving import Receiving
    from tiergate.sharing.store import DATABASE, SharedStore

    if create:
        data.mkdir(parents=True, exist_ok=True)
    elif not (data / DATABASE).is_file():
        raise InputError(f"`{data}` shares with nobody yet: begin with `tiergate share peers add`")
    pepper = load_or_create_pepper(data / "pepper")
    engine = open_database(data / DATABASE)
    try:
        store = SharedStore(engine)
        peers, receiving = Peers(engine, pepper), Receiving(store)
        yield Sharing(peers, store, receiving, Exchange(store, peers, receiving, data))
    finally:
        engine.dispose()


@app.command("add")
def add(
    name: Annotated[str, typer.Argument(metavar="DOMAIN", help="The lab's domain.")],
    clearance: Annotated[
        Clearance, typer.Option(case_sensitive=False, help="The strictest marking it may have unnamed.")
    ] = Clearance.AMBER_STRICT,
    url: Annotated[str | None, typer.Option(metavar="URL", help="Its API root of TAXII 2.1, to pull and push.")] = None,
    token_file: Annotated[
        str | None, typer.Option(metavar="FILE", help="Where its token for us is; relative to the data folder.")
    ] = None,
    private: Annotated[bool, typer.Option("--private", help="It is in a network of ours.")] = False,
    ca_file: Annotated[
        str | None, typer.Option(metavar="FILE", help="Authorities its certificate must descend from.")
    ] = None,
    days: Annotated[int, typer.Option(metavar="N", min=0, max=366, help="Life of its token; 0 makes none.")] = 90,
    data: Data = Path("data"),
    as_json: Json = False,
) -> None:
    """Add a peer and print its token; it cannot be shown again. One who is there gets another, and the old one ends.

    \b
    Example:
      tiergate share peers add lab-b.example --url https://control.lab-b.example/taxii2/sharing/ --token-file b.token
    """
    from tiergate.sharing.marking import Tlp

    with opened(data, create=True) as sharing:
        peer, token = sharing.peers.add(
            name,
            now(),
            clearance=Tlp(clearance.value),
            url=url,
            token_file=token_file,
            private=private,
            ca_file=ca_file,
            lasts_us=days * DAY,
        )
    note(f"`{peer.name}` may have up to {peer.clearance.label}, and what is TLP:RED where it is named")
    if as_json:
        say_json({"peer_id": peer.peer_id, "name": peer.name, "clearance": peer.clearance.value, "token": token})
    elif token is not None:
        say(token)


@app.command("list")
def list_(data: Data = Path("data"), as_json: Json = False) -> None:
    """List peers, and how often what they sent was refused.

    \b
    Example:
      tiergate share peers list
    """
    import msgspec

    with opened(data) as sharing:
        known = [(peer, sharing.receiving.refused(peer)) for peer in sharing.peers.every()]
    if as_json:
        say_json([msgspec.to_builtins(peer) | {"refused": refused} for peer, refused in known])
        return
    for peer, refused in known:
        state = "ended" if peer.ended_at_us is not None else "active"
        until = "no token" if not peer.token_until_us else f"token until {moment(peer.token_until_us)}"
        counts = "".join(f"  {code} {times:,}" for code, times in refused.items())
        say(f"{peer.name}  {state:<6}  {peer.clearance.label}  {until}  {peer.url or '-'}{counts}")
    note(counted(len(known), "peer"))


@app.command("end")
def end(
    name: Annotated[str, typer.Argument(metavar="DOMAIN", help="The lab's domain.")], data: Data = Path("data")
) -> None:
    """Share nothing more with a peer. Its token ends at once; what is withdrawn later it is still told.

    \b
    Example:
      tiergate share peers end lab-b.example
    """
    with opened(data) as sharing:
        sharing.peers.end(name, now())
    say(f"ended {name.lower()}")
