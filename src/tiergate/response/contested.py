"""Appeals against verdicts: what is contested, who may not review it, and what overturning does.

One account's verdict is contested, not the case: an account that an appeal clears is let go at once and stays out of
the case's steps, and the case goes on.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Final

import sqlalchemy as sa

from tiergate.admission.appeals import Appeal, Appeals, Contested
from tiergate.admission.changes import Writing
from tiergate.errors import InputError, StateError
from tiergate.ledger.verdicts import Action, Verdict, lifted
from tiergate.response.case_files import CaseFile, Cleared
from tiergate.response.desk import CaseDesk
from tiergate.response.holdings import owner_of
from tiergate.response.ladder import FILE, LEAST_FOR_SUSPENSION, load_policy
from tiergate.response.leads import Lead, put_cleared
from tiergate.response.people import holders_of, involved_in, is_person
from tiergate.response.worklist import Worklist

DECIDING: Final = frozenset({"propose", "approve", "step", "renew", "merge", "unclear", "reopen"})
"""Changes of a case whose authors had a part in its verdicts."""


class ContestedVerdicts:
    """What `Appeals` asks about verdicts."""

    def __init__(self, worklist: Worklist) -> None:
        self._worklist = worklist
        self._desk = worklist.desk

    def contested(self, writing: Writing, verdict_id: str) -> Contested:
        """See `admission.appeals.Verdicts`. A verdict that another replaced stands for the newer one."""
        verdict = self._desk.verdicts.get(verdict_id, writing.connection)
        case_id = None if verdict is None else _case_of(writing, verdict)
        standing = None
        if verdict is not None and case_id is not None:
            standing = self._standing(writing, case_id, verdict.account_id)
        if verdict is None or case_id is None or standing is None:
            raise StateError(f"no verdict `{verdict_id}` stands: there is nothing to appeal", code="nothing_to_appeal")
        return Contested(
            case_id=case_id,
            account_id=verdict.account_id,
            decided_by=tuple(self._deciders(writing, case_id, standing)),
            reviewers=_reviewers(standing),
            days=self._desk.policy.appeal_days,
            stated=self._stated(writing, case_id, verdict.account_id),
        )

    def involved(self, writing: Writing, appeal: Appeal) -> list[str]:
        """See `admission.appeals.Verdicts`."""
        case_id, account_id = _subject(appeal)
        file = writing.current(CaseFile, case_id)
        if file is None:
            parties = [account_id, *holders_of(writing, [account_id])]
        else:
            parties = involved_in(writing, file, [account_id])
        return [*parties, *self._deciders(writing, case_id, None)]

    def reviewers(self, writing: Writing, appeal: Appeal) -> int:
        """See `admission.appeals.Verdicts`."""
        contested, account_id = _subject(appeal)
        names = {contested, owner_of(_files(writing), contested, account_id)}
        standing = [self._standing(writing, name, account_id) for name in names]
        return max((_reviewers(one) for one in standing if one is not None), default=1)

    def overturn(self, writing: Writing, appeal: Appeal, reviewers: Sequence[str], reason: str) -> None:
        """See `admission.appeals.Verdicts`."""
        contested, account_id = _subject(appeal)
        case_id = owner_of(_files(writing), contested, account_id)
        file = writing.current(CaseFile, case_id)
        up_to = Action.SUSPEND if len(reviewers) >= LEAST_FOR_SUSPENSION else Action.SUMMARISE
        lead = writing.current(Lead, contested)
        said = f"appeal {appeal.appeal_id}: {reason}"
        cleared = Cleared(
            account_id=account_id,
            up_to=up_to,
            until_us=None,
            by=" and ".join(reviewers),
            reason=said,
            appeal_id=appeal.appeal_id,
        )
        if file is not None:
            writing.put(case_id, file.with_appealed(cleared), "clear", said)
        if lead is not None:
            put_cleared(writing, lead, cleared)
        for name in {case_id, contested}:
            standing = self._standing(writing, name, account_id)
            if standing is not None:
                self._desk.verdicts.put([lifted(standing, writing.author, writing.now_us)], writing.connection)

    def _standing(self, writing: Writing, case_id: str, account_id: str) -> Verdict | None:
        return self._desk.verdicts.of_case(case_id, writing.now_us, writing.connection).get(account_id)

    def _deciders(self, writing: Writing, case_id: str, verdict: Verdict | None) -> list[str]:
        names = [one.author for one in writing.history(CaseFile, case_id) if one.action in DECIDING]
        file = writing.current(CaseFile, case_id)
        if file is None and verdict is not None:
            names.append(verdict.author)
        names += [] if file is None else file.approved_by
        return [name for name in dict.fromkeys(names) if is_person(name)]

    def _stated(self, writing: Writing, case_id: str, account_id: str) -> float | None:
        file = writing.current(CaseFile, case_id)
        if file is None or file.split_from is not None:
            return None
        try:
            members = self._worklist.members_in(writing, case_id)
        except InputError:
            return None
        return next((file.found.confidence * one.membership for one in members if one.account_id == account_id), None)


def appeals_of(engine: sa.Engine, data: Path) -> Appeals:
    """Appeals of a deployment, also against its verdicts. Raises `InputError` for a policy that is none."""
    worklist = Worklist(CaseDesk(engine, load_policy(data / FILE)), data)
    return Appeals(engine, ContestedVerdicts(worklist))


def _subject(appeal: Appeal) -> tuple[str, str]:
    """Case and account of an appeal against a verdict."""
    assert appeal.case_id is not None
    assert appeal.account_id is not None
    return appeal.case_id, appeal.account_id


def _reviewers(verdict: Verdict) -> int:
    return LEAST_FOR_SUSPENSION if verdict.action is Action.SUSPEND else 1


def _files(writing: Writing) -> dict[str, CaseFile]:
    return {one.case_id: one for one in writing.every(CaseFile)}


def _case_of(writing: Writing, verdict: Verdict) -> str:
    """The case that holds the account now: cases are merged and split."""
    return owner_of(_files(writing), verdict.case_id, verdict.account_id)
