"""Verdicts: what was decided about the accounts of a case, by whom, until when.

The table is append-only. A verdict is never changed: it is superseded by a newer one of the same account, expires,
or is lifted by a row that says so. What is in force is a question asked of the rows, so any past day can be
answered too.
"""

from __future__ import annotations

import enum
import secrets
from collections.abc import Callable, Iterable, Sequence
from contextlib import nullcontext
from typing import Final

import msgspec
import sqlalchemy as sa

from tiergate.database import make_tables


class Action(enum.StrEnum):
    """What the gateway does with requests of an account, mildest first."""

    WATCH = "watch"
    VERIFY = "verify"
    LIMIT = "limit"
    SUMMARISE = "summarise"
    SUSPEND = "suspend"


Carried = Callable[[], frozenset[str] | None]
"""The marks that a request carries, made where a verdict asks for them; None where they are not known, which every
verdict is for."""

_STRICTNESS: Final = tuple(Action)


class Verdict(msgspec.Struct, frozen=True, kw_only=True):
    """One decision about one account of a case.

    ``verdict_id`` cannot be guessed: who has it may read the notice. Times are microseconds since the epoch, UTC.
    ``requests_per_minute`` belongs to `limit` and `summarise` and is one budget for the whole case. ``evidence`` names
    what the decision rests on. ``supersedes`` is the case's earlier verdict of this account that it replaces.
    ``charged``: how many of the account's ``observed`` exchanges the case holds against it, None where that was not
    counted. ``marks``: sketches by which the case's exchanges are told, so that only these are touched; None for all.
    """

    verdict_id: str
    account_id: str
    case_id: str
    action: Action
    reason: str
    author: str
    decided_at: int
    expires_at: int | None = None
    supersedes: str | None = None
    evidence: list[str] = []
    requests_per_minute: float | None = None
    charged: int | None = None
    observed: int | None = None
    marks: list[str] | None = None
    lifted: bool = False


class Move(msgspec.Struct, frozen=True, kw_only=True):
    """What one author did at one moment to so many ``accounts`` of a case; fields as in `Verdict`."""

    decided_at: int
    author: str
    action: Action
    lifted: bool
    expires_at: int | None
    accounts: int


METADATA: Final = sa.MetaData()

_VERDICTS: Final = sa.Table(
    "verdicts",
    METADATA,
    sa.Column("number", sa.Integer, primary_key=True, autoincrement=True),
    sa.Column("verdict_id", sa.String(64), nullable=False, unique=True),
    sa.Column("account_id", sa.String(512), nullable=False, index=True),
    sa.Column("case_id", sa.String(128), nullable=False, index=True),
    sa.Column("action", sa.String(16), nullable=False),
    sa.Column("reason", sa.Text, nullable=False),
    sa.Column("author", sa.String(256), nullable=False),
    sa.Column("decided_at", sa.BigInteger, nullable=False),
    sa.Column("expires_at", sa.BigInteger),
    sa.Column("supersedes", sa.String(64)),
    sa.Column("evidence", sa.JSON, nullable=False),
    sa.Column("requests_per_minute", sa.Float),
    sa.Column("charged", sa.BigInteger),
    sa.Column("observed", sa.BigInteger),
    sa.Column("marks", sa.JSON(none_as_null=True)),
    sa.Column("lifted", sa.Boolean, nullable=False),
)


class VerdictStore:
    """Verdicts in a database. Every method is one transaction."""

    def __init__(self, engine: sa.Engine) -> None:
        self._engine = engine
        make_tables(engine, METADATA)

    def put(self, verdicts: Sequence[Verdict], connection: sa.Connection | None = None) -> None:
        """Append verdicts. Of several for one account the last one counts.

        :param connection: an open transaction that they become part of.
        """
        if not verdicts:
            return
        with nullcontext(connection) if connection is not None else self._engine.begin() as writing:
            writing.execute(sa.insert(_VERDICTS), [_row(verdict) for verdict in verdicts])

    def lift(self, case_id: str, author: str, now_us: int) -> int:
        """Lift every verdict of a case that stands; returns how many."""
        lifting = [lifted(verdict, author, now_us) for verdict in self.of_case(case_id, now_us).values()]
        self.put(lifting)
        return len(lifting)

    def of_case(self, case_id: str, now_us: int, connection: sa.Connection | None = None) -> dict[str, Verdict]:
        """Verdicts of a case that stand, by account."""
        return {one.account_id: one for one in self._standing(now_us, case_id, connection)}

    def in_force(self, now_us: int) -> dict[str, Verdict]:
        """What each account is subject to at ``now_us``: the strictest of its cases' verdicts, the newest of equals.

        A milder verdict of another case therefore never frees an account, and lifting one case leaves the others'.
        """
        return {account: ordered[0] for account, ordered in self.every_in_force(now_us).items()}

    def every_in_force(self, now_us: int) -> dict[str, tuple[Verdict, ...]]:
        """All that each account is subject to at ``now_us``, the strictest first: one that is told by its marks leaves
        the account's other requests to the next."""
        standing: dict[str, list[Verdict]] = {}
        for verdict in self._standing(now_us):
            standing.setdefault(verdict.account_id, []).insert(0, verdict)
        # Sorting keeps the newest of equals first.
        return {
            account: tuple(sorted(some, key=lambda one: -_STRICTNESS.index(one.action)))
            for account, some in standing.items()
        }

    def _standing(
        self, now_us: int, case_id: str | None = None, connection: sa.Connection | None = None
    ) -> list[Verdict]:
        """The newest verdict of each account and case, oldest first, unless it is lifted or expired."""
        newest = sa.select(sa.func.max(_VERDICTS.c.number)).group_by(_VERDICTS.c.account_id, _VERDICTS.c.case_id)
        if case_id is not None:
            newest = newest.where(_VERDICTS.c.case_id == case_id)
        query = (
            sa.select(_VERDICTS)
            .where(_VERDICTS.c.number.in_(newest), ~_VERDICTS.c.lifted)
            .where(sa.or_(_VERDICTS.c.expires_at.is_(None), _VERDICTS.c.expires_at > now_us))
            .order_by(_VERDICTS.c.number)
        )
        with nullcontext(connection) if connection is not None else self._engine.connect() as reading:
            return [_verdict(row) for row in reading.execute(query).mappings()]

    def get(self, verdict_id: str, connection: sa.Connection | None = None) -> Verdict | None:
        """A row, whether it stands or not; None for an unknown one."""
        query = sa.select(_VERDICTS).where(_VERDICTS.c.verdict_id == verdict_id)
        with nullcontext(connection) if connection is not None else self._engine.connect() as reading:
            row = reading.execute(query).mappings().first()
        return None if row is None else _verdict(row)

    def history(self, case_id: str) -> list[Verdict]:
        """Every row of a case, oldest first."""
        query = sa.select(_VERDICTS).where(_VERDICTS.c.case_id == case_id).order_by(_VERDICTS.c.number)
        with self._engine.connect() as connection:
            return [_verdict(row) for row in connection.execute(query).mappings()]

    def moves(self, case_id: str) -> list[Move]:
        """The rows of a case, summed up by author and moment, the newest first."""
        columns = [_VERDICTS.c[name] for name in ("decided_at", "author", "action", "lifted", "expires_at")]
        query = sa.select(*columns, sa.func.count().label("accounts"), sa.func.max(_VERDICTS.c.number).label("last"))
        query = query.where(_VERDICTS.c.case_id == case_id).group_by(*columns).order_by(sa.desc("last"))
        with self._engine.connect() as connection:
            rows = [dict(row) for row in connection.execute(query).mappings()]
        return [
            Move(**{name: row[name] for name in Move.__struct_fields__} | {"action": Action(row["action"])})
            for row in rows
        ]

    def cases_of(self, account_id: str) -> list[str]:
        """Cases that ever had a verdict on an account."""
        query = sa.select(_VERDICTS.c.case_id).distinct().where(_VERDICTS.c.account_id == account_id)
        with self._engine.connect() as connection:
            return list(connection.execute(query).scalars())

    def version(self) -> int:
        """A number that grows with every row: cheap to ask whether anything changed."""
        with self._engine.connect() as connection:
            return connection.execute(sa.select(sa.func.max(_VERDICTS.c.number))).scalar() or 0


def applying(verdicts: Iterable[Verdict], now_us: int, carried: Carried = frozenset) -> Verdict | None:
    """The first of an account's ``verdicts`` that is not over at ``now_us`` and is for a request. A request that asks
    no model carries no mark."""
    for verdict in verdicts:
        if verdict.expires_at is not None and verdict.expires_at <= now_us:
            continue
        marks = None if verdict.marks is None else carried()
        if marks is None or verdict.marks is None or not marks.isdisjoint(verdict.marks):
            return verdict
    return None


def new_verdict_id() -> str:
    """A fresh 128-bit id that cannot be guessed."""
    return secrets.token_urlsafe(16)


def lifted(verdict: Verdict, author: str, now_us: int) -> Verdict:
    """The row that lifts a verdict."""
    return msgspec.structs.replace(
        verdict,
        verdict_id=new_verdict_id(),
        author=author,
        decided_at=now_us,
        expires_at=None,
        supersedes=verdict.verdict_id,
        lifted=True,
    )


def _row(verdict: Verdict) -> dict[str, object]:
    return msgspec.structs.asdict(verdict) | {"action": verdict.action.value}


def _verdict(row: sa.RowMapping) -> Verdict:
    fields = {name: row[name] for name in Verdict.__struct_fields__}
    return Verdict(**(fields | {"action": Action(row["action"])}))
