"""Operations on appeals: file one, read where it stands, and decide it, two reviewers who had no part in it."""

from __future__ import annotations

from typing import Annotated, Any, Final

import msgspec

from tiergate.admission.appeals import Against, Appeal, Outcome, notice
from tiergate.admission.changes import same
from tiergate.admission.deciders import deciders
from tiergate.api.decisions import decision_of
from tiergate.api.members import Given, Id, membership_of
from tiergate.api.operations import Call, Operation
from tiergate.api.operators import Permission
from tiergate.api.paging import Page, PageQuery, page
from tiergate.api.problems import ProblemError, not_found
from tiergate.errors import InputError


class NewAppeal(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Contests a refusal, suspension or end of a membership, a decision of the log by its number, or a verdict by the
    id in the address of its notice. ``evidence``: SHA-256 of what backs it."""

    against: Against
    subject_id: Id
    grounds: Given
    evidence: Annotated[list[Id], msgspec.Meta(max_length=100)] = []


class Ballot(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One reviewer's vote, with the reason that the appellant reads."""

    outcome: Outcome
    reason: Given


class AppealView(msgspec.Struct, frozen=True, kw_only=True):
    """An appeal, and what the appellant reads of it everywhere."""

    appeal: Appeal
    notice: str


def file(call: Call) -> AppealView:
    asked: NewAppeal = call.body
    decided_by: tuple[str, ...] = ()
    if asked.against is Against.MEMBERSHIP:
        membership_of(call, asked.subject_id)
    elif asked.against is Against.VERDICT:
        _verdict_of(call, asked.subject_id)
    else:
        kept = decision_of(call, asked.subject_id)
        if kept.record.outcome == "ALLOW":
            raise ProblemError(
                409, "nothing_to_appeal", f"`{asked.subject_id}` allowed the request", "appeal what refused one"
            )
        decided_by = deciders(call.services.engine, kept)
    appeal = call.services.appeals.file(
        asked.against,
        asked.subject_id,
        filed_by=call.operator.name,
        grounds=asked.grounds,
        now_us=call.now_us,
        evidence=asked.evidence,
        decided_by=decided_by,
    )
    return _view(call, appeal)


def list_appeals(call: Call) -> Page[Appeal]:
    seen = [_shown(call, one) for one in call.services.appeals.every() if sees(call, one)]
    return page(seen, lambda one: one.appeal_id, call.query)


def get_appeal(call: Call) -> AppealView:
    return _view(call, _appeal(call))


def vote(call: Call) -> AppealView:
    appeal, asked = _appeal(call), call.body
    call.require_passkey()
    done = call.services.appeals.decide(
        appeal.appeal_id,
        reviewer=call.operator.name,
        outcome=asked.outcome,
        reason=asked.reason,
        now_us=call.now_us,
    )
    return _view(call, done)


def _appeal(call: Call) -> Appeal:
    appeal_id = call.path("appeal_id")
    try:
        appeal = call.services.appeals.get(appeal_id)
    except InputError:
        raise not_found("appeal", appeal_id) from None
    if not sees(call, appeal):
        raise not_found("appeal", appeal_id)
    return appeal


def _verdict_of(call: Call, verdict_id: str) -> None:
    """Raises `ProblemError` for a verdict that the caller may not see: one of another organisation's account."""
    verdict = call.services.cases.desk.verdicts.get(verdict_id)
    organisation = call.operator.organisation_id
    if verdict is None or (
        organisation is not None and verdict.account_id not in call.services.registry.accounts_of(organisation)
    ):
        raise not_found("verdict", verdict_id)


def sees(call: Call, appeal: Appeal) -> bool:
    """Whether an appeal is the caller's to see."""
    if call.operator.organisation_id is None:
        return True
    try:
        if appeal.against is Against.MEMBERSHIP:
            membership_of(call, appeal.subject_id)
        elif appeal.against is Against.VERDICT:
            _verdict_of(call, appeal.subject_id)
        elif same(call.operator.name, appeal.filed_by):
            # A name can come again, as somebody of another organisation.
            decision_of(call, appeal.subject_id)
        else:
            return False
    except ProblemError:
        return False
    return True


def _shown(call: Call, appeal: Appeal) -> Appeal:
    """How sure detection was is for the house: it would tell whoever evades it how near they came."""
    return appeal if call.operator.organisation_id is None else msgspec.structs.replace(appeal, stated=None)


def _view(call: Call, appeal: Appeal) -> AppealView:
    return AppealView(appeal=_shown(call, appeal), notice=notice(appeal, call.now_us))


def _operation(method: str, path: str, name: str, summary: str, permission: Permission, **more: Any) -> Operation:
    return Operation(
        method=method, path=path, name=name, summary=summary, permission=permission, subject="appeals", **more
    )


OPERATIONS: Final = (
    _operation("GET", "/v1/appeals", "list_appeals", "Appeals", Permission.READ,
               handler=list_appeals, query=PageQuery, gives=Page[Appeal]),
    _operation("POST", "/v1/appeals", "appeal", "Contest a membership's refusal, a decision or a verdict",
               Permission.APPEAL, handler=file, takes=NewAppeal, gives=AppealView, status=201),
    _operation("GET", "/v1/appeals/{appeal_id}", "get_appeal", "An appeal, and its notice", Permission.READ,
               handler=get_appeal, gives=AppealView),
    _operation("POST", "/v1/appeals/{appeal_id}/votes", "vote", "Vote on an appeal", Permission.DECIDE_APPEAL,
               handler=vote, takes=Ballot, gives=AppealView, step_up="always"),
)  # fmt: skip
