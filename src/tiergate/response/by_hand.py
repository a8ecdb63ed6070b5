"""From a case to verdicts: a whole case is answered, never a lone account."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

import pyarrow as pa
import pyarrow.parquet as pq
import sqlalchemy as sa

from tiergate.admission.changes import Changes, same
from tiergate.clock import DAY
from tiergate.errors import InputError, StateError
from tiergate.ledger.verdicts import Action, Verdict, VerdictStore, new_verdict_id
from tiergate.response.case_files import CaseFile

EXPIRES_AFTER_US: Final = 7 * DAY
"""A verdict that nobody renews ends after a week: a mistake must not outlive the attention it got."""

LEAST_MEMBERSHIP: Final = 0.5
"""An account is touched when it more likely than not belongs to the case."""
REASON: Final = "the way this account is used closely matches a group of accounts that act as one"
"""What a customer is told; it names nobody."""
REQUESTS_PER_MINUTE: Final = 0.1
"""Budget of a limited case, all its accounts together."""


def respond(
    cases: Path,
    store: VerdictStore,
    *,
    case_id: str,
    author: str,
    now_us: int,
    action: Action | None = None,
    approved_by: str | None = None,
    expires_after_us: int = EXPIRES_AFTER_US,
    requests_per_minute: float = REQUESTS_PER_MINUTE,
) -> list[Verdict]:
    """Put one verdict on every account that more likely than not belongs to the case.

    :param cases: folder with cases.parquet and case_accounts.parquet.
    :param action: what to do; the case's own recommendation when None.
    :param approved_by: a second person, without whom nobody is suspended.
    Raises `InputError` when the folder or the case is not there; `StateError` `second_person_needed`.
    """
    head = _case(cases, case_id)
    chosen = action or Action(head["recommended_action"])
    if chosen is Action.SUSPEND and (approved_by is None or same(approved_by, author)):
        raise StateError("nobody is suspended by one person: name another who agrees", code="second_person_needed")
    members = _read(cases / "case_accounts.parquet")
    before = {a: v.verdict_id for a, v in store.in_force(now_us).items() if v.case_id == case_id}
    verdicts = [
        Verdict(
            verdict_id=new_verdict_id(),
            account_id=row["account_id"],
            case_id=case_id,
            action=chosen,
            reason=REASON,
            author=author if approved_by is None else f"{author} and {approved_by}",
            decided_at=now_us,
            expires_at=now_us + expires_after_us,
            supersedes=before.get(row["account_id"]),
            evidence=[f"{case_id}: q {head['q_value']:.3f}, membership {row['membership']:.3f}"],
            requests_per_minute=requests_per_minute if chosen in (Action.LIMIT, Action.SUMMARISE) else None,
        )
        for row in members.to_pylist()
        if row["case_id"] == case_id and row["membership"] >= LEAST_MEMBERSHIP
    ]
    store.put(verdicts)
    return verdicts


def file_of(engine: sa.Engine, cases: Path, case_id: str) -> CaseFile | None:
    """The file that the watch keeps of a folder's case, None where it keeps none. What it says, goes."""
    head = _case(cases, case_id)
    names = {case_id, head.get("lineage_id")}
    files = Changes(engine).every(CaseFile)
    return next((one for one in files if one.case_id in names or one.found.case_id == case_id), None)


def _case(cases: Path, case_id: str) -> dict[str, Any]:
    for row in _read(cases / "cases.parquet").to_pylist():
        if row["case_id"] == case_id:
            return dict(row)
    raise InputError(f"`{cases}` has no case `{case_id}`")


def _read(path: Path) -> pa.Table:
    try:
        return pq.read_table(path)
    except (OSError, pa.ArrowException) as error:
        raise InputError(f"cannot read `{path}`: give the folder that `tiergate detect` wrote") from error
