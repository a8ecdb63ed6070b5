"""Operations on credit: lines carved out of a programme's pool, and what was spent of them.

Who belongs to an organisation sees that organisation's lines alone. Amounts are whole micro-dollars.
"""

from __future__ import annotations

from typing import Annotated, Any, Final

import msgspec

from tiergate.admission.credit_rows import Balance, CreditLine, StatementRow
from tiergate.api.members import Code, Given, Id
from tiergate.api.operations import Call, Operation
from tiergate.api.operators import Permission
from tiergate.api.paging import Page, PageQuery, page
from tiergate.api.problems import not_found
from tiergate.errors import InputError

Amount = Annotated[int, msgspec.Meta(ge=1, le=2**62 - 1)]


class LineView(msgspec.Struct, frozen=True, kw_only=True):
    """A line, what it holds, and what of that can still be reserved."""

    line: CreditLine
    balance: Balance
    available: int


class NewLine(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A line to carve. ``purpose_code``: the only purpose that it pays for, any where none is given."""

    programme_id: Id
    organisation_id: Id
    micro_usd: Amount
    purpose_code: Code | None = None


class Size(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A line's new size, not below what is reserved and spent."""

    micro_usd: Annotated[int, msgspec.Meta(ge=0, le=2**62 - 1)]
    reason: Given


class Closing(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Closes a line to new requests; what is under way is still charged to it."""

    reason: Given


class StatementQuery(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Entries from ``since_us`` until before ``until_us``, microseconds since the epoch."""

    since_us: Annotated[int, msgspec.Meta(ge=0)] = 0
    until_us: int | None = None


class Statement(msgspec.Struct, frozen=True, kw_only=True):
    """What was committed, reserved and spent, by member and purpose. Over all time the rows add up to the balance."""

    line_id: str
    rows: list[StatementRow]


def list_lines(call: Call) -> Page[LineView]:
    store = call.services.credits
    lines = [one for one in store.lines() if call.operator.sees(one.organisation_id)]
    balances = store.balances()
    views = [LineView(line=one, balance=held, available=held.available)
             for one in lines if (held := balances.get(one.line_id)) is not None]  # fmt: skip
    return page(views, lambda view: view.line.line_id, call.query)


def get_line(call: Call) -> LineView:
    return _view(call, line_of(call))


def open_line(call: Call) -> LineView:
    asked: NewLine = call.body
    line = call.services.credits.open_line(
        asked.programme_id, asked.organisation_id, asked.micro_usd, author=call.operator.name, now_us=call.now_us,
        purpose_code=asked.purpose_code,
    )  # fmt: skip
    return _view(call, line)


def resize_line(call: Call) -> LineView:
    line, asked = line_of(call), call.body
    done = call.services.credits.resize_line(
        line.line_id, asked.micro_usd, author=call.operator.name, now_us=call.now_us, reason=asked.reason
    )
    return _view(call, done)


def close_line(call: Call) -> LineView:
    line = line_of(call)
    done = call.services.credits.close_line(
        line.line_id, author=call.operator.name, now_us=call.now_us, reason=call.body.reason
    )
    return _view(call, done)


def statement(call: Call) -> Statement:
    line, asked = line_of(call), call.query
    rows = call.services.credits.statement([line.line_id], from_us=asked.since_us, to_us=asked.until_us)
    return Statement(line_id=line.line_id, rows=rows)


def line_of(call: Call) -> CreditLine:
    """A line that the caller may see. Raises `ProblemError` otherwise."""
    line_id = call.path("line_id")
    try:
        line = call.services.credits.line(line_id)
    except InputError:
        raise not_found("credit line", line_id) from None
    if not call.operator.sees(line.organisation_id):
        raise not_found("credit line", line_id)
    return line


def _view(call: Call, line: CreditLine) -> LineView:
    balance = call.services.credits.balance(line.line_id)
    return LineView(line=line, balance=balance, available=balance.available)


def _operation(method: str, path: str, name: str, summary: str, permission: Permission, **more: Any) -> Operation:
    return Operation(
        method=method, path=f"/v1/credit-lines{path}", name=name, summary=summary, permission=permission,
        subject="grants", **more,
    )  # fmt: skip


_ONE: Final = "/{line_id}"
_READ, _RUN = Permission.READ, Permission.RUN_PROGRAMME

OPERATIONS: Final = (
    _operation("GET", "", "list_credit_lines", "Credit lines, and what they hold", _READ,
               handler=list_lines, query=PageQuery, gives=Page[LineView]),
    _operation("POST", "", "open_credit_line", "Carve a credit line out of a programme's pool", _RUN,
               handler=open_line, takes=NewLine, gives=LineView, status=201),
    _operation("GET", _ONE, "get_credit_line", "A credit line, and what it holds", _READ,
               handler=get_line, gives=LineView),
    _operation("GET", f"{_ONE}/statement", "credit_statement", "What was spent of a line, by member and purpose",
               _READ, handler=statement, query=StatementQuery, gives=Statement),
    _operation("POST", f"{_ONE}/size", "resize_credit_line", "Give a credit line another size", _RUN,
               handler=resize_line, takes=Size, gives=LineView),
    _operation("POST", f"{_ONE}/closing", "close_credit_line", "Close a credit line to new requests", _RUN,
               handler=close_line, takes=Closing, gives=LineView),
)  # fmt: skip
