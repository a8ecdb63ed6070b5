"""Options and values that commands about programmes and their members share."""

from __future__ import annotations

import getpass
import hashlib
from collections.abc import Callable
from contextlib import AbstractContextManager
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from tiergate.cli.terminal import note, say, say_json
from tiergate.clock import DAY, SystemClock
from tiergate.errors import InputError
from tiergate.records.amounts import micro_usd as micro_usd

if TYPE_CHECKING:
    from tiergate.cli.deployment import Deployment

Data = Annotated[Path, typer.Option(metavar="DIR", help="The gateway's data folder.")]
Json = Annotated[bool, typer.Option("--json", help="Print the result as JSON.")]
Author = Annotated[str | None, typer.Option(metavar="NAME", help="Who does this; your login name if not given.")]
Reason = Annotated[str, typer.Option(metavar="TEXT", help="Why, in words that the member can read.")]
Code = Annotated[str, typer.Option(metavar="CODE", help="Why, in one word for programs.")]
NoParty = Annotated[
    bool, typer.Option("--no-party", help="Also an organisation of which the facts of parties know nothing.")
]
Until = Annotated[
    datetime | None, typer.Option(formats=["%Y-%m-%d"], metavar="DATE", help="Day it ends, UTC; 90 days if not given.")
]


def deployment(data: Path, *, create: bool = False) -> AbstractContextManager[Deployment]:
    """The data folder, opened."""
    from tiergate.cli.deployment import open_deployment

    return open_deployment(data, create=create)


def who(author: str | None) -> str:
    """The author that was named, or the login name."""
    return author or getpass.getuser()


def now() -> int:
    """Microseconds since the epoch, UTC."""
    return SystemClock().now_us()


def end_of(day: datetime | None, now_us: int, *, days: int = 90) -> int:
    """The beginning of a day that was named, or in ``days`` days; microseconds, UTC."""
    return now_us + days * DAY if day is None else int(day.replace(tzinfo=UTC).timestamp()) * 1_000_000


def digest(given: str) -> str:
    """The SHA-256 of a file, or one that is given as such. Raises `InputError` when it is neither."""
    if len(given) == 64 and not set(given.lower()) - set("0123456789abcdef"):
        return given.lower()
    if not Path(given).is_file():
        raise InputError(f"`{given}` is neither a file nor a SHA-256")
    return hashlib.sha256(Path(given).read_bytes()).hexdigest()


def show(value: Any, as_json: bool, line: Callable[[Any], str]) -> None:
    """A result, or each of several, as JSON or in a line for people."""
    import msgspec

    if as_json:
        say_json(msgspec.to_builtins(value))
    else:
        for one in value if isinstance(value, list) else [value]:
            say(line(one))


def need_parties(data: Path, *organisations: str | None, anyway: bool) -> None:
    """Raises `InputError` for an id that names no party, where there are facts of parties: rule packs of ownership
    would not know it, and would refuse it. ``anyway`` makes it a note."""
    from tiergate.admission.models import FILE, read_models
    from tiergate.parties.on_file import DATABASE, not_on_file

    path = data / DATABASE
    unknown = not_on_file(data, [one for one in organisations if one is not None])
    if unknown is None:
        asked = {pack for model in read_models(data / FILE).by_name.values() for pack in model.organisation_packs}
        if asked:
            note(
                f"`{data / FILE}` asks {', '.join(sorted(asked))}, and there are no facts of parties: nobody passes "
                "until `tiergate parties import` brings some in; an organisation's id is then its party's `pty_...`"
            )
        return
    for one in unknown:
        if not anyway:
            raise InputError(
                f"`{one}` is no party of `{path}`, so rule packs of ownership would not know it and refuse it: give "
                "the `pty_...` of `tiergate parties show NAME`, or bring in a record of it first; --no-party sets it "
                "all the same"
            )
        note(f"`{one}` is no party of `{path}`: rule packs will not know it")
