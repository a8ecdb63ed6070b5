"""`tiergate share follow`: staying in touch with peers."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from tiergate.cli.options import Data, now
from tiergate.cli.share_exchange import show_round
from tiergate.cli.share_peers import Sharing, opened
from tiergate.cli.terminal import note, say
from tiergate.errors import TiergateError

if TYPE_CHECKING:
    from tiergate.sharing.exchange import Round

STEP_S = 0.5


def follow(
    every: Annotated[
        float,
        typer.Option(metavar="SECONDS", min=0.1, help="How often peers are asked that tell nothing by themselves."),
    ] = 5.0,
    data: Data = Path("data"),
    as_json: Annotated[
        bool, typer.Option("--json", help="Print a line of JSON for each thing that came over.")
    ] = False,
) -> None:
    """Stay in touch with peers until Ctrl-C: read what they tell while they tell it, send them what they lack.

    What a finding did here is taken back as soon as its maker withdraws it. A peer that is away is tried again, at
    least once a minute; ended at any moment, the next one goes on where it stood.

    \b
    Example:
      tiergate share follow
    """
    import json
    import random
    import sys
    import time

    import msgspec
    from sqlalchemy.exc import SQLAlchemyError

    from tiergate.clock import SystemClock
    from tiergate.sharing.in_touch import InTouch

    def told(peer: str, doing: str, what: Round | str) -> None:
        if as_json:
            came = {"fault": what} if isinstance(what, str) else msgspec.to_builtins(what)
            say(json.dumps({"peer": peer, "doing": doing} | came))
        elif isinstance(what, str):
            note(f"{peer}, {doing}: {what}")
        else:
            show_round(f"{peer}, {doing}", what)
        sys.stdout.flush()

    rng = random.Random()  # noqa: S311 - it only spreads attempts in time
    with opened(data) as sharing:
        in_touch = InTouch(sharing.exchange, sharing.store, sharing.peers, SystemClock(), rng, told, every_s=every)
        place = 0
        try:
            while True:
                try:
                    in_touch.refresh()
                    place = _lifted(sharing, data, place)
                except (TiergateError, OSError, SQLAlchemyError) as error:
                    # Whatever is wrong with the disk or the database, this must be alive when it is over.
                    note(f"peers wait: {(str(error).splitlines() or [type(error).__name__])[0]}")
                time.sleep(STEP_S)
        finally:
            in_touch.stop()


def _lifted(sharing: Sharing, data: Path, place: int) -> int:
    """Take back what rests on what was withdrawn since ``place``. Returns up to where that is done."""
    from tiergate.cli import case_views
    from tiergate.cli.share_leads import lift_withdrawn

    after = sharing.store.place()
    if after != place and sharing.store.withdrawn(place) and (data / "control.sqlite").is_file():
        with case_views.opened(data) as worklist:
            for said in lift_withdrawn(data, sharing, worklist.desk, place, now()):
                note(said)
    return after
