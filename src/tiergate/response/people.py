"""How many people must agree to a step, who counts as one, and who has a part in a case and can therefore not."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import Final

from tiergate.admission.appeals import Against, Appeal
from tiergate.admission.changes import Reading, same
from tiergate.admission.holders import Holder
from tiergate.ledger.verdicts import Action
from tiergate.response.case_files import CaseFile
from tiergate.response.ladder import LEAST_FOR_SUSPENSION, Policy

WATCH: Final = "tiergate watch"
"""Author of what the policy does by itself."""


def needed_for(policy: Policy, action: Action) -> int:
    """People who must agree before a step is taken by hand."""
    least = LEAST_FOR_SUSPENSION if action is Action.SUSPEND else 1
    return max(policy.approvals(action), least)


def is_person(author: str) -> bool:
    """Whether an author is not one of our own programs."""
    return not same(author, WATCH)


def involved_in(reading: Reading, file: CaseFile, accounts: Iterable[str]) -> list[str]:
    """Names of those who have a part in a case: its accounts, who holds them, and who appealed for one of them."""
    members = set(accounts)
    lineages = {file.case_id, *file.merged, file.split_from}
    appellants = [
        one.filed_by for one in reading.every(Appeal) if one.against is Against.VERDICT and one.case_id in lineages
    ]
    return [*members, *holders_of(reading, members), *appellants]


def holders_of(reading: Reading, accounts: Collection[str]) -> list[str]:
    """Who holds these accounts."""
    holders = [one for one in reading.every(Holder) if one.subject == "account" and one.subject_id in accounts]
    return [one.person_id for one in holders if one.person_id is not None]
