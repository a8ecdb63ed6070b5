"""Rows of credit: tables, what is read from them, and the few statements that move money."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import msgspec
import sqlalchemy as sa

from tiergate.admission.changes import METADATA
from tiergate.errors import InputError, StateError

BALANCES: Final = sa.Table(
    "credit_balances",
    METADATA,
    sa.Column("line_id", sa.String(64), primary_key=True),
    sa.Column("programme_id", sa.String(64), nullable=False, index=True),
    sa.Column("committed", sa.BigInteger, nullable=False),
    sa.Column("reserved", sa.BigInteger, nullable=False),
    sa.Column("spent", sa.BigInteger, nullable=False),
    sa.Column("overrun", sa.BigInteger, nullable=False),
    sa.Column("closed", sa.Boolean, nullable=False),
    # A second defence: a mistake in this module fails instead of making money.
    sa.CheckConstraint("reserved >= 0 and spent >= 0 and overrun >= 0 and committed - reserved - spent >= 0"),
)
RESERVATIONS: Final = sa.Table(
    "credit_reservations",
    METADATA,
    sa.Column("reservation_id", sa.String(64), primary_key=True),
    sa.Column("line_id", sa.String(64), nullable=False),
    sa.Column("member_id", sa.String(512), nullable=False),
    sa.Column("purpose_id", sa.String(64), nullable=False),
    sa.Column("amount", sa.BigInteger, nullable=False),
    sa.Column("state", sa.String(16), nullable=False),
    sa.Column("expires_at_us", sa.BigInteger, nullable=False),
    sa.Column("cost", sa.BigInteger),
    sa.Column("charged", sa.BigInteger),
    sa.Index("credit_reservations_open", "state", "expires_at_us"),
)
ENTRIES: Final = sa.Table(
    "credit_entries",
    METADATA,
    # SQLite numbers rows by itself only where the type is its own INTEGER.
    sa.Column("number", sa.BigInteger().with_variant(sa.Integer, "sqlite"), primary_key=True, autoincrement=True),
    sa.Column("line_id", sa.String(64), nullable=False, index=True),
    sa.Column("reservation_id", sa.String(64)),
    sa.Column("member_id", sa.String(512)),
    sa.Column("purpose_id", sa.String(64)),
    sa.Column("action", sa.String(16), nullable=False),
    sa.Column("committed", sa.BigInteger, nullable=False),
    sa.Column("reserved", sa.BigInteger, nullable=False),
    sa.Column("spent", sa.BigInteger, nullable=False),
    sa.Column("overrun", sa.BigInteger, nullable=False),
    sa.Column("author", sa.String(256), nullable=False),
    sa.Column("at_us", sa.BigInteger, nullable=False),
)
SUMS: Final = ("committed", "reserved", "spent", "overrun")
MOST_MICRO_USD: Final = 2**62 - 1
"""The largest amount; two of them still fit a column."""


class CreditLine(msgspec.Struct, frozen=True, kw_only=True, tag="line", forbid_unknown_fields=True):
    """A line. ``purpose_code``: the only purpose it pays for, any when None."""

    line_id: str
    programme_id: str
    organisation_id: str
    committed_micro_usd: int
    purpose_code: str | None = None
    closed_at_us: int | None = None


class Balance(msgspec.Struct, frozen=True, kw_only=True):
    """What a line holds, in micro-dollars. ``overrun`` is what answers cost beyond the line."""

    line_id: str
    committed: int
    reserved: int
    spent: int
    overrun: int
    closed: bool

    @property
    def available(self) -> int:
        """What can still be reserved."""
        return self.committed - self.reserved - self.spent


class Reservation(msgspec.Struct, frozen=True, kw_only=True):
    """A reservation. ``state``: `open`, `settled`, `released` or `expired`. ``charged``: of ``cost``, what the line
    bore."""

    reservation_id: str
    line_id: str
    member_id: str
    purpose_id: str
    amount: int
    state: str
    expires_at_us: int
    cost: int | None = None
    charged: int | None = None


class StatementRow(msgspec.Struct, frozen=True, kw_only=True):
    """One member's use of a line for one purpose, in micro-dollars. ``answers``: how many were settled. The row with
    neither member nor purpose holds what was committed."""

    line_id: str
    member_id: str | None
    purpose_id: str | None
    committed: int
    reserved: int
    spent: int
    overrun: int
    answers: int


def enter(
    connection: sa.Connection,
    action: str,
    author: str,
    now_us: int,
    *,
    line_id: str | None = None,
    reservation: Reservation | None = None,
    **amounts: int,
) -> None:
    """Append an entry: what ``action`` adds to the sums of a line."""
    whose = {"line_id": line_id, "reservation_id": None, "member_id": None, "purpose_id": None}
    if reservation is not None:
        whose = {name: getattr(reservation, name) for name in whose}
    row = dict.fromkeys(SUMS, 0) | amounts | whose | {"action": action, "author": author, "at_us": now_us}
    connection.execute(sa.insert(ENTRIES), row)


def close(connection: sa.Connection, reservation_id: str, was: str, **values: Any) -> Reservation | None:
    """Give a reservation that is in state ``was`` another one; None when it is not, so that only one caller can."""
    fits = sa.and_(RESERVATIONS.c.reservation_id == reservation_id, RESERVATIONS.c.state == was)
    change = sa.update(RESERVATIONS).where(fits).values(**values).returning(*RESERVATIONS.c)
    row = connection.execute(change).mappings().first()
    return None if row is None else Reservation(**row)


def free(connection: sa.Connection, given_back: Sequence[Reservation], action: str, author: str, now_us: int) -> None:
    """Make what was reserved available again."""
    for line_id in sorted({one.line_id for one in given_back}):
        amount = sum(one.amount for one in given_back if one.line_id == line_id)
        change = sa.update(BALANCES).where(BALANCES.c.line_id == line_id)
        connection.execute(change.values(reserved=BALANCES.c.reserved - amount))
    for one in given_back:
        enter(connection, action, author, now_us, reservation=one, reserved=-one.amount)


def reservation_in(connection: sa.Connection, reservation_id: str) -> Reservation:
    """A reservation as it stands. Raises `InputError` for an unknown one."""
    query = sa.select(RESERVATIONS).where(RESERVATIONS.c.reservation_id == reservation_id)
    row = connection.execute(query).mappings().first()
    if row is None:
        raise InputError(f"no reservation is called `{reservation_id}`")
    return Reservation(**row)


def settled_before(connection: sa.Connection, reservation_id: str, cost: int) -> Reservation:
    """The settlement of a reservation that is closed, when it is the same. Raises `StateError` when it is not."""
    found = reservation_in(connection, reservation_id)
    if found.state != "settled" or found.cost != cost:
        was = f"settled at {usd(found.cost)}" if found.cost is not None else found.state
        raise StateError(f"`{reservation_id}` is {was} already", code="reservation_closed")
    return found


def whole(micro_usd: int, what: str, *, least: int = 0) -> int:
    """An amount as it is. Raises `InputError` when it is no whole number of micro-dollars from ``least`` on."""
    if not isinstance(micro_usd, int) or not least <= micro_usd <= MOST_MICRO_USD:
        raise InputError(f"{what} is a whole number of micro-dollars, {least} or more, not `{micro_usd}`")
    return micro_usd


def usd(micro_usd: int) -> str:
    """`$1,234.50`; fractions of a cent are shown when there are any."""
    whole, part = divmod(abs(micro_usd), 1_000_000)
    digits = f"{part:06}".rstrip("0").ljust(2, "0")
    return f"{'-' if micro_usd < 0 else ''}${whole:,}.{digits}"
