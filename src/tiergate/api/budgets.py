"""Operations on limits: what each is and what is used of it, set and removed."""

from __future__ import annotations

from typing import Annotated, Final

import msgspec

from tiergate.api.members import Id, Text
from tiergate.api.operations import Call, Operation
from tiergate.api.operators import Permission
from tiergate.api.paging import Page, PageQuery, page
from tiergate.api.services import Services
from tiergate.gateway.metering.accounts import Share
from tiergate.gateway.metering.limits import Limit, LimitStore, Measure, Scope
from tiergate.gateway.metering.setting import set_limit, standing, stated


class Budget(msgspec.Struct, frozen=True, kw_only=True):
    """A limit. Micro-dollars, requests or tokens. ``spent`` and ``reserved`` are of its present window, None where it
    holds for many subjects or is no money; what was used in the last seconds may still be among what is reserved."""

    scope: Scope
    subject: str
    measure: Measure
    amount: int
    spent: int | None = None
    reserved: int | None = None


class NewBudget(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A limit to set. ``amount``: dollars such as `2.50`, or whole requests or tokens. ``subject``: `*` for each that
    has none of its own; ``of``: the organisation or account whose project or end user it is."""

    scope: Scope
    subject: Id
    measure: Measure
    amount: Annotated[str, msgspec.Meta(min_length=1, max_length=32)]
    of: Id | None = None
    reason: Text = ""


class BudgetName(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A limit to remove, as it is listed."""

    scope: Scope
    subject: Id
    measure: Measure
    reason: Text = ""


def list_budgets(call: Call) -> Page[Budget]:
    asked = page(limits(call.services), lambda one: one.counter, call.query)
    return Page(items=budgets(call.services, asked.items, call.now_us), next=asked.next)


def limits(services: Services) -> list[Limit]:
    """The limits in force, by scope, subject and measure."""
    held = [one for one in services.standing.every(Limit) if one.amount is not None]
    return sorted(held, key=lambda one: (one.scope, one.subject, one.measure))


def budgets(services: Services, some: list[Limit], now_us: int) -> list[Budget]:
    """Limits with what is used of them."""
    held = standing(services.engine, some, now_us)
    return [_budget(one, held) for one in some]


def set_budget(call: Call) -> Budget:
    asked: NewBudget = call.body
    limit = stated(asked.scope, asked.subject, asked.measure, asked.amount, of=asked.of)
    services = call.services
    set_limit(
        services.engine, services.settings.data, limit, author=call.operator.name, now_us=call.now_us,
        reason=asked.reason,
    )  # fmt: skip
    return _budget(limit, standing(services.engine, [limit], call.now_us))


def remove_budget(call: Call) -> None:
    asked: BudgetName = call.body
    limit = Limit(scope=asked.scope, subject=asked.subject, measure=asked.measure, amount=None)
    store = LimitStore(call.services.engine)
    store.remove(limit, author=call.operator.name, now_us=call.now_us, reason=asked.reason)


def _budget(limit: Limit, held: dict[Limit, Share]) -> Budget:
    share = held.get(limit)
    return Budget(
        scope=limit.scope, subject=limit.subject, measure=limit.measure, amount=limit.amount or 0,
        spent=None if share is None else share.used + share.overrun, reserved=None if share is None else share.held,
    )  # fmt: skip


OPERATIONS: Final = (
    Operation(method="GET", path="/v1/budgets", name="list_budgets", summary="Limits, and what is used of them",
              subject="gateway", permission=Permission.SEE_KEYS, handler=list_budgets, query=PageQuery,
              gives=Page[Budget]),
    Operation(method="POST", path="/v1/budgets", name="set_budget", summary="Set a limit on what is spent or asked",
              subject="gateway", permission=Permission.MANAGE_KEYS, handler=set_budget, takes=NewBudget, gives=Budget),
    Operation(method="POST", path="/v1/budgets/removal", name="remove_budget", summary="Remove a limit",
              subject="gateway", permission=Permission.MANAGE_KEYS, handler=remove_budget, takes=BudgetName,
              gives=None, status=204),
)  # fmt: skip
