"""What was spent of credit lines, by member, purpose and day, kept up entry by entry: every request has some."""

from __future__ import annotations

import threading
from collections import defaultdict
from typing import NamedTuple

import sqlalchemy as sa

from tiergate.admission.credit_rows import ENTRIES, SUMS, StatementRow
from tiergate.clock import DAY

_Key = tuple[str, str | None, str | None]


class LineSpending(NamedTuple):
    """Rows of a line as `Credits.statement` has them over all time, the most spent first; micro-dollars by day, of
    which the number counts days since the epoch. ``entry``: the last one in it."""

    rows: list[StatementRow]
    days: dict[int, int]
    entry: int


class Spending:
    """Sums of all lines, in memory. For any number of threads."""

    def __init__(self, engine: sa.Engine) -> None:
        self._engine = engine
        self._lock = threading.Lock()
        self._entry = 0
        self._sums: dict[str, dict[_Key, list[int]]] = defaultdict(dict)
        self._days: dict[str, dict[int, int]] = defaultdict(dict)

    @property
    def entry(self) -> int:
        """The last entry that is in the sums."""
        return self._entry

    def behind(self) -> int:
        """How many entries came since."""
        return self._last() - self._entry

    def keep_up(self) -> int:
        """Add what came since; the last entry now. Takes as long as reading that much."""
        with self._lock:
            last = self._last()
            new = sa.and_(ENTRIES.c.number > self._entry, ENTRIES.c.number <= last)
            grouped = (ENTRIES.c.line_id, ENTRIES.c.member_id, ENTRIES.c.purpose_id)
            answers = sa.func.sum(sa.case((ENTRIES.c.action == "settle", 1), else_=0))
            sums = [sa.cast(sa.func.sum(ENTRIES.c[name]), sa.BigInteger) for name in SUMS]
            # Day by day too, in one pass: entries are many, their days few.
            day = ENTRIES.c.at_us.op("/")(DAY)
            with self._engine.connect() as connection:
                rows = connection.execute(
                    sa.select(*grouped, day, *sums, answers).where(new).group_by(*grouped, day)
                ).all()
            for line, member, purpose, at, *added in rows:
                held = self._sums[line].setdefault((line, member, purpose), [0] * len(added))
                for place, amount in enumerate(added):
                    held[place] += amount
                spent = added[SUMS.index("spent")]
                if spent:
                    self._days[line][at] = self._days[line].get(at, 0) + spent
            self._entry = last
            return last

    def of(self, line_id: str) -> LineSpending:
        """What was spent of a line."""
        with self._lock:
            rows = [
                StatementRow(line_id=line, member_id=member, purpose_id=purpose, answers=sums[-1],
                             **dict(zip(SUMS, sums, strict=False)))
                for (line, member, purpose), sums in self._sums.get(line_id, {}).items()
            ]  # fmt: skip
            days = dict(sorted(self._days.get(line_id, {}).items()))
            return LineSpending(sorted(rows, key=_most_spent), days, self._entry)

    def _last(self) -> int:
        with self._engine.connect() as connection:
            return int(connection.execute(sa.select(sa.func.max(ENTRIES.c.number))).scalar_one() or 0)


def _most_spent(row: StatementRow) -> tuple[int, str, str]:
    return -row.spent, row.member_id or "", row.purpose_id or ""
