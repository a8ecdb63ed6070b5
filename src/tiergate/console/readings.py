"""What takes longer than a page may: computed beside the requests, once, and kept for those that come after."""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Hashable
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Any, Final, TypeVar

from tiergate.api.problems import ProblemError

T = TypeVar("T")
WAIT_S: Final = 0.15
"""How long a page waits. What is ready by then is there at once; the rest comes when it is."""


@dataclass
class _Reading:
    """``before``: of an earlier version, shown until this one is made."""

    version: Hashable
    before: Any = None
    made: Future[Any] = field(default_factory=Future)


class Readings:
    """Readings by name. Any number of threads may ask.

    :param kept: how many are kept; the one that was asked for the longest time ago goes first.
    :param under_way: how many may be made or wait for their turn, each with a thread: who asks for ever other ones gets
        no more.
    :param at_once: how many are made at a time.
    """

    def __init__(self, *, kept: int = 64, under_way: int = 16, at_once: int = 1) -> None:
        self._kept, self._under_way = kept, under_way
        self._lock, self._turns = threading.Lock(), threading.Semaphore(at_once)
        self._held: OrderedDict[Hashable, _Reading] = OrderedDict()

    def get(
        self, name: Hashable, version: Hashable, make: Callable[[], T], *, wait_s: float = WAIT_S
    ) -> tuple[T | None, bool]:
        """What ``make`` gives for a ``version`` of what it reads, and whether it is of that version: until it is made,
        the one before, None where there is none. Raises what ``make`` raises, which is tried again when asked again,
        and `ProblemError` where too many are being made."""
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
            failed = held is not None and held.made.done() and held.made.exception() is not None
            if held is None or failed or (held.version != version and held.made.done()):
                if sum(not one.made.done() for one in self._held.values()) >= self._under_way:
                    raise ProblemError(
                        503, "busy", "too much is being worked out", "try again once that is done", retry_after="10"
                    )
                before = None if held is None or failed else held.made.result()
                held = self._held[name] = _Reading(version, before)
                # A server that ends does not wait for what nobody will read.
                threading.Thread(target=self._make, args=(held.made, make), daemon=True).start()
            self._held.move_to_end(name)
            made = [old for old, one in self._held.items() if one.made.done() and one is not held]
            for old in made[: max(0, len(self._held) - self._kept)]:
                del self._held[old]
            return held

    def _make(self, future: Future[T], make: Callable[[], T]) -> None:
        with self._turns:
            try:
                future.set_result(make())
            except BaseException as error:
                future.set_exception(error)
