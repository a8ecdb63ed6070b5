"""Operations on how things stand: what waits for the caller, what changed since they last looked, what fails."""

from __future__ import annotations

from collections import Counter
from typing import Annotated, Final

import msgspec

from tiergate.admission.appeals import Appeal
from tiergate.admission.changes import Changes, same
from tiergate.admission.credit_rows import CreditLine
from tiergate.admission.credits import Credits
from tiergate.admission.standing import Membership, State
from tiergate.api.operations import Call, Operation
from tiergate.api.operators import Operator, Permission
from tiergate.api.seen import Mark
from tiergate.api.services import Services
from tiergate.response.alerts.outbox import Trouble, trouble
from tiergate.response.case_files import Severity, Status
from tiergate.response.selecting import late
from tiergate.response.watch_lock import FOLDER, is_held

MOST_WAITING: Final = 100
MOST_COUNTED: Final = 1_000
KINDS: Final[dict[Permission, tuple[str, ...]]] = {
    Permission.SEE_CASES: ("case", "lead"),
    Permission.READ: ("appeal", "membership", "grant", "grant_proposal", "purpose", "line", "programme", "issuer"),
    Permission.SEE_KEYS: ("limit",),
}
"""Changes that somebody may see, by what allows it."""


class Waits(msgspec.Struct, frozen=True, kw_only=True):
    """Something that waits for people. ``kind``: `step` (of a case), `appeal`, `membership`, `grant` or `pack`;
    ``since_us``, ``due_us``: microseconds since the epoch, UTC, None where nobody says."""

    kind: str
    subject_id: str
    what: str
    by: str | None
    since_us: int | None = None
    due_us: int | None = None


class Line(msgspec.Struct, frozen=True, kw_only=True):
    """A credit line that is open, in micro-dollars."""

    line_id: str
    programme_id: str
    organisation_id: str
    committed: int
    reserved: int
    spent: int
    available: int


class WatchState(msgspec.Struct, frozen=True, kw_only=True):
    """``running``: whether a watch looks now and then; the last look that came to something, None before the first."""

    running: bool
    looks: int | None
    looked_at_us: int | None


class Overview(msgspec.Struct, frozen=True, kw_only=True):
    """How things stand, as far as the caller may see it; what they may not is None. ``cases``: open ones by severity,
    ``overdue`` those that wait for too long."""

    cases: dict[Severity, int] | None
    overdue: int | None
    waiting: list[Waits]
    lines: list[Line] | None
    watch: WatchState | None
    alerts: Trouble | None


class ChangesQuery(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """``after``: the number of the last change that is known; the caller's own mark where it is not given."""

    after: Annotated[int, msgspec.Meta(ge=0, lt=2**53)] | None = None
    limit: Annotated[int, msgspec.Meta(ge=1, le=200)] = 50


class Changed(msgspec.Struct, frozen=True, kw_only=True):
    """One change, without its state; ``at_us``: microseconds since the epoch, UTC."""

    number: int
    kind: str
    subject_id: str
    action: str
    author: str
    at_us: int
    reason: str


class News(msgspec.Struct, frozen=True, kw_only=True):
    """Changes, the newest first. ``counts``: how many by kind, of the newest `MOST_COUNTED`. ``mark``: up to where the
    caller has looked, None before they said so first; ``number``: of the last change of all."""

    items: list[Changed]
    counts: dict[str, int]
    mark: Mark | None
    number: int


class SeenUpTo(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """``number`` of `GET /v1/changes`: the last change that was seen."""

    number: Annotated[int, msgspec.Meta(ge=0, lt=2**53)]


def overview(call: Call) -> Overview:
    return standing(call.services, call.operator, call.now_us)


def standing(services: Services, operator: Operator, now_us: int) -> Overview:
    """How things stand for somebody."""
    counts: dict[Severity, int] | None = None
    overdue: int | None = None
    watch: WatchState | None = None
    alerts: Trouble | None = None
    if operator.may(Permission.SEE_CASES):
        policy = services.cases.desk.policy
        open_ones = [one for one in services.cases.index.files().values() if one.status is Status.OPEN]
        found = Counter(one.severity for one in open_ones)
        counts = {severity: found[severity] for severity in reversed(Severity)}
        overdue = sum(late(one, policy, now_us) for one in open_ones)
        last = services.cases.desk.last()
        watch = WatchState(
            running=is_held(services.settings.data / FOLDER),
            looks=None if last is None else last.number,
            looked_at_us=None if last is None else last.looked_at_us,
        )
        alerts = trouble(services.engine)
    lines = _lines(services, operator) if operator.may(Permission.READ) else None
    return Overview(
        cases=counts, overdue=overdue, waiting=_waiting(services, operator, now_us), lines=lines, watch=watch,
        alerts=alerts,
    )  # fmt: skip


def _waiting(services: Services, operator: Operator, now_us: int) -> list[Waits]:
    """What waits for somebody's agreement, the longest first; nothing that they had a part in."""
    found: list[Waits] = []
    me = operator.name
    if operator.may(Permission.APPROVE_STEP):
        for case in services.cases.index.files().values():
            held = case.proposal
            if case.status is Status.OPEN and held is not None and not same(me, held.by, *held.approved_by):
                found.append(
                    Waits(kind="step", subject_id=case.case_id, what=held.action, by=held.by, since_us=held.at_us)
                )
    if operator.may(Permission.DECIDE_APPEAL):
        for appeal in services.standing.every(Appeal):
            mine = same(me, appeal.filed_by, *appeal.decided_by, *(vote.reviewer for vote in appeal.votes))
            if appeal.outcome is None and not mine:
                found.append(
                    Waits(
                        kind="appeal", subject_id=appeal.appeal_id, what=appeal.against, by=appeal.filed_by,
                        since_us=appeal.filed_at_us, due_us=appeal.due_at_us,
                    )
                )  # fmt: skip
    if operator.may(Permission.REVIEW):
        for member in services.standing.every(Membership):
            waits = member.state in (State.APPLIED, State.SPONSORED, State.REVIEWED)
            if waits and not same(me, member.applicant, member.sponsor, *member.approvals):
                found.append(
                    Waits(
                        kind="membership", subject_id=member.membership_id, what=member.state, by=member.applicant,
                        since_us=member.since_us,
                    )
                )  # fmt: skip
    if operator.may(Permission.GRANT):
        found += [
            Waits(kind="grant", subject_id=one.grant_id, what=one.model, by=None)
            for one in services.grants.proposed(operator.organisation_id)
        ]
    if operator.may(Permission.ACTIVATE_PACK):
        found += [
            Waits(
                kind="pack", subject_id=one.proposal_id, what=f"{one.action} {one.pack}", by=one.proposed_by,
                due_us=one.expires_at,
            )
            for one in services.proposals.every(now_us) if one.operator_id != operator.operator_id
        ]  # fmt: skip
    return sorted(found, key=lambda one: (one.since_us or one.due_us or now_us, one.subject_id))[:MOST_WAITING]


def _lines(services: Services, operator: Operator) -> list[Line]:
    """Open credit lines, those first of which the least is left."""
    known = {one.line_id: one for one in services.standing.every(CreditLine) if operator.sees(one.organisation_id)}
    lines = [
        Line(
            line_id=held.line_id, programme_id=known[held.line_id].programme_id,
            organisation_id=known[held.line_id].organisation_id, committed=held.committed, reserved=held.reserved,
            spent=held.spent, available=held.available,
        )
        for held in (Credits(services.engine).balances().values() if known else ())
        if held.line_id in known and not held.closed
    ]  # fmt: skip
    return sorted(lines, key=lambda one: (one.available / (one.committed or 1), one.line_id))


def list_changes(call: Call) -> News:
    return news(call.services, call.operator, after=call.query.after, limit=call.query.limit)


def news(services: Services, operator: Operator, *, after: int | None = None, limit: int = 50) -> News:
    """What changed, as far as somebody may see it. Without a mark nothing is counted: it would be everything."""
    mark = services.seen.of(operator.operator_id)
    changes = Changes(services.engine)
    number = changes.version()
    kinds = [kind for permission, kinds in KINDS.items() if operator.may(permission) for kind in kinds]
    since = after if after is not None else mark.number if mark is not None else 0
    known = after is not None or mark is not None
    found = changes.latest(
        kinds, after=since, organisation_id=operator.organisation_id, limit=MOST_COUNTED if known else limit
    )
    items = [Changed(**{name: getattr(one, name) for name in Changed.__struct_fields__}) for one in found[:limit]]
    counts = dict(Counter(one.kind for one in found)) if known else {}
    return News(items=items, counts=counts, mark=mark, number=number)


def mark_seen(call: Call) -> Mark:
    # Never beyond what there is: what comes next would go unseen.
    number = min(call.body.number, Changes(call.services.engine).version())
    return call.services.seen.put(call.operator.operator_id, number, call.now_us)


OPERATIONS: Final = (
    Operation(method="GET", path="/v1/overview", name="overview", summary="How things stand for the caller",
              subject="overview", handler=overview, gives=Overview),
    Operation(method="GET", path="/v1/changes", name="list_changes", summary="What changed since the caller looked",
              subject="overview", handler=list_changes, query=ChangesQuery, gives=News),
    Operation(method="POST", path="/v1/changes/seen", name="mark_seen", summary="Say up to which change one looked",
              subject="overview", handler=mark_seen, takes=SeenUpTo, gives=Mark),
)  # fmt: skip
