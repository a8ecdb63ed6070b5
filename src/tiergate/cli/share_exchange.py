"""`tiergate share push`, `withdraw`, `pull` and `received`: what goes to peers, and what comes from them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from tiergate.cli.options import Author, Data, Json, now, who
from tiergate.cli.share_check import line, typed
from tiergate.cli.share_finding import Also, EpochKey, LabName, MarkedAs, Marking, made_of
from tiergate.cli.share_peers import Sharing, opened
from tiergate.cli.terminal import counted, note, say, say_json
from tiergate.errors import InputError, TiergateError

if TYPE_CHECKING:
    from tiergate.sharing.corroboration import Corroboration
    from tiergate.sharing.exchange import Outcome, Round
    from tiergate.sharing.finding import Told
    from tiergate.sharing.peers import Peer

OurLab = Annotated[
    str | None,
    typer.Option("--lab", metavar="DOMAIN", envvar="TIERGATE_SHARING_LAB", help="Whom it is from: your domain."),
]
Names = Annotated[list[str] | None, typer.Argument(metavar="[PEER]...", help="These alone; all of them by default.")]
MOST_SHOWN = 10


def register(app: typer.Typer) -> None:
    """Add the commands of this module to ``app``."""
    app.command("push")(push)
    app.command("withdraw")(withdraw)
    app.command("pull")(pull)
    app.command("received")(received)


def push(
    case: Annotated[str | None, typer.Argument(metavar="[CASE]", help="Id of the case, or its beginning.")] = None,
    lab: OurLab = None,
    tlp: MarkedAs = Marking.AMBER_STRICT,
    to: Annotated[
        list[str] | None, typer.Option("--to", metavar="PEER", help="Who may have it where it is red.")
    ] = None,
    epoch_key: EpochKey = None,
    technique: Also = None,
    data: Data = Path("data"),
    author: Author = None,
    as_json: Json = False,
) -> None:
    """Tell peers of a case. Without one, send what they were not sent yet.

    It is there for those who read, and sent to those whose address is known. Who told it is noted in the case's
    history. Exit code 1 if a peer could not be reached; it is sent the next time.

    \b
    Example:
      tiergate share push case_9f86d081 --lab lab-a.example --epoch-key 2026-11.key
    """
    with opened(data) as sharing:
        if case is not None:
            _tell(sharing, data, case, lab, tlp, to or [], epoch_key, technique, who(author))
        rounds(sharing.peers.every(), sharing.exchange.push, as_json)


def withdraw(
    case: Annotated[str, typer.Argument(metavar="CASE", help="Id of the case, or its beginning.")],
    lab: LabName,
    data: Data = Path("data"),
    author: Author = None,
    as_json: Json = False,
) -> None:
    """Withdraw what was told of a case, for good, at everybody who could have it.

    \b
    Example:
      tiergate share withdraw case_9f86d081 --lab lab-a.example
    """
    from tiergate.cli import case_views
    from tiergate.cli.share_case import id_of_case
    from tiergate.sharing.finding import Lab

    with opened(data) as sharing:
        with case_views.opened(data) as worklist:
            case_id = case_views.named(worklist, case)
            told = id_of_case(Lab.named(lab), case_id)
            sharing.store.withdraw(told, now())
            worklist.note(case_id, f"withdrawn at peers, campaign--{told}", author=who(author), now_us=now())
        rounds(sharing.peers.every(), sharing.exchange.push, as_json)


def pull(
    peer: Names = None,
    again: Annotated[bool, typer.Option("--all", help="All that they have, not only what is new.")] = False,
    every: Annotated[
        float | None, typer.Option(metavar="SECONDS", min=0.1, help="Do it again so long after, until Ctrl-C.")
    ] = None,
    data: Data = Path("data"),
    as_json: Json = False,
) -> None:
    """Read what peers tell since the last time. With --every peers are added and ended while it goes on.

    Nothing follows from it by itself. Exit code 1 if a peer could not be read.

    \b
    Example:
      tiergate share pull --every 1
    """
    named = {one.lower() for one in peer or ()}
    with opened(data) as sharing:

        def asked() -> list[Peer]:
            live = [one for one in sharing.peers.every() if one.ended_at_us is None]
            return [one for one in live if not named or one.name in named]

        if unknown := sorted(named - {one.name for one in asked()}):
            raise InputError(f"no peer is called `{unknown[0]}`: see `tiergate share peers list`")

        def go(one: Peer) -> Round:
            return sharing.exchange.pull(one, now(), again=again)

        if every is None:
            rounds(asked(), go, as_json)
        else:
            _follow(asked, go, every, as_json)


def _follow(asked: Callable[[], list[Peer]], go: Callable[[Peer], Round], every: float, as_json: bool) -> None:
    """Rounds until Ctrl-C, with each peer in its own time: one that is slow keeps no other waiting."""
    import time
    from concurrent.futures import Future, ThreadPoolExecutor

    from tiergate.sharing.exchange import MOST_AT_ONCE, outcome

    under_way: dict[str, Future[Outcome]] = {}
    with ThreadPoolExecutor(MOST_AT_ONCE) as pool:
        while True:
            for peer in asked():
                if peer.url is None:
                    continue
                last = under_way.get(peer.peer_id)
                if last is None or last.done():
                    if last is not None:
                        _show([(peer, last.result())], as_json, quiet=True)
                    under_way[peer.peer_id] = pool.submit(outcome, go, peer)
            time.sleep(every)


def received(data: Data = Path("data"), as_json: Json = False) -> None:
    """Show what peers told: a lead each, and no proof; and how many labs stand behind each finding.

    \b
    Example:
      tiergate share received
    """
    import msgspec

    from tiergate.sharing.feedback import heard, told_by

    with opened(data) as sharing:
        told = [one for _, some in told_by(sharing.store, sharing.peers) for one in some]
        scored: dict[Told, Corroboration] = {
            one.finding: one.corroboration for one in heard(sharing.store, sharing.peers)
        }
    if as_json:
        say_json([typed(one) | {"corroboration": msgspec.to_builtins(scored.get(one))} for one in told])
        return
    for one in told:
        say(line(one) + (f"  {scored[one]}" if one in scored and not one.revoked else ""))
    note(counted(len(told), "signal"))


def _tell(
    sharing: Sharing,
    data: Path,
    case: str,
    lab: str | None,
    tlp: Marking,
    to: list[str],
    epoch_key: Path | None,
    technique: list[str] | None,
    author: str,
) -> None:
    from tiergate.cli import case_views

    if lab is None:
        raise InputError("say whom it is from: --lab DOMAIN, or TIERGATE_SHARING_LAB")
    if to and tlp is not Marking.RED:
        raise InputError("--to is for --tlp red: what is less strict goes to all that may have it")
    named = [_peer_id(sharing, one) for one in to]
    with case_views.opened(data) as worklist:
        case_id = case_views.named(worklist, case)
        made = made_of(worklist, data, case_id, lab, tlp, epoch_key, technique)
        added = sharing.store.tell(made.finding, now(), named=named)
        said = f"told peers as campaign--{made.finding.finding_id}, {made.finding.tlp.label}"
        if added.new:
            worklist.note(case_id, said + (f", to {', '.join(to)}" if to else ""), author=author, now_us=now())
    for fault in added.faults:
        note(f"not told: {fault}")
    for one in made.lacking:
        note(f"left out {one}")


def _peer_id(sharing: Sharing, name: str) -> str:
    peer = sharing.peers.named(name)
    if peer is None:
        raise InputError(f"no peer is called `{name}`: see `tiergate share peers list`")
    return peer.peer_id


def rounds(peers: Sequence[Peer], go: Callable[[Peer], Round], as_json: bool) -> None:
    """A round with each of ``peers`` whose address is known. Exit code 1 where one could not be reached."""
    from tiergate.sharing.exchange import with_each

    if _show(with_each(peers, go), as_json):
        raise typer.Exit(1)


def _show(outcomes: Iterable[tuple[Peer, Outcome]], as_json: bool, *, quiet: bool = False) -> bool:
    """Say what came of rounds; whether a peer could not be reached. ``quiet``: what came to nothing needs no line."""
    done: dict[str, Round] = {}
    faults: dict[str, str] = {}
    for peer, came in outcomes:
        if not isinstance(came, TiergateError):
            if peer.ended_at_us is None or came.objects:
                done[peer.name] = came
        elif peer.ended_at_us is not None:
            note(f"{peer.name}, which was ended, cannot be told what is withdrawn: {came}")
        else:
            faults[peer.name] = str(came)
    if quiet and not faults and not any(one.objects for one in done.values()):
        return False
    if as_json:
        import msgspec

        say_json({"peers": msgspec.to_builtins(done), "faults": faults})
    else:
        for name, one in done.items():
            show_round(name, one)
        for name, said in faults.items():
            say(f"{name}: {said}")
        if not done and not faults:
            note("no peer has an address: see `tiergate share peers add --url`")
    return bool(faults)


def show_round(name: str, one: Round) -> None:
    """What went over to or from a peer, and what was refused."""
    say(f"{name}: {counted(one.objects, 'object')}, {len(one.refused):,} refused")
    for said in one.refused[:MOST_SHOWN]:
        say(f"  refused: {said}")
