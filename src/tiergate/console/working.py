"""Work that takes longer than a page may: done beside it, once, and kept for whoever asks the same again."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable
from typing import Any, Final

WAITS_S: Final = 0.2
"""How long a page waits for work before it says that it is under way."""
KEPT: Final = 16
AT_ONCE: Final = 2


class Working:
    """Answers by their keys, the newest `KEPT`. What a key stands for must never change: versions go into it."""

    def __init__(self) -> None:
        self._jobs: OrderedDict[Hashable, _Job] = OrderedDict()
        self._lock = threading.Lock()
        self._turns = threading.Semaphore(AT_ONCE)

    def ask(self, key: Hashable, work: Callable[[], Any], *, wait_s: float = WAITS_S) -> Any | None:
        """What ``work`` gives, never None, or None while it is under way. Raises what it raised; asked again it is
        tried again."""
        with self._lock:
            job = self._jobs.get(key)
            if job is None:
                job = self._jobs[key] = _Job(work, self._turns)
            self._jobs.move_to_end(key)
            while len(self._jobs) > KEPT:
                self._jobs.popitem(last=False)
        if not job.done.wait(wait_s):
            return None
        if job.error is not None:
            with self._lock:
                self._jobs.pop(key, None)
            raise job.error
        return job.answer


class _Job:
    def __init__(self, work: Callable[[], Any], turns: threading.Semaphore) -> None:
        self.done = threading.Event()
        self.answer: Any = None
        self.error: Exception | None = None
        # A server that ends does not wait for what nobody will read.
        threading.Thread(target=self._run, args=(work, turns), daemon=True).start()

    def _run(self, work: Callable[[], Any], turns: threading.Semaphore) -> None:
        with turns:
            try:
                self.answer = work()
            except Exception as error:
                self.error = error
            finally:
                self.done.set()
