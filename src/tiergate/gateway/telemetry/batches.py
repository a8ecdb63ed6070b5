"""What requests leave behind for a slow reader, such as a collector or a terminal: bounded, and never waited for."""

from __future__ import annotations

import logging
import threading
from collections import deque
from collections.abc import Callable
from typing import Final, Generic, TypeVar

MOST_WAITING: Final = 10_000
LARGEST_BATCH: Final = 512
EVERY_S: Final = 0.5
CLOSES_WITHIN_S: Final = 3.0

_log = logging.getLogger(__name__)
T = TypeVar("T")


class Batches(Generic[T]):
    """Hands what is put into it to ``handle``, in a thread of its own. What comes while ``most`` wait is dropped.

    :param end: called in that thread after the last.
    """

    def __init__(
        self, name: str, handle: Callable[[list[T]], object], *, end: Callable[[], object] | None = None,
        most: int = MOST_WAITING,
    ) -> None:  # fmt: skip
        self.name = name
        self.dropped = 0
        """How many were lost: there was no room, or handling them failed."""
        self._handle, self._end, self._most = handle, end, most
        self._waiting: deque[T] = deque()
        self._stop = threading.Event()
        self._failing = False
        self._thread = threading.Thread(target=self._run, name=f"tiergate-{name}", daemon=True)
        self._thread.start()

    def put(self, item: T) -> None:
        """Leave ``item``. To be called by one thread."""
        if len(self._waiting) < self._most:
            self._waiting.append(item)
        else:
            self.dropped += 1

    def close(self) -> None:
        """Hand over what waits. Waits for that, but not for ever."""
        self._stop.set()
        self._thread.join(CLOSES_WITHIN_S)
        if self._thread.is_alive():
            _log.error("what is left of %s is lost: it was not taken in %.0f s", self.name, CLOSES_WITHIN_S)

    def _run(self) -> None:
        while not self._stop.wait(EVERY_S):
            self._empty()
        self._empty()
        if self._end is not None:
            self._end()

    def _empty(self) -> None:
        while self._waiting:
            batch = [self._waiting.popleft() for _ in range(min(LARGEST_BATCH, len(self._waiting)))]
            try:
                self._handle(batch)
                self._failing = False
            except Exception as error:
                # This thread must outlive any one batch.
                self.dropped += len(batch)
                if not self._failing:
                    _log.error("%s are lost: %s: %s", self.name, type(error).__name__, error)
                self._failing = True
