"""One worker's share of a counter, in its memory: what it may give out without asking anybody."""

from __future__ import annotations

from typing import Final

from tiergate.clock import SECOND
from tiergate.gateway.metering.accounts import PERIOD_US, Move, Moved, block
from tiergate.gateway.metering.limits import Limit

SAVED_EVERY: Final = 5
RETIRED_AFTER: Final = 30
"""Ticks, of a second each: how often what was used is saved, and how long an unused lease is held."""

FRESH_US: Final = SECOND
"""How long a budget that was found spent is refused without asking again."""


class Lease:
    """A worker's share, in the limit's unit. Its owner is one thread.

    What the database has as held is ``left`` + what is set aside for open tickets + ``unsaved``. ``left`` is negative
    while answers cost more than was set aside for them and that is not yet paid by the counter.
    """

    __slots__ = (
        "asked_us", "block", "busy", "closed", "free", "from_us", "idle", "is_rate", "least", "left", "limit", "open",
        "recalled", "since_us", "unsaved", "until_us", "used", "want", "workers",
    )  # fmt: skip

    def __init__(self, limit: Limit, from_us: int, until_us: int, since_us: int) -> None:
        self.limit = limit
        self.is_rate = from_us == 0
        self.from_us, self.until_us, self.since_us = from_us, until_us, since_us
        self.left = self.unsaved = self.open = 0
        self.want = self.least = 0
        self.block = self.free = self.used = 0
        self.workers, self.asked_us = 1, -FRESH_US
        self.idle = 0
        self.busy = self.closed = self.recalled = False

    @property
    def cap(self) -> int:
        return self.limit.amount or 0

    def remaining(self, now_us: int) -> int:
        """Units that this worker knows of: it holds them, or they were free when it last asked or refilled since.
        Negative while more was used than there was."""
        free = self.free
        if self.is_rate:
            free = min(self.cap, free + max(0, now_us - self.asked_us) * self.cap // PERIOD_US)
        return self.left + free

    def may_have(self, need: int, now_us: int) -> bool:
        """Whether it is worth asking for so much."""
        stale = not self.is_rate and not 0 <= now_us - self.asked_us < FRESH_US
        return stale or self.remaining(now_us) >= need

    def ask_for(self, need: int) -> None:
        """Let the next move ask for ``need`` more."""
        self.least = min(self.least, need) if self.want else need
        self.want += need

    def on_request(self) -> Move:
        """The move of a lease that is short."""
        want, least = self.want - self.left, self.least - self.left
        self.want = 0
        return self._move(want=max(0, want), least=max(0, least))

    def on_tick(self, tick: int) -> Move | None:
        """The move that is due on a tick; None when none is."""
        self.idle = 0 if self.busy or self.open else self.idle + 1
        was_busy, self.busy = self.busy, False
        if self.recalled or self.idle >= RETIRED_AFTER:
            self.recalled = False
            return self._move(back=max(0, self.left))
        fair = block(max(0, self.free) + self.left, self.workers)
        if self.workers > 1 and self.left > 2 * fair:
            return self._move(back=self.left - fair)
        if was_busy and self.free > 0 and self.left * 4 < self.block:
            return self._move(want=1, least=1)
        return self._move() if self.unsaved and (self.left < 0 or tick % SAVED_EVERY == 0) else None

    def on_end(self) -> Move:
        """The last move of a worker that ends."""
        return self._move(back=max(0, self.left))

    def moved(self, result: Moved, now_us: int) -> None:
        """Take in what came of a move."""
        self.left += result.granted + result.covered
        self.block = result.granted or self.block
        self.free, self.used, self.workers, self.asked_us = result.free, result.used, result.workers, now_us

    def not_moved(self, move: Move) -> None:
        """Take back a move that failed."""
        self.unsaved += move.used
        self.left += move.back

    @property
    def is_spare(self) -> bool:
        """Whether nothing would be lost without it."""
        return self.idle >= RETIRED_AFTER and not (self.open or self.unsaved or self.left or self.want)

    def _move(self, *, back: int = 0, want: int = 0, least: int = 0) -> Move:
        used, self.unsaved = self.unsaved, 0
        self.left -= back
        return Move(
            counter=self.limit.counter,
            window_us=self.from_us,
            cap=self.cap,
            used=used,
            back=back,
            want=want,
            least=least,
            since_us=self.since_us,
        )
