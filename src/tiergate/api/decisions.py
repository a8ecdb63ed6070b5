"""Operations on decisions of the logs: every reason of one, whether it was undone, its replay, and its receipt.

A record holds no organisation in the clear. Who belongs to an organisation sees a decision when the value kept under
`ORGANISATION` is theirs; once that value is erased, only the house sees the record.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing, contextmanager
from functools import cache
from pathlib import Path
from typing import Any, Final

import msgspec
from starlette.responses import Response

from tiergate.admission.engine import Engine, Gate
from tiergate.admission.kept_policies import Engines
from tiergate.admission.replay import Replayed, Replayer, reasons_of
from tiergate.api.operations import Call, Operation
from tiergate.api.operators import Permission
from tiergate.api.problems import ProblemError, not_found
from tiergate.errors import InputError
from tiergate.ledger.decision_logs import find_decision, logs_of
from tiergate.ledger.decision_reader import DecisionReader, Kept
from tiergate.ledger.decision_records import DecisionRecord
from tiergate.ledger.receipts import make_receipt

ORGANISATION: Final = "organisation"
"""Name of the personal field that says whose decision it is."""


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
    try:
        logs_of(data)
    except InputError:
        raise ProblemError(
            404, "no_decision_log", "this deployment keeps no decision log", "have one set up: docs/decision-log.md"
        ) from None
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
    # What lies under an id comes before the id itself, which would take the whole path.
    _operation("/receipt", "receipt", "A receipt that is verified offline", handler=receipt, gives=Response),
    _operation("/replay", "replay", "A decision made again, then and today", handler=replay, gives=Replayed),
    _operation("", "explain", "A decision, with every gate that failed", handler=explain, gives=Explained),
)
