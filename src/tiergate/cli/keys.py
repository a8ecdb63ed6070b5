"""`tiergate keys`: API keys that customers call the gateway with."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from tiergate.cli.options import NoParty, need_parties
from tiergate.cli.terminal import counted, moment, note, say, say_json
from tiergate.clock import SystemClock
from tiergate.errors import InputError

app = typer.Typer(help="Create, list and revoke API keys.", rich_markup_mode=None, add_completion=False)

Data = Annotated[Path, typer.Option(metavar="DIR", help="The gateway's data folder.")]
Json = Annotated[bool, typer.Option("--json", help="Print the result as JSON.")]


@app.command("create")
def create(
    account: Annotated[str, typer.Argument(metavar="ACCOUNT", help="Account the key belongs to.")],
    label: Annotated[str, typer.Option(metavar="TEXT", help="What the key is for.")] = "",
    organisation: Annotated[
        str | None, typer.Option(metavar="ID", help="Organisation of the account, for good: whose budget it spends.")
    ] = None,
    no_party: NoParty = False,
    data: Data = Path("data"),
    as_json: Json = False,
) -> None:
    """Create a key and print it; it cannot be shown again. A new ACCOUNT is registered first.

    \b
    Example:
      tiergate keys create alice --organisation acme --label laptop --data data
    """
    from tiergate.cli.deployment import open_deployment

    now_us = SystemClock().now_us()
    if organisation is not None:
        if not organisation.strip():
            raise InputError("`--organisation` is empty: leave it out for an account of no organisation")
        need_parties(data, organisation, anyway=no_party)
    with open_deployment(data, create=True) as deployment:
        registry = deployment.registry
        if not registry.has_account(account):
            registry.add_account({"account_id": account, "created_at": now_us})
            note(f"registered the account `{account}`")
        if organisation is not None:
            registry.join(account, organisation)
        key = registry.issue_key(account, label, now_us)
    if as_json:
        say_json({"account_id": account, "label": label, "key": key})
    else:
        say(key)


@app.command("list")
def list_(data: Data = Path("data"), as_json: Json = False) -> None:
    """List keys without their secret.

    \b
    Example:
      tiergate keys list --data data
    """
    from tiergate.cli.deployment import open_deployment

    with open_deployment(data) as deployment:
        credentials = sorted(deployment.registry.credentials().values(), key=lambda c: (c.account_id, c.issued_at))
    if as_json:
        say_json([{name: getattr(c, name) for name in c.__struct_fields__} for c in credentials])
        return
    for one in credentials:
        state = "revoked" if one.revoked_at is not None else "live"
        say(f"{one.credential_id}  {state:<7}  {moment(one.issued_at)}  {one.account_id}  {one.label}".rstrip())
    note(counted(len(credentials), "key"))


@app.command("revoke")
def revoke(
    credential: Annotated[str, typer.Argument(metavar="KEY_ID", help="Id of the key, from `tiergate keys list`.")],
    data: Data = Path("data"),
) -> None:
    """Revoke a key; a running gateway refuses it within a second.

    \b
    Example:
      tiergate keys revoke key_3f9a51c0de7b2846 --data data
    """
    from tiergate.cli.deployment import open_deployment

    with open_deployment(data) as deployment:
        deployment.registry.revoke_key(credential, SystemClock().now_us())
    say(f"revoked {credential}")
