"""`tiergate operators`: who may use the control API."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from enum import StrEnum
from getpass import getpass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from tiergate.cli.terminal import counted, moment, note, say, say_json
from tiergate.clock import DAY, SystemClock
from tiergate.errors import InputError

if TYPE_CHECKING:
    from sqlalchemy import Engine

    from tiergate.api.operators import Operators
    from tiergate.api.sessions import Sessions

app = typer.Typer(help="Who may use the control API.", rich_markup_mode=None, add_completion=False)

Data = Annotated[Path, typer.Option(metavar="DIR", help="The gateway's data folder.")]
Json = Annotated[bool, typer.Option("--json", help="Print the result as JSON.")]


class RoleName(StrEnum):
    """Roles, as `tiergate.api.operators` has them; written out here, so that `--help` answers at once."""

    APPLICANT = "applicant"
    SPONSOR = "sponsor"
    REVIEWER = "reviewer"
    ADMINISTRATOR = "administrator"
    AUDITOR = "auditor"
    PROVISIONER = "provisioner"
    ANALYST = "analyst"
    APPROVER = "approver"
    ENGINEER = "engineer"
    EXECUTIVE = "executive"


@app.command("add")
def add(
    name: Annotated[str, typer.Argument(metavar="NAME", help="E-mail address, or a name for a program.")],
    role: Annotated[list[RoleName], typer.Option(help="What they are here for; may be repeated.")],
    organisation: Annotated[str | None, typer.Option(metavar="ID", help="Whose they are; nobody's by default.")] = None,
    days: Annotated[int, typer.Option(metavar="N", min=0, max=366, help="Life of the token; 0 makes none.")] = 90,
    data: Data = Path("data"),
    as_json: Json = False,
) -> None:
    """Add an operator and print their token; it cannot be shown again. One who is there gets another token.

    \b
    Example:
      tiergate operators add rea@example.com --role reviewer --data data
    """
    from tiergate.api.operators import Role

    now_us = SystemClock().now_us()
    with _operators(data, create=True) as (operators, _):
        operator = operators.named(name)
        roles = tuple(sorted({Role(one.value) for one in role}))
        if operator is None:
            operator = operators.add(name, list(roles), organisation, now_us)
            note(f"added `{operator.name}`, {operator.operator_id}")
        elif (operator.roles, operator.organisation_id) != (roles, organisation):
            raise InputError(f"`{operator.name}` is there with other roles: see `tiergate operators list`")
        secret = operators.issue_token(operator.operator_id, now_us, lasts_us=days * DAY)[1] if days else None
    if as_json:
        say_json({"operator_id": operator.operator_id, "name": operator.name, "token": secret})
    elif secret is not None:
        say(secret)


@app.command("list")
def list_(data: Data = Path("data"), as_json: Json = False) -> None:
    """List operators, and their tokens without the secret.

    \b
    Example:
      tiergate operators list --data data
    """
    now_us = SystemClock().now_us()
    with _operators(data) as (operators, _):
        known = [(operator, operators.tokens(operator.operator_id)) for operator in operators.every()]
    if as_json:
        import msgspec

        say_json([msgspec.to_builtins(one) | {"tokens": msgspec.to_builtins(tokens)} for one, tokens in known])
        return
    for operator, tokens in known:
        state = "ended" if operator.ended_at is not None else "active"
        whose = operator.organisation_id or "-"
        say(f"{operator.operator_id}  {state:<6}  {','.join(operator.roles)}  {whose}  {operator.name}")
        for token in tokens:
            live = token.revoked_at is None and token.expires_at > now_us
            say(f"  {token.token_id}  {'live' if live else 'over'}  until {moment(token.expires_at)}")
    note(counted(len(known), "operator"))


@app.command("revoke")
def revoke(
    which: Annotated[str, typer.Argument(metavar="ID", help="op_... ends an operator, tok_... revokes one token.")],
    data: Data = Path("data"),
) -> None:
    """End an operator with all their tokens and sessions, or revoke one token. The API obeys at once.

    \b
    Example:
      tiergate operators revoke op_3f9a51c0de7b2846 --data data
    """
    now_us = SystemClock().now_us()
    with _operators(data) as (operators, sessions):
        if which.startswith("tok_"):
            operators.revoke_token(which, now_us)
        else:
            if not operators.end(which, now_us):
                raise InputError(f"no operator at work has the id `{which}`: see `tiergate operators list`")
            sessions.end_all(which, now_us)
    say(f"revoked {which}")


@app.command("password")
def password(
    name: Annotated[str, typer.Argument(metavar="NAME", help="Whose it is, as `tiergate operators list` has it.")],
    data: Data = Path("data"),
) -> None:
    """Set the password with which somebody signs in to the console; it is asked for, or read from standard input.

    \b
    Example:
      tiergate operators password rea@example.com --data data
    """
    from tiergate.api.operators import Operators
    from tiergate.api.passwords import Passwords
    from tiergate.api.sessions import Sessions

    now_us = SystemClock().now_us()
    with _opened(data) as (engine, pepper):
        operator = Operators(engine, pepper).named(name)
        if operator is None:
            raise InputError(f"no operator at work is called `{name}`: see `tiergate operators list`")
        Passwords(engine, pepper).set(operator.operator_id, _asked(), now_us)
        Sessions(engine, pepper).end_all(operator.operator_id, now_us)
    note(f"`{operator.name}` can sign in with it")


def _asked() -> str:
    if not sys.stdin.isatty():
        return sys.stdin.readline().rstrip("\n")
    first, again = getpass("Password: "), getpass("The same once more: ")
    if first != again:
        raise InputError("the two passwords differ")
    return first


@contextmanager
def _operators(data: Path, *, create: bool = False) -> Iterator[tuple[Operators, Sessions]]:
    from tiergate.api.operators import Operators
    from tiergate.api.sessions import Sessions

    with _opened(data, create=create) as (engine, pepper):
        yield Operators(engine, pepper), Sessions(engine, pepper)


@contextmanager
def _opened(data: Path, *, create: bool = False) -> Iterator[tuple[Engine, bytes]]:
    from tiergate.database import open_database
    from tiergate.parties.tokens import load_or_create_pepper

    if create:
        data.mkdir(parents=True, exist_ok=True)
    elif not (data / "control.sqlite").is_file():
        raise InputError(f"`{data}` is not a gateway's data folder: make one with `tiergate operators add`")
    pepper = load_or_create_pepper(data / "pepper")
    engine = open_database(data / "control.sqlite")
    try:
        yield engine, pepper
    finally:
        engine.dispose()
