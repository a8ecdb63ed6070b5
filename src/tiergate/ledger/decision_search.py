"""Finding decisions in the logs of a deployment, the newest first, a page at a time.

All logs are read backwards at once, as far as the page needs, so memory holds a page and one record of each log. A
cursor says how far each log was read: what is appended meanwhile comes in no later page, and nothing comes twice. Each
decision that is found is checked against the tree and its commitments.
"""

from __future__ import annotations

import heapq
import re
from collections.abc import Mapping, Sequence
from contextlib import ExitStack, closing
from typing import Final, NamedTuple

import msgspec

from tiergate.clock import HOUR
from tiergate.errors import InputError
from tiergate.ledger.decision_logs import LogPlace
from tiergate.ledger.decision_reader import PERSONAL, DecisionReader, Kept
from tiergate.ledger.decision_records import FACTS, DecisionRecord, Opening, Outcome, canonical_value
from tiergate.ledger.personal import PersonalValues

FOREVER: Final = 2**63 - 1
SLACK_US: Final = HOUR
"""By how much times may be out of order in one log: decisions are written in the order in which they waited."""
_CURSOR: Final = re.compile(r"(?:\d{1,2}:\d{1,18})(?:,\d{1,2}:\d{1,18}){0,63}", re.ASCII)


class Search(msgspec.Struct, frozen=True, kw_only=True):
    """What is looked for: all that is given must fit. ``since_us`` <= time < ``until_us``, microseconds, UTC.
    ``code``: one of its reasons. ``personal``: by field, values of which it must have one; erased ones fit nothing."""

    outcome: Outcome | None = None
    code: str | None = None
    since_us: int = 0
    until_us: int = FOREVER
    personal: dict[str, frozenset[str]] = {}


class FoundDecision(msgspec.Struct, frozen=True, kw_only=True):
    """A decision that fits. ``personal``: what is kept of who asked for what, without the facts."""

    decision_id: str
    time_us: int
    outcome: Outcome
    reasons: list[str]
    signed: bool
    personal: dict[str, str]


class Found(NamedTuple):
    """A page of decisions, the newest first. ``cursor`` asks for those after it, None at the end; ``read``: records
    that were looked at. A page can be short, or empty, before the end."""

    decisions: list[FoundDecision]
    cursor: str | None
    read: int


def search(
    places: Sequence[LogPlace], asked: Search, *, limit: int, most_read: int | None = None, cursor: str | None = None
) -> Found:
    """Up to ``limit`` decisions that fit, having read ``most_read`` records at most.

    Raises `InputError` for a cursor that is none, `ProofError` for a decision that does not hold.
    """
    left = None if cursor is None else _read_cursor(cursor)
    wanted = {field: {canonical_value(one) for one in values} for field, values in asked.personal.items()}
    found: list[FoundDecision] = []
    read = 0
    with ExitStack() as stack:
        logs = [_Backwards(stack, place, left) for place in places]
        due = [(-log.record.time_us, at) for at, log in enumerate(logs) if log.step(asked.since_us)]
        heapq.heapify(due)
        while due and len(found) < limit and (most_read is None or read < most_read):
            log = logs[due[0][1]]
            read += 1
            if _fits(log.record, asked) and log.has(wanted):
                found.append(_found(f"{log.prefix}{log.left}", log.reader.checked(log.left)))
            if log.step(asked.since_us):
                heapq.heapreplace(due, (-log.record.time_us, due[0][1]))
            else:
                heapq.heappop(due)
        # What was stepped to and not looked at is the next page's.
        ahead = {at for _, at in due}
        reached = {_number(log.prefix): log.left + (at in ahead) for at, log in enumerate(logs)}
    following = ",".join(f"{number}:{left}" for number, left in sorted(reached.items())) if due else None
    return Found(found, following, read)


class _Backwards:
    """One log, read from its end or from where a page ended. ``left``: index of ``record``."""

    record: DecisionRecord

    def __init__(self, stack: ExitStack, place: LogPlace, left: Mapping[int, int] | None) -> None:
        self.reader = stack.enter_context(closing(DecisionReader(place.folder)))
        self._values = stack.enter_context(closing(PersonalValues(place.folder / PERSONAL)))
        self.prefix = place.prefix
        size = self.reader.size
        # A log that began after the first page has newer decisions alone.
        self.left = size if left is None else min(size, left.get(_number(place.prefix), 0))

    def step(self, since_us: int) -> bool:
        """Go to the record before; False where none is left that may fit."""
        if self.left == 0:
            return False
        self.left -= 1
        self.record = self.reader.record(self.left)
        if self.record.time_us < since_us - SLACK_US:
            self.left = 0
            return False
        return True

    def has(self, wanted: Mapping[str, set[bytes]]) -> bool:
        """Whether the record has one of the values of each field."""
        if not wanted:
            return True
        held = {one.field: one.value for one in self._values.of(self.left)}
        return all(held.get(field) in values for field, values in wanted.items())


def _fits(record: DecisionRecord, asked: Search) -> bool:
    return (
        asked.since_us <= record.time_us < asked.until_us
        and asked.outcome in (None, record.outcome)
        and (asked.code is None or asked.code in record.reasons)
    )


def _found(decision_id: str, kept: Kept) -> FoundDecision:
    record = kept.record
    personal = {one.field: _text(one) for one in kept.openings if one.field != FACTS}
    return FoundDecision(
        decision_id=decision_id,
        time_us=record.time_us,
        outcome=record.outcome,
        reasons=record.reasons,
        signed=kept.signed,
        personal=personal,
    )


def _text(opening: Opening) -> str:
    return str(msgspec.json.decode(opening.value))


def _number(prefix: str) -> int:
    return int(prefix.removeprefix("worker-").rstrip("/") or 1)


def _read_cursor(cursor: str) -> dict[int, int]:
    if not _CURSOR.fullmatch(cursor):
        raise InputError("the cursor is none of ours: begin without one")
    pairs = (part.split(":") for part in cursor.split(","))
    return {int(number): int(left) for number, left in pairs}
