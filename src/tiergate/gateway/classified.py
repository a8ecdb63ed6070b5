"""A request to the classified tier, from the facts to a decision that is paid for and on record.

Everything but credit is judged first. Who passes has credit set aside and is judged again by the facts of that moment;
who does not is told about credit too. The decision is then written, and only then acted upon.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from tiergate.admission.engine import TierDecision
from tiergate.admission.facts import closest_grant
from tiergate.errors import LedgerError
from tiergate.gateway.charging import Charge, Till, estimate, tariff_of
from tiergate.gateway.deciding import DecisionWriter
from tiergate.gateway.dialects.common import Asked
from tiergate.gateway.metered import demand_of
from tiergate.gateway.metering.prices import PriceTable
from tiergate.gateway.tiers import Ruling


class Admitted(NamedTuple):
    """A decision on record, by ``decision_id``, and the credit that is set aside where it allows."""

    decision: TierDecision
    decision_id: str
    charge: Charge | None


class ClassifiedTier:
    """Decides requests to classified models. ``prices``: those in force."""

    def __init__(self, till: Till, writer: DecisionWriter, prices: Callable[[], PriceTable]) -> None:
        self._till = till
        self._writer = writer
        self._prices = prices

    async def decide(
        self, judge: Callable[[bool | None], Ruling], asked: Asked, body: bytes, exchange_id: str, started_us: int
    ) -> Admitted:
        """Decide one request. ``judge`` gives the ruling of this moment, for whether credit covers the request;
        ``started_us`` is when its exchange began, whose prices hold.

        Raises `LedgerError` when the decision cannot be recorded: then nothing may be answered.
        """
        ruling = judge(True)
        charge: Charge | bool | None = None
        tariff = tariff_of(self._prices(), ruling.model, started_us)
        micro_usd = estimate(tariff, demand_of(asked, body))
        grant = closest_grant(ruling.standing, ruling.model, ruling.request.fact)
        if ruling.decision.allowed and grant is not None:
            charge = await self._till.reserve(grant, ruling.standing, tariff, grant.purposes[-1], micro_usd)
            ruling = judge(True if isinstance(charge, Charge) else charge)
        elif not ruling.decision.allowed:
            ruling = judge(await self._till.covers(grant, micro_usd))
        held = charge if isinstance(charge, Charge) else None
        try:
            same = ruling.decision.grant_id == (grant.grant_id if grant else None)
            if ruling.decision.allowed and not (held and same):
                # The facts changed meanwhile, and the request now rests on a grant that nothing was set aside from.
                ruling = judge(None)
            if not ruling.decision.reasons and not ruling.decision.allowed:
                raise LedgerError("a refusal without a reason is not recorded")
            decision_id = await self._writer.write(ruling, exchange_id, body)
        except BaseException:
            if held is not None:
                await held.release()
            raise
        if not ruling.decision.allowed and held is not None:
            await held.release()
            held = None
        return Admitted(ruling.decision, decision_id, held)

    async def close(self) -> None:
        """Write what waits."""
        await self._writer.close()
        await self._till.close()
