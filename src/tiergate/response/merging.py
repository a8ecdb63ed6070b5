"""Two cases that are one, and one case that is two.

Merging a case makes its accounts another's, now and in later looks of both lineages. Splitting gives accounts a case of
their own, at `watch` until people decide about them: the look judged the whole, not the part.
"""

from __future__ import annotations

import math
from collections.abc import Collection

import msgspec

from tiergate.admission.changes import new_id
from tiergate.errors import StateError
from tiergate.ledger.verdicts import Action
from tiergate.response.case_files import CaseFile, Cleared, Status
from tiergate.response.holdings import Files, counted, owner_of
from tiergate.response.ladder import LADDER
from tiergate.response.people import needed_for
from tiergate.response.worklist import Editing, Worklist, open_file


def merge(worklist: Worklist, case_id: str, into: str, *, author: str, now_us: int, reason: str) -> CaseFile:
    """Make the accounts of a case another's: its own verdicts are lifted, the other's step reaches its members, and who
    agreed to what is proposed for the other is asked again. Returns the other.

    Raises `StateError`: `same_case`; `approval_needed` where the other's step needs several people, who have not agreed
    to it for this case's accounts.
    """
    with worklist.editing(case_id, author, now_us, reason) as case:
        if into == case_id:
            raise StateError(f"`{case_id}` cannot be merged into itself", code="same_case")
        target = Editing(case.writing, open_file(case.writing, into))
        step = target.file.step
        if needed_for(worklist.desk.policy, step) > 1 and LADDER.index(case.file.step) < LADDER.index(step):
            raise StateError(
                f"`{into}` is at `{step}`, which needs several people: propose it for `{case_id}` first",
                code="approval_needed",
            )
        for one in (case, target):
            worklist.check_independent(one, author)
        files = {one.case_id: one for one in case.writing.every(CaseFile)}
        both = msgspec.structs.replace(
            target.file,
            merged=(*target.file.merged, case_id),
            apart=_not_back(files, target.file, case_id),
            cleared=_all_cleared(target.file, case.file),
            # Whoever agreed to a step has not agreed to it for these accounts.
            proposal=target.file.proposal and msgspec.structs.replace(target.file.proposal, approved_by=()),
        )
        gone = msgspec.structs.replace(
            case.file.stepped(Action.WATCH), status=Status.MERGED, merged_into=into, proposal=None
        )
        standing = worklist.desk.verdicts.of_case(case_id, now_us, case.writing.connection).values()
        agreed = [one.account_id for one in standing if one.action is Action.SUSPEND]
        worklist.put(case, gone, "merge", reason)
        return worklist.put(target, both, "merge", reason, agreed=agreed)


def split(
    worklist: Worklist, case_id: str, accounts: Collection[str], *, author: str, now_us: int, reason: str
) -> CaseFile:
    """Give accounts of a case one of their own. Returns it.

    Raises `StateError`: `not_a_member`; `nothing_left` where none is chosen, or all.
    """
    with worklist.editing(case_id, author, now_us, reason) as case:
        worklist.check_independent(case, author)
        worklist.check_members(case, accounts)
        members = {one.account_id: one for one in worklist.members_in(case.writing, case_id)}
        chosen = {name: one for name, one in members.items() if name in set(accounts)}
        if not 0 < len(chosen) < len(members):
            raise StateError(
                f"choose some of the {len(members)} accounts of `{case_id}`, and not all", code="nothing_left"
            )
        child = CaseFile(
            case_id=new_id("case"),
            opened_at_us=now_us,
            found=counted(case.file.found, chosen),
            assignee=case.file.assignee,
            cleared=tuple(one for one in case.file.cleared if one.account_id in chosen),
            split_from=case_id,
        )
        rest = msgspec.structs.replace(
            case.file,
            apart=case.file.apart | {child.case_id: tuple(sorted(chosen))},
            cleared=tuple(one for one in case.file.cleared if one.account_id not in chosen),
        )
        case.writing.put(child.case_id, child, "split", reason)
        worklist.put(case, rest, "split", reason)
        return child


def _not_back(files: Files, target: CaseFile, case_id: str) -> dict[str, tuple[str, ...]]:
    """Who is split off the target, without those whose way from there ends at the case that is merged into it: it would
    become a ring."""
    left = {
        child: tuple(one for one in accounts if owner_of(files, child, one) != case_id)
        for child, accounts in target.apart.items()
    }
    return {child: accounts for child, accounts in left.items() if accounts}


def _all_cleared(*files: CaseFile) -> tuple[Cleared, ...]:
    """Everybody who is cleared in one of them, by appeals and by people, of as much and as long as may be."""
    held: dict[tuple[str, bool], Cleared] = {}
    for one in (each for file in files for each in file.cleared):
        key = (one.account_id, one.appeal_id is not None)
        held[key] = max(held.get(key, one), one, key=_lasting)
    return tuple(held.values())


def _lasting(one: Cleared) -> tuple[int, float]:
    return LADDER.index(one.up_to), math.inf if one.until_us is None else one.until_us
