"""Shares and times as registers write them. What cannot be read raises `UnreadableError`, which costs a record."""

from __future__ import annotations

import math
import re
from datetime import UTC, datetime
from decimal import Context, Decimal, InvalidOperation
from typing import Any, Final

from tiergate.parties.fact_rows import WHOLE_PPM

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_DAY: Final = re.compile(r"(\d{4})(?:-(\d{2})(?:-(\d{2}))?)?")
_LONGEST: Final = 64
_EXACT: Final = Context(prec=2 * _LONGEST)
Bounds = tuple[int, int]


class UnreadableError(ValueError):
    """A value that is not what its column claims. ``column`` and ``reason`` are what the refusal says."""

    def __init__(self, column: str, reason: str) -> None:
        super().__init__(f"{column}: {reason}")
        self.column = column
        self.reason = reason


def instant(value: Any, column: str, *, end: bool = False) -> int | None:
    """Microseconds since the epoch of an ISO 8601 date or time, UTC without an offset; None for nothing.

    A date is its first moment. Of a bare year or month it is the first moment, or with ``end`` that of the next one:
    what is known to the month alone is not ended early.
    """
    if value is None or value == "":
        return None
    if not isinstance(value, str) or len(value) > _LONGEST:
        raise UnreadableError(column, "is no date")
    text = value.strip()
    try:
        parts = _DAY.fullmatch(text)
        if parts is None:
            time = datetime.fromisoformat(text)
            time = time.astimezone(UTC) if time.tzinfo else time.replace(tzinfo=UTC)
        else:
            year, month, day = int(parts[1]), int(parts[2] or 1), int(parts[3] or 1)
            if end and not parts[3]:
                month, year = (month + 1, year) if parts[2] else (1, year + 1)
                month, year = (1, year + 1) if month == 13 else (month, year)
            time = datetime(year, month, day, tzinfo=UTC)
    except (ValueError, OverflowError) as error:
        raise UnreadableError(column, "is no date") from error
    # Integers throughout: a float of microseconds is not exact.
    since = time - _EPOCH
    return (since.days * 86_400 + since.seconds) * 1_000_000 + since.microseconds


def percent(value: Any, column: str) -> Decimal:
    """Parts per million, exact, of a percentage from 0 to 100 written as a number or as text like `50`, `50.00 %`."""
    if isinstance(value, bool) or not isinstance(value, (int, float, str)):
        raise UnreadableError(column, "is no percentage")
    try:
        # repr of a float is the shortest text that reads back: 50.1 stays 50.1.
        text = value.strip().removesuffix("%").strip() if isinstance(value, str) else repr(value)
        if len(text) > _LONGEST:
            raise InvalidOperation
        number = Decimal(text)
        if not number.is_finite() or not 0 <= number <= 100:
            raise InvalidOperation
    except (InvalidOperation, ValueError) as error:
        raise UnreadableError(column, "is no percentage from 0 to 100") from error
    return _EXACT.multiply(number, Decimal(10_000))


def bounds(
    exact: Any = None,
    minimum: Any = None,
    maximum: Any = None,
    *,
    above: Any = None,
    below: Any = None,
    column: str = "share",
) -> Bounds:
    """Lowest and highest whole parts per million that percentages allow; 0 and `WHOLE_PPM` where none is given.

    ``above`` and ``below`` exclude the value itself. What lies between two parts is rounded away from the other bound.
    """
    if exact is not None:
        share = percent(exact, column)
        return math.floor(share), math.ceil(share)
    low, high = 0, WHOLE_PPM
    if minimum is not None:
        low = math.floor(percent(minimum, column))
    if maximum is not None:
        high = math.ceil(percent(maximum, column))
    if above is not None:
        low = max(low, math.floor(percent(above, column)) + 1)
    if below is not None:
        high = min(high, math.ceil(percent(below, column)) - 1)
    if not 0 <= low <= high <= WHOLE_PPM:
        raise UnreadableError(column, "is no range within 0% to 100%")
    return low, high
