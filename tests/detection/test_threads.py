"""Blocks on several threads: in order, a few ahead, and errors come out."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest

from tiergate.detection import threads
from tiergate.detection.threads import spread


@pytest.mark.parametrize("processors", [1, 2, 16])
def test_results_come_in_order_and_only_a_few_blocks_are_taken_ahead(
    processors: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(threads, "_processors", lambda: processors)
    taken: list[int] = []

    def blocks() -> Iterator[int]:
        for number in range(60):
            taken.append(number)
            yield number

    before = threading.active_count()
    for at, square in enumerate(spread(lambda number: number**2, blocks())):
        assert square == at**2
        assert len(taken) <= at + 2 + threads.MOST_THREADS
    assert len(taken) == 60
    assert threading.active_count() == before


def test_an_error_in_a_block_is_raised(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(threads, "_processors", lambda: 3)
    with pytest.raises(ZeroDivisionError):
        list(spread(lambda number: 1 // number, [1, 0, 2]))
