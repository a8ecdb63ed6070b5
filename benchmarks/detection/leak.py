"""When a campaign is found: looks at the log's beginning on a geometric grid, refined by bisection."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

from benchmarks.detection.results import Look

FIRST_LOOK_H: Final = 0.5
STEP: Final = 4.0
BISECTIONS: Final = 2
RELINK_H: Final = (1.0, 24.0)
"""Hours after the second pool's first exchange at which re-linking is measured."""


def search(look: Callable[[float], Look], span_hours: float) -> list[Look]:
    """Looks, by time, that bracket when the first case opens and when the first case acts.

    Looks go forward from half an hour, each four times as late, until a case acts or the campaign has ended; then the
    time between the last look without and the first with is halved (geometrically) twice, for acting and for opening.
    The first success counts even if a later look fails.

    :param look: a detection on the log as it was so many hours after the campaign's first exchange.
    """
    done: dict[float, Look] = {}

    def at(hours: float) -> Look:
        if hours not in done:
            done[hours] = look(hours)
        return done[hours]

    hours = min(FIRST_LOOK_H, span_hours)
    while not at(hours).acting.part and hours < span_hours:
        hours = min(hours * STEP, span_hours)
    for acting in (True, False):
        for _ in range(BISECTIONS):
            without, found = bracket(list(done.values()), acting=acting)
            if without is None or found is None:
                break
            at((without.hours * found.hours) ** 0.5)
    return sorted(done.values(), key=lambda one: one.hours)


def bracket(looks: Sequence[Look], *, acting: bool) -> tuple[Look | None, Look | None]:
    """The last look before the first success, and that success: a case that acts, or any case."""
    before = None
    for one in sorted(looks, key=lambda one: one.hours):
        if (one.acting if acting else one.opened).part:
            return before, one
        before = one
    return before, None
