"""What takes longer than a page may: computed beside the requests, once, and kept for those that come after."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable
from concurrent.futures import Future
from typing import Any, Final, TypeVar

T = TypeVar("T")
KEPT: Final = 64
"""Readings that are kept; the one that was asked for the longest time ago goes first."""
WAIT_S: Final = 0.15
"""How long a page waits. What is ready by then is there at once; the rest comes when it is."""


class Readings:
    """Readings by name. Any number of threads may ask; one computes at a time."""

    def __init__(self) -> None:
        self._lock, self._turn = threading.Lock(), threading.Lock()
        self._held: OrderedDict[Hashable, tuple[Hashable, Future[Any]]] = OrderedDict()
        self._last: dict[Hashable, Any] = {}

    def get(
        self, name: Hashable, version: Hashable, make: Callable[[], T], *, wait_s: float = WAIT_S
    ) -> tuple[T | None, bool]:
        """What ``make`` gives for a ``version`` of what it reads, and whether it is of that version: until it is made,
        the one before, None where there is none. Raises what ``make`` raises."""
        with self._lock:
            held = self._held.get(name)
            if held is None or held[0] != version:
                if held is not None and held[1].done() and held[1].exception() is None:
                    self._last[name] = held[1].result()
                held = (version, Future())
                self._held[name] = held
                threading.Thread(target=self._make, args=(held[1], make), daemon=True).start()
            self._held.move_to_end(name)
            while len(self._held) > KEPT:
                gone, _ = self._held.popitem(last=False)
                self._last.pop(gone, None)
            before = self._last.get(name)
        try:
            return held[1].result(timeout=wait_s), True
        except TimeoutError:
            return before, False

    def _make(self, future: Future[T], make: Callable[[], T]) -> None:
        with self._turn:
            try:
                future.set_result(make())
            except BaseException as error:
                future.set_exception(error)
