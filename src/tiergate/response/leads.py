"""What other labs' signals do here: `verify` on own accounts that they touch, never more.

A lead is a finding of a peer, or a joint cluster, as it is acted upon here. Its accounts are put under the same
verdicts as those of a case, which end by themselves and can be appealed; anything stricter needs a case of our own, and
people. Accounts that people or an appeal cleared, in a case or of the lead, are left alone. Like a case file a lead is
appended with author, time and reason.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final

import msgspec

from tiergate.admission.changes import Change, Reading, Writing
from tiergate.errors import InputError
from tiergate.ledger.verdicts import Action, Verdict, lifted, new_verdict_id
from tiergate.response.case_files import CaseFile, Cleared
from tiergate.response.desk import RENEWED_BELOW, CaseDesk

STEP: Final = Action.VERIFY
CODE: Final = "shared_finding"
"""By which a customer reads, in the notice, what a verdict rests on."""


JOINT: Final = "joint_cluster"


class Lead(msgspec.Struct, frozen=True, kw_only=True, tag="lead", forbid_unknown_fields=True):
    """``lead_id``: what its verdicts have as case; ``source``: what was told, and by whom, for people here; ``maker``:
    who told it; ``accounts``: those it was raised for, and what of each matched; ``cleared``: those that it touches no
    more; ``lifted``: it was taken back."""

    lead_id: str
    source: str
    maker: str = ""
    accounts: dict[str, str] = {}
    cleared: tuple[Cleared, ...] = ()
    lifted: bool = False


@dataclass(frozen=True, slots=True)
class Signal:
    """A signal as it stands now. ``maker``: who told it; ``named``: the same where customers may know it; ``accounts``:
    those of ours that it touches, and what of each matches."""

    lead_id: str
    source: str
    maker: str
    named: str | None
    accounts: Mapping[str, str]


class Touched(msgspec.Struct, frozen=True, kw_only=True):
    """Why an account must verify itself that no case of ours asks to: ``source`` is what was told, and by whom, for
    people here; ``by``: what of the account matches."""

    lead_id: str
    kind: str
    source: str
    by: str


class Leads:
    """Leads of a deployment. Any number of processes may share them."""

    def __init__(self, desk: CaseDesk) -> None:
        self._desk = desk

    def every(self) -> list[Lead]:
        """All of them."""
        return self._desk.changes.every(Lead)

    def touched(self, now_us: int) -> dict[str, tuple[Touched, ...]]:
        """Accounts that must verify themselves now because of leads, and because of which."""
        standing = {one.lead_id: one for one in self.every() if not one.lifted and one.accounts}
        found: dict[str, tuple[Touched, ...]] = {}
        for account, verdicts in (self._desk.verdicts.every_in_force(now_us) if standing else {}).items():
            leads = [standing[one.case_id] for one in verdicts if one.case_id in standing]
            if leads:
                found[account] = tuple(
                    Touched(
                        lead_id=one.lead_id,
                        kind=kind_of(one.lead_id),
                        source=one.source,
                        by=one.accounts.get(account, ""),
                    )
                    for one in leads
                )
        return found

    def history(self, lead_id: str) -> list[Change]:
        """Every change of a lead, oldest first."""
        return self._desk.changes.history(Lead, lead_id)

    def raised(self, signal: Signal, *, author: str, now_us: int, reason: str = "") -> int:
        """Put `verify` on the accounts that a signal touches, and let go of those it touches no more. Returns how many
        verdicts that took: none where all is as it should be."""
        desk = self._desk
        others = desk.verdicts.every_in_force(now_us)
        with desk.changes.writing(author, now_us) as writing:
            before = writing.current(Lead, signal.lead_id) or Lead(lead_id=signal.lead_id, source=signal.source)
            before = msgspec.structs.replace(before, maker=signal.maker)
            free = _free(writing, before, now_us)
            due = {one: by for one, by in signal.accounts.items() if one not in free}
            standing = desk.verdicts.of_case(signal.lead_id, now_us, writing.connection)
            rows = [lifted(one, author, now_us) for account, one in standing.items() if account not in due]
            lasts_us = desk.policy.heir_expires_after_us
            for account, by in due.items():
                held = standing.get(account)
                if held is None or (held.expires_at or 0) - now_us < RENEWED_BELOW * lasts_us:
                    rows.append(_verdict(signal, account, by, held, author, now_us, now_us + lasts_us))
            desk.verdicts.put(rows, writing.connection)
            after = msgspec.structs.replace(before, source=signal.source, accounts=due, lifted=False)
            if rows or (due and after != before):
                writing.put(signal.lead_id, after, "raise", reason)
                _note(writing, signal, due.keys() - before.accounts.keys(), others)
        return len(rows)

    def lift(self, lead_id: str, *, author: str, now_us: int, reason: str) -> int:
        """Take back what a lead did. Returns how many verdicts that lifted."""
        with self._desk.changes.writing(author, now_us) as writing:
            lead = writing.current(Lead, lead_id)
            if lead is None or lead.lifted:
                return 0
            rows = self._lifted(writing, lead, None)
            writing.put(lead_id, msgspec.structs.replace(lead, accounts={}, lifted=True), "lift", reason)
        return rows

    def recheck(self, now_us: int, *, author: str) -> int:
        """Let go of accounts that were cleared since. Returns how many verdicts that lifted."""
        count = 0
        for one in self.every():
            if one.lifted:
                continue
            with self._desk.changes.writing(author, now_us) as writing:
                lead = writing.current(Lead, one.lead_id) or one
                gone = _free(writing, lead, now_us) & lead.accounts.keys()
                if gone:
                    count += self._lifted(writing, lead, gone)
                    kept = {account: by for account, by in lead.accounts.items() if account not in gone}
                    writing.put(lead.lead_id, msgspec.structs.replace(lead, accounts=kept), "clear", "cleared here")
        return count

    def clear(self, lead_id: str, account_id: str, *, author: str, now_us: int, reason: str) -> None:
        """People free an account, for good. Raises `InputError` where the lead has none such, or without a reason."""
        if not reason.strip():
            raise InputError("say why it is cleared")
        with self._desk.changes.writing(author, now_us) as writing:
            lead = writing.current(Lead, lead_id)
            if lead is None or account_id not in lead.accounts:
                raise InputError(f"`{account_id}` is no account that was touched: see `tiergate share match`")
            cleared = Cleared(account_id=account_id, up_to=STEP, until_us=None, by=author, reason=reason)
            put_cleared(writing, lead, cleared)
            self._lifted(writing, lead, {account_id})

    def note(self, lead_id: str, source: str, text: str, *, author: str, now_us: int) -> None:
        """Write something down."""
        with self._desk.changes.writing(author, now_us) as writing:
            lead = writing.current(Lead, lead_id) or Lead(lead_id=lead_id, source=source, lifted=True)
            writing.put(lead_id, lead, "note", text)

    def _lifted(self, writing: Writing, lead: Lead, accounts: set[str] | None) -> int:
        standing = self._desk.verdicts.of_case(lead.lead_id, writing.now_us, writing.connection)
        rows = [
            lifted(one, writing.author, writing.now_us)
            for account, one in standing.items()
            if accounts is None or account in accounts
        ]
        self._desk.verdicts.put(rows, writing.connection)
        return len(rows)


def among(touched: Mapping[str, tuple[Touched, ...]], accounts: Iterable[str]) -> dict[str, tuple[Touched, ...]]:
    """Those of ``accounts`` that are touched."""
    return {one: touched[one] for one in sorted(accounts) if one in touched}


def kind_of(lead_id: str) -> str:
    """What a lead is: a finding of another lab, or a cluster of several labs."""
    return JOINT if lead_id.startswith("joint_") else CODE


def put_cleared(writing: Writing, lead: Lead, cleared: Cleared) -> None:
    """The lead without an account, within an open change; also for appeals."""
    kept = {account: by for account, by in lead.accounts.items() if account != cleared.account_id}
    after = msgspec.structs.replace(lead, accounts=kept, cleared=(*lead.cleared, cleared))
    action = "clear" if cleared.appeal_id is None else "appeal"
    writing.put(lead.lead_id, after, action, cleared.reason)


def _free(reading: Reading, lead: Lead, now_us: int) -> set[str]:
    """Accounts that people or an appeal cleared of `verify`, of this lead, of another by its maker, or in any case.
    Else whoever tells the same under a new id would have them verify, or appeal, again and again."""
    free = {one.account_id for one in lead.cleared}
    for other in reading.every(Lead):
        free |= {one.account_id for one in other.cleared if other.maker == lead.maker}
    for file in reading.every(CaseFile):
        free |= file.cleared_at(now_us, STEP)
    return free


def _note(writing: Writing, signal: Signal, new: set[str], standing: Mapping[str, tuple[Verdict, ...]]) -> None:
    """In the history of the cases that these accounts are under already. Dossiers and bundles show that to others, so
    it names a lab only where anybody may know; the lead's own history says the rest."""
    touched: dict[str, set[str]] = {}
    for account in new:
        for one in standing.get(account, ()):
            touched.setdefault(one.case_id, set()).add(account)
    for case_id, accounts in sorted(touched.items()):
        file = writing.current(CaseFile, case_id)
        if file is not None:
            told = f"a finding of {signal.named or 'another lab'} touches {len(accounts)} of its accounts"
            writing.put(case_id, file, "note", f"{told} ({signal.lead_id})")


def _verdict(
    signal: Signal, account: str, by: str, held: Verdict | None, author: str, now_us: int, until_us: int
) -> Verdict:
    told = signal.named or "another lab"
    return Verdict(
        verdict_id=new_verdict_id(),
        account_id=account,
        case_id=signal.lead_id,
        action=STEP,
        reason=f"the way this account is used matches what {told} reported of accounts that act as one",
        author=author,
        decided_at=now_us,
        expires_at=until_us,
        supersedes=None if held is None else held.verdict_id,
        evidence=[f"{CODE}: what {told} reported", f"{signal.source}; matches by {by}"],
    )
