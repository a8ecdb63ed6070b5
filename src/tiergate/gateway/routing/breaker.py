"""A circuit breaker for one upstream: closed, open, half open (Nygard, "Release It!", 2007).

Closed, it counts outcomes in a rolling window, and opens when enough of enough failed. Open, it lets nothing pass until
its time is up; then it is half open and lets one attempt pass, whose outcome closes or opens it again. Each opening
that a trial brings about lasts twice as long as the one before, to a limit. That is the state machine of Hystrix and
Resilience4j; the numbers differ because an answer of a model takes seconds rather than milliseconds.
"""

from __future__ import annotations

import enum
from collections import deque
from typing import Final

WINDOW_S: Final = 30.0
"""Hystrix counts 10 s. Answers of models take 1 to 30 s, so 10 s would often hold too few of them."""

MINIMUM: Final = 10
"""Outcomes in the window below which nothing opens: of fewer, half may fail by bad luck. Hystrix has 20 in 10 s."""

RATIO: Final = 0.5
"""Share of failures that opens, as in Hystrix and Resilience4j."""

OPEN_S: Final = 5.0
LONGEST_OPEN_S: Final = 60.0
_SLICES: Final = 10


class State(enum.StrEnum):
    """What a breaker lets pass: everything, nothing, or one attempt."""

    CLOSED = "closed"
    OPEN = "open"
    HALF_OPEN = "half_open"


class Breaker:
    """One upstream's breaker. All times are seconds of a clock that never goes back."""

    def __init__(self) -> None:
        self._slices: deque[list[int]] = deque()  # slice of time, outcomes, failures
        self._era = 0
        """Counts changes of state: an outcome of an attempt begun in an earlier state says nothing about this one."""
        self._reopens_at: float | None = None
        self._open_s = OPEN_S
        self._trial = False

    def state(self, now_s: float) -> State:
        if self._reopens_at is None:
            return State.CLOSED
        return State.OPEN if now_s < self._reopens_at else State.HALF_OPEN

    def wait_s(self, now_s: float) -> float:
        """Seconds until an attempt may pass, 0 where one may now. While a trial is under way nobody can say: 1."""
        if self._reopens_at is None:
            return 0.0
        return max(self._reopens_at - now_s, 1.0 if self._trial else 0.0)

    def enter(self) -> int:
        """Let an attempt pass, which is only right where `wait_s` is 0. The number returned is for `leave`."""
        if self._reopens_at is not None:
            self._trial = True
        return self._era

    def leave(self, era: int, now_s: float, *, failed: bool | None) -> None:
        """The outcome of an attempt; None for one that ended without any, as when the caller hung up."""
        if era != self._era:
            return
        if self._reopens_at is not None:
            self._trial = False
            if failed is True:
                self._open(now_s, min(2 * self._open_s, LONGEST_OPEN_S))
            elif failed is False:
                self._close()
        elif failed is not None:
            self._count(now_s, failed=failed)

    def _count(self, now_s: float, *, failed: bool) -> None:
        number = int(now_s / (WINDOW_S / _SLICES))
        while self._slices and self._slices[0][0] <= number - _SLICES:
            self._slices.popleft()
        if not self._slices or self._slices[-1][0] != number:
            self._slices.append([number, 0, 0])
        self._slices[-1][1] += 1
        self._slices[-1][2] += failed
        outcomes, failures = (sum(one[place] for one in self._slices) for place in (1, 2))
        if failed and outcomes >= MINIMUM and failures >= RATIO * outcomes:
            self._open(now_s, OPEN_S)

    def _open(self, now_s: float, seconds: float) -> None:
        self._era += 1
        self._open_s, self._reopens_at = seconds, now_s + seconds
        self._slices.clear()

    def _close(self) -> None:
        self._era += 1
        self._reopens_at, self._open_s = None, OPEN_S
