"""Work that pages do not wait for."""

from __future__ import annotations

import threading

import pytest

from tests.gateway.conftest import GIVE_UP_S
from tiergate.console.working import KEPT, Working


def test_work_is_done_once_and_nobody_waits_for_it() -> None:
    working, going, times = Working(), threading.Event(), []

    def work() -> str:
        times.append(1)
        assert going.wait(GIVE_UP_S)
        return "done"

    assert working.ask("key", work, wait_s=0.01) is None
    assert working.ask("key", work, wait_s=0.01) is None
    going.set()
    assert working.ask("key", work, wait_s=GIVE_UP_S) == "done"
    assert times == [1]


def test_what_failed_is_told_once_and_then_tried_again() -> None:
    working, outcomes = Working(), iter([ValueError("first"), None])

    def work() -> str:
        outcome = next(outcomes)
        if outcome is not None:
            raise outcome
        return "done"

    with pytest.raises(ValueError, match="first"):
        working.ask("key", work, wait_s=GIVE_UP_S)
    assert working.ask("key", work, wait_s=GIVE_UP_S) == "done"


def test_only_the_newest_answers_are_kept() -> None:
    working = Working()
    for number in range(KEPT + 1):
        assert working.ask(number, lambda: 1, wait_s=GIVE_UP_S) == 1
    assert working.ask(0, lambda: 2, wait_s=GIVE_UP_S) == 2
    assert working.ask(KEPT, lambda: 2, wait_s=GIVE_UP_S) == 1
