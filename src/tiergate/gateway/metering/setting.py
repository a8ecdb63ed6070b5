"""Limits as people state them: whose, of what, how much; set so that what was spent in the window already counts."""

from __future__ import annotations

from pathlib import Path

import sqlalchemy as sa

from tiergate.errors import InputError
from tiergate.gateway.metering.accounts import Share
from tiergate.gateway.metering.limits import EACH, Limit, LimitStore, Measure, Scope, owned
from tiergate.gateway.metering.recovery import spent_before
from tiergate.gateway.metering.shares import ShareStore
from tiergate.gateway.metering.windows import window
from tiergate.records.amounts import micro_usd


def stated(scope: Scope, subject: str, measure: Measure, amount: str | None, *, of: str | None = None) -> Limit:
    """A limit. ``amount``: dollars, requests or tokens, as they are typed; ``of``: the organisation or account whose
    project or end user ``subject`` is. Raises `InputError`."""
    said = scope.replace("_", " ")
    if of is not None:
        if scope not in ("project", "end_user"):
            raise InputError(f"only projects and end users are somebody's: leave that out for a limit of `{said}`")
        subject = owned(of, subject)
    elif scope in ("project", "end_user") and subject != EACH and "/" not in subject:
        raise InputError(f"say whose {said} `{subject}` is: give its organisation, or its account")
    return Limit(
        scope=scope, subject=subject, measure=measure, amount=None if amount is None else _units(measure, amount)
    )


def set_limit(engine: sa.Engine, data: Path, limit: Limit, *, author: str, now_us: int, reason: str = "") -> None:
    """Set a limit on a deployment. Raises `InputError` for one that cannot be, `LedgerError` for a damaged log."""
    if is_money(limit):
        shares, begin = ShareStore(engine), _begin(limit, now_us)
        for whose, spent in spent_before(data / "log", limit, now_us).items():
            counter = Limit(scope=limit.scope, subject=whose, measure=limit.measure, amount=0).counter
            shares.count_before(counter, begin, limit.amount or 0, spent, now_us)
    LimitStore(engine).put(limit, author=author, now_us=now_us, reason=reason)


def standing(engine: sa.Engine, limits: list[Limit], now_us: int) -> dict[Limit, Share]:
    """What is used and reserved of budgets in their present window; of those that hold for one subject alone."""
    keys = {
        one: (one.counter, _begin(one, now_us))
        for one in limits
        if is_money(one) and one.subject.rpartition("/")[2] != EACH
    }
    found = ShareStore(engine).standing(keys.values())
    return {one: found.get(key, Share()) for one, key in keys.items()}


def is_money(limit: Limit) -> bool:
    """Whether its amount is micro-dollars in a calendar window."""
    return limit.measure.startswith("usd/")


def _begin(limit: Limit, now_us: int) -> int:
    return window(limit.measure.split("/")[1], now_us)[0]


def _units(measure: str, amount: str) -> int:
    if measure.startswith("usd/"):
        return micro_usd(amount)
    try:
        return int(amount.replace(",", ""))
    except ValueError:
        raise InputError(f"`{amount}` is no whole number of {measure.split('/')[0]}") from None
