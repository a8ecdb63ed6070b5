"""`tiergate decisions list`: which decisions fit what is asked, the newest first."""

from __future__ import annotations

from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from tiergate.cli.decision_options import Data, Json
from tiergate.cli.terminal import counted, moment, note, say, say_json
from tiergate.errors import InputError

_DAYS = ["%Y-%m-%d", "%Y-%m-%dT%H:%M:%S"]


class Kind(StrEnum):
    """How a decision came out."""

    ALLOW = "ALLOW"
    DENY = "DENY"
    REVIEW = "REVIEW"


def list_(
    account: Annotated[str | None, typer.Option(metavar="ID", help="By any key of this account.")] = None,
    organisation: Annotated[str | None, typer.Option(metavar="ID", help="Of this organisation.")] = None,
    model: Annotated[str | None, typer.Option(metavar="NAME", help="On this model.")] = None,
    outcome: Annotated[Kind | None, typer.Option(case_sensitive=False, help="That came out so.")] = None,
    code: Annotated[str | None, typer.Option(metavar="CODE", help="With this reason, such as no_grant.")] = None,
    since: Annotated[
        datetime | None, typer.Option(formats=_DAYS, metavar="TIME", help="From this day or time, UTC.")
    ] = None,
    until: Annotated[
        datetime | None, typer.Option(formats=_DAYS, metavar="TIME", help="Before this day or time, UTC.")
    ] = None,
    limit: Annotated[int, typer.Option(min=1, max=1000, metavar="N", help="At most so many.")] = 50,
    cursor: Annotated[str | None, typer.Option(metavar="TEXT", help="`next` of the page before.")] = None,
    data: Data = Path("data"),
    as_json: Json = False,
) -> None:
    """List decisions of all logs, the newest first. What was erased is found by its outcome, code and time alone.

    \b
    Example:
      tiergate decisions list --account acct-1 --code no_grant --since 2026-11-01 --data data
    """
    from tiergate.ledger.decision_logs import logs_of
    from tiergate.ledger.decision_search import FOREVER, Search, search

    named = {"organisation": organisation, "model": model}
    personal = {field: frozenset([value]) for field, value in named.items() if value is not None}
    if account is not None:
        personal["credential"] = _keys_of(data, account)
    asked = Search(
        outcome=None if outcome is None else outcome.value,
        code=code,
        since_us=0 if since is None else _micro(since),
        until_us=FOREVER if until is None else _micro(until),
        personal=personal,
    )
    found = search(logs_of(data), asked, limit=limit, cursor=cursor)
    if as_json:
        import msgspec

        say_json({"decisions": msgspec.to_builtins(found.decisions), "next": found.cursor, "read": found.read})
        return
    for one in found.decisions:
        who = " ".join(one.personal.get(field, "-") for field in ("organisation", "credential", "model"))
        say(f"{one.decision_id:<14}  {moment(one.time_us)}  {one.outcome:<6}  {who}  {', '.join(one.reasons)}".rstrip())
    note(f"{counted(len(found.decisions), 'decision')}, {found.read:,} looked at")
    if found.cursor is not None:
        note(f"there may be more: --cursor {found.cursor}")


def _keys_of(data: Path, account: str) -> frozenset[str]:
    from tiergate.cli.deployment import open_deployment

    with open_deployment(data) as deployment:
        keys = deployment.registry.credentials().values()
    ids = frozenset(one.credential_id for one in keys if one.account_id == account)
    if not ids:
        raise InputError(f"the account `{account}` has no key: see `tiergate keys list`")
    return ids


def _micro(time: datetime) -> int:
    return int(time.replace(tzinfo=UTC).timestamp()) * 1_000_000
