"""What takes longer than a page may: computed beside the requests, once, and kept for those that come after."""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Hashable
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Any, Final, TypeVar

from tiergate.console.working import refuse_beyond

T = TypeVar("T")
KEPT: Final = 64
"""Readings that are kept; the one that was asked for the longest time ago goes first."""
MOST_AT_WORK: Final = 16
"""Readings that are being made or wait for their turn, each with a thread."""
WAIT_S: Final = 0.15
"""How long a page waits. What is ready by then is there at once; the rest comes when it is."""


@dataclass
class _Reading:
    """``before``: of an earlier version, shown until this one is made."""

    version: Hashable
    before: Any = None
    made: Future[Any] = field(default_factory=Future)


class Readings:
    """Readings by name. Any number of threads may ask; one reading is made at a time."""

    def __init__(self) -> None:
        self._lock, self._turn = threading.Lock(), threading.Lock()
        self._held: OrderedDict[Hashable, _Reading] = OrderedDict()

    def get(
        self, name: Hashable, version: Hashable, make: Callable[[], T], *, wait_s: float = WAIT_S
    ) -> tuple[T | None, bool]:
        """What ``make`` gives for a ``version`` of what it reads, and whether it is of that version: until it is made,
        the one before, None where there is none. Raises what ``make`` raises, and `ProblemError`
        where too many are being made."""
        until = time.monotonic() + wait_s
        while True:
            held = self._begun(name, version, make)
            try:
                made: T = held.made.result(timeout=max(0.0, until - time.monotonic()))
            except TimeoutError:
                return held.before, False
            if held.version == version:
                return made, True

    def _begun(self, name: Hashable, version: Hashable, make: Callable[[], T]) -> _Reading:
        """The reading of that version, or an older one that is still being made: it is waited for."""
        with self._lock:
            held = self._held.get(name)
            if held is None or (held.version != version and held.made.done()):
                refuse_beyond(MOST_AT_WORK, sum(not one.made.done() for one in self._held.values()))
                before = None if held is None or held.made.exception() else held.made.result()
                held = self._held[name] = _Reading(version, before)
                threading.Thread(target=self._make, args=(held.made, make), daemon=True).start()
            self._held.move_to_end(name)
            made = [old for old, one in self._held.items() if one.made.done() and one is not held]
            for old in made[: max(0, len(self._held) - KEPT)]:
                del self._held[old]
            return held

    def _make(self, future: Future[T], make: Callable[[], T]) -> None:
        with self._turn:
            try:
                future.set_result(make())
            except BaseException as error:
                future.set_exception(error)
