"""A case that somebody opened: what each of its pages begins with."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Final
from urllib.parse import quote

import msgspec

from tiergate.admission.appeals import Appeal
from tiergate.api.operators import Permission
from tiergate.api.problems import not_found
from tiergate.console.origins import Origin, command
from tiergate.console.visits import Visit
from tiergate.errors import InputError
from tiergate.response.answers import Row
from tiergate.response.case_files import CaseFile, Found, Status
from tiergate.response.desk import lapsed
from tiergate.response.holdings import sources_of
from tiergate.response.looks import Member
from tiergate.response.selecting import late
from tiergate.response.sheets import Failed, Sheet

TABS: Final = ("evidence", "accounts", "traffic", "history")
TONES: Final[Mapping[str, str]] = {
    "low": "", "medium": "warn", "high": "warn", "critical": "bad", "open": "warn", "closed": "", "merged": "",
    "watch": "", "verify": "warn", "limit": "warn", "summarise": "warn", "suspend": "bad", "confirmed": "bad",
    "mistaken": "good", "unclear": "", "for": "bad", "against": "good", "neither": "", "upheld": "",
    "overturned": "good",
}  # fmt: skip
"""Tones of badges, by what they say."""


@dataclass(frozen=True)
class Opened:
    """``file`` as it stands now; ``found`` and ``members``, the busiest first, as of the newest look that knows it;
    ``gone``: why its members are not known."""

    visit: Visit
    file: CaseFile
    found: Found
    members: list[Member]
    gone: str

    @property
    def path(self) -> str:
        """The address of the case."""
        return f"/cases/{quote(self.file.case_id)}"

    @cached_property
    def cases(self) -> list[str]:
        """What the case is called in the answer that it rests on, what it is called after first."""
        worklist = self.visit.services.cases
        sources = sources_of(worklist.index.files(), self.file.case_id)
        names = worklist.answers.cases_of(self.found.digest, sources)
        return sorted(names, key=lambda one: one != self.found.case_id)

    @cached_property
    def sheet(self) -> Sheet | Failed | None:
        """What was counted of it; None while that is under way."""
        if self.gone:
            return Failed(self.gone)
        file = msgspec.structs.replace(self.file, found=self.found)
        return self.visit.services.sheets.of(file, [one.account_id for one in self.members])

    def rows(self, table: str) -> list[Row]:
        """Rows of a table of that answer."""
        return self.visit.services.cases.answers.rows(self.found.digest, table, self.cases)

    def appeals(self) -> list[Appeal]:
        """Appeals against verdicts of the case, the newest first."""
        lineages = {self.file.case_id, *self.file.merged, self.file.split_from} - {None}
        every = [one for one in self.visit.services.appeals.every() if one.case_id in lineages]
        return sorted(every, key=lambda one: -one.filed_at_us)

    def view(self, tab: str) -> dict[str, Any]:
        """What the templates of all its pages need."""
        visit, policy = self.visit, self.visit.services.cases.desk.policy
        return {
            "case": self.file, "found": self.found, "gone": self.gone, "path": self.path, "tab": tab, "tabs": TABS,
            "late": late(self.file, policy, visit.now_us), "tones": TONES, "open": self.file.status is Status.OPEN,
            "may_work": visit.may(Permission.WORK_CASES), "may_approve": visit.may(Permission.APPROVE_STEP),
            "member_count": len(self.members), "due_us": self._due_us(),
            "origin": Origin(
                api=f"GET /v1/cases/{self.file.case_id}", command=command("case", "show", self.file.case_id)
            ),
        }  # fmt: skip

    def _due_us(self) -> int | None:
        """By when somebody must take the case, or answer what is proposed."""
        hours = self.visit.services.cases.desk.policy.due_hours
        waiting = [self.file.proposal.at_us] if self.file.proposal else []
        waiting += [self.file.opened_at_us] if self.file.assignee is None else []
        return round(min(waiting) + hours * 3_600_000_000) if waiting and self.file.status is Status.OPEN else None


def opened(visit: Visit) -> Opened:
    """The case that the address names. Raises `ProblemError` for one that there is not."""
    case_id, worklist = visit.path("case_id"), visit.services.cases
    file = worklist.index.files().get(case_id)
    if file is None:
        raise not_found("case", case_id)
    found, members, gone = file.found, list[Member](), ""
    try:
        found, members = worklist.held(case_id)
    except InputError as error:
        gone = str(error)
    members = sorted(members, key=lambda one: (-one.charged, one.account_id))
    return Opened(visit, lapsed(file, visit.now_us), found, members, gone)
