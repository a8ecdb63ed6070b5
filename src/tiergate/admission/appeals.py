"""Appeals against a decision, a verdict, or a membership's refusal, suspension or end, with a clock and two reviewers.

Whoever was refused can say why that is wrong, and gets an answer by a date. Nobody who made the contested decision
reviews it. It is overturned once two reviewers say so, and upheld once more of them uphold than overturn: one is enough
to uphold where nobody disagrees, and nobody alone can undo a colleague's vote. A verdict milder than a suspension is
overturned by one: freeing somebody by mistake is soon mended. Overturning a membership's decision or a verdict takes
effect in the same transaction; an overturned decision of the log is found by `Appeals.overturned`.

A clock that runs out decides nothing: it would make stalling, or flooding, a way in. It shows in `Appeals.overdue`, in
every list, and in the text that the appellant reads.

| state | when |
| --- | --- |
| `open` | filed, no outcome yet |
| `upheld` | the contested decision stands |
| `overturned` | as many reviewers as it takes undid it |
"""

from __future__ import annotations

import enum
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Protocol

import msgspec
import sqlalchemy as sa

from tiergate.admission.changes import Change, Changes, Writing, new_id, same, sha256_of
from tiergate.admission.memberships import TRANSITIONS, membership_in, reinstate
from tiergate.admission.programmes import programme_in
from tiergate.admission.standing import State
from tiergate.clock import DAY
from tiergate.errors import InputError, StateError

DUE_DAYS = 5
"""By when an appeal against a decision is answered; against a membership's, the programme says."""


class Against(enum.StrEnum):
    """What can be appealed."""

    DECISION = "decision"
    MEMBERSHIP = "membership"
    VERDICT = "verdict"


class Outcome(enum.StrEnum):
    """How a reviewer votes, and how an appeal ends."""

    UPHELD = "upheld"
    OVERTURNED = "overturned"


class Vote(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One reviewer's vote, with the reason that the appellant reads."""

    reviewer: str
    outcome: Outcome
    reason: str
    at_us: int


class Appeal(msgspec.Struct, frozen=True, kw_only=True, tag="appeal", forbid_unknown_fields=True):
    """An appeal. ``evidence``: SHA-256 of what was handed in. ``decided_by``: who made the contested decision and can
    therefore not review it; ``reviewers``: how many it takes to overturn. Against a verdict, ``case_id`` and
    ``account_id`` say whose, and ``stated`` how sure detection was that the account belongs to the case, from 0 to 1,
    None where that is not known. Times are microseconds since the epoch, UTC."""

    appeal_id: str
    against: Against
    subject_id: str
    filed_by: str
    grounds: str
    evidence: tuple[str, ...]
    decided_by: tuple[str, ...]
    filed_at_us: int
    due_at_us: int
    votes: tuple[Vote, ...] = ()
    outcome: Outcome | None = None
    closed_at_us: int | None = None
    reviewers: int = 2
    case_id: str | None = None
    account_id: str | None = None
    stated: float | None = None


class Contested(msgspec.Struct, frozen=True, kw_only=True):
    """What an appeal against a verdict starts from; fields as in `Appeal`, ``days`` until it is due."""

    case_id: str
    account_id: str
    decided_by: tuple[str, ...]
    reviewers: int
    days: int
    stated: float | None


class Verdicts(Protocol):
    """Whoever keeps verdicts and the cases they belong to. Each call is part of the transaction of ``writing``."""

    def contested(self, writing: Writing, verdict_id: str) -> Contested:
        """What is contested. Raises `StateError` `nothing_to_appeal` when no such verdict stands."""

    def involved(self, writing: Writing, appeal: Appeal) -> list[str]:
        """Names of those who had a part in the verdict, until now."""

    def reviewers(self, writing: Writing, appeal: Appeal) -> int:
        """How many it takes to overturn what the account is under now, which may be stricter than what was appealed."""

    def overturn(self, writing: Writing, appeal: Appeal, reviewers: Sequence[str], reason: str) -> None:
        """Lift the verdict, and keep it lifted, as far as so many ``reviewers`` can."""


class Appeals:
    """Appeals in a database. Every method is one transaction. Without ``verdicts`` none can be appealed against."""

    def __init__(self, engine: sa.Engine, verdicts: Verdicts | None = None) -> None:
        self._changes = Changes(engine)
        self._verdicts = verdicts

    def file(
        self,
        against: Against,
        subject_id: str,
        *,
        filed_by: str,
        grounds: str,
        now_us: int,
        evidence: Sequence[str] = (),
        decided_by: Sequence[str] = (),
    ) -> Appeal:
        """File an appeal. ``decided_by`` is for decisions, see `deciders`; of a membership or a verdict it is on file.

        Raises `StateError`: `appeal_open` when there is one, `nothing_to_appeal` when the membership is in good
        standing or no such verdict stands; `InputError` without grounds.
        """
        if not grounds.strip():
            raise InputError("an appeal needs grounds: say what is wrong with the decision")
        hashes = tuple(sha256_of(one) for one in evidence)
        with self._changes.writing(filed_by, now_us) as writing:
            contested = self._kept.contested(writing, subject_id) if against is Against.VERDICT else None
            for one in writing.every(Appeal):
                if one.outcome is None and one.against is against and _same_matter(one, subject_id, contested):
                    raise StateError(f"`{one.appeal_id}` is open already: {notice(one, now_us)}", code="appeal_open")
            days = DUE_DAYS
            if contested is not None:
                decided_by, days = [*contested.decided_by, *decided_by], contested.days
            if against is Against.MEMBERSHIP:
                membership = membership_in(writing, subject_id)
                if membership.state not in TRANSITIONS["reinstate"]:
                    raise StateError(
                        f"`{subject_id}` is {membership.state.value}: there is nothing to appeal",
                        code="nothing_to_appeal",
                    )
                approvals = membership.approvals if membership.state is State.REFUSED else ()
                decided_by = [*approvals, *([membership.decided_by] if membership.decided_by else [])]
                days = programme_in(writing, membership.programme_id).appeal_days
            appeal = Appeal(
                appeal_id=new_id("app"),
                against=against,
                subject_id=subject_id,
                filed_by=filed_by,
                grounds=grounds,
                evidence=hashes,
                decided_by=tuple(decided_by),
                filed_at_us=now_us,
                due_at_us=now_us + days * DAY,
            )
            if contested is not None:
                appeal = msgspec.structs.replace(
                    appeal,
                    reviewers=contested.reviewers,
                    case_id=contested.case_id,
                    account_id=contested.account_id,
                    stated=contested.stated,
                )
            writing.put(appeal.appeal_id, appeal, "file", grounds)
        return appeal

    def decide(self, appeal_id: str, *, reviewer: str, outcome: Outcome, reason: str, now_us: int) -> Appeal:
        """Vote on an appeal, and end it where the votes suffice.

        Raises `StateError`: `appeal_closed`, `reviewer_not_independent`, `second_reviewer_needed` for a second vote of
        one reviewer; `InputError` without a reason.
        """
        if not reason.strip():
            raise InputError("a vote on an appeal needs a reason that the appellant can read")
        with self._changes.writing(reviewer, now_us) as writing:
            appeal = _found(writing.current(Appeal, appeal_id), appeal_id)
            if appeal.outcome is not None:
                raise StateError(f"`{appeal_id}` is {appeal.outcome.value} already", code="appeal_closed")
            involved = [appeal.filed_by, *appeal.decided_by]
            if appeal.against is Against.MEMBERSHIP:
                membership = membership_in(writing, appeal.subject_id)
                involved += [one for one in (membership.applicant, membership.person_id, membership.sponsor) if one]
            elif appeal.against is Against.VERDICT:
                involved += self._kept.involved(writing, appeal)
                needed = max(appeal.reviewers, self._kept.reviewers(writing, appeal))
                appeal = msgspec.structs.replace(appeal, reviewers=needed)
            if same(reviewer, *involved):
                raise StateError(
                    f"`{reviewer}` filed this appeal, is involved or made the decision: somebody else must review it",
                    code="reviewer_not_independent",
                )
            if same(reviewer, *(vote.reviewer for vote in appeal.votes)):
                raise StateError(f"`{reviewer}` voted already: another reviewer must", code="second_reviewer_needed")
            votes = (*appeal.votes, Vote(reviewer=reviewer, outcome=outcome, reason=reason, at_us=now_us))
            ended = _outcome(votes, appeal.reviewers)
            appeal = msgspec.structs.replace(
                appeal, votes=votes, outcome=ended, closed_at_us=None if ended is None else now_us
            )
            if ended is Outcome.OVERTURNED and appeal.against is Against.MEMBERSHIP:
                reinstate(writing, appeal.subject_id, f"appeal {appeal_id}: {reason}")
            elif ended is Outcome.OVERTURNED and appeal.against is Against.VERDICT:
                reviewers = [vote.reviewer for vote in votes if vote.outcome is Outcome.OVERTURNED]
                self._kept.overturn(writing, appeal, reviewers, reason)
            writing.put(appeal_id, appeal, outcome.value, reason)
        return appeal

    @property
    def _kept(self) -> Verdicts:
        if self._verdicts is None:
            raise InputError("appeals against verdicts are filed and decided where cases are kept")
        return self._verdicts

    def get(self, appeal_id: str) -> Appeal:
        """An appeal. Raises `InputError` for an unknown one."""
        return _found(self._changes.current(Appeal, appeal_id), appeal_id)

    def every(self) -> list[Appeal]:
        """All appeals, the one due first first."""
        return sorted(self._changes.every(Appeal), key=lambda one: (one.due_at_us, one.appeal_id))

    def overdue(self, now_us: int) -> list[Appeal]:
        """Open appeals whose clock has run out, the longest first."""
        return [one for one in self.every() if one.outcome is None and one.due_at_us <= now_us]

    def overturned(self, decision_id: str) -> bool:
        """Whether an appeal undid a decision of the log."""
        against = (Against.DECISION, decision_id, Outcome.OVERTURNED)
        return any((one.against, one.subject_id, one.outcome) == against for one in self.every())

    def history(self, appeal_id: str) -> list[Change]:
        """Every change of an appeal, oldest first."""
        return self._changes.history(Appeal, appeal_id)


def notice(appeal: Appeal, now_us: int) -> str:
    """What the appellant reads, everywhere."""
    due = f"{datetime.fromtimestamp(appeal.due_at_us / 1e6, UTC):%Y-%m-%d %H:%M} UTC"
    reasons = "; ".join(vote.reason for vote in appeal.votes if vote.outcome is appeal.outcome)
    if appeal.outcome is Outcome.OVERTURNED:
        # A member is reinstated with the last vote; a request like the refused one is judged by the facts of then.
        if appeal.against is Against.DECISION:
            return f"the appeal succeeded; what caused the refusal must still be changed: {reasons}"
        return f"the appeal succeeded and the decision was undone: {reasons}"
    if appeal.outcome is Outcome.UPHELD:
        return f"the decision stands: {reasons}; with new evidence it can be appealed again"
    if now_us >= appeal.due_at_us:
        return (
            f"the appeal should have been answered by {due} and is overdue; it stays open and those who run this see it"
        )
    voted = len(appeal.votes)
    said = f"{voted} reviewer{' has' if voted == 1 else 's have'} voted" if voted else "it waits for reviewers"
    return f"the appeal was received; {said}, and it will be answered by {due}"


def _same_matter(appeal: Appeal, subject_id: str, contested: Contested | None) -> bool:
    """A verdict that is renewed has another id, and is the same matter."""
    if contested is None:
        return appeal.subject_id == subject_id
    return (appeal.case_id, appeal.account_id) == (contested.case_id, contested.account_id)


def _outcome(votes: Sequence[Vote], reviewers: int) -> Outcome | None:
    overturn = sum(vote.outcome is Outcome.OVERTURNED for vote in votes)
    if overturn >= reviewers:
        return Outcome.OVERTURNED
    return Outcome.UPHELD if len(votes) - overturn > overturn else None


def _found(appeal: Appeal | None, appeal_id: str) -> Appeal:
    if appeal is None:
        raise InputError(f"no appeal is called `{appeal_id}`: see `tiergate appeal list`")
    return appeal
