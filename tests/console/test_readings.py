"""What takes long is made once, beside those who ask, and what was made before is shown until then."""

from __future__ import annotations

import threading

import pytest

from tiergate.console.readings import Readings
from tiergate.errors import InputError

LONG_S = 30.0


def test_what_is_not_ready_is_none_and_made_once() -> None:
    held, go, made = Readings(), threading.Event(), []

    def make() -> int:
        go.wait(LONG_S)
        made.append(1)
        return 7

    assert [held.get("one", 1, make, wait_s=0.01) for _ in range(3)] == [(None, False)] * 3
    go.set()
    assert held.get("one", 1, make, wait_s=LONG_S) == (7, True)
    assert made == [1]


def test_the_version_before_is_shown_until_the_next_is_made() -> None:
    held, go = Readings(), threading.Event()
    assert held.get("one", 1, lambda: "old", wait_s=LONG_S) == ("old", True)

    def make() -> str:
        go.wait(LONG_S)
        return "new"

    assert held.get("one", 2, make, wait_s=0.01) == ("old", False)
    # Further versions wait for the one that is being made: none is begun beside it.
    assert held.get("one", 3, lambda: "newest", wait_s=0.01) == ("old", False)
    go.set()
    assert held.get("one", 3, lambda: "newest", wait_s=LONG_S) == ("newest", True)


def test_what_cannot_be_made_is_said_and_tried_again() -> None:
    held, tried = Readings(), []

    def fail() -> int:
        tried.append(1)
        raise InputError("no")

    for _ in range(2):
        with pytest.raises(InputError):
            held.get("one", 1, fail, wait_s=LONG_S)
    assert len(tried) == 2
    assert held.get("one", 1, lambda: 1, wait_s=LONG_S) == (1, True)


def test_no_more_are_kept_than_are_asked_for() -> None:
    held, made = Readings(kept=2), []
    for name in ("a", "b", "c", "a"):
        held.get(name, 1, lambda name=name: made.append(name), wait_s=LONG_S)  # type: ignore[misc]
    assert made == ["a", "b", "c", "a"]
