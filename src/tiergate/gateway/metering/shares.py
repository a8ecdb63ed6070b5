"""Workers' shares of counters in the control database.

Moves are made under one lock, one after the other: each reads what the last one wrote, whatever the database. A worker
has one row a counter and window for as long as it lives; when it ends, what it used is added to the row of the worker
named '' and what it held is free.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Final, TypeVar

import sqlalchemy as sa

from tiergate.admission.changes import METADATA, patiently, prepare
from tiergate.admission.turns import Turns
from tiergate.clock import DAY
from tiergate.gateway.metering.accounts import Account, Move, Moved, Share

ENDED: Final = ""
"""The worker that has what others used who are gone."""

KEPT_US: Final = 40 * DAY
"""A window is forgotten so long after its beginning: longer than the longest month."""

_AT_ONCE: Final = 500
R = TypeVar("R")

_WORKERS: Final = sa.Table(
    "metering_workers",
    METADATA,
    sa.Column("worker", sa.String(64), primary_key=True),
    sa.Column("since_us", sa.BigInteger, nullable=False),
)
SHARES: Final = sa.Table(
    "metering_shares",
    METADATA,
    sa.Column("counter", sa.String(512), primary_key=True),
    sa.Column("window_us", sa.BigInteger, primary_key=True),
    sa.Column("worker", sa.String(64), primary_key=True),
    sa.Column("held", sa.BigInteger, nullable=False),
    sa.Column("used", sa.BigInteger, nullable=False),
    sa.Column("overrun", sa.BigInteger, nullable=False),
    sa.Column("since_us", sa.BigInteger, nullable=False),
    # A second defence: a mistake in this module fails instead of making money.
    sa.CheckConstraint("held >= 0 and used >= 0 and overrun >= 0"),
)
_RATES: Final = sa.Table(
    "metering_rates",
    METADATA,
    sa.Column("counter", sa.String(512), primary_key=True),
    sa.Column("tat_us", sa.BigInteger, nullable=False),
    sa.Column("cap", sa.BigInteger, nullable=False),
)
_KEY: Final = ("counter", "window_us", "worker")
_AMOUNTS: Final = ("held", "used", "overrun")
_OWN: Final = sa.and_(*(SHARES.c[name] == sa.bindparam(f"of_{name}") for name in _KEY))

# Made once: they take longer to make than to carry out.
_COUNT_WORKERS: Final = sa.select(sa.func.count()).select_from(_WORKERS)
_OF_WINDOWS: Final = sa.tuple_(SHARES.c.counter, SHARES.c.window_us).in_(sa.bindparam("windows", expanding=True))
_SHARES_OF: Final = sa.select(SHARES).where(_OF_WINDOWS)
_RATES_OF: Final = sa.select(_RATES).where(_RATES.c.counter.in_(sa.bindparam("counters", expanding=True)))
_INSERT_SHARES: Final = sa.insert(SHARES)
_UPDATE_SHARES: Final = sa.update(SHARES).where(_OWN)
_INSERT_RATES: Final = sa.insert(_RATES)
_UPDATE_RATES: Final = sa.update(_RATES).where(_RATES.c.counter == sa.bindparam("of_counter"))

_Window = tuple[str, int]


class ShareStore:
    """Shares in a database. Every method is one transaction; threads and processes may each have a store."""

    def __init__(self, engine: sa.Engine) -> None:
        self._engine = engine
        self._turns = Turns(engine)
        prepare(engine)

    def begin(self, worker: str, now_us: int) -> None:
        """Register a worker."""
        self._run(lambda connection: connection.execute(sa.insert(_WORKERS).values(worker=worker, since_us=now_us)))

    def workers(self) -> list[str]:
        """Workers that began and did not end."""
        with self._engine.connect() as connection:
            return list(connection.execute(sa.select(_WORKERS.c.worker).order_by(_WORKERS.c.since_us)).scalars())

    def move(self, worker: str, moves: Sequence[Move], now_us: int) -> list[Moved]:
        """Make moves of different counters or windows, as one transaction. Raises `LedgerError` when the database stays
        busy."""

        def work(connection: sa.Connection) -> list[Moved]:
            workers = int(connection.execute(_COUNT_WORKERS).scalar_one())
            done: list[Moved] = []
            for start in range(0, len(moves), _AT_ONCE):
                done += _move(connection, worker, moves[start : start + _AT_ONCE], workers, now_us)
            return done

        return self._run(work) if moves else []

    def end(self, worker: str, now_us: int, exact: Callable[[str, int, int], int] | None = None) -> None:
        """End a worker: what it holds is free, what it used stays.

        :param exact: for a worker that died before it could say, what it used of a budget by counter, beginning of the
            window and the moment it counts from.
        """

        def work(connection: sa.Connection) -> None:
            mine = sa.select(SHARES).where(SHARES.c.worker == worker)
            for row in connection.execute(mine).mappings().all():
                key, share = (row["counter"], row["window_us"]), _share(row)
                if key[1] == 0:
                    _end_rate(connection, key[0], share, now_us)
                    continue
                if exact is not None:
                    told = exact(*key, row["since_us"]) - share.used - share.overrun
                    # What it held pays for what it used; whether the budget has more is nobody's to say here.
                    Account(Move(counter="", window_us=1, cap=0), share, Share(), 0, now_us).settle(told)
                _add_to_ended(connection, key, share, row["since_us"])
            connection.execute(sa.delete(SHARES).where(SHARES.c.worker == worker))
            connection.execute(sa.delete(_WORKERS).where(_WORKERS.c.worker == worker))

        self._run(work)

    def count_before(self, counter: str, window_us: int, cap: int, used: int, now_us: int) -> None:
        """Count what was used of a budget before anybody counted it; does nothing where somebody does."""

        def work(connection: sa.Connection) -> None:
            same = sa.and_(SHARES.c.counter == counter, SHARES.c.window_us == window_us)
            if connection.execute(sa.select(SHARES.c.worker).where(same)).first() is None:
                within = min(cap, used)
                share = Share(used=within, overrun=used - within)
                _add_to_ended(connection, (counter, window_us), share, now_us)

        self._run(work)

    def forget(self, now_us: int) -> None:
        """Delete what no window and no rate needs any more."""

        def work(connection: sa.Connection) -> None:
            over = sa.and_(SHARES.c.window_us > 0, SHARES.c.window_us < now_us - KEPT_US, SHARES.c.held == 0)
            connection.execute(sa.delete(SHARES).where(over))
            empty = sa.and_(SHARES.c.window_us == 0, SHARES.c.held == 0)
            connection.execute(sa.delete(SHARES).where(empty))
            unheld = ~sa.exists().where(SHARES.c.counter == _RATES.c.counter)
            connection.execute(sa.delete(_RATES).where(_RATES.c.tat_us < now_us, unheld))

        self._run(work)

    def standing(self, counters: Iterable[_Window]) -> dict[_Window, Share]:
        """The sum of all workers' shares of budgets, by counter and window; what has none is not in it."""
        sums = [sa.cast(sa.func.sum(SHARES.c[name]), sa.BigInteger).label(name) for name in _AMOUNTS]
        query = sa.select(SHARES.c.counter, SHARES.c.window_us, *sums).group_by(SHARES.c.counter, SHARES.c.window_us)
        wanted = list(counters)
        found: dict[_Window, Share] = {}
        with self._engine.connect() as connection:
            for start in range(0, len(wanted), _AT_ONCE):
                some = {"windows": wanted[start : start + _AT_ONCE]}
                for row in connection.execute(query.where(_OF_WINDOWS), some).mappings():
                    found[row["counter"], row["window_us"]] = _share(row)
        return found

    def _run(self, work: Callable[[sa.Connection], R]) -> R:
        def alone(connection: sa.Connection) -> R:
            if self._engine.dialect.name == "sqlite":
                connection.exec_driver_sql("begin immediate")
            else:
                connection.exec_driver_sql(f"lock table {SHARES.name} in share row exclusive mode")
            return work(connection)

        with self._turns.turn():
            return patiently(self._engine, alone)


def _move(connection: sa.Connection, worker: str, moves: Sequence[Move], workers: int, now_us: int) -> list[Moved]:
    keys = [(move.counter, move.window_us) for move in moves]
    own: dict[_Window, Share] = {}
    others: dict[_Window, Share] = defaultdict(Share)
    for row in connection.execute(_SHARES_OF, {"windows": keys}).mappings():
        key, share = (row["counter"], row["window_us"]), _share(row)
        if row["worker"] == worker:
            own[key] = share
        else:
            others[key].held += share.held
            others[key].used += share.used
    rates = [move.counter for move in moves if move.window_us == 0]
    known = connection.execute(_RATES_OF, {"counters": rates}) if rates else ()
    tats = {row.counter: row.tat_us for row in known}
    results, made, changed, begun, went = [], [], [], [], []
    for key, move in zip(keys, moves, strict=True):
        account = Account(move, own.get(key, Share()), others[key], tats.get(move.counter, 0), now_us)
        results.append(account.make(move, workers))
        amounts = {name: getattr(account.own, name) for name in _AMOUNTS}
        if key in own:
            changed.append({"of_counter": key[0], "of_window_us": key[1], "of_worker": worker} | amounts)
        else:
            whose = {"counter": key[0], "window_us": key[1], "worker": worker, "since_us": move.since_us}
            made.append(whose | amounts)
        if move.window_us == 0:
            rate = {"tat_us": account.tat_us, "cap": move.cap}
            if move.counter in tats:
                went.append({"of_counter": move.counter} | rate)
            else:
                begun.append({"counter": move.counter} | rate)
    for statement, rows in (
        (_INSERT_SHARES, made),
        (_UPDATE_SHARES, changed),
        (_INSERT_RATES, begun),
        (_UPDATE_RATES, went),
    ):
        if rows:
            connection.execute(statement, rows)
    return results


def _end_rate(connection: sa.Connection, counter: str, share: Share, now_us: int) -> None:
    """What a worker held of a rate counts as used now: nobody can tell, and it must not be given out twice."""
    rate = connection.execute(sa.select(_RATES).where(_RATES.c.counter == counter)).mappings().first()
    if rate is not None and share.held:
        held = sa.select(sa.func.sum(SHARES.c.held)).where(SHARES.c.counter == counter)
        all_held = int(connection.execute(held).scalar_one())
        move = Move(counter=counter, window_us=0, cap=rate["cap"], used=share.held)
        account = Account(move, share, Share(held=all_held - share.held), rate["tat_us"], now_us)
        connection.execute(sa.update(_RATES).where(_RATES.c.counter == counter).values(tat_us=account.tat_us))


def _add_to_ended(connection: sa.Connection, key: _Window, share: Share, since_us: int) -> None:
    whose = dict(zip(_KEY, (*key, ENDED), strict=True))
    mine = sa.and_(*(SHARES.c[name] == value for name, value in whose.items()))
    more = {name: SHARES.c[name] + getattr(share, name) for name in ("used", "overrun")}
    if share.used + share.overrun and not connection.execute(sa.update(SHARES).where(mine).values(more)).rowcount:
        row = whose | {"held": 0, "used": share.used, "overrun": share.overrun, "since_us": since_us}
        connection.execute(sa.insert(SHARES).values(row))


def _share(row: Any) -> Share:
    return Share(held=row["held"], used=row["used"], overrun=row["overrun"])
