"""Calendar windows in UTC: the day, the week from Monday, the month."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from tiergate.clock import SECOND


def window(name: str, at_us: int) -> tuple[int, int]:
    """Beginning and end of the `day`, `week` or `month` that a moment lies in; microseconds, UTC."""
    at = datetime.fromtimestamp(at_us // SECOND, UTC)
    begin = at.replace(hour=0, minute=0, second=0)
    if name == "week":
        begin -= timedelta(days=begin.weekday())
        end = begin + timedelta(days=7)
    elif name == "month":
        begin = begin.replace(day=1)
        end = (begin + timedelta(days=31)).replace(day=1)
    else:
        end = begin + timedelta(days=1)
    return int(begin.timestamp()) * SECOND, int(end.timestamp()) * SECOND
