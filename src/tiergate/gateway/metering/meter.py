"""Admitting requests against prices and limits, and settling them: one worker, in memory, without waiting.

A ticket is closed once: *settled* with what the answer used, or *released* when there was none. What an answer costs is
said before its exchange is recorded, since the record holds it; where that record then fails, the ticket is *voided*.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Final, NamedTuple

import msgspec

from tiergate.gateway.metering.accounts import PERIOD_US, Move, Moved
from tiergate.gateway.metering.estimates import Estimator
from tiergate.gateway.metering.leases import FRESH_US, Lease
from tiergate.gateway.metering.limits import Limit, Limits, Payer
from tiergate.gateway.metering.prices import PriceTable, Tariff
from tiergate.gateway.metering.refusals import Allowance, Refusal, not_priced, over, too_large
from tiergate.gateway.metering.usage import Demand, Seen, Usage
from tiergate.gateway.metering.windows import window

ALWAYS: Final = 2**63 - 1
MOST_PLANS: Final = 50_000
"""Beyond so many payers, what is known of which limits they meet is forgotten and found again: memory stays bounded."""


class Charge(msgspec.Struct, frozen=True, kw_only=True):
    """What an exchange used and cost. ``cost_micro_usd``: None where nothing is priced."""

    usage: Usage
    cost_micro_usd: int | None

    def columns(self) -> dict[str, int | float | str | None]:
        """The columns of the exchange log that say so."""
        usage, cost = self.usage, self.cost_micro_usd
        return {
            "input_tokens": usage.input_tokens,
            "output_tokens": usage.output_tokens,
            "cached_input_tokens": usage.cached_input_tokens,
            "cache_write_tokens": usage.cache_write_tokens,
            "reasoning_tokens": usage.reasoning_tokens,
            "usage_source": "estimate" if usage.estimated else "upstream",
            "cost_micro_usd": cost,
            "cost_usd": None if cost is None else cost / 1_000_000,
        }


class _Plan(NamedTuple):
    """The leases that a payer's requests meet, from a moment until before another."""

    money: tuple[Lease, ...]
    tokens: tuple[Lease, ...]
    requests: tuple[Lease, ...]
    from_us: int
    until_us: int


class Ticket:
    """Money and tokens set aside for one request, until it is closed."""

    __slots__ = ("_bound", "_cost", "_demand", "_meter", "_models", "_open", "_plan", "_tariffs", "_tokens")

    def __init__(
        self, meter: Meter, plan: _Plan, models: tuple[str, ...], tariffs: tuple[Tariff, ...], demand: Demand,
        bound: int, tokens: int,
    ) -> None:  # fmt: skip
        self._meter, self._plan, self._models, self._tariffs, self._demand = meter, plan, models, tariffs, demand
        self._bound, self._tokens = bound, tokens
        self._open, self._cost = True, 0

    def begun(self, model: str | None = None) -> Charge:
        """What the exchange costs if nobody lives to see its answer: what it asked. Nothing is settled."""
        return self._charge(Seen(complete=False), model)

    def settle(self, seen: Seen, model: str | None = None) -> Charge:
        """Charge an answer, of which so much was seen. To be called once.

        :param model: which of the models that were admitted gave it; the first when None.
        """
        charge = self._charge(seen, model)
        self._close(charge.cost_micro_usd or 0, charge.usage.input_tokens + charge.usage.output_tokens)
        return charge

    def release(self) -> None:
        """Give back what was set aside, as there was no answer. Does nothing to a closed ticket. The request counts."""
        self._close(0, 0)

    def void(self, recorded: int = 0) -> None:
        """Take a settlement back, as its exchange could not be recorded. Its tokens count all the same.

        :param recorded: what its beginning is on record with, in micro-dollars.
        """
        cost, self._cost = self._cost - recorded, recorded
        for lease in self._plan.money if cost else ():
            kept = self._meter.kept(lease)
            kept.left += cost
            kept.unsaved -= cost

    def allowances(self, now_us: int) -> list[Allowance]:
        """How the nearest limits on requests and on tokens stand; none where there are none."""
        return [_nearest(leases, now_us) for leases in (self._plan.requests, self._plan.tokens) if leases]

    def _charge(self, seen: Seen, model: str | None) -> Charge:
        at = 0 if model is None else self._models.index(model)
        usage = self._meter.estimator.usage(self._models[at], self._demand, seen)
        return Charge(usage=usage, cost_micro_usd=self._tariffs[at].cost(usage) if self._tariffs else None)

    def _close(self, cost: int, tokens: int) -> None:
        if not self._open:
            return
        self._open, self._cost = False, cost
        over = self._bound - cost
        for lease in self._plan.money:
            lease.left += over
            lease.unsaved += cost
            lease.open -= 1
        over = self._tokens - tokens
        for lease in self._plan.tokens:
            lease.left += over
            lease.unsaved += tokens
            lease.open -= 1


class Meter:
    """One worker's meter. It belongs to one thread and never waits.

    :param now_us: the time, as in `tiergate.clock.Clock`.
    """

    def __init__(self, prices: PriceTable, limits: Limits, now_us: Callable[[], int]) -> None:
        self.prices = prices
        self.estimator = Estimator()
        self._limits = limits
        self._now_us = now_us
        self._plans: dict[tuple[str, str | None, str | None], _Plan] = {}
        self._leases: dict[tuple[str, int], Lease] = {}
        self._short: dict[tuple[str, int], Lease] = {}
        self._ticks = 0

    def admit(self, payer: Payer, models: tuple[str, ...], demand: Demand, at_us: int) -> Ticket | Refusal | None:
        """Set aside what a request may cost; None where a lease must be filled first (see `due`), and the same asked
        again after that.

        :param models: names, as prices know them, of all models that may answer; the dearest is what is set aside for.
            Empty where no model answers: such a request counts as one, and uses no tokens and no money.
        :param at_us: when the exchange began, as it is recorded; prices and windows go by it.
        """
        limits = self._limits
        plan = self._plans.get(
            key := (
                payer.credential_id,
                payer.project_id if limits.by_project else None,
                payer.end_user_id if limits.by_end_user else None,
            )
        )
        if plan is None or not plan.from_us <= at_us < plan.until_us:
            plan = self._plans[key] = self._plan(payer, at_us)
        tariffs: tuple[Tariff, ...] = ()
        bound = tokens = 0
        if self.prices.in_force or plan.money:
            for model in models:
                tariff = self.prices.at(model, at_us)
                if tariff is None:
                    return not_priced(model)
                tariffs += (tariff,)
                if plan.money:
                    bound = max(bound, tariff.bound(demand))
        if plan.tokens and models:
            tokens = self.estimator.foresee(models[0], demand)
        for lease in plan.money if bound else ():
            if lease.left < bound:
                return self._ask(plan, bound, tokens)
        for lease in plan.tokens if tokens else ():
            if lease.left < tokens:
                return self._ask(plan, bound, tokens)
        for lease in plan.requests:
            if lease.left < 1:
                return self._ask(plan, bound, tokens)
        for lease in plan.money:
            lease.left -= bound
            lease.open += 1
            lease.busy = True
        for lease in plan.tokens:
            lease.left -= tokens
            lease.open += 1
            lease.busy = True
        for lease in plan.requests:
            lease.left -= 1
            lease.unsaved += 1
            lease.busy = True
        return Ticket(self, plan, models, tariffs, demand, bound, tokens)

    @property
    def leases(self) -> tuple[int, int]:
        """Shares of limits that are held, and how many of them wait to be filled."""
        return len(self._leases), len(self._short)

    def replace(self, *, prices: PriceTable | None = None, limits: Limits | None = None) -> None:
        """Use other prices or limits from now on. What is set aside already stays so."""
        self.prices = prices or self.prices
        if limits is not None:
            self._limits = limits
            self._plans.clear()
            for lease in self._leases.values():
                # Where a limit was lowered, what is held may be more than it allows.
                lease.recalled = True

    def due(self, *, tick: bool = False, end: bool = False) -> list[tuple[Lease, Move]]:
        """What is to be moved: for leases that are short, on each ``tick`` (a second) for others too, in the end
        for all of them. To be given back to `moved`, or to `not_moved`."""
        short, self._short = self._short, {}
        if end:
            return [(lease, lease.on_end()) for lease in self._leases.values()]
        moves = [(lease, lease.on_request()) for lease in short.values()]
        if tick:
            self._ticks += 1
            asked = {id(lease) for lease, _ in moves}
            for lease in self._leases.values():
                move = None if id(lease) in asked else lease.on_tick(self._ticks)
                if move is not None:
                    moves.append((lease, move))
        return moves

    def moved(self, moves: Iterable[tuple[Lease, Move]], results: Iterable[Moved]) -> None:
        """Take in what came of moves."""
        now_us, spare = self._now_us(), set()
        for (lease, _), result in zip(moves, results, strict=True):
            lease.moved(result, now_us)
            if lease.is_spare:
                spare.add(self._leases.pop((lease.limit.counter, lease.from_us), lease))
        if spare:
            leases = {key: (*plan.money, *plan.tokens, *plan.requests) for key, plan in self._plans.items()}
            self._plans = {key: plan for key, plan in self._plans.items() if spare.isdisjoint(leases[key])}

    def not_moved(self, moves: Iterable[tuple[Lease, Move]]) -> None:
        """Take moves back that could not be made."""
        for lease, move in moves:
            lease.not_moved(move)

    def kept(self, lease: Lease) -> Lease:
        """The lease, or the one that took its place: what is booked there will be saved."""
        return self._leases.setdefault((lease.limit.counter, lease.from_us), lease)

    def _plan(self, payer: Payer, at_us: int) -> _Plan:
        money: list[Lease] = []
        tokens: list[Lease] = []
        requests: list[Lease] = []
        from_us, until_us = 0, ALWAYS
        for limit in self._limits.of(payer):
            what, span = limit.measure.split("/")
            if what == "usd":
                begin, end = window(span, at_us)
                from_us, until_us = max(from_us, begin), min(until_us, end)
                money.append(self._lease(limit, begin, end, at_us))
            else:
                (tokens if what == "tokens" else requests).append(self._lease(limit, 0, ALWAYS, at_us))
        if len(self._plans) >= MOST_PLANS:
            self._plans.clear()
        return _Plan(tuple(money), tuple(tokens), tuple(requests), from_us, until_us)

    def _lease(self, limit: Limit, from_us: int, until_us: int, at_us: int) -> Lease:
        lease = self.kept(Lease(limit, from_us, until_us, at_us))
        lease.limit = limit
        return lease

    def _ask(self, plan: _Plan, bound: int, tokens: int) -> Refusal | None:
        """The refusal by the first limit that cannot be met, else None, and what is short will be asked for."""
        now_us = self._now_us()
        needs = [(lease, bound) for lease in plan.money if bound]
        needs += [(lease, tokens) for lease in plan.tokens if tokens]
        needs += [(lease, 1) for lease in plan.requests]
        short = [(lease, need) for lease, need in needs if lease.left < need]
        for lease, need in short:
            if need > lease.cap:
                return too_large(lease.limit, need)
            if not lease.may_have(need, now_us):
                return _refusal(lease, need, now_us)
        for lease, need in short:
            lease.ask_for(need)
            self._short[lease.limit.counter, lease.from_us] = lease
        return None


def _refusal(lease: Lease, need: int, now_us: int) -> Refusal:
    remaining = lease.remaining(now_us)
    if lease.is_rate:
        wait_us = -(-(need - remaining) * PERIOD_US // lease.cap)
        return over(lease.limit, need, remaining, _full_at(lease, now_us), wait_us, reserved=False)
    reserved = lease.cap - lease.used - lease.unsaved >= need
    wait_us = FRESH_US if reserved else lease.until_us - now_us
    return over(lease.limit, need, remaining, lease.until_us, wait_us, reserved=reserved)


def _nearest(leases: tuple[Lease, ...], now_us: int) -> Allowance:
    lease = min(leases, key=lambda lease: lease.remaining(now_us))
    return Allowance(limit=lease.limit, remaining=max(0, lease.remaining(now_us)), resets_us=_full_at(lease, now_us))


def _full_at(lease: Lease, now_us: int) -> int:
    gone = max(0, lease.cap - lease.remaining(now_us))
    return now_us + (-(-gone * PERIOD_US // lease.cap) if lease.cap else 0)
