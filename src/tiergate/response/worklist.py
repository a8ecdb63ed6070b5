"""People work on cases: they take them, say what they know, agree to steps, free accounts, and say how it ended.

Every call is one transaction, appended with author, time and reason, and leaves verdicts that say what the file says. A
stricter step may need several people; one is enough to make it milder, to free an account, or to lift everything.

| code | what does not fit |
| --- | --- |
| `case_closed`, `case_merged` | nothing is done about the case any more; a closed one can be reopened |
| `case_open` | only what is closed can be reopened |
| `no_proposal`, `proposal_open`, `proposal_changed` | what is agreed to is not what is proposed |
| `not_stricter`, `no_step` | the step is in force already, or none is |
| `approval_needed`, `second_person_needed` | more people must agree, different ones |
| `not_a_person`, `not_independent` | who does it has the name of a program, or has a part in it |
| `not_a_member`, `cleared_by_appeal`, `not_cleared` | the account is not one that this can be done to |
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import msgspec

from tiergate.admission.changes import Change, Reading, Writing, same
from tiergate.detection.frozen import Frozen
from tiergate.errors import InputError, StateError
from tiergate.ledger.verdicts import Action
from tiergate.response.answers import Answers
from tiergate.response.case_files import CaseFile, Cleared, Found, Outcome, Proposal, Status, Taken
from tiergate.response.desk import SUBJECT, CaseDesk, lapsed
from tiergate.response.holdings import Files, holdings, owner_of, sources_of
from tiergate.response.index import CaseIndex
from tiergate.response.ladder import LADDER
from tiergate.response.looks import Member, answer_in, member_under
from tiergate.response.people import involved_in, is_person, needed_for
from tiergate.response.watch_lock import FOLDER

MOST_FOUND: Final = 1_000
"""Accounts that a search looks at."""
MOST_KNOWN: Final = 32
"""Cases whose members are remembered until something changes."""


@dataclass(slots=True)
class Editing:
    """A case in an open transaction: ``file`` as it stands now, ``members`` once they were read."""

    writing: Writing
    file: CaseFile
    members: list[Member] | None = None


class Worklist:
    """Cases of a deployment as people work on them. Any number of processes may share it.

    ``data``: the data folder, whose answers of detection say who belongs to a case. Methods raise `InputError` for an
    unknown case, an author or reason that is missing, and where such an answer is needed and gone; `StateError` for
    what does not fit how things stand, with a code of the table above.
    """

    def __init__(self, desk: CaseDesk, data: Path) -> None:
        self.desk = desk
        self._data = data
        self.index = CaseIndex(desk.changes)
        self._remembered: dict[str, tuple[Files, Taken | None, tuple[Found, list[Member]]]] = {}
        self.answers = Answers(data)

    def every(self) -> list[CaseFile]:
        """All cases, the newest first."""
        return sorted(self.index.files().values(), key=lambda one: (-one.opened_at_us, one.case_id))

    def get(self, case_id: str) -> CaseFile:
        """A case. Raises `InputError` for an unknown one."""
        return found_file(self.desk.changes.current(CaseFile, case_id), case_id)

    def history(self, case_id: str) -> list[Change]:
        """Every change of a case, oldest first."""
        return self.desk.changes.history(CaseFile, case_id)

    def members(self, case_id: str) -> list[Member]:
        """Accounts of a case, as the newest look that saw it has them."""
        return self.held(case_id)[1]

    def held(self, case_id: str) -> tuple[Found, list[Member]]:
        """The same, with what that look found of the case."""
        files, newest = self.index.files(), self.desk.last()
        known = self._remembered.get(case_id)
        if known is None or known[0] is not files or known[1] != newest:
            known = (files, newest, self._held_by(files, found_file(files.get(case_id), case_id), newest))
            while len(self._remembered) >= MOST_KNOWN:
                self._remembered.pop(next(iter(self._remembered)), None)
            self._remembered[case_id] = known
        return known[2]

    def span_us(self, digest: str) -> int | None:
        """How long the log was that a look read, in microseconds; None where that is not known any more."""
        try:
            return Frozen.of(answer_in(self._data, digest), self._data / FOLDER / "state").span_us
        except InputError:
            return None

    def holding(self, beginning: str) -> set[str]:
        """Cases with an account whose name begins so in the newest look, and those that ever had a verdict on an
        account of exactly that name."""
        files, newest = self.index.files(), self.desk.last()
        verdicts = self.desk.verdicts.cases_of(beginning)
        found = {owner_of(files, case_id, beginning) for case_id in verdicts if case_id in files}
        if newest is None:
            return found
        held = self.answers.with_account(newest.digest, beginning, MOST_FOUND)
        return found | {owner_of(files, lineage, account_id) for lineage, account_id in held}

    def assign(self, case_id: str, assignee: str | None, *, author: str, now_us: int, reason: str = "") -> CaseFile:
        """Say whose case it is; None for nobody's."""
        with self.editing(case_id, author, now_us) as case:
            return self._put(case, msgspec.structs.replace(case.file, assignee=assignee), "assign", reason)

    def note(self, case_id: str, text: str, *, author: str, now_us: int) -> CaseFile:
        """Write something down, whatever became of the case."""
        with self.editing(case_id, author, now_us, reason=text, of=tuple(Status)) as case:
            return self._put(case, case.file, "note", text)

    def propose(self, case_id: str, action: Action, *, author: str, now_us: int, reason: str) -> CaseFile:
        """Propose a stricter step, or the one in force for longer. Whoever proposes agrees; where that is enough, the
        step is taken."""
        with self.editing(case_id, author, now_us, reason) as case:
            held = case.file.proposal
            if LADDER.index(action) < LADDER.index(case.file.step) or action is Action.WATCH:
                raise StateError(
                    f"`{case.file.step}` is in force and no milder: take `{action}` at once", code="not_stricter"
                )
            if held is not None and LADDER.index(held.action) >= LADDER.index(action):
                raise StateError(
                    f"`{held.action}` is proposed already, by {held.by}: approve or reject that", code="proposal_open"
                )
            self.check_independent(case, author)
            needed = needed_for(self.desk.policy, action)
            proposal = Proposal(
                action=action, by=author, reason=reason, at_us=now_us, needed=needed, approved_by=(author,)
            )
            return self._agreed(case, proposal, "propose", reason)

    def approve(self, case_id: str, action: Action, *, author: str, now_us: int, reason: str = "") -> CaseFile:
        """Agree to the step that is proposed, which ``action`` names; with the last one needed it is taken."""
        with self.editing(case_id, author, now_us) as case:
            held = _proposed(case.file, action)
            if same(author, held.by, *held.approved_by):
                raise StateError(f"`{author}` agreed already: somebody else must", code="second_person_needed")
            self.check_independent(case, author)
            agreed = msgspec.structs.replace(held, approved_by=(*held.approved_by, author))
            return self._agreed(case, agreed, "approve", reason)

    def reject(self, case_id: str, action: Action, *, author: str, now_us: int, reason: str) -> CaseFile:
        """Turn down the step that is proposed; for as long as a step lasts, no look proposes or takes it again."""
        with self.editing(case_id, author, now_us, reason) as case:
            _proposed(case.file, action)
            self.check_independent(case, author)
            below = max(LADDER[LADDER.index(action) - 1], case.file.step, key=LADDER.index)
            file = self._capped(msgspec.structs.replace(case.file, proposal=None), below, now_us)
            return self._put(case, file, "reject", reason)

    def step(self, case_id: str, action: Action, *, author: str, now_us: int, reason: str) -> CaseFile:
        """Take a milder step, or lift everything with `watch`; for as long as a step lasts, no look goes beyond it.
        Also a stricter one, where the policy asks for one person at most."""
        with self.editing(case_id, author, now_us, reason) as case:
            file = case.file
            if action is file.step:
                raise StateError(f"`{action}` is in force already", code="not_stricter")
            if LADDER.index(action) > LADDER.index(file.step):
                self._check_alone(case, action, author)
                return self._take(case, action, (author,), "step", reason)
            self.check_independent(case, author)
            until_us = now_us + self.desk.policy.expires_after_us
            if needed_for(self.desk.policy, action) > 1:
                # What it takes several people to renew does not last longer by one making it milder.
                until_us = min(until_us, file.step_until_us or until_us)
            milder = msgspec.structs.replace(file.stepped(action, until_us, author, (author,)), proposal=None)
            return self.put(case, self._capped(milder, action, now_us), "step", reason, freeing=True)

    def renew(self, case_id: str, *, author: str, now_us: int, reason: str) -> CaseFile:
        """Let the step in force last anew, where the policy asks for one person at most; else it is proposed."""
        with self.editing(case_id, author, now_us, reason) as case:
            if case.file.step is Action.WATCH:
                raise StateError(f"no step of `{case_id}` is in force", code="no_step")
            self._check_alone(case, case.file.step, author)
            return self._take(case, case.file.step, (author,), "renew", reason)

    def clear(
        self,
        case_id: str,
        account_id: str,
        *,
        author: str,
        now_us: int,
        reason: str,
        up_to: Action = Action.SUSPEND,
        until_us: int | None = None,
    ) -> CaseFile:
        """Leave an account out of steps of the case as strict as ``up_to``, until then, for ever where None. Takes the
        place of an earlier clearing."""
        if until_us is not None and until_us <= now_us:
            raise InputError("an account is cleared until a time to come: choose a later one")
        if up_to is Action.WATCH:
            raise InputError("`watch` touches nobody: clear an account up to a stricter step")
        with self.editing(case_id, author, now_us, reason) as case:
            self.check_independent(case, author, account_id)
            self.check_members(case, [account_id])
            cleared = Cleared(account_id=account_id, up_to=up_to, until_us=until_us, by=author, reason=reason)
            return self.put(case, case.file.with_cleared(cleared), "clear", reason, freeing=True)

    def unclear(self, case_id: str, account_id: str, *, author: str, now_us: int, reason: str) -> CaseFile:
        """Take a clearing back: the steps of the case reach the account again."""
        with self.editing(case_id, author, now_us, reason) as case:
            if all(one.account_id != account_id for one in case.file.cleared):
                raise StateError(f"`{account_id}` is not cleared", code="not_cleared")
            self.check_independent(case, author, account_id)
            return self.put(case, case.file.without_cleared(account_id), "unclear", reason)

    def close(self, case_id: str, outcome: Outcome, *, author: str, now_us: int, reason: str) -> CaseFile:
        """Say what the case turned out to be. The step of one that is confirmed stands until its end, which nothing but
        new traffic renews; of others nobody is held any more, at once."""
        with self.editing(case_id, author, now_us, reason) as case:
            self.check_independent(case, author)
            file = msgspec.structs.replace(
                case.file if outcome is Outcome.CONFIRMED else case.file.stepped(Action.WATCH),
                status=Status.CLOSED,
                outcome=outcome,
                proposal=None,
                stated=None if case.file.split_from else case.file.found.confidence,
                judged_accounts=case.file.found.accounts,
            )
            return self.put(case, file, "close", reason, freeing=True)

    def reopen(self, case_id: str, *, author: str, now_us: int, reason: str) -> CaseFile:
        """Take up a closed case again, with the step that still stands."""
        with self.editing(case_id, author, now_us, reason, of=(Status.CLOSED,)) as case:
            file = msgspec.structs.replace(case.file, status=Status.OPEN, outcome=None, stated=None)
            return self._put(case, msgspec.structs.replace(file, ceiling=None, ceiling_until_us=None), "reopen", reason)

    @contextmanager
    def editing(
        self,
        case_id: str,
        author: str,
        now_us: int,
        reason: str | None = None,
        of: tuple[Status, ...] = (Status.OPEN,),
    ) -> Iterator[Editing]:
        """An open transaction on a case that stands in one of ``of``. ``reason``: refused where it is empty. Nobody
        works under the name of our own programs: the history must tell what people did."""
        if not is_person(author):
            raise StateError(f"`{author}` is no person: give your own name", code="not_a_person")
        if reason is not None and not reason.strip():
            raise InputError("this needs a reason: others read it")
        with self.desk.changes.writing(author, now_us) as writing:
            yield Editing(writing, open_file(writing, case_id, of))

    def members_in(self, reading: Reading, case_id: str) -> list[Member]:
        """Members as of the newest look, else as of the one that the file rests on. Raises `InputError` when the answer
        is gone."""
        return self._held(reading, found_file(reading.current(CaseFile, case_id), case_id))[1]

    def _held(self, reading: Reading, file: CaseFile) -> tuple[Found, list[Member]]:
        """The same, with what that look found."""
        files = {one.case_id: one for one in reading.every(CaseFile)} | {file.case_id: file}
        return self._held_by(files, file, reading.current(Taken, SUBJECT))

    def _held_by(self, files: Files, file: CaseFile, newest: Taken | None) -> tuple[Found, list[Member]]:
        looks = [(file.found.look, file.found.digest)]
        if newest is not None and newest.digest != file.found.digest:
            looks.insert(0, (newest.number, newest.digest))
        sources = sources_of(files, file.case_id)
        for number, digest in looks:
            held = holdings(self.answers.look(number, digest, sources), files).get(file.case_id)
            if held is not None:
                return held.found, list(held.members.values())
        return file.found, []

    def put(
        self,
        case: Editing,
        file: CaseFile,
        action: str,
        reason: str,
        *,
        freeing: bool = False,
        agreed: Collection[str] | None = (),
    ) -> CaseFile:
        """Append a file's new state, and make its verdicts say the same; returns it. ``freeing``: it goes without the
        answer of detection where that is gone. ``agreed``: accounts that people agreed to suspend, None for all of the
        case."""
        members: list[Member] = []
        if file.step is not Action.WATCH:
            # The file rests on the look that its verdicts are of, or a later one without it would tell other members.
            try:
                found, members = self._held(case.writing, file)
            except InputError:
                if not freeing:
                    raise
                found, members = file.found, self._under(case)
            file = msgspec.structs.replace(file, found=found)
        case.writing.put(file.case_id, file, action, reason)
        case.file, case.members = file, None
        agreed = [one.account_id for one in members] if agreed is None else agreed
        self.desk.enforce(case.writing, file, members, by_hand=True, agreed=agreed)
        return file

    def check_independent(self, case: Editing, author: str, *accounts: str) -> None:
        """Raises `StateError` for somebody who holds an account of the case, or contests one of its verdicts."""
        known = [one.account_id for one in self._known(case)]
        if same(author, *involved_in(case.writing, case.file, [*accounts, *known])):
            raise StateError(
                f"`{author}` holds an account of `{case.file.case_id}` or contests its verdict: somebody else must",
                code="not_independent",
            )

    def check_members(self, case: Editing, accounts: Iterable[str]) -> None:
        """Raises `StateError` for an account that is none of the case's."""
        known = {one.account_id for one in self._known(case)}
        for account_id in accounts:
            if account_id not in known:
                raise StateError(f"`{account_id}` is no account of `{case.file.case_id}`", code="not_a_member")

    def _known(self, case: Editing) -> list[Member]:
        """Members of the case; where the answer is gone, who is under its verdict: they can still be freed."""
        if case.members is None:
            try:
                case.members = self.members_in(case.writing, case.file.case_id)
            except InputError:
                case.members = self._under(case)
        return case.members

    def _under(self, case: Editing) -> list[Member]:
        standing = self.desk.verdicts.of_case(case.file.case_id, case.writing.now_us, case.writing.connection)
        return [member_under(one) for one in standing.values()]

    def _put(self, case: Editing, file: CaseFile, action: str, reason: str) -> CaseFile:
        """Append a file's new state, which leaves its verdicts as they are."""
        case.writing.put(file.case_id, file, action, reason)
        return file

    def _agreed(self, case: Editing, proposal: Proposal, action: str, reason: str) -> CaseFile:
        if len(proposal.approved_by) >= max(proposal.needed, needed_for(self.desk.policy, proposal.action)):
            return self._take(case, proposal.action, proposal.approved_by, action, reason)
        return self._put(case, msgspec.structs.replace(case.file, proposal=proposal), action, reason)

    def _take(self, case: Editing, step: Action, people: tuple[str, ...], action: str, reason: str) -> CaseFile:
        until_us = case.writing.now_us + self.desk.policy.expires_after_us
        if step is case.file.step:
            people = tuple(dict.fromkeys((*case.file.approved_by, *people)))
        file = case.file.stepped(step, until_us, " and ".join(people), people, now_us=case.writing.now_us)
        if file.ceiling is not None and LADDER.index(file.ceiling) < LADDER.index(step):
            file = msgspec.structs.replace(file, ceiling=step)
        return self.put(case, file, action, reason, agreed=None)

    def _capped(self, file: CaseFile, ceiling: Action, now_us: int) -> CaseFile:
        until_us = now_us + self.desk.policy.expires_after_us
        return msgspec.structs.replace(file, ceiling=ceiling, ceiling_until_us=until_us)

    def _check_alone(self, case: Editing, action: Action, author: str) -> None:
        needed = needed_for(self.desk.policy, action)
        if needed > 1:
            raise StateError(f"`{action}` needs {needed} people: propose it", code="approval_needed")
        self.check_independent(case, author)


def open_file(writing: Writing, case_id: str, of: tuple[Status, ...] = (Status.OPEN,)) -> CaseFile:
    """A case as it stands now. Raises `InputError` for an unknown one, `StateError` for one that is not in ``of``."""
    file = found_file(writing.current(CaseFile, case_id), case_id)
    if file.status not in of:
        if file.status is Status.MERGED:
            raise StateError(f"`{case_id}` was merged into `{file.merged_into}`: work on that", code="case_merged")
        if file.status is Status.CLOSED:
            raise StateError(f"`{case_id}` is closed as {file.outcome}: reopen it first", code="case_closed")
        raise StateError(f"`{case_id}` is open", code="case_open")
    return lapsed(file, writing.now_us)


def found_file(file: CaseFile | None, case_id: str) -> CaseFile:
    """The file. Raises `InputError` where there is none."""
    if file is None:
        raise InputError(f"no case is called `{case_id}`: see `tiergate case list`")
    return file


def _proposed(file: CaseFile, action: Action) -> Proposal:
    if file.proposal is None:
        raise StateError(f"nothing is proposed for `{file.case_id}`: propose it first", code="no_proposal")
    if file.proposal.action is not action:
        raise StateError(f"`{file.proposal.action}` is proposed, not `{action}`", code="proposal_changed")
    return file.proposal
