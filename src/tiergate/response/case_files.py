"""Case files: what is known of each case, what was done about it, and by whom.

A case of detection changes with every look; its file does not. It is called after the lineage, and every change of
it is appended with author, time and reason (`admission.changes`), so notes, hand-overs and approvals are its history.

| status | when |
| --- | --- |
| `open` | somebody has to look at it |
| `closed` | with an outcome: `confirmed`, `mistaken` or `unclear` |
| `merged` | its accounts belong to another case's file |
"""

from __future__ import annotations

import enum

import msgspec

from tiergate.ledger.verdicts import Action


class Status(enum.StrEnum):
    """Where a case stands."""

    OPEN = "open"
    CLOSED = "closed"
    MERGED = "merged"


class Outcome(enum.StrEnum):
    """What a closed case turned out to be. Outcomes say how far stated confidence can be believed."""

    CONFIRMED = "confirmed"
    MISTAKEN = "mistaken"
    UNCLEAR = "unclear"


class Found(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What the newest look that saw the case says of it; columns as in docs/tables.md, times in microseconds, UTC.

    ``look``: number of that look; ``digest``: SHA-256 of its answer, which lies in the folder of looks; ``case_id``:
    the case's name in it.
    """

    look: int
    digest: str
    case_id: str
    first_seen_us: int
    last_seen_us: int
    accounts: int
    exchanges: int
    output_tokens: int
    value_usd: float | None
    capability: str
    confidence: float
    q_value: float
    e_value: float
    recommended: Action
    summary: str


class Proposal(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A step that waits for people. ``approved_by``: who agreed, in order; ``needed``: how many must. Whoever proposed
    it has agreed to it."""

    action: Action
    by: str
    reason: str
    at_us: int
    needed: int
    approved_by: tuple[str, ...] = ()


class Cleared(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """An account that steps of the case do not touch up to ``up_to``, until then, microseconds; None for ever. Who was
    verified is free of `verify`, and not of what else the evidence permits."""

    account_id: str
    up_to: Action
    until_us: int | None
    by: str
    reason: str


class CaseFile(msgspec.Struct, frozen=True, kw_only=True, tag="case", forbid_unknown_fields=True):
    """One case. ``step`` is in force until ``step_until_us`` (None with `watch`); ``step_by``: who took it.

    ``merged``: other cases whose accounts this one's steps reach too; ``apart``: accounts that are not of it, by name
    of the case they were split off into, whose ``split_from`` names this one.
    """

    case_id: str
    opened_at_us: int
    found: Found
    status: Status = Status.OPEN
    outcome: Outcome | None = None
    assignee: str | None = None
    step: Action = Action.WATCH
    step_until_us: int | None = None
    step_by: str | None = None
    proposal: Proposal | None = None
    cleared: tuple[Cleared, ...] = ()
    merged: tuple[str, ...] = ()
    merged_into: str | None = None
    apart: dict[str, tuple[str, ...]] = {}
    split_from: str | None = None


class Taken(msgspec.Struct, frozen=True, kw_only=True, tag="look", forbid_unknown_fields=True):
    """The newest look whose cases are in their files. ``number`` counts from 1; ``digest``: SHA-256 of its answer."""

    number: int
    digest: str
    looked_at_us: int
    cases: int
