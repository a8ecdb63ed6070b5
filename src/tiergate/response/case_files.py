"""Case files: what is known of each case, what was done about it, and by whom.

A case of detection changes with every look; its file does not. It is called after the lineage, and every change of
it is appended with author, time and reason (`admission.changes`), so notes, hand-overs and approvals are its history.

| status | when |
| --- | --- |
| `open` | somebody has to look at it |
| `closed` | with an outcome: `confirmed`, whose step stands until its end, `mistaken` or `unclear` |
| `merged` | its accounts belong to another case's file |
"""

from __future__ import annotations

import enum

import msgspec

from tiergate.errors import StateError
from tiergate.ledger.verdicts import Action
from tiergate.response.ladder import LADDER


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


class Severity(enum.StrEnum):
    """How much a case asks for, by the stricter of the step in force and the one that detection recommends."""

    LOW = "low"
    MEDIUM = "medium"
    HIGH = "high"
    CRITICAL = "critical"


_SEVERITIES = {
    Action.WATCH: Severity.LOW,
    Action.VERIFY: Severity.MEDIUM,
    Action.LIMIT: Severity.HIGH,
    Action.SUMMARISE: Severity.HIGH,
    Action.SUSPEND: Severity.CRITICAL,
}


_RANKS = {one: rank for rank, one in enumerate(Severity)}


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
    verified is free of `verify`, and not of what else the evidence permits. ``appeal_id``: the appeal that cleared it,
    which nobody can take back; people may clear it of more."""

    account_id: str
    up_to: Action
    until_us: int | None
    by: str
    reason: str
    appeal_id: str | None = None


class CaseFile(msgspec.Struct, frozen=True, kw_only=True, tag="case", forbid_unknown_fields=True):
    """One case. ``step`` was taken at ``step_since_us`` and is in force until ``step_until_us`` (None with `watch`);
    ``step_by``: who took it, and ``approved_by``: the people who agreed to it, none where the policy took it by itself.

    ``ceiling``: until ``ceiling_until_us`` no look takes or proposes a stricter step, since people decided so.
    ``inherited``: by what the step in force was taken, where that is because another case was stopped.
    ``stated``, ``judged_accounts``: the confidence and the accounts that the case had when it was closed. ``merged``:
    other cases whose accounts this one's steps reach too; ``apart``: accounts that are not of it, by name of the case
    they were split off into, whose ``split_from`` names this one.
    """

    case_id: str
    opened_at_us: int
    found: Found
    status: Status = Status.OPEN
    outcome: Outcome | None = None
    stated: float | None = None
    judged_accounts: int | None = None
    assignee: str | None = None
    step: Action = Action.WATCH
    step_since_us: int | None = None
    step_until_us: int | None = None
    step_by: str | None = None
    approved_by: tuple[str, ...] = ()
    inherited: str | None = None
    proposal: Proposal | None = None
    ceiling: Action | None = None
    ceiling_until_us: int | None = None
    cleared: tuple[Cleared, ...] = ()
    merged: tuple[str, ...] = ()
    merged_into: str | None = None
    apart: dict[str, tuple[str, ...]] = {}
    split_from: str | None = None

    @property
    def severity(self) -> Severity:
        """See `Severity`."""
        return max(_SEVERITIES[self.step], _SEVERITIES[self.found.recommended], key=_RANKS.__getitem__)

    def cleared_at(self, now_us: int, step: Action | None = None) -> frozenset[str]:
        """Accounts that a step, the one in force when None, does not touch now."""
        height = LADDER.index(self.step if step is None else step)
        return frozenset(
            one.account_id
            for one in self.cleared
            if height <= LADDER.index(one.up_to) and (one.until_us is None or one.until_us > now_us)
        )

    def with_cleared(self, cleared: Cleared) -> CaseFile:
        """The file with an account cleared by people. Raises `StateError` `cleared_by_appeal` where an appeal cleared
        it of as much."""
        appealed = self._appealed(cleared.account_id)
        if appealed is not None and LADDER.index(cleared.up_to) <= LADDER.index(appealed.up_to):
            raise _for_good(appealed)
        kept = (one for one in self.cleared if one.account_id != cleared.account_id or one is appealed)
        return msgspec.structs.replace(self, cleared=(*kept, cleared))

    def with_appealed(self, cleared: Cleared) -> CaseFile:
        """The file with an account cleared by an appeal, for good, of as much as any appeal did."""
        before = self._appealed(cleared.account_id)
        most = max((one for one in (before, cleared) if one is not None), key=lambda one: LADDER.index(one.up_to))
        return msgspec.structs.replace(self, cleared=(*(one for one in self.cleared if one is not before), most))

    def without_cleared(self, account_id: str) -> CaseFile:
        """The file with an account not cleared by people. Raises `StateError` `cleared_by_appeal` where nothing but an
        appeal cleared it: that nobody undoes alone."""
        appealed = self._appealed(account_id)
        kept = tuple(one for one in self.cleared if one.account_id != account_id or one is appealed)
        if appealed is not None and kept == self.cleared:
            raise _for_good(appealed)
        return msgspec.structs.replace(self, cleared=kept)

    def _appealed(self, account_id: str) -> Cleared | None:
        return next((one for one in self.cleared if one.account_id == account_id and one.appeal_id is not None), None)

    def stepped(
        self,
        step: Action,
        until_us: int | None = None,
        by: str | None = None,
        approved_by: tuple[str, ...] = (),
        *,
        now_us: int | None = None,
    ) -> CaseFile:
        """The file with that step in force; with `watch` nothing is. A proposal that it fulfils is gone."""
        if step is Action.WATCH:
            until_us, by, approved_by, now_us = None, None, (), None
        return msgspec.structs.replace(
            self,
            step=step,
            step_since_us=now_us,
            step_until_us=until_us,
            step_by=by,
            approved_by=approved_by,
            inherited=None,
            proposal=self._left(step),
        )

    def _left(self, step: Action) -> Proposal | None:
        held = self.proposal
        return held if held is not None and LADDER.index(held.action) > LADDER.index(step) else None


def _for_good(appealed: Cleared) -> StateError:
    said = f"`{appealed.appeal_id}` cleared `{appealed.account_id}` up to `{appealed.up_to}`, for good"
    return StateError(said, code="cleared_by_appeal")


class Taken(msgspec.Struct, frozen=True, kw_only=True, tag="look", forbid_unknown_fields=True):
    """The newest look whose cases are in their files. ``number`` counts from 1; ``digest``: SHA-256 of its answer."""

    number: int
    digest: str
    looked_at_us: int
    cases: int
