"""Work that takes longer than a page may: done beside it, once, and kept for whoever asks the same again."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable
from typing import Any, Final

from tiergate.api.problems import ProblemError

WAITS_S: Final = 0.2
"""How long a page waits for work before it says that it is under way."""
KEPT: Final = 16
MOST_AT_WORK: Final = 8
"""Works under way or waiting for their turn, each with a thread: who asks for ever other ones gets no more."""
AT_ONCE: Final = 2


class Working:
    """Answers by their keys, the newest `KEPT`. What a key stands for must never change: versions go into it."""

    def __init__(self) -> None:
        self._jobs: OrderedDict[Hashable, _Job] = OrderedDict()
        self._lock = threading.Lock()
        self._turns = threading.Semaphore(AT_ONCE)

    def ask(self, key: Hashable, work: Callable[[], Any], *, wait_s: float = WAITS_S) -> Any | None:
        """What ``work`` gives, never None, or None while it is under way. Raises what it raised; asked again it is
        tried again. Raises `ProblemError` where too much is under way."""
        with self._lock:
            job = self._jobs.get(key)
            if job is None:
                refuse_beyond(MOST_AT_WORK, sum(not one.done.is_set() for one in self._jobs.values()))
                job = self._jobs[key] = _Job(work, self._turns)
            self._jobs.move_to_end(key)
            done = [old for old, one in self._jobs.items() if one.done.is_set() and one is not job]
            for old in done[: max(0, len(self._jobs) - KEPT)]:
                del self._jobs[old]
        if not job.done.wait(wait_s):
            return None
        if job.error is not None:
            with self._lock:
                self._jobs.pop(key, None)
            raise job.error
        return job.answer


def refuse_beyond(most: int, at_work: int) -> None:
    """Raise `ProblemError` where so much is under way already."""
    if at_work >= most:
        raise ProblemError(503, "busy", "too much is being worked out", "try again once that is done", retry_after="10")


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
