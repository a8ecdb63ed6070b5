"""A look becomes case files and verdicts, all in one transaction.

Every case of a look that belongs to a file, by its lineage, brings the file up to date; every other opens one. What the
policy permits by itself is done at once, what needs people is proposed, and a step that the look still supports is
renewed. A step never grows milder by itself: that is for people, or for its end. An account that the case no longer
holds is let go at once.

Whoever was cut off may take a look again: it counts once.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

import msgspec
import sqlalchemy as sa

from tiergate.admission.appeals import Appeal
from tiergate.admission.changes import Changes, Writing
from tiergate.clock import HOUR
from tiergate.ledger.verdicts import Action, Verdict, VerdictStore, lifted, new_verdict_id
from tiergate.response.by_hand import LEAST_MEMBERSHIP, REASON
from tiergate.response.calibration import Calibration
from tiergate.response.case_files import CaseFile, Found, Outcome, Proposal, Status, Taken
from tiergate.response.holdings import holdings
from tiergate.response.ladder import LADDER, Permitted, Policy, permitted
from tiergate.response.looks import Look, Member, digest_of
from tiergate.response.passing import passing
from tiergate.response.people import WATCH, needed_for
from tiergate.response.succession import INHERITED, inheriting, stops

AUTHOR: Final = WATCH
RENEWED_BELOW: Final = 0.5
"""Share of a verdict's time left at which it is renewed, so that not every look writes a row for every account."""
BUDGETED: Final = frozenset({Action.LIMIT, Action.SUMMARISE})
REASON_OF_HEIRS: Final = "this account closely matches accounts that act as one and were stopped"
SUBJECT: Final = "detection"
_Due = tuple[Action, list[str] | None]


@dataclass(frozen=True, slots=True)
class Change:
    """What a look changed in one case: ``kind`` is `opened`, `updated`, `step`, `proposed` or `reopened`; and how many
    ``verdicts`` with it."""

    case_id: str
    kind: str
    action: Action
    accounts: int
    verdicts: int = 0


class _NotMeantError(Exception):
    """What was done is to be undone."""


class CaseDesk:
    """Case files and verdicts of a deployment, and the policy by which looks change them. Any number of processes may
    share it."""

    def __init__(self, engine: sa.Engine, policy: Policy) -> None:
        self.changes = Changes(engine)
        self.verdicts = VerdictStore(engine)
        self.policy = policy

    def last(self) -> Taken | None:
        """The newest look that was taken, None before the first."""
        return self.changes.current(Taken, SUBJECT)

    def take(self, folder: Path, now_us: int) -> list[Change]:
        """Bring case files and verdicts up to the look in ``folder``. Returns what changed, nothing where that look was
        the last one taken. Raises `InputError` when it cannot be read."""
        with self.changes.writing(AUTHOR, now_us) as writing:
            return self._taken(writing, folder)

    def would_do(self, folder: Path, now_us: int) -> list[Change]:
        """What taking the look in ``folder`` would change: steps taken and proposed, and cases with verdicts that come
        or go. Nothing is taken."""
        changed: list[Change] = []
        try:
            with self.changes.writing(AUTHOR, now_us) as writing:
                changed = self._taken(writing, folder)
                raise _NotMeantError
        except _NotMeantError:
            return [one for one in changed if one.verdicts or one.kind in ("step", "proposed")]

    def _taken(self, writing: Writing, folder: Path) -> list[Change]:
        now_us, digest = writing.now_us, digest_of(folder)
        before = writing.current(Taken, SUBJECT)
        if before is not None and before.digest == digest:
            return []
        number = 1 if before is None else before.number + 1
        look = Look.read(folder, number, digest)
        files = {one.case_id: one for one in writing.every(CaseFile)}
        belief = Calibration.of(files.values(), writing.every(Appeal), self.policy.outcomes_needed)
        changed: list[Change] = []
        for case_id, held in holdings(look, files).items():
            file = files.get(case_id) or CaseFile(case_id=case_id, opened_at_us=now_us, found=held.found)
            again = self._opened_again(file, held.found, now_us)
            may = self._permitted(again, held.found, belief, now_us)
            ties = look.ties.get(held.found.case_id, [])
            may = inheriting(may, again, held.found, ties, files, now_us)
            members = list(held.members.values())
            may = passing(may, again, held.found, members, now_us)
            changed += self._updated(writing, file, held.found, may, members, opened=case_id not in files)
        writing.put(SUBJECT, Taken(number=number, digest=digest, looked_at_us=now_us, cases=len(look.cases)), "taken")
        return changed

    def _updated(
        self,
        writing: Writing,
        before: CaseFile,
        found: Found,
        may: Permitted,
        members: list[Member],
        *,
        opened: bool = False,
    ) -> list[Change]:
        """The file brought up to ``found``, and its verdicts with it."""
        now_us, file = writing.now_us, before
        kinds = ["opened"] if opened else []
        file = self._opened_again(file, found, now_us)
        if file is not before:
            kinds = ["reopened"]
        if file.status is Status.OPEN:
            stepped = self._stepped(file, may, now_us)
            if stepped.step is not file.step:
                kinds.append("step")
            file = msgspec.structs.replace(stepped, proposal=self._proposal(stepped, may, found, now_us))
            if file.proposal != before.proposal and file.proposal is not None:
                kinds.append("proposed")
        else:
            file = lapsed(file, now_us)
        if file != before or _stale(file.found, found):
            kinds = kinds or ["updated"]
        file = msgspec.structs.replace(file, found=found)
        # Who belongs can change where the file has nothing new to say; its history tells that too.
        verdicts = self.enforce(writing, file, members) if kinds or file.step is not Action.WATCH else 0
        if verdicts:
            kinds = kinds or ["updated"]
        if kinds:
            # How a case begins, or goes on, is how its history names that change, whatever step came with it.
            writing.put(file.case_id, file, kinds[0] if kinds[0] in ("opened", "reopened") else kinds[-1])
        action = file.proposal.action if kinds and kinds[-1] == "proposed" and file.proposal else file.step
        return [Change(file.case_id, kind, action, found.accounts, verdicts) for kind in kinds]

    def _opened_again(self, file: CaseFile, found: Found, now_us: int) -> CaseFile:
        """A closed case that went on, open; a mistaken one only when most of it is not what people judged, else whoever
        had one small case called a mistake could let it grow for ever. People look at it before anything is done."""
        if file.status is not Status.CLOSED or found.last_seen_us <= file.found.last_seen_us:
            return file
        again = msgspec.structs.replace(file, status=Status.OPEN, outcome=None, stated=None, judged_accounts=None)
        if file.outcome is not Outcome.MISTAKEN:
            return again
        if file.judged_accounts is None or found.accounts <= 2 * file.judged_accounts:
            return file
        until_us = now_us + self.policy.expires_after_us
        return msgspec.structs.replace(again, ceiling=Action.WATCH, ceiling_until_us=until_us)

    def _permitted(self, file: CaseFile, found: Found, belief: Calibration, now_us: int) -> Permitted:
        if file.split_from is not None:
            # Who was split off is not what the look judged: people decide about them.
            return Permitted(Action.WATCH)
        may = permitted(
            self.policy,
            confidence=belief.believed(found.confidence),
            q_value=found.q_value,
            value_usd=found.value_usd,
            recommended=found.recommended,
        )
        if file.ceiling is None or (file.ceiling_until_us or 0) <= now_us:
            return may
        highest = LADDER.index(file.ceiling)
        proposed = max(may.proposed or Action.WATCH, may.alone, key=LADDER.index)
        alone = LADDER[min(LADDER.index(may.alone), highest)]
        return Permitted(alone, proposed if LADDER.index(alone) < LADDER.index(proposed) <= highest else None)

    def _stepped(self, file: CaseFile, may: Permitted, now_us: int) -> CaseFile:
        """The file with the step that holds from now on, and until when."""
        before, file = file, lapsed(file, now_us)
        lasts_us = self.policy.expires_after_us if may.inherited is None else self.policy.heir_expires_after_us
        until_us = now_us + lasts_us
        if LADDER.index(may.alone) > LADDER.index(file.step):
            return msgspec.structs.replace(
                file.stepped(may.alone, until_us, AUTHOR, now_us=now_us), inherited=may.inherited
            )
        if file.step is Action.WATCH:
            return file
        # A step that people took beyond what the look supports stands until its end.
        supported = max(may.alone, may.proposed or Action.WATCH, key=LADDER.index)
        left_us = (before.step_until_us or now_us) - now_us
        if LADDER.index(file.step) <= LADDER.index(supported) and left_us < RENEWED_BELOW * (until_us - now_us):
            return msgspec.structs.replace(file, step_until_us=until_us)
        return file

    def _proposal(self, file: CaseFile, may: Permitted, found: Found, now_us: int) -> Proposal | None:
        held, action = file.proposal, may.proposed
        if action is None or LADDER.index(action) <= LADDER.index(file.step):
            return held
        if held is not None and LADDER.index(held.action) >= LADDER.index(action):
            return held
        figures = f"confidence {found.confidence:.3f}, q {found.q_value:.3f}, look {found.look}"
        reason = figures if may.why is None else f"{may.why}; {figures}"
        needed = needed_for(self.policy, action)
        return Proposal(action=action, by=AUTHOR, reason=reason, at_us=now_us, needed=needed)

    def enforce(
        self,
        writing: Writing,
        file: CaseFile,
        members: Iterable[Member],
        *,
        by_hand: bool = False,
        agreed: Collection[str] = (),
    ) -> int:
        """Make the verdicts of a case what its file says, within an open change; returns how many rows that took.

        ``by_hand``: to the minute of its end, too. Looks come often, and renew a verdict when half its time is over.
        ``agreed``: accounts that people agree to suspend in this change. Whoever else is not suspended yet is verified:
        neither a look nor one person alone suspends anybody.
        """
        now_us, case_id = writing.now_us, file.case_id
        standing = self.verdicts.of_case(case_id, now_us, writing.connection)
        if file.step is Action.SUSPEND:
            known = {*agreed, *(name for name, one in standing.items() if one.action is Action.SUSPEND)}
            unseen = f"people have not seen it among the accounts of {case_id} yet"
            members = [
                one if one.inherits or one.account_id in known else replace(one, inherits=unseen) for one in members
            ]
        touched = {
            one.account_id: one
            for one in touched_by(file, members, now_us)
            if one.marks or reached_whole(one, self.policy)
        }
        verified = file.cleared_at(now_us, Action.VERIFY)
        rows = [lifted(one, writing.author, now_us) for account, one in standing.items() if account not in touched]
        for account, member in touched.items():
            held = standing.get(account)
            until_us = file.step_until_us or now_us + self.policy.expires_after_us
            if member.inherits is not None:
                until_us = min(until_us, now_us + self.policy.heir_expires_after_us)
            due = self._due(file, member, verified)
            if held is not None and (held.action, held.marks) == due:
                left = (held.expires_at or until_us) - now_us
                if held.expires_at == until_us or (not by_hand and left >= RENEWED_BELOW * (until_us - now_us)):
                    continue
            rows.append(self._verdict(file, member, due, held, writing.author, now_us, until_us))
        self.verdicts.put(rows, writing.connection)
        return len(rows)

    def _due(self, file: CaseFile, member: Member, verified: Collection[str]) -> _Due:
        """What the case's step comes to for an account, and the marks of those exchanges that it reaches alone.

        :param verified: accounts that passed the check.
        """
        step = file.step if member.inherits is None else INHERITED
        if self.policy.verify_first and step in BUDGETED and member.account_id not in verified:
            step = Action.VERIFY
        return step, None if reached_whole(member, self.policy) else sorted(member.marks)

    def _verdict(
        self, file: CaseFile, member: Member, due: _Due, held: Verdict | None, author: str, now_us: int, until_us: int
    ) -> Verdict:
        found, (action, marks) = file.found, due
        inherited = member.inherits or file.inherited
        return Verdict(
            verdict_id=new_verdict_id(),
            account_id=member.account_id,
            case_id=file.case_id,
            action=action,
            reason=REASON if inherited is None else REASON_OF_HEIRS,
            author=file.step_by or author,
            decided_at=now_us,
            expires_at=until_us,
            supersedes=None if held is None else held.verdict_id,
            evidence=[
                f"{found.case_id}: q {found.q_value:.3f}, membership {member.membership:.3f}",
                f"look {found.look}, sha256 {found.digest}",
                *([] if inherited is None else [inherited]),
            ],
            requests_per_minute=self.policy.requests_per_minute if action in BUDGETED else None,
            charged=member.charged,
            observed=member.observed,
            marks=marks,
        )


def touched_by(file: CaseFile, members: Iterable[Member], now_us: int) -> list[Member]:
    """Members that the step of a case reaches: sure ones, without those cleared; and its heirs, where it stops them."""
    if file.step is Action.WATCH:
        return []
    cleared, verified = file.cleared_at(now_us), file.cleared_at(now_us, INHERITED)
    return [
        one
        for one in members
        if one.membership >= LEAST_MEMBERSHIP
        and one.account_id not in (cleared if one.inherits is None else verified)
        and (one.inherits is None or stops(file, now_us))
    ]


def reached_whole(member: Member, policy: Policy) -> bool:
    """Whether a step reaches all that the account asks. Where its other exchanges cannot be told, it is left."""
    return member.share >= policy.whole_account_from


def lapsed(file: CaseFile, now_us: int) -> CaseFile:
    """The file as it stands now: a step that is over is none."""
    over = file.step_until_us is not None and file.step_until_us <= now_us
    return file.stepped(Action.WATCH) if over else file


def _stale(before: Found, now: Found) -> bool:
    """Whether a file is worth a row more: looks come every few minutes, and nearly all change nothing to speak of."""
    told = (before.accounts, before.recommended, before.case_id) != (now.accounts, now.recommended, now.case_id)
    return told or now.last_seen_us - before.last_seen_us >= HOUR
