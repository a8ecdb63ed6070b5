"""People who answer what is proposed, in office hours: they agree to everything, the hardest case for the innocent."""

from __future__ import annotations

from typing import Final

from tiergate.clock import DAY, HOUR
from tiergate.errors import StateError
from tiergate.ledger.verdicts import Action
from tiergate.response.case_files import CaseFile
from tiergate.response.worklist import Worklist

OPENS_H: Final = 9
CLOSES_H: Final = 17
"""Office hours, UTC, from Monday to Friday."""
_PEOPLE: Final = ("reviewer 1", "reviewer 2", "reviewer 3", "reviewer 4", "reviewer 5")
_MONDAY_US: Final = 4 * DAY
"""1970-01-05."""


def office_hours_later(at_us: int, hours: float) -> int:
    """When so many office hours are over after ``at_us``; microseconds since the epoch."""
    left, now = int(hours * HOUR), at_us
    while True:
        day = now - now % DAY
        weekday = (day - _MONDAY_US) // DAY % 7
        opens, closes = max(now, day + OPENS_H * HOUR), day + CLOSES_H * HOUR
        if weekday < 5 and opens < closes:
            if left <= closes - opens:
                return opens + left
            left -= closes - opens
        now = day + DAY


def agree(worklist: Worklist, case_id: str, action: Action, now_us: int) -> None:
    """Let as many people agree to what is proposed as it takes; nothing where it is not proposed any more."""
    for person in _PEOPLE:
        file = worklist.desk.changes.current(CaseFile, case_id)
        if file is None or file.proposal is None or file.proposal.action is not action:
            return
        try:
            worklist.approve(case_id, action, author=person, now_us=now_us)
        except StateError:
            return
