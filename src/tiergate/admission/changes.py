"""Every change to who may do what, appended: programmes, memberships, purposes, grants, lines and appeals.

A row holds the whole new state of one subject, with author, time and reason. Nothing is updated in place: what holds is
a subject's newest row, and the older rows say how it came about. Rows are numbered 1, 2, 3 ... in the order in which
they were committed, so the last number is an epoch: who has read up to it has missed nothing.

One row of `admission_epoch` is locked by every change, before anything is read. Changes are rare (people make them), so
one at a time costs nothing, and a rule such as "two different reviewers" or "lines never exceed the pool" holds under
any number of processes, on SQLite and PostgreSQL alike.
"""

from __future__ import annotations

import secrets
import unicodedata
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import lru_cache, reduce
from operator import or_
from typing import Final, TypeVar

import msgspec
import sqlalchemy as sa

from tiergate.admission.turns import Turns
from tiergate.database import make_tables
from tiergate.errors import InputError, LedgerError

METADATA: Final = sa.MetaData()
ATTEMPTS: Final = 6
"""How often a turn is waited for, `busy_timeout` each, before a database counts as stuck."""

_EPOCH: Final = sa.Table(
    "admission_epoch",
    METADATA,
    sa.Column("id", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("count", sa.BigInteger, nullable=False),
)
_CHANGES: Final = sa.Table(
    "admission_changes",
    METADATA,
    sa.Column("number", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("kind", sa.String(32), nullable=False),
    sa.Column("subject_id", sa.String(64), nullable=False),
    sa.Column("organisation_id", sa.String(512)),
    sa.Column("holder_id", sa.String(512)),
    sa.Column("action", sa.String(32), nullable=False),
    sa.Column("author", sa.String(256), nullable=False),
    sa.Column("at_us", sa.BigInteger, nullable=False),
    sa.Column("reason", sa.Text, nullable=False),
    sa.Column("state", sa.Text, nullable=False),
    sa.Index("admission_changes_subject", "kind", "subject_id", "number"),
    sa.Index("admission_changes_kind", "kind", "number"),
    sa.Index("admission_changes_organisation", "kind", "organisation_id", "number"),
    sa.Index("admission_changes_holder", "kind", "holder_id", "number"),
)

S = TypeVar("S", bound=msgspec.Struct)
R = TypeVar("R")


class Change(msgspec.Struct, frozen=True, kw_only=True):
    """One appended row. ``state``: the subject's whole state after it, as JSON. ``at_us``: microseconds, UTC."""

    number: int
    kind: str
    subject_id: str
    action: str
    author: str
    at_us: int
    reason: str
    state: str


class Reading:
    """States, read over one connection. See `Changes.reading`."""

    def __init__(self, connection: sa.Connection) -> None:
        self.connection = connection

    def current(self, kind: type[S], subject_id: str) -> S | None:
        """The newest state of a subject."""
        return _current(self.connection, kind, subject_id)

    def states(self, kind: type[S], subject_id: str) -> list[S]:
        """Every state that a subject was in, the newest first."""
        query = sa.select(_CHANGES.c.state).where(_CHANGES.c.kind == _kind(kind), _CHANGES.c.subject_id == subject_id)
        states = self.connection.execute(query.order_by(_CHANGES.c.number.desc())).scalars()
        return [msgspec.json.decode(state, type=kind) for state in states]

    def every(self, kind: type[S], *, organisation_id: str | None = None, holder_id: str | None = None) -> list[S]:
        """The newest state of every subject, or of those that belong to an organisation or a holder."""
        return _every(self.connection, kind, organisation_id, holder_id)

    def appended(
        self, number: int, kinds: Sequence[type[msgspec.Struct]], most: int
    ) -> list[tuple[Change, msgspec.Struct | None, msgspec.Struct]]:
        """The first ``most`` changes of ``kinds`` after change ``number``, oldest first, each with its subject's state
        before and after it."""
        decoder = msgspec.json.Decoder(reduce(or_, kinds))
        earlier = _CHANGES.alias()
        newest = sa.select(sa.func.max(earlier.c.number)).where(
            earlier.c.kind == _CHANGES.c.kind,
            earlier.c.subject_id == _CHANGES.c.subject_id,
            earlier.c.number < _CHANGES.c.number,
        )
        query = (
            sa.select(
                *(_CHANGES.c[name] for name in Change.__struct_fields__), newest.scalar_subquery().label("before")
            )
            .where(_CHANGES.c.kind.in_([_kind(kind) for kind in kinds]), _CHANGES.c.number > number)
            .order_by(_CHANGES.c.number)
            .limit(most)
        )
        rows = [dict(row) for row in self.connection.execute(query).mappings()]
        befores = [row.pop("before") for row in rows]
        state = sa.select(_CHANGES.c.number, _CHANGES.c.state).where(_CHANGES.c.number.in_(befores))
        states = {one.number: decoder.decode(one.state) for one in self.connection.execute(state)}
        return [
            (Change(**row), states.get(before), decoder.decode(row["state"]))
            for row, before in zip(rows, befores, strict=True)
        ]

    def history(self, kind: type[msgspec.Struct], subject_id: str) -> list[Change]:
        """All changes of a subject, oldest first."""
        return _history(self.connection, kind, subject_id)


class Writing(Reading):
    """One open change: what is read in it stays true until it ends. See `Changes.writing`."""

    def __init__(self, connection: sa.Connection, author: str, now_us: int, last: int) -> None:
        super().__init__(connection)
        self.author = author
        self.now_us = now_us
        self.number = last

    def put(self, subject_id: str, state: msgspec.Struct, action: str, reason: str = "") -> None:
        """Append a state. Its ``organisation_id`` and ``holder_id``, where it has them, must never change."""
        self.put_all([(subject_id, state)], action, reason)

    def put_all(self, states: Sequence[tuple[str, msgspec.Struct]], action: str, reason: str = "") -> None:
        """Append states of many subjects at once; see `put`."""
        first, self.number = self.number + 1, self.number + len(states)
        rows = [
            {
                "number": number,
                "kind": _kind(type(state)),
                "subject_id": subject_id,
                "organisation_id": getattr(state, "organisation_id", None),
                "holder_id": getattr(state, "holder_id", None),
                "action": action,
                "author": self.author,
                "at_us": self.now_us,
                "reason": reason,
                "state": msgspec.json.encode(state).decode(),
            }
            for number, (subject_id, state) in enumerate(states, first)
        ]
        if rows:
            self.connection.execute(sa.insert(_CHANGES), rows)


class Changes:
    """Changes in a database. Any number of threads and processes may share it."""

    def __init__(self, engine: sa.Engine) -> None:
        self.engine = engine
        self.turns = Turns(engine)
        prepare(engine)

    @contextmanager
    def writing(self, author: str, now_us: int) -> Iterator[Writing]:
        """A change that counts whole when the block ends well, and not at all otherwise.

        Raises `InputError` without an author, `LedgerError` when the database stays busy.
        """
        if not named(author):
            raise InputError("a change needs an author: say who makes it")
        with self.turns.turn(), self.engine.connect() as connection:
            _lock(connection)
            last = int(connection.execute(sa.select(_EPOCH.c.count)).scalar_one())
            writing = Writing(connection, author, now_us, last)
            yield writing
            if writing.number > last:
                connection.execute(sa.update(_EPOCH).values(count=writing.number))
            connection.commit()

    @contextmanager
    def reading(self) -> Iterator[Reading]:
        """Several states over one connection, as of one moment."""
        with self.engine.connect() as connection:
            if self.engine.dialect.name == "sqlite":
                # The driver begins no transaction for reading by itself.
                connection.exec_driver_sql("begin")
            else:
                connection.execution_options(isolation_level="REPEATABLE READ")
            yield Reading(connection)

    def since(self, number: int, kinds: Sequence[type[msgspec.Struct]]) -> tuple[int, list[msgspec.Struct]]:
        """The number of the last change, and the states of ``kinds`` that were put after change ``number``, oldest
        first. From 0 on each subject's newest state alone: older ones no longer count."""
        decoder = msgspec.json.Decoder(reduce(or_, kinds))
        query = sa.select(_CHANGES.c.state).where(_CHANGES.c.kind.in_([_kind(kind) for kind in kinds]))
        if number:
            query = query.where(_CHANGES.c.number > number)
        else:
            newest = sa.select(sa.func.max(_CHANGES.c.number)).group_by(_CHANGES.c.kind, _CHANGES.c.subject_id)
            query = query.where(_CHANGES.c.number.in_(newest))
        with self.reading() as reading:
            last = int(reading.connection.execute(sa.select(_EPOCH.c.count)).scalar_one())
            states = reading.connection.execute(query.order_by(_CHANGES.c.number)).scalars()
            return last, [decoder.decode(state) for state in states]

    def latest(
        self, kinds: Sequence[str], *, after: int = 0, organisation_id: str | None = None, limit: int = 50
    ) -> list[Change]:
        """Changes of ``kinds`` after change ``after``, the newest first, without their states; of an organisation alone
        where one is named."""
        columns = [_CHANGES.c[name] for name in Change.__struct_fields__ if name != "state"]
        # By a function of the kind, so that the index of kinds is not taken: that would sort every change of them.
        fits = sa.func.lower(_CHANGES.c.kind).in_(list(kinds))
        query = sa.select(*columns).where(_CHANGES.c.number > after, fits)
        if organisation_id is not None:
            query = query.where(_CHANGES.c.organisation_id == organisation_id)
        with self.engine.connect() as connection:
            rows = connection.execute(query.order_by(_CHANGES.c.number.desc()).limit(limit)).mappings()
            return [Change(**row, state="") for row in rows]

    def version(self) -> int:
        """The number of the last change, 0 before the first: cheap to ask whether anything changed."""
        with self.engine.connect() as connection:
            return int(connection.execute(sa.select(_EPOCH.c.count)).scalar_one())

    def current(self, kind: type[S], subject_id: str) -> S | None:
        """The newest state of a subject, None for an unknown one."""
        with self.engine.connect() as connection:
            return _current(connection, kind, subject_id)

    def every(self, kind: type[S], *, organisation_id: str | None = None) -> list[S]:
        """The newest state of every subject of a kind, in the order they last changed."""
        with self.engine.connect() as connection:
            return _every(connection, kind, organisation_id, None)

    def newest(
        self,
        kind: type[S],
        *,
        most: int,
        before: int | None = None,
        organisation_id: str | None = None,
        holder_id: str | None = None,
    ) -> list[tuple[int, S]]:
        """The newest state of up to ``most`` subjects, who changed last first, each with the number of that change.

        :param before: the last number that was given: what comes after it, however many there are by then.
        """
        later = _CHANGES.alias()
        again = sa.exists().where(
            later.c.kind == _CHANGES.c.kind,
            later.c.subject_id == _CHANGES.c.subject_id,
            later.c.number > _CHANGES.c.number,
        )
        query = sa.select(_CHANGES.c.number, _CHANGES.c.state).where(_CHANGES.c.kind == _kind(kind), ~again)
        if before is not None:
            query = query.where(_CHANGES.c.number < before)
        for column, value in ((_CHANGES.c.organisation_id, organisation_id), (_CHANGES.c.holder_id, holder_id)):
            if value is not None:
                query = query.where(column == value)
        decoder = msgspec.json.Decoder(kind)
        with self.engine.connect() as connection:
            rows = connection.execute(query.order_by(_CHANGES.c.number.desc()).limit(most))
            return [(row.number, decoder.decode(row.state)) for row in rows]

    def authors(
        self, kind: type[msgspec.Struct], actions: Sequence[str], *, up_to: int, **whose: str | None
    ) -> set[str]:
        """Who did one of ``actions`` up to change ``up_to``; ``whose``: `subject_id`, `organisation_id` or `holder_id`,
        nobody's where it is None."""
        query = sa.select(_CHANGES.c.author).distinct().where(_CHANGES.c.kind == _kind(kind))
        query = query.where(_CHANGES.c.action.in_(actions), _CHANGES.c.number <= up_to)
        query = query.where(*(_CHANGES.c[name] == value for name, value in whose.items()))
        with self.engine.connect() as connection:
            return set(connection.execute(query).scalars())

    def history(self, kind: type[msgspec.Struct], subject_id: str) -> list[Change]:
        """All changes of a subject, oldest first."""
        with self.engine.connect() as connection:
            return _history(connection, kind, subject_id)


def prepare(engine: sa.Engine) -> None:
    """Make the tables that are missing."""

    def first(connection: sa.Connection) -> None:
        if connection.execute(sa.select(_EPOCH.c.count)).first() is None:
            connection.execute(sa.insert(_EPOCH).values(id=1, count=0))

    make_tables(engine, METADATA, first)


def patiently(engine: sa.Engine, work: Callable[[sa.Connection], R]) -> R:
    """Run ``work`` as one transaction, again from the start when other writers took every turn.

    SQLite gives turns to whoever polls at the right moment, so that one of many writers can wait long by bad luck.
    """
    for attempt in range(ATTEMPTS):
        try:
            with engine.begin() as connection:
                return work(connection)
        except sa.exc.OperationalError as error:
            _give_up(error, attempt)
    raise AssertionError("unreachable")


def _lock(connection: sa.Connection) -> None:
    for attempt in range(ATTEMPTS):
        try:
            connection.execute(sa.update(_EPOCH).values(count=_EPOCH.c.count))
        except sa.exc.OperationalError as error:
            connection.rollback()
            _give_up(error, attempt)
        else:
            return


def _give_up(error: sa.exc.OperationalError, attempt: int) -> None:
    if "locked" not in str(error.orig):
        raise error
    if attempt + 1 == ATTEMPTS:
        raise LedgerError("the control database stays busy: try again when fewer processes write to it") from error


def new_id(prefix: str) -> str:
    """A fresh id without content: ``prefix`` and 64 random bits."""
    return f"{prefix}_{secrets.token_hex(8)}"


@lru_cache(4_096)
def named(who: str) -> str:
    """A name as it is compared: two spellings of one name must not count as two people, nor what nobody sees in it."""
    folded = unicodedata.normalize("NFKC", who).casefold()
    return " ".join("".join(one for one in folded if unicodedata.category(one) != "Cf").split())


def same(who: str, *others: str | None) -> bool:
    """Whether somebody is one of ``others``."""
    return named(who) in {named(other) for other in others if other is not None}


def sha256_of(text: str) -> str:
    """A SHA-256 as 64 lower-case hexadecimal digits. Raises `InputError` when ``text`` is none."""
    digits = text.strip().lower().removeprefix("sha256:")
    if len(digits) != 64 or set(digits) - set("0123456789abcdef"):
        raise InputError(f"`{text}` is no SHA-256: give 64 hexadecimal digits, as `sha256sum` prints them")
    return digits


def _kind(kind: type[msgspec.Struct]) -> str:
    return str(kind.__struct_config__.tag)


def _current(connection: sa.Connection, kind: type[S], subject_id: str) -> S | None:
    query = sa.select(_CHANGES.c.state).where(_CHANGES.c.kind == _kind(kind), _CHANGES.c.subject_id == subject_id)
    state = connection.execute(query.order_by(_CHANGES.c.number.desc()).limit(1)).scalar()
    return None if state is None else msgspec.json.decode(state, type=kind)


def _history(connection: sa.Connection, kind: type[msgspec.Struct], subject_id: str) -> list[Change]:
    query = sa.select(*(_CHANGES.c[name] for name in Change.__struct_fields__)).order_by(_CHANGES.c.number)
    query = query.where(_CHANGES.c.kind == _kind(kind), _CHANGES.c.subject_id == subject_id)
    return [Change(**row) for row in connection.execute(query).mappings()]


def _every(connection: sa.Connection, kind: type[S], organisation_id: str | None, holder_id: str | None) -> list[S]:
    newest = sa.select(sa.func.max(_CHANGES.c.number)).where(_CHANGES.c.kind == _kind(kind))
    if organisation_id is not None:
        newest = newest.where(_CHANGES.c.organisation_id == organisation_id)
    if holder_id is not None:
        newest = newest.where(_CHANGES.c.holder_id == holder_id)
    query = sa.select(_CHANGES.c.state).where(_CHANGES.c.number.in_(newest.group_by(_CHANGES.c.subject_id)))
    states = connection.execute(query.order_by(_CHANGES.c.number)).scalars()
    decoder = msgspec.json.Decoder(kind)
    return [decoder.decode(state) for state in states]
