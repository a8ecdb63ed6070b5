"""Operations on decisions of the logs: finding them; every reason of one, whether it was undone, replay, receipt.

A record holds no organisation in the clear. Who belongs to an organisation sees a decision when the value kept under
`ORGANISATION` is theirs; once that value is erased, only the house sees the record.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing, contextmanager
from functools import cache
from pathlib import Path
from typing import Annotated, Any, Final

import msgspec
from starlette.responses import Response

from tiergate.admission.engine import Engine, Gate
from tiergate.admission.kept_policies import Engines
from tiergate.admission.replay import Replayed, Replayer, reasons_of
from tiergate.api.members import Id
from tiergate.api.operations import Call, Operation
from tiergate.api.operators import Permission
from tiergate.api.paging import Page, PageQuery
from tiergate.api.problems import ProblemError, not_found
from tiergate.errors import InputError
from tiergate.ledger.decision_logs import LogPlace, find_decision, logs_of
from tiergate.ledger.decision_reader import DecisionReader, Kept
from tiergate.ledger.decision_records import DecisionRecord, Outcome
from tiergate.ledger.decision_search import FOREVER, FoundDecision, Search, search
from tiergate.ledger.receipts import make_receipt

ORGANISATION: Final = "organisation"
"""Name of the personal field that says whose decision it is."""


MOST_READ: Final = 2_000
"""Records that one page looks at, some fifth of a second of work: a page can be short before the end."""


class DecisionQuery(PageQuery, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which decisions are wanted: all that is given must fit. ``account``: by any of its keys. ``code``: one of the
    reasons. ``since_us`` <= time < ``until_us``, microseconds since the epoch."""

    organisation: Id | None = None
    account: Id | None = None
    model: Id | None = None
    outcome: Outcome | None = None
    code: Annotated[str, msgspec.Meta(max_length=64)] | None = None
    since_us: Annotated[int, msgspec.Meta(ge=0)] = 0
    until_us: Annotated[int, msgspec.Meta(ge=0, le=FOREVER)] = FOREVER


class Explained(msgspec.Struct, frozen=True, kw_only=True):
    """A decision of a log. ``gates``: every gate that failed, in words, with what would change it and whom to ask; in
    the order of ``record.reasons``, without codes of policies that are not kept. ``about``: by code, the rule packs,
    grant or programme that it failed for, where the facts are kept. ``would_settle``: by code, facts of which one would
    settle an ownership that is not known, cheapest first. ``overturned``: an appeal undid it."""

    decision_id: str
    record: DecisionRecord
    gates: list[Gate]
    about: dict[str, list[str]]
    would_settle: dict[str, list[str]]
    overturned: bool


def decision_of(call: Call, decision_id: str) -> Kept:
    """A decision that the caller may see. Raises `ProblemError` otherwise."""
    with _found(call, decision_id) as (_, kept):
        return kept


def list_decisions(call: Call) -> Page[FoundDecision]:
    asked: DecisionQuery = call.query
    own = call.operator.organisation_id
    if own is not None and asked.organisation not in (None, own):
        return Page(items=[])
    named = {ORGANISATION: own or asked.organisation, "model": asked.model}
    personal = {field: frozenset([value]) for field, value in named.items() if value is not None}
    if asked.account is not None:
        keys = call.services.registry.credentials().values()
        personal["credential"] = frozenset(one.credential_id for one in keys if one.account_id == asked.account)
    search_for = Search(
        outcome=asked.outcome, code=asked.code, since_us=asked.since_us, until_us=asked.until_us, personal=personal
    )
    found = search(_places(call), search_for, limit=asked.limit, most_read=MOST_READ, cursor=asked.cursor)
    return Page(items=found.decisions, next=found.cursor)


def explain(call: Call) -> Explained:
    decision_id = call.path("decision_id")
    with _found(call, decision_id) as (log, kept):
        reasons = reasons_of(kept, _engines(log.folder))
    return Explained(
        decision_id=decision_id,
        record=kept.record,
        gates=[reason.gate for reason in reasons],
        about={reason.code: list(reason.about) for reason in reasons},
        would_settle={reason.code: list(reason.would_settle) for reason in reasons if reason.would_settle},
        overturned=call.services.appeals.overturned(decision_id),
    )


def replay(call: Call) -> Replayed:
    decision_id = call.path("decision_id")
    with _found(call, decision_id) as (log, kept):
        return Replayer(_engines(log.folder)).replay(decision_id, kept)


def receipt(call: Call) -> Response:
    with _found(call, call.path("decision_id")) as (log, kept):
        return Response(make_receipt(log, kept.index), media_type="application/json")


@cache
def _today() -> Engine:
    # Parsed once: the policies are part of the package.
    return Engine()


@cache
def _engines(log: Path) -> Engines:
    return Engines(log, _today())


@contextmanager
def _found(call: Call, decision_id: str) -> Iterator[tuple[DecisionReader, Kept]]:
    """A decision that the caller may see, with its log. Raises `ProblemError` otherwise."""
    data = call.services.settings.data
    _places(call)
    try:
        place, index = find_decision(data, decision_id)
    except InputError:
        raise not_found("decision", decision_id) from None
    with closing(DecisionReader(place.folder)) as log:
        if index >= log.size:
            raise not_found("decision", decision_id)
        kept = log.checked(index)
        organisation = call.operator.organisation_id
        if organisation is not None:
            values = {one.field: one.value for one in kept.openings}
            if values.get(ORGANISATION) != msgspec.json.encode(organisation):
                raise not_found("decision", decision_id)
        yield log, kept


def _places(call: Call) -> list[LogPlace]:
    try:
        return logs_of(call.services.settings.data)
    except InputError:
        raise ProblemError(
            404, "no_decision_log", "this deployment keeps no decision log", "have one set up: docs/decision-log.md"
        ) from None


def _operation(path: str, name: str, summary: str, **more: Any) -> Operation:
    return Operation(
        method="GET",
        # An id of a further log has a slash in it: `worker-2/17`.
        path=f"/v1/decisions/{{decision_id:path}}{path}",
        name=name,
        summary=summary,
        permission=Permission.EXPLAIN,
        subject="decisions",
        **more,
    )


OPERATIONS: Final = (
    Operation(method="GET", path="/v1/decisions", name="list_decisions", permission=Permission.EXPLAIN,
              summary="Decisions that fit, the newest first; a page can be short before the end", subject="decisions",
              handler=list_decisions, query=DecisionQuery, gives=Page[FoundDecision]),
    # What lies under an id comes before the id itself, which would take the whole path.
    _operation("/receipt", "receipt", "A receipt that is verified offline", handler=receipt, gives=Response),
    _operation("/replay", "replay", "A decision made again, then and today", handler=replay, gives=Replayed),
    _operation("", "explain", "A decision, with every gate that failed", handler=explain, gives=Explained),
)  # fmt: skip
