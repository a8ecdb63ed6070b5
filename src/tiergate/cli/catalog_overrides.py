"""`tiergate catalog override`: what people of a deployment say of a claim, in place of its sources."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from tiergate.cli.options import Author, Data, now, who
from tiergate.cli.terminal import moment, note, say, visible
from tiergate.errors import InputError

if TYPE_CHECKING:
    from tiergate.catalog.claims import Ledger
    from tiergate.economics.claim_overrides import ClaimOverrides

Of = Annotated[
    Path | None, typer.Option("--data", metavar="DIR", help="Deployment whose overrides count; none if not given.")
]


def register(app: typer.Typer) -> None:
    """Add the command of this module to ``app``."""
    app.command("override")(override)


def override(
    claim: Annotated[str, typer.Argument(metavar="CLAIM", help="Id of the claim.")],
    value: Annotated[
        str | None, typer.Argument(metavar="[VALUE]", help="Your figure (5, or low,mode,high) or status.")
    ] = None,
    reason: Annotated[str, typer.Option(metavar="TEXT", help="Why; it is kept and shown.")] = "",
    withdraw: Annotated[bool, typer.Option("--withdraw", help="Let the sources count again.")] = False,
    data: Data = Path("data"),
    author: Author = None,
) -> None:
    """Put your figure or verdict in place of a claim's sources, for everybody who uses a deployment.

    It counts in the console, the control API, and wherever `--data` names the deployment, until it is withdrawn.

    \b
    Example:
      tiergate catalog override extraction_cost 1e6,2e6,3e6 --reason "quoted to three teams of ours"
      tiergate catalog override extraction_cost --withdraw --reason "the quotes were for something else"
    """
    if withdraw is (value is not None):
        raise InputError("give a value, or --withdraw")
    with overrides(data) as held:
        if value is None:
            held.withdraw(claim, author=who(author), now_us=now(), reason=reason)
            say(f"the sources count again for {visible(claim)}")
        else:
            done = held.put(claim, value, author=who(author), now_us=now(), reason=reason)
            say(f"{done.claim} is {visible(done.value)} here; see `tiergate catalog claims {done.claim} --data {data}`")


@contextmanager
def overrides(data: Path) -> Iterator[ClaimOverrides]:
    """The overrides of a deployment. Raises `InputError` where there is none."""
    from tiergate.database import open_database
    from tiergate.economics.claim_overrides import ClaimOverrides

    if not (data / "control.sqlite").is_file():
        raise InputError(f"`{data}` is no deployment: name its data folder, --data DIR")
    engine = open_database(data / "control.sqlite")
    try:
        yield ClaimOverrides(engine)
    finally:
        engine.dispose()


def ledger_of(data: Path | None) -> Ledger:
    """The claims as sources have them, or as a deployment does; a note says what is overridden there."""
    from tiergate.catalog.claims import load_claims

    if data is None:
        return load_claims()
    with overrides(data) as held:
        for one in held.standing().values():
            note(visible(f"{one.claim} is {one.value} here, by {one.author}, {moment(one.at_us)}: {one.reason}"))
        return held.ledger()
