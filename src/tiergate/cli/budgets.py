"""`tiergate budgets`: how much organisations, keys and end users may spend, and how fast they may ask."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal, cast

import typer

from tiergate.cli.options import Author, Data, Json, Reason, deployment, now, who
from tiergate.cli.terminal import counted, note, say, say_json

if TYPE_CHECKING:
    from tiergate.gateway.metering.accounts import Share
    from tiergate.gateway.metering.limits import Limit

app = typer.Typer(help="Limit what is spent and how fast is asked.", rich_markup_mode=None, add_completion=False)

_Scope = Literal["organisation", "account", "project", "key", "end-user"]
_Measure = Literal["usd/day", "usd/week", "usd/month", "requests/minute", "tokens/minute"]
Scope = Annotated[_Scope, typer.Argument(metavar="SCOPE", help="organisation, account, project, key or end-user.")]
Subject = Annotated[str, typer.Argument(metavar="ID", help="Whose limit; `*` for each that has none of its own.")]
Measure = Annotated[
    _Measure, typer.Argument(metavar="MEASURE", help="usd/day, usd/week, usd/month, requests/minute or tokens/minute.")
]
Of = Annotated[str | None, typer.Option(metavar="ID", help="Organisation or account whose project or end user it is.")]


@app.command("set")
def set_(
    scope: Scope,
    subject: Subject,
    measure: Measure,
    amount: Annotated[str, typer.Argument(metavar="AMOUNT", help="Dollars, requests or tokens.")],
    of: Of = None,
    reason: Reason = "",
    data: Data = Path("data"),
    author: Author = None,
    as_json: Json = False,
) -> None:
    """Set a limit; running gateways obey within some seconds.

    Days, weeks from Monday and months are UTC. What was spent in the window already counts.

    \b
    Examples:
      tiergate budgets set organisation acme usd/month 5,000
      tiergate budgets set end-user '*' usd/day 2 --of acme
      tiergate budgets set key key_3f9a51c0de7b2846 requests/minute 600
    """
    from tiergate.gateway.metering.limits import EACH
    from tiergate.gateway.metering.setting import set_limit

    limit = _limit(scope, subject, measure, of, amount)
    with deployment(data) as opened:
        if scope == "organisation" and subject != EACH and not opened.registry.accounts_of(subject):
            note(f"no account belongs to `{subject}` yet: `tiergate keys create ACCOUNT --organisation {subject}`")
        set_limit(opened.engine, data, limit, author=who(author), now_us=now(), reason=reason)
    _show([limit], as_json)


@app.command("remove")
def remove(
    scope: Scope,
    subject: Subject,
    measure: Measure,
    of: Of = None,
    reason: Reason = "",
    data: Data = Path("data"),
    author: Author = None,
) -> None:
    """Remove a limit.

    \b
    Example:
      tiergate budgets remove organisation acme usd/month
    """
    from tiergate.gateway.metering.limits import LimitStore

    limit = _limit(scope, subject, measure, of, None)
    with deployment(data) as opened:
        LimitStore(opened.engine).remove(limit, author=who(author), now_us=now(), reason=reason)
    say(f"removed {measure} of {scope} {limit.subject}")


@app.command("list")
def list_(data: Data = Path("data"), as_json: Json = False) -> None:
    """List limits, and what is spent of budgets in their present window.

    What gateways used in the last seconds may still be among what is reserved.

    \b
    Example:
      tiergate budgets list --data data
    """
    from tiergate.gateway.metering.limits import LimitStore
    from tiergate.gateway.metering.setting import standing

    with deployment(data) as opened:
        limits = LimitStore(opened.engine).all()
        held = standing(opened.engine, limits, now())
    _show(limits, as_json, held)
    note(counted(len(limits), "limit"))


def _show(limits: list[Limit], as_json: bool, standing: dict[Limit, Share] | None = None) -> None:
    import msgspec

    from tiergate.admission.credit_rows import usd
    from tiergate.gateway.metering.setting import is_money

    rows = []
    for one in limits:
        row = msgspec.to_builtins(one)
        del row["type"]
        amount = usd(one.amount or 0) if is_money(one) else f"{one.amount:,}"
        line = f"{one.scope.replace('_', '-')}  {one.subject}  {one.measure}  {amount}"
        share = (standing or {}).get(one)
        if share is not None:
            spent = share.used + share.overrun
            row |= {"spent": spent, "reserved": share.held}
            line += f"  {usd(spent)} spent  {usd(share.held)} reserved"
        rows.append(row)
        if not as_json:
            say(line)
    if as_json:
        say_json(rows[0] if standing is None else rows)


def _limit(scope: str, subject: str, measure: str, of: str | None, amount: str | None) -> Limit:
    from tiergate.gateway.metering import limits
    from tiergate.gateway.metering.setting import stated

    scope, measure = cast("limits.Scope", scope.replace("-", "_")), cast("limits.Measure", measure)
    return stated(scope, subject, measure, amount, of=of)
