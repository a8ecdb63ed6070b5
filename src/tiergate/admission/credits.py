"""Credits: lines carved out of a programme's pool, reserved before a request and settled by its answer.

All amounts are whole micro-dollars. For every line, at any moment and under any number of threads and processes,

    committed = reserved + spent + available,   each of them 0 or more,

and the lines of a programme never add up to more than its pool. The rules:

- *Reserve* an upper bound before a request goes out. What is not available is refused (`insufficient_credit`).
- *Settle* with what the answer cost; the rest of the reservation is free again. Settling once more with the same cost
  returns the first settlement, so a caller who is not sure may repeat it.
- *Release* when there was no answer.
- *Overrun*: an answer that costs more than was reserved takes the excess from what is available; what the line cannot
  cover is borne by the operator. It is booked as `overrun`, beside `spent`, so that it is seen and no balance is
  ever negative. A line without available credit admits no further request.
- *Expiry*: a reservation that nobody closed by its time is reclaimed. An answer that comes later all the same was given
  all the same, and is charged as an answer with nothing reserved.

Balances are the sums of `credit_entries`, which is append-only. A line itself is a change like any other (see
`changes`) and raises the epoch; reservations do not, or else every request would make every worker read anew.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final, TypeVar

import msgspec
import sqlalchemy as sa

from tiergate.admission.changes import Change, Changes, Writing, new_id, patiently
from tiergate.admission.credit_rows import (
    BALANCES,
    ENTRIES,
    RESERVATIONS,
    SUMS,
    Balance,
    CreditLine,
    Reservation,
    StatementRow,
    close,
    enter,
    free,
    reservation_in,
    settled_before,
    usd,
    whole,
)
from tiergate.admission.programmes import Programme, programme_in
from tiergate.clock import MINUTE
from tiergate.errors import InputError, StateError, TiergateError

R = TypeVar("R")
RESERVATION_LASTS: Final = 15 * MINUTE
"""Longer than any answer takes."""


class Credits:
    """Lines, reservations and entries in a database. Every method is one transaction.

    One instance may serve many threads, and many processes may each have one on the same database.
    """

    def __init__(self, engine: sa.Engine) -> None:
        self._engine = engine
        self._changes = Changes(engine)

    def open_line(
        self,
        programme_id: str,
        organisation_id: str,
        micro_usd: int,
        *,
        author: str,
        now_us: int,
        purpose_code: str | None = None,
    ) -> CreditLine:
        """Carve a line out of the pool. Raises `StateError` `pool_exhausted` when not so much is left of it."""
        whole(micro_usd, "a line", least=1)
        with self._changes.writing(author, now_us) as writing:
            programme = programme_in(writing, programme_id)
            if purpose_code is not None and programme.purpose(purpose_code) is None:
                raise StateError(f"`{programme_id}` allows no purpose `{purpose_code}`", code="purpose_not_allowed")
            _need_left(writing, programme, micro_usd)
            line = CreditLine(
                line_id=new_id("line"),
                programme_id=programme_id,
                organisation_id=organisation_id,
                committed_micro_usd=micro_usd,
                purpose_code=purpose_code,
            )
            balance = {"line_id": line.line_id, "programme_id": programme_id, "committed": micro_usd, "closed": False}
            nothing = {"reserved": 0, "spent": 0, "overrun": 0}
            writing.connection.execute(sa.insert(BALANCES).values(**balance, **nothing))
            enter(writing.connection, "open", author, now_us, line_id=line.line_id, committed=micro_usd)
            writing.put(line.line_id, line, "open")
        return line

    def resize_line(self, line_id: str, micro_usd: int, *, author: str, now_us: int, reason: str = "") -> CreditLine:
        """Give a line another size. Raises `StateError` `pool_exhausted`, or `line_in_use` below what is reserved and
        spent."""
        whole(micro_usd, "a line")
        with self._changes.writing(author, now_us) as writing:
            line = line_in(writing, line_id)
            more = micro_usd - line.committed_micro_usd
            if more > 0:
                _need_left(writing, programme_in(writing, line.programme_id), more)
            fits = BALANCES.c.reserved + BALANCES.c.spent <= micro_usd
            change = sa.update(BALANCES).where(BALANCES.c.line_id == line_id, fits)
            if not writing.connection.execute(change.values(committed=micro_usd)).rowcount:
                raise StateError(f"more than {usd(micro_usd)} of the line is reserved and spent", code="line_in_use")
            enter(writing.connection, "resize", author, now_us, line_id=line_id, committed=more)
            line = msgspec.structs.replace(line, committed_micro_usd=micro_usd)
            writing.put(line_id, line, "resize", reason)
        return line

    def close_line(self, line_id: str, *, author: str, now_us: int, reason: str = "") -> CreditLine:
        """Close a line to new reservations; open ones are still settled. It can still be resized, which
        gives back to the pool what it did not spend."""
        with self._changes.writing(author, now_us) as writing:
            line = line_in(writing, line_id)
            if line.closed_at_us is not None:
                raise StateError(f"`{line_id}` is closed already", code="line_closed")
            closing = sa.update(BALANCES).where(BALANCES.c.line_id == line_id).values(closed=True)
            writing.connection.execute(closing)
            line = msgspec.structs.replace(line, closed_at_us=now_us)
            writing.put(line_id, line, "close", reason)
        return line

    def resize_pool(
        self, programme_id: str, micro_usd: int, *, author: str, now_us: int, reason: str = ""
    ) -> Programme:
        """Give a programme's pool another size. Raises `StateError` `pool_exhausted` below what its lines hold."""
        whole(micro_usd, "a pool")
        with self._changes.writing(author, now_us) as writing:
            programme = msgspec.structs.replace(programme_in(writing, programme_id), pool_micro_usd=micro_usd)
            _need_left(writing, programme, 0)
            writing.put(programme_id, programme, "resize_pool", reason)
        return programme

    def reserve(
        self,
        line_id: str,
        micro_usd: int,
        *,
        member_id: str,
        purpose_id: str,
        now_us: int,
        author: str = "gateway",
        lasts_us: int = RESERVATION_LASTS,
    ) -> Reservation:
        """Set ``micro_usd`` aside for one request of ``member_id`` (a person or workload) for a purpose.

        Raises `StateError`: `insufficient_credit`, `line_closed`; `InputError` for an unknown line.
        """
        take = self.reserving(
            line_id, micro_usd, member_id=member_id, purpose_id=purpose_id, now_us=now_us, author=author,
            lasts_us=lasts_us,
        )  # fmt: skip
        made = self._run(take) or (self._run(take) if self.reclaim(now_us, line_id=line_id) else None)
        if made is not None:
            return made
        balance = self.balance(line_id)
        if balance.closed:
            raise StateError(f"the credit line `{line_id}` is closed", code="line_closed")
        raise StateError(
            f"the credit line `{line_id}` has {usd(balance.available)} left, and up to {usd(micro_usd)} is asked for",
            code="insufficient_credit",
        )

    def reserving(
        self,
        line_id: str,
        micro_usd: int,
        *,
        member_id: str,
        purpose_id: str,
        now_us: int,
        author: str = "gateway",
        lasts_us: int = RESERVATION_LASTS,
    ) -> Callable[[sa.Connection], Reservation | None]:
        """A reservation as work for `together`; it gives None where so much is not available, or the line is closed or
        unknown, without looking for reservations whose time is up."""
        whole(micro_usd, "a reservation", least=1)
        made = Reservation(
            reservation_id=new_id("res"),
            line_id=line_id,
            member_id=member_id,
            purpose_id=purpose_id,
            amount=micro_usd,
            state="open",
            expires_at_us=now_us + lasts_us,
        )

        def take(connection: sa.Connection) -> Reservation | None:
            fits = BALANCES.c.committed - BALANCES.c.reserved - BALANCES.c.spent >= micro_usd
            change = sa.update(BALANCES).where(BALANCES.c.line_id == line_id, fits, ~BALANCES.c.closed)
            if not connection.execute(change.values(reserved=BALANCES.c.reserved + micro_usd)).rowcount:
                return None
            connection.execute(sa.insert(RESERVATIONS), msgspec.structs.asdict(made))
            enter(connection, "reserve", author, now_us, reservation=made, reserved=micro_usd)
            return made

        return take

    def together(self, works: Sequence[Callable[[sa.Connection], object]]) -> list[object]:
        """Several reservations, settlements and releases as one transaction: a disk syncs no more often for many than
        for one. Gives the result of each, or the error that it raised before it wrote anything.
        """

        def each(connection: sa.Connection) -> list[object]:
            results: list[object] = []
            for work in works:
                try:
                    results.append(work(connection))
                except TiergateError as error:
                    results.append(error)
            return results

        return self._run(each)

    def settle(self, reservation_id: str, cost_micro_usd: int, *, now_us: int, author: str = "gateway") -> Reservation:
        """Charge what an answer cost. May be repeated with the same cost.

        Raises `StateError` `reservation_closed` when it was released, or settled at another cost; `InputError` for an
        unknown one.
        """
        return self._run(self.settling(reservation_id, cost_micro_usd, now_us=now_us, author=author))

    def settling(
        self, reservation_id: str, cost_micro_usd: int, *, now_us: int, author: str = "gateway"
    ) -> Callable[[sa.Connection], Reservation]:
        """A settlement as work for `together`."""
        cost = whole(cost_micro_usd, "a cost")

        def charge(connection: sa.Connection) -> Reservation:
            settled = {"state": "settled", "cost": cost, "charged": cost}
            held = close(connection, reservation_id, "open", **settled)
            back = held.amount if held else 0
            held = held or close(connection, reservation_id, "expired", **settled)
            if held is None:
                return settled_before(connection, reservation_id, cost)
            charged = cost
            line = sa.update(BALANCES).where(BALANCES.c.line_id == held.line_id)
            if cost > back:
                # What is free is known for sure only once the line's row is ours.
                freed = line.values(reserved=BALANCES.c.reserved - back).returning(
                    BALANCES.c.committed - BALANCES.c.reserved - BALANCES.c.spent
                )
                charged = min(cost, int(connection.execute(freed).scalar_one()))
                paid = {"spent": BALANCES.c.spent + charged, "overrun": BALANCES.c.overrun + cost - charged}
                connection.execute(line.values(paid))
                same_one = RESERVATIONS.c.reservation_id == reservation_id
                connection.execute(sa.update(RESERVATIONS).where(same_one).values(charged=charged))
            else:
                paid = {"reserved": BALANCES.c.reserved - back, "spent": BALANCES.c.spent + cost}
                connection.execute(line.values(paid))
            over = cost - charged
            enter(connection, "settle", author, now_us, reservation=held, reserved=-back, spent=charged, overrun=over)
            return msgspec.structs.replace(held, charged=charged)

        return charge

    def release(self, reservation_id: str, *, now_us: int, author: str = "gateway") -> Reservation:
        """Give a reservation back, as there was no answer. May be repeated, and comes too late without harm.

        Raises `StateError` `reservation_closed` when it was settled, `InputError` for an unknown one.
        """
        return self._run(self.releasing(reservation_id, now_us=now_us, author=author))

    def releasing(
        self, reservation_id: str, *, now_us: int, author: str = "gateway"
    ) -> Callable[[sa.Connection], Reservation]:
        """A release as work for `together`."""

        def give_back(connection: sa.Connection) -> Reservation:
            held = close(connection, reservation_id, "open", state="released")
            if held is None:
                closed = reservation_in(connection, reservation_id)
                if closed.state == "settled":
                    raise StateError(f"`{reservation_id}` is settled already", code="reservation_closed")
                return closed
            free(connection, [held], "release", author, now_us)
            return held

        return give_back

    def reclaim(self, now_us: int, *, line_id: str | None = None, author: str = "gateway") -> int:
        """Free every reservation whose time is up, or those of one line; returns how many."""

        def expire(connection: sa.Connection) -> int:
            over = [RESERVATIONS.c.state == "open", RESERVATIONS.c.expires_at_us <= now_us]
            if line_id is not None:
                over.append(RESERVATIONS.c.line_id == line_id)
            change = sa.update(RESERVATIONS).where(*over).values(state="expired").returning(*RESERVATIONS.c)
            expired = [Reservation(**row) for row in connection.execute(change).mappings()]
            free(connection, expired, "expire", author, now_us)
            return len(expired)

        return self._run(expire)

    def reservation(self, reservation_id: str) -> Reservation:
        """A reservation as it stands. Raises `InputError` for an unknown one."""
        with self._engine.connect() as connection:
            return reservation_in(connection, reservation_id)

    def line(self, line_id: str) -> CreditLine:
        """A line. Raises `InputError` for an unknown one."""
        return _found(self._changes.current(CreditLine, line_id), line_id)

    def lines(self, programme_id: str | None = None) -> list[CreditLine]:
        """All lines, or a programme's."""
        return [line for line in self._changes.every(CreditLine) if programme_id in (None, line.programme_id)]

    def balances(self) -> list[Balance]:
        """What every line holds."""
        query = sa.select(*(BALANCES.c[name] for name in Balance.__struct_fields__))
        with self._engine.connect() as connection:
            return [Balance(**row) for row in connection.execute(query).mappings()]

    def balance(self, line_id: str) -> Balance:
        """What a line holds. Raises `InputError` for an unknown one."""
        query = sa.select(*(BALANCES.c[name] for name in Balance.__struct_fields__))
        with self._engine.connect() as connection:
            row = connection.execute(query.where(BALANCES.c.line_id == line_id)).mappings().first()
        if row is None:
            raise InputError(f"no credit line is called `{line_id}`: see `tiergate credit list`")
        return Balance(**row)

    def statement(self, line_ids: Sequence[str], *, from_us: int = 0, to_us: int | None = None) -> list[StatementRow]:
        """Rows by line, member and purpose of entries from ``from_us`` until before ``to_us``.

        Over all time the rows of a line add up exactly to its balance.
        """
        grouped = (ENTRIES.c.line_id, ENTRIES.c.member_id, ENTRIES.c.purpose_id)
        answers = sa.func.sum(sa.case((ENTRIES.c.action == "settle", 1), else_=0)).label("answers")
        # Sums of big integers are numerics on PostgreSQL.
        sums = [sa.cast(sa.func.sum(ENTRIES.c[name]), sa.BigInteger).label(name) for name in SUMS]
        query = sa.select(*grouped, *sums, answers).where(ENTRIES.c.line_id.in_(line_ids))
        query = query.where(ENTRIES.c.at_us >= from_us).group_by(*grouped).order_by(*grouped)
        if to_us is not None:
            query = query.where(ENTRIES.c.at_us < to_us)
        with self._engine.connect() as connection:
            return [StatementRow(**row) for row in connection.execute(query).mappings()]

    def history(self, line_id: str) -> list[Change]:
        """Every change of a line, oldest first."""
        return self._changes.history(CreditLine, line_id)

    def _run(self, work: Callable[[sa.Connection], R]) -> R:
        with self._changes.turns.turn():
            return patiently(self._engine, work)


def line_in(writing: Writing, line_id: str) -> CreditLine:
    """A line as it stands in an open change. Raises `InputError` for an unknown one."""
    return _found(writing.current(CreditLine, line_id), line_id)


def _need_left(writing: Writing, programme: Programme, micro_usd: int) -> None:
    # The balances, not the lines' own rows: what a close or resize changed counts at once.
    carved = sa.select(sa.func.coalesce(sa.func.sum(BALANCES.c.committed), 0))
    taken = int(
        writing.connection.execute(carved.where(BALANCES.c.programme_id == programme.programme_id)).scalar_one()
    )
    left = programme.pool_micro_usd - taken
    if micro_usd > left:
        raise StateError(
            f"the pool of `{programme.programme_id}` has {usd(left)} left, not {usd(micro_usd)}", code="pool_exhausted"
        )


def _found(line: CreditLine | None, line_id: str) -> CreditLine:
    if line is None:
        raise InputError(f"no credit line is called `{line_id}`: see `tiergate credit list`")
    return line
