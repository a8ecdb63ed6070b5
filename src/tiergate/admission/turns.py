"""Turns at writing: whoever waits is woken, instead of polling.

SQLite lets one write at a time and makes the others sleep and look again, longer each time, so that with many writers
some wait for seconds while the database is idle in between. A lock of the operating system beside the database file
wakes the next one at once. It is a matter of speed alone: what is right is held by transactions, and other parts of
the control database that write without a turn are only slower for it.
"""

from __future__ import annotations

import fcntl
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import sqlalchemy as sa


class Turns:
    """Turns at writing to one database, between threads and, where it is a SQLite file, between processes."""

    def __init__(self, engine: sa.Engine) -> None:
        self._thread = threading.Lock()
        file = engine.url.database if engine.dialect.name == "sqlite" else None
        self._path = f"{file}-turn" if file and file != ":memory:" else None

    @contextmanager
    def turn(self) -> Iterator[None]:
        """Have the turn until the block ends. Not to be nested."""
        with self._thread:
            if self._path is None:
                yield
                return
            # Opened anew each time: a descriptor that a forked child inherits would be one and the same lock.
            held = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            try:
                fcntl.flock(held, fcntl.LOCK_EX)
                yield
            finally:
                os.close(held)
