"""What a visitor asks for in the address: days, numbers, names."""

from __future__ import annotations

import datetime as dt
import math
from typing import Final

from tiergate.api.market import today
from tiergate.console.visits import Visit
from tiergate.errors import InputError

MOST: Final = 1e12
"""Of any number: what is reckoned with it must stay finite."""
YEARS: Final = range(2000, 2100)


def this_day(visit: Visit) -> dt.date:
    """Today, UTC."""
    return today(visit.now_us)


def day(visit: Visit, name: str) -> dt.date | None:
    """A day of the query. Raises `InputError` for what is none."""
    text = visit.asked(name)
    if text is None:
        return None
    try:
        found = dt.date.fromisoformat(text)
    except ValueError:
        raise InputError(f"`{text[:40]}` is no day: write 2026-06-20") from None
    if found.year not in YEARS:
        raise InputError(f"`{found}` is no day of the market: give one from {YEARS[0]} to {YEARS[-1]}")
    return found


def number(visit: Visit, name: str) -> float | None:
    """A number of the query. Raises `InputError` for what is none."""
    text = visit.asked(name)
    if text is None:
        return None
    try:
        found = float(text.replace(",", "").replace("_", ""))
    except ValueError:
        found = math.nan
    if not abs(found) <= MOST:
        raise InputError(f"`{name}`: `{text[:40]}` is no number")
    return found


def seconds(one: dt.date) -> int:
    """The beginning of a day, seconds since the epoch, as charts have it."""
    return int(dt.datetime(one.year, one.month, one.day, tzinfo=dt.UTC).timestamp())
