"""Which cases somebody wants to see, and which wait for too long."""

from __future__ import annotations

from collections.abc import Iterable

from tiergate.admission.changes import same
from tiergate.clock import HOUR
from tiergate.response.case_files import CaseFile, Status
from tiergate.response.ladder import Policy
from tiergate.response.worklist import Worklist


def late(file: CaseFile, policy: Policy, now_us: int) -> bool:
    """Whether an open case waits for longer than the policy's `due_hours`: for somebody who takes it, or for an answer
    to what is proposed."""
    if file.status is not Status.OPEN:
        return False
    since = [file.proposal.at_us] if file.proposal is not None else []
    since += [file.opened_at_us] if file.assignee is None else []
    return bool(since) and now_us - min(since) >= policy.due_hours * HOUR


def select(
    worklist: Worklist,
    now_us: int,
    *,
    status: str | None = None,
    step: str | None = None,
    assignee: str | None = None,
    severity: str | None = None,
    overdue: bool = False,
    search: str | None = None,
) -> list[CaseFile]:
    """Cases that are all of what is asked, None for whatever, as they stand now; those that ask for the most first.
    ``assignee``: `nobody` for a case that nobody took; ``search``: how its id or an account of it begins."""
    files: Iterable[CaseFile] = worklist.index.ordered(now_us)
    if search is not None:
        holding = worklist.holding(search)
        files = [one for one in files if one.case_id.startswith(search) or one.case_id in holding]
    return [
        one
        for one in files
        if status in (None, one.status)
        and step in (None, one.step)
        and (severity is None or severity == one.severity)
        and (assignee is None or same(assignee, one.assignee or "nobody"))
        and (not overdue or late(one, worklist.desk.policy, now_us))
    ]
