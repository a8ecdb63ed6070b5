"""The arithmetic of one counter that several workers share, without a database.

A counter is a budget (money in a calendar window) or a rate (requests or tokens that refill over a minute). Workers
hold shares of it: units that are theirs to give out without asking anybody. For a budget, at any moment,

    sum of used + sum of held <= cap,   each of them 0 or more,

so that no worker can spend what another may. A rate is a token bucket in the form of GCRA (ITU-T I.371): one moment,
the theoretical arrival time ``tat_us``, says when the bucket would be full. What workers hold is out of the bucket, and
what they used refills from when they say so, which is later than it was used: in any span of t seconds all workers
together give out no more than cap + cap x t / 60.
"""

from __future__ import annotations

from typing import Final

import msgspec

from tiergate.clock import MINUTE

PERIOD_US: Final = MINUTE
"""An empty bucket is full again after so long."""


class Share(msgspec.Struct, kw_only=True):
    """One worker's part of a counter. ``overrun``: what answers cost beyond what the budget had left."""

    held: int = 0
    used: int = 0
    overrun: int = 0


class Move(msgspec.Struct, frozen=True, kw_only=True):
    """What a worker has to say of a counter, all at once.

    ``used`` since its last move, less what it took back; ``back``: held and not wanted any more; ``want``: units that
    it is short of, the smallest use for them being ``least``; ``window_us``: beginning of a budget's window, 0 for a
    rate; ``since_us``: the worker counts exchanges from this moment on.
    """

    counter: str
    window_us: int
    cap: int
    used: int = 0
    back: int = 0
    want: int = 0
    least: int = 0
    since_us: int = 0


class Moved(msgspec.Struct, frozen=True, kw_only=True):
    """What came of a move: units ``granted``; ``covered``: use beyond what the worker held, which is now paid or owed
    by the counter, less what it took back of that; ``free``: see `Account.free`; ``used``: of a budget, by all workers;
    ``workers``: how many there are."""

    granted: int
    covered: int
    free: int
    used: int
    workers: int


class Account:
    """A counter as a move finds it.

    :param others: what all other workers hold and used.
    """

    def __init__(self, move: Move, own: Share, others: Share, tat_us: int, now_us: int) -> None:
        self.own, self.tat_us = own, tat_us
        self._cap, self._others, self._now_us = move.cap, others, now_us
        self._is_rate = move.window_us == 0
        if self._is_rate:
            # What is held is out of the bucket, however long ago it was taken.
            self.tat_us = max(tat_us, now_us + self._time(own.held + others.held))

    def make(self, move: Move, workers: int) -> Moved:
        """Do as ``move`` says."""
        covered = self.settle(move.used)
        back = min(move.back, self.own.held)
        covered += move.back - back
        self.own.held -= back
        if self._is_rate and self._cap:
            self.tat_us -= back * PERIOD_US // self._cap
        granted, free = 0, self.free
        if move.want > 0 and free >= max(1, move.least):
            granted = min(free, max(move.want, block(free, workers)))
            self.own.held += granted
            self.tat_us += self._time(granted) if self._is_rate else 0
        used = self.own.used + self._others.used
        return Moved(granted=granted, covered=covered, free=free - granted, used=used, workers=workers)

    @property
    def free(self) -> int:
        """Units that nobody holds or used; negative where more was used than there is, or the limit was lowered."""
        if self._is_rate:
            return (self._now_us + PERIOD_US - self.tat_us) * self._cap // PERIOD_US
        own, others = self.own, self._others
        return self._cap - own.held - own.used - others.held - others.used

    def settle(self, used: int) -> int:
        """Book units as used, or as taken back when negative; returns those beyond what the worker held."""
        own = self.own
        if self._is_rate:
            beyond = max(0, used - own.held)
            own.held -= used - beyond
            self.tat_us += self._time(beyond)
            return beyond
        if used < 0:
            # Taken back: first what the budget did not bear.
            undone = min(own.overrun, -used)
            own.overrun -= undone
            own.used += used + undone
            own.held -= used + undone
            return -undone
        beyond = max(0, used - own.held)
        own.held -= used - beyond
        own.used += used - beyond
        borne = max(0, min(beyond, self.free))
        own.used += borne
        own.overrun += beyond - borne
        return beyond

    def _time(self, units: int) -> int:
        """How long ``units`` take to refill, rounded up: rounding may never make any."""
        return -(-units * PERIOD_US // self._cap) if self._cap else 0


def block(free: int, workers: int) -> int:
    """Units that a worker takes when it needs some: a part of what is left, so that blocks shrink as a limit comes near
    and the others can take as much."""
    return free // (2 * max(1, workers))
