"""Blocks of arrays on several processors: numpy sorts, gathers and compares without the interpreter's lock."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Final, TypeVar

Block = TypeVar("Block")
Made = TypeVar("Made")

MOST_THREADS: Final = 4
"""Each holds a block and what it makes of it: more threads would pay with memory."""


def spread(function: Callable[[Block], Made], blocks: Iterable[Block]) -> Iterator[Made]:
    """``function`` of each block, in order, computed a few ahead. The threads are gone when the last was handed out, so
    that processes can be forked again."""
    threads = min(_processors(), MOST_THREADS)
    if threads == 1:
        yield from map(function, blocks)
        return
    with ThreadPoolExecutor(threads) as pool:
        ahead: deque[Future[Made]] = deque()
        for block in blocks:
            ahead.append(pool.submit(function, block))
            if len(ahead) > threads:
                yield ahead.popleft().result()
        while ahead:
            yield ahead.popleft().result()


def _processors() -> int:
    try:
        return len(os.sched_getaffinity(0))
    except AttributeError:  # not everywhere
        return os.cpu_count() or 1
