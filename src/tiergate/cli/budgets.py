"""`tiergate budgets`: how much organisations, keys and end users may spend, and how fast they may ask."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal, cast

import typer

from tiergate.cli.options import Author, Data, Json, Reason, deployment, micro_usd, now, who
from tiergate.cli.terminal import counted, note, say, say_json
from tiergate.errors import InputError

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
    from tiergate.gateway.metering.limits import EACH, LimitStore
    from tiergate.gateway.metering.recovery import spent_before
    from tiergate.gateway.metering.shares import ShareStore
    from tiergate.gateway.metering.windows import window

    limit = _limit(scope, subject, measure, of, _units(measure, amount))
    now_us = now()
    with deployment(data) as opened:
        if scope == "organisation" and subject != EACH and not opened.registry.accounts_of(subject):
            note(f"no account belongs to `{subject}` yet: `tiergate keys create ACCOUNT --organisation {subject}`")
        if measure.startswith("usd/"):
            shares, (begin, _) = ShareStore(opened.engine), window(measure.split("/")[1], now_us)
            for whose, spent in spent_before(data / "log", limit, now_us).items():
                counter = _limit(scope, whose, measure, None, 0).counter
                shares.count_before(counter, begin, limit.amount or 0, spent, now_us)
        LimitStore(opened.engine).put(limit, author=who(author), now_us=now_us, reason=reason)
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
    from tiergate.gateway.metering.accounts import Share
    from tiergate.gateway.metering.limits import EACH, LimitStore
    from tiergate.gateway.metering.shares import ShareStore
    from tiergate.gateway.metering.windows import window

    now_us = now()
    with deployment(data) as opened:
        limits = LimitStore(opened.engine).all()
        single = [one for one in limits if _is_money(one) and one.subject.rpartition("/")[2] != EACH]
        keys = {one: (one.counter, window(one.measure.split("/")[1], now_us)[0]) for one in single}
        standing = ShareStore(opened.engine).standing(keys.values())
    _show(limits, as_json, {one: standing.get(key, Share()) for one, key in keys.items()})
    note(counted(len(limits), "limit"))


def _show(limits: list[Limit], as_json: bool, standing: dict[Limit, Share] | None = None) -> None:
    import msgspec

    from tiergate.admission.credit_rows import usd

    rows = []
    for one in limits:
        row = msgspec.to_builtins(one)
        del row["type"]
        amount = usd(one.amount or 0) if _is_money(one) else f"{one.amount:,}"
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


def _is_money(limit: Limit) -> bool:
    return limit.measure.startswith("usd/")


def _limit(scope: str, subject: str, measure: str, of: str | None, amount: int | None) -> Limit:
    from tiergate.gateway.metering import limits

    if of is not None:
        if scope not in ("project", "end-user"):
            raise InputError(f"`--of` says whose project or end user it is: leave it out for a limit of `{scope}`")
        subject = limits.owned(of, subject)
    elif scope in ("project", "end-user") and subject != limits.EACH and "/" not in subject:
        raise InputError(f"say whose {scope} `{subject}` is: give `--of` its organisation, or its account")
    return limits.Limit(
        scope=cast("limits.Scope", scope.replace("-", "_")),
        subject=subject,
        measure=cast("limits.Measure", measure),
        amount=amount,
    )


def _units(measure: str, amount: str) -> int:
    if measure.startswith("usd/"):
        return micro_usd(amount)
    try:
        return int(amount.replace(",", ""))
    except ValueError:
        raise InputError(f"`{amount}` is no whole number of {measure.split('/')[0]}") from None
