"""One watch a data folder.

The lock is POSIX's (`lockf`), which belongs to a process: those that it forks do not hold it, so it is free the moment
the watch dies, whatever becomes of them.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from tiergate.errors import InputError

FOLDER: Final = "detection"
"""Where a watch keeps what it works on, in the data folder."""


@contextmanager
def held(folder: Path) -> Iterator[None]:
    """Be the only watch until the block ends. Raises `InputError` when there is another."""
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    lock = os.open(folder / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        try:
            fcntl.lockf(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise InputError(f"`{folder}` is watched already: one watch a data folder is enough") from None
        yield
    finally:
        os.close(lock)


def is_held(folder: Path) -> bool:
    """Whether another process is the watch of ``folder``."""
    try:
        lock = os.open(folder / "lock", os.O_RDWR | os.O_CLOEXEC)
    except FileNotFoundError:
        return False
    try:
        fcntl.lockf(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return True
    finally:
        os.close(lock)
    return False
