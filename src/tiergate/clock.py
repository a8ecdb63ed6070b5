"""Time as an argument: nothing below the command line asks the machine for the time by itself."""

from __future__ import annotations

import time
from typing import Protocol

MICROSECOND = 1
SECOND = 1_000_000
MINUTE = 60 * SECOND
HOUR = 60 * MINUTE
DAY = 24 * HOUR
"""Durations in the unit of all times: whole microseconds."""


class Clock(Protocol):
    """Anything that tells the time as microseconds since the Unix epoch, UTC."""

    def now_us(self) -> int: ...


class SystemClock:
    """The machine's clock."""

    def now_us(self) -> int:
        return time.time_ns() // 1_000


class FixedClock:
    """A clock that stands where it was set: for tests and replays."""

    def __init__(self, now_us: int) -> None:
        self.time_us = now_us

    def now_us(self) -> int:
        return self.time_us
