"""How a worker knows that its facts are the present ones.

A writer raises a counter of the control database in the same transaction as its change. Each worker reads the counters
several times a second, loads anew when one differs, and then says that it has heard. Who has not heard for
`STALE_AFTER_S` must treat its facts as old: the classified tier closes, the others go on with the last state.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, NamedTuple

Counters = tuple[int | None, ...]

POLL_S: Final = 0.15
"""Seconds between two readings. Reading, loading and this together stay below a second."""

STALE_AFTER_S: Final = 5.0


class Reading(NamedTuple):
    """Counters, and the monotonic seconds at which reading them began: what came later they may not hold."""

    began_s: float
    counters: Counters


class EpochFeed:
    """Follows counters of the control database.

    :param read: reads the counters; whatever it raises passes through.
    :param now_s: a clock that never goes back, in seconds.
    """

    def __init__(
        self, read: Callable[[], Counters], now_s: Callable[[], float], stale_after_s: float = STALE_AFTER_S
    ) -> None:
        self._read = read
        self._now_s = now_s
        self._stale_after_s = stale_after_s
        self._in_force: Reading | None = None
        self.epoch = 0
        """Raised with every change that is in force; of this process alone, never to be compared with another's."""

    def ask(self) -> Reading:
        """The counters now. May run in another thread than the rest."""
        began_s = self._now_s()
        return Reading(began_s, self._read())

    def is_news(self, reading: Reading) -> bool:
        """Whether facts must be loaded anew. A counter that went back, as after a restored backup, is news too."""
        return self._in_force is None or self._in_force.counters != reading.counters

    def in_force(self, reading: Reading) -> None:
        """Say that the facts now used were loaded at or after ``reading``."""
        if self.is_news(reading):
            self.epoch += 1
        self._in_force = reading

    def is_current(self) -> bool:
        """Whether changes were heard of lately enough to open the classified tier."""
        return self._in_force is not None and self._now_s() - self._in_force.began_s <= self._stale_after_s
