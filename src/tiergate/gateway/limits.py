"""Budgets of limited cases: one bucket for all accounts of a case, whichever gateway of a deployment they ask.

A bucket is one moment, its theoretical arrival time (GCRA, ITU-T I.371), in the control database: whoever moves it on
has taken a request, and two cannot have moved it from the same place. A case has few requests to take, and each worker
remembers until when there is none, so that a flood of requests is refused without asking the database.
"""

from __future__ import annotations

import asyncio
import logging
from dataclasses import dataclass, field
from typing import Final

import sqlalchemy as sa

from tiergate.admission.changes import patiently
from tiergate.clock import MINUTE, SECOND, Clock
from tiergate.database import make_tables
from tiergate.errors import LedgerError
from tiergate.ledger.verdicts import Action, Verdict

BURST_US: Final = 10 * SECOND
"""So long a budget may be saved up."""

NO_BUDGET_S: Final = 60.0
AGAIN_US: Final = SECOND
"""A database that could not be asked is left alone for so long."""

METADATA: Final = sa.MetaData()
_BUDGETS: Final = sa.Table(
    "case_budgets",
    METADATA,
    sa.Column("case_id", sa.String(128), primary_key=True),
    sa.Column("tat_us", sa.BigInteger, nullable=False),
)
_log = logging.getLogger(__name__)


def has_budget(verdict: Verdict | None) -> bool:
    """Whether requests under a verdict are taken from its case's budget."""
    if verdict is None or verdict.action not in (Action.LIMIT, Action.SUMMARISE):
        return False
    return verdict.action is Action.LIMIT or verdict.requests_per_minute is not None


@dataclass(frozen=True, slots=True)
class _Rate:
    """``each_us``: how long one request takes to come back; ``saved_us``: how far ahead of that they may be taken."""

    each_us: int
    saved_us: int

    @classmethod
    def of(cls, verdict: Verdict) -> _Rate | None:
        if not verdict.requests_per_minute or verdict.requests_per_minute <= 0:
            return None
        each_us = max(1, round(MINUTE / verdict.requests_per_minute))
        return cls(each_us, max(0, BURST_US - each_us))

    def begun(self, now_us: int) -> int:
        """A bucket begins empty: a case that is limited has had its share already."""
        return now_us + self.saved_us + self.each_us

    def wait_s(self, tat_us: int, now_us: int) -> float:
        return max(0, tat_us - self.saved_us - now_us) / SECOND


class CaseBudgets:
    """Budgets within one process, for simulated time."""

    def __init__(self) -> None:
        self._tats: dict[str, int] = {}

    def wait_s(self, verdict: Verdict, now_s: float) -> float:
        """Take one request from the case's budget: 0 when there was one, else seconds until there will be.

        :param now_s: seconds of a clock that never goes back.
        """
        rate, now_us = _Rate.of(verdict), round(now_s * SECOND)
        if rate is None:
            return NO_BUDGET_S
        tat_us = self._tats.setdefault(verdict.case_id, rate.begun(now_us))
        wait_s = rate.wait_s(tat_us, now_us)
        if wait_s == 0:
            self._tats[verdict.case_id] = max(tat_us, now_us) + rate.each_us
        return wait_s


@dataclass(slots=True)
class _Known:
    """``until_us``: the case has nothing before that. ``asking``: held by who asks the database, so that one does."""

    until_us: int = 0
    asking: asyncio.Lock = field(default_factory=asyncio.Lock)


class SharedBudgets:
    """Budgets of a deployment, in its control database."""

    def __init__(self, engine: sa.Engine, clock: Clock) -> None:
        self._engine, self._clock = engine, clock
        self._known: dict[str, _Known] = {}
        make_tables(engine, METADATA)

    async def wait_s(self, verdict: Verdict) -> float | None:
        """Take one request from the case's budget: 0 when there was one, else seconds until there will be; None when
        the database cannot be asked, as then nobody knows what other gateways let through."""
        rate = _Rate.of(verdict)
        if rate is None:
            return NO_BUDGET_S
        known = self._known.setdefault(verdict.case_id, _Known())
        async with known.asking:
            now_us = self._clock.now_us()
            if now_us < known.until_us:
                return (known.until_us - now_us) / SECOND
            try:
                wait_s = await asyncio.to_thread(self._take, verdict.case_id, rate, now_us)
            except (sa.exc.SQLAlchemyError, LedgerError) as error:
                _log.error("the budget of a case cannot be asked, so its requests are refused: %s", error)
                known.until_us = now_us + AGAIN_US
                return None
            known.until_us = now_us + round(wait_s * SECOND)
            return wait_s

    def _take(self, case_id: str, rate: _Rate, now_us: int) -> float:
        def work(connection: sa.Connection) -> float:
            same, tat = _BUDGETS.c.case_id == case_id, _BUDGETS.c.tat_us
            moved = sa.case((tat > now_us, tat), else_=now_us) + rate.each_us
            # To write first takes the lock at once; the row that others moved meanwhile fits no more.
            taking = sa.update(_BUDGETS).where(same, tat <= now_us + rate.saved_us).values(tat_us=moved)
            if connection.execute(taking).rowcount:
                return 0.0
            tat_us = connection.execute(sa.select(tat).where(same)).scalar()
            if tat_us is None:
                tat_us = rate.begun(now_us)
                connection.execute(sa.insert(_BUDGETS).values(case_id=case_id, tat_us=tat_us))
            return rate.wait_s(tat_us, now_us)

        return patiently(self._engine, work)
