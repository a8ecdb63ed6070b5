"""Operations on cases: read them, work on them, agree to steps. What each does, and refuses: `response.worklist`."""

from __future__ import annotations

from typing import Annotated, Any, Final

import msgspec

from tiergate.admission.appeals import Appeal
from tiergate.admission.changes import Change
from tiergate.api.members import Given, Id, Text
from tiergate.api.operations import Call, Operation
from tiergate.api.operators import Permission
from tiergate.api.paging import Page, PageQuery, page
from tiergate.api.problems import not_found
from tiergate.errors import InputError
from tiergate.ledger.verdicts import Action
from tiergate.response.calibration import Calibration, Reliability
from tiergate.response.case_files import CaseFile, Outcome, Severity, Status
from tiergate.response.desk import lapsed
from tiergate.response.effects import Effect, case_effects
from tiergate.response.holdings import sources_of
from tiergate.response.looks import Member
from tiergate.response.merging import merge, split
from tiergate.response.people import needed_for
from tiergate.response.selecting import late, select


class CaseQuery(PageQuery, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which cases are wanted. ``assignee``: `nobody` for cases that nobody took; ``search``: how the id or an
    account begins."""

    status: Status | None = None
    step: Action | None = None
    severity: Severity | None = None
    assignee: Annotated[str, msgspec.Meta(max_length=512)] | None = None
    overdue: bool = False
    search: Annotated[str, msgspec.Meta(min_length=1, max_length=512)] | None = None


class CaseView(msgspec.Struct, frozen=True, kw_only=True):
    """A case. ``overdue``: whether it waits for too long; ``members``: its accounts, None in a list, or where the look
    that it rests on is gone."""

    case: CaseFile
    severity: Severity
    overdue: bool
    members: list[Member] | None = None


class Entry(msgspec.Struct, frozen=True, kw_only=True):
    """One change of a case, and the case after it. ``at_us``: microseconds since the epoch, UTC."""

    number: int
    action: str
    author: str
    at_us: int
    reason: str
    case: CaseFile


class Finding(msgspec.Struct, frozen=True, kw_only=True):
    """A piece of evidence; fields as in `case_evidence` of docs/tables.md."""

    case_id: str
    family: str
    statistic: str
    value: float
    log_odds: float
    direction: str
    explanation: str
    p_value: float | None


class Told(msgspec.Struct, frozen=True, kw_only=True):
    """How far stated confidence held. ``brier``: None where nothing was judged."""

    rows: list[Reliability]
    brier: float | None
    needed: int


class Assignment(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Whose a case is; nobody's where ``assignee`` is null."""

    assignee: Id | None
    reason: Text = ""


class Remark(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What is to be remembered, or why."""

    reason: Given


class StepChange(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A step, and why."""

    action: Action
    reason: Given


class Approval(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Agreement to the step that is proposed, which ``action`` names."""

    action: Action
    reason: Text = ""


class Clearing(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """An account to be left out of a case's steps as strict as ``up_to``, until then, microseconds since the epoch,
    UTC; null for ever."""

    account_id: Id
    up_to: Action = Action.SUSPEND
    until_us: Annotated[int, msgspec.Meta(ge=0, lt=2**53)] | None
    reason: Given


class AccountOf(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """An account, and why."""

    account_id: Id
    reason: Given


class Merger(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The case that goes on, and why."""

    into: Id
    reason: Given


class Division(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Accounts that get a case of their own, and why."""

    accounts: Annotated[list[Id], msgspec.Meta(min_length=1, max_length=10_000)]
    reason: Given


class Ending(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a case turned out to be, and why."""

    outcome: Outcome
    reason: Given


def list_cases(call: Call) -> Page[CaseView]:
    asked: CaseQuery = call.query
    found = select(
        call.services.cases,
        call.now_us,
        status=asked.status,
        step=asked.step,
        assignee=asked.assignee,
        severity=asked.severity,
        overdue=asked.overdue,
        search=asked.search,
    )
    some = page(found, lambda file: file.case_id, asked)
    return Page(items=[_view(call, one) for one in some.items], next=some.next)


def get_case(call: Call) -> CaseView:
    file = _file(call)
    try:
        members = call.services.cases.members(file.case_id)
    except InputError:
        members = None
    return msgspec.structs.replace(_view(call, file), members=members)


def get_history(call: Call) -> Page[Entry]:
    rows = call.services.cases.history(_file(call).case_id)
    return page((_entry(row) for row in rows), lambda entry: f"{entry.number:019}", call.query)


def get_effects(call: Call) -> list[Effect]:
    return case_effects(call.services.cases, _file(call).case_id, call.now_us)


def get_findings(call: Call) -> list[Finding]:
    file, worklist = _file(call), call.services.cases
    found = worklist.held(file.case_id)[0]
    cases = worklist.answers.cases_of(found.digest, sources_of(worklist.index.files(), file.case_id))
    rows = worklist.answers.rows(found.digest, "case_evidence", cases)
    return [Finding(**{name: row[name] for name in Finding.__struct_fields__}) for row in rows]


def calibration(call: Call) -> Told:
    desk = call.services.cases.desk
    told = Calibration.of(desk.changes.every(CaseFile), desk.changes.every(Appeal), desk.policy.outcomes_needed)
    return Told(rows=told.table, brier=told.brier, needed=desk.policy.outcomes_needed)


def assign(call: Call) -> CaseView:
    return _view(call, call.services.cases.assign(_file(call).case_id, call.body.assignee, **_why(call)))


def note(call: Call) -> CaseView:
    by, now_us = call.operator.name, call.now_us
    return _view(call, call.services.cases.note(_file(call).case_id, call.body.reason, author=by, now_us=now_us))


def propose(call: Call) -> CaseView:
    file = _file(call)
    if needed_for(call.services.cases.desk.policy, call.body.action) > 1:
        # Whoever proposes agrees, so it must be a person who does.
        call.require_passkey()
    return _view(call, call.services.cases.propose(file.case_id, call.body.action, **_why(call)))


def approve(call: Call) -> CaseView:
    file = _file(call)
    call.require_passkey()
    return _view(call, call.services.cases.approve(file.case_id, call.body.action, **_why(call)))


def reject(call: Call) -> CaseView:
    return _view(call, call.services.cases.reject(_file(call).case_id, call.body.action, **_why(call)))


def take_step(call: Call) -> CaseView:
    return _view(call, call.services.cases.step(_file(call).case_id, call.body.action, **_why(call)))


def renew(call: Call) -> CaseView:
    return _view(call, call.services.cases.renew(_file(call).case_id, **_why(call)))


def clear(call: Call) -> CaseView:
    asked: Clearing = call.body
    file = _file(call)
    return _view(
        call,
        call.services.cases.clear(
            file.case_id, asked.account_id, up_to=asked.up_to, until_us=asked.until_us, **_why(call)
        ),
    )


def unclear(call: Call) -> CaseView:
    return _view(call, call.services.cases.unclear(_file(call).case_id, call.body.account_id, **_why(call)))


def merge_cases(call: Call) -> CaseView:
    return _view(call, merge(call.services.cases, _file(call).case_id, call.body.into, **_why(call)))


def split_case(call: Call) -> CaseView:
    return _view(call, split(call.services.cases, _file(call).case_id, call.body.accounts, **_why(call)))


def close(call: Call) -> CaseView:
    return _view(call, call.services.cases.close(_file(call).case_id, call.body.outcome, **_why(call)))


def reopen(call: Call) -> CaseView:
    return _view(call, call.services.cases.reopen(_file(call).case_id, **_why(call)))


def _file(call: Call) -> CaseFile:
    case_id = call.path("case_id")
    try:
        return call.services.cases.get(case_id)
    except InputError:
        raise not_found("case", case_id) from None


def _why(call: Call) -> dict[str, Any]:
    return {"author": call.operator.name, "now_us": call.now_us, "reason": call.body.reason}


def _view(call: Call, file: CaseFile) -> CaseView:
    policy = call.services.cases.desk.policy
    file = lapsed(file, call.now_us)
    return CaseView(case=file, severity=file.severity, overdue=late(file, policy, call.now_us))


def _entry(row: Change) -> Entry:
    return Entry(
        number=row.number,
        action=row.action,
        author=row.author,
        at_us=row.at_us,
        reason=row.reason,
        case=msgspec.json.decode(row.state, type=CaseFile),
    )


def _see(path: str, name: str, summary: str, **more: Any) -> Operation:
    return Operation(
        method="GET", path=path, name=name, summary=summary, permission=Permission.SEE_CASES, subject="cases", **more
    )


def _work(path: str, name: str, summary: str, permission: Permission = Permission.WORK_CASES, **more: Any) -> Operation:
    return Operation(
        method="POST",
        path=f"/v1/cases/{{case_id}}/{path}",
        name=name,
        summary=summary,
        permission=permission,
        subject="cases",
        gives=CaseView,
        **more,
    )


OPERATIONS: Final = (
    _see("/v1/cases", "list_cases", "Cases", handler=list_cases, query=CaseQuery, gives=Page[CaseView]),
    _see("/v1/calibration", "calibration", "How far stated confidence held", handler=calibration, gives=Told),
    _see("/v1/cases/{case_id}", "get_case", "A case, with its accounts", handler=get_case, gives=CaseView),
    _see("/v1/cases/{case_id}/history", "case_history", "Every change of a case, oldest first", handler=get_history,
         query=PageQuery, gives=Page[Entry]),
    _see("/v1/cases/{case_id}/effects", "case_effects", "What each step would do, and to how many innocent exchanges",
         handler=get_effects, gives=list[Effect]),
    _see("/v1/cases/{case_id}/findings", "case_findings", "The evidence for and against a case", handler=get_findings,
         gives=list[Finding]),
    _work("assignment", "assign_case", "Say whose case it is", handler=assign, takes=Assignment),
    _work("notes", "note_case", "Write something down", handler=note, takes=Remark),
    _work("proposals", "propose_step", "Propose a stricter step", handler=propose, takes=StepChange,
          step_up="for a step that several people must agree to"),
    _work("approvals", "approve_step", "Agree to the step that is proposed", Permission.APPROVE_STEP, handler=approve,
          takes=Approval, step_up="always"),
    _work("rejection", "reject_step", "Turn down the step that is proposed", Permission.APPROVE_STEP, handler=reject,
          takes=StepChange),
    _work("step", "take_step", "Take a milder step, or lift everything with `watch`", handler=take_step,
          takes=StepChange),
    _work("renewal", "renew_step", "Let the step in force last anew", handler=renew, takes=Remark),
    _work("clearances", "clear_account", "Leave an account out of the case's steps", handler=clear, takes=Clearing),
    _work("clearances/withdrawal", "unclear_account", "Take a clearing back", handler=unclear, takes=AccountOf),
    _work("merger", "merge_case", "Make its accounts another case's", handler=merge_cases, takes=Merger),
    _work("division", "split_case", "Give accounts a case of their own", handler=split_case, takes=Division),
    _work("closure", "close_case", "Say what the case turned out to be; it holds nobody unless confirmed",
          handler=close, takes=Ending),
    _work("reopening", "reopen_case", "Take up a closed case again", handler=reopen, takes=Remark),
)  # fmt: skip
