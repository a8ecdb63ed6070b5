"""Operations on decisions of the log: every reason of one, whether it was undone, and its receipt.

A record holds no organisation in the clear. Who belongs to an organisation sees a decision when the value kept under
`ORGANISATION` is theirs; once that value is erased, only the house sees the record.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing, contextmanager
from functools import cache
from typing import Any, Final

import msgspec
from starlette.responses import Response

from tiergate.admission.engine import NOT_PERMITTED, POLICY_ERROR, Engine, Gate
from tiergate.api.operations import Call, Operation
from tiergate.api.operators import Permission
from tiergate.api.problems import ProblemError, not_found
from tiergate.errors import InputError
from tiergate.ledger.decision_reader import DecisionReader
from tiergate.ledger.decision_records import DecisionRecord
from tiergate.ledger.receipts import make_receipt

FOLDER: Final = "decisions"
ORGANISATION: Final = "organisation"
"""Name of the personal field that says whose decision it is."""


class Explained(msgspec.Struct, frozen=True, kw_only=True):
    """A decision of the log. ``gates``: every gate that failed, in words, with what would change it and whom to ask; in
    the order of ``record.reasons``, without codes that the policies of today no longer have. ``overturned``: an appeal
    undid it."""

    decision_id: str
    record: DecisionRecord
    gates: list[Gate]
    overturned: bool


def decision_of(call: Call, decision_id: str) -> DecisionRecord:
    """A decision that the caller may see. Raises `ProblemError` otherwise."""
    with _log(call) as log:
        return _record(call, log, decision_id)


def explain(call: Call) -> Explained:
    decision_id = call.path("decision_id")
    record = decision_of(call, decision_id)
    overturned = call.services.appeals.overturned(decision_id)
    known = _gates()
    gates = [known[code] for code in record.reasons if code in known]
    return Explained(decision_id=decision_id, record=record, gates=gates, overturned=overturned)


def receipt(call: Call) -> Response:
    decision_id = call.path("decision_id")
    with _log(call) as log:
        _record(call, log, decision_id)
        return Response(make_receipt(log, int(decision_id)), media_type="application/json")


@cache
def _gates() -> dict[str, Gate]:
    # Parsed once: the policies are part of the package.
    return Engine().gates | {gate.code: gate for gate in (NOT_PERMITTED, POLICY_ERROR)}


@contextmanager
def _log(call: Call) -> Iterator[DecisionReader]:
    try:
        log = DecisionReader(call.services.settings.data / FOLDER)
    except InputError:
        raise ProblemError(
            404, "no_decision_log", "this deployment keeps no decision log", "have one set up: docs/decision-log.md"
        ) from None
    with closing(log):
        yield log


def _record(call: Call, log: DecisionReader, decision_id: str) -> DecisionRecord:
    if not decision_id.isascii() or not decision_id.isdigit() or len(decision_id) > 18:
        raise not_found("decision", decision_id)
    index = int(decision_id)
    if str(index) != decision_id or index >= log.size:
        raise not_found("decision", decision_id)
    organisation = call.operator.organisation_id
    if organisation is not None:
        values = {one.field: one.value for one in log.openings(index)}
        if values.get(ORGANISATION) != msgspec.json.encode(organisation):
            raise not_found("decision", decision_id)
    return log.record(index)


def _operation(path: str, name: str, summary: str, **more: Any) -> Operation:
    return Operation(
        method="GET",
        path=f"/v1/decisions/{{decision_id}}{path}",
        name=name,
        summary=summary,
        permission=Permission.EXPLAIN,
        subject="decisions",
        **more,
    )


OPERATIONS: Final = (
    _operation("", "explain", "A decision, with every gate that failed", handler=explain, gives=Explained),
    _operation("/receipt", "receipt", "A receipt that is verified offline", handler=receipt, gives=Response),
)
