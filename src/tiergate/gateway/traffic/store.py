"""The sums on disk: a small database beside the log, which is made of the log and can be made again at any time.

A sealed segment is added once, in one transaction with its place in the manifest, so whoever is cut off goes on where
they stood, and of two processes one is first. What is still in spools is added in memory (`tail`) and never stored.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import Final

import msgspec
import sqlalchemy as sa

from tiergate.clock import DAY, HOUR, MINUTE
from tiergate.database import make_tables, open_database
from tiergate.gateway.traffic.sums import COLUMNS, SUMS, Names, Rollup, Series
from tiergate.ledger.log import is_log
from tiergate.ledger.segments import Entry, Segments

FILE: Final = "traffic.sqlite"
FORMAT: Final = 1
MINUTES_KEPT_US: Final = 6 * HOUR
"""So long sums by minute are kept, counted from the newest exchange."""
_BATCH_ROWS: Final = 65_536
_AT_ONCE: Final = 1_000
_TABLES: Final = {MINUTE: "minutes", HOUR: "hours", DAY: "days"}

METADATA: Final = sa.MetaData()
_SERIES: Final = sa.Table(
    "series",
    METADATA,
    sa.Column("series_id", sa.Integer, primary_key=True),
    *(sa.Column(name, sa.Integer if name == "status" else sa.String(128), nullable=False) for name in Series._fields),
    sa.UniqueConstraint(*Series._fields),
)
_PLACE: Final = sa.Table(
    "place",
    METADATA,
    sa.Column("id", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("format", sa.Integer, nullable=False),
    sa.Column("number", sa.BigInteger, nullable=False),
    sa.Column("segment", sa.String(128), nullable=False),
    sa.Column("exchanges", sa.BigInteger, nullable=False),
    sa.Column("first_us", sa.BigInteger),
    sa.Column("newest_us", sa.BigInteger),
)
_WRITERS: Final = sa.Table(
    "writers",
    METADATA,
    sa.Column("writer", sa.String(64), primary_key=True),
    sa.Column("last_seq", sa.BigInteger, nullable=False),
)
EXCHANGES: Final = {
    unit: sa.Table(
        name,
        METADATA,
        sa.Column("at_us", sa.BigInteger, primary_key=True),
        sa.Column("series_id", sa.Integer, primary_key=True),
        *(sa.Column(each, sa.BigInteger, nullable=False) for each in SUMS),
        sqlite_with_rowid=False,
    )
    for unit, name in _TABLES.items()
}
LATENCIES: Final = {
    unit: sa.Table(
        f"{name}_latencies",
        METADATA,
        sa.Column("at_us", sa.BigInteger, primary_key=True),
        sa.Column("series_id", sa.Integer, primary_key=True),
        sa.Column("bucket", sa.Integer, primary_key=True),
        sa.Column("exchanges", sa.BigInteger, nullable=False),
        sqlite_with_rowid=False,
    )
    for unit, name in _TABLES.items()
}
"""Both by the length of what is summed up, in microseconds."""


class Place(msgspec.Struct, frozen=True, kw_only=True):
    """How far the sums are: the number and name of the last segment in them, the exchanges of all, and when the first
    and the newest of these began (microseconds since the epoch, UTC; None of none)."""

    number: int = 0
    segment: str = ""
    exchanges: int = 0
    first_us: int | None = None
    newest_us: int | None = None


class TrafficStore:
    """The database of one data folder, opened when it is first needed. Threads and processes may share it."""

    def __init__(self, data: Path, known_models: Callable[[], Collection[str]] = frozenset) -> None:
        self._data, self._known = data, known_models
        self._engine: sa.Engine | None = None
        self._opening = threading.Lock()

    @property
    def log(self) -> Path:
        return self._data / "log"

    @property
    def engine(self) -> sa.Engine:
        with self._opening:
            if self._engine is None:
                self._engine = _opened(self._data / FILE)
            return self._engine

    def close(self) -> None:
        if self._engine is not None:
            self._engine.dispose()

    @contextmanager
    def reading(self) -> Iterator[sa.Connection]:
        """All that is read is of one moment."""
        with self.engine.connect() as connection:
            connection.exec_driver_sql("begin")
            yield connection

    def names(self) -> Names:
        """Names that are told apart so far."""
        names = Names(self._known)
        with self.engine.connect() as connection:
            names.learn(series_in(connection).values())
        return names

    def catch_up(self, ended: Callable[[], bool] = lambda: False) -> int:
        """Add the segments that are sealed and not in the sums yet; how many. ``ended`` says when to leave off.

        Raises `LedgerError` for a log that is damaged.
        """
        if not is_log(self.log):
            return 0
        segments, added = Segments(self.log), 0
        with self.engine.connect() as connection:
            place = place_in(connection)
        last = segments.named(place.number) if place.number else None
        if place.number and (last is None or last.segment != place.segment):
            # Another log lies here now.
            self._begin_anew()
            place = Place()
        while entries := list(islice(segments.after(place.number), _AT_ONCE)):
            newest_us = max(place.newest_us or 0, *(entry.last_started_at for _, entry in entries))
            for number, entry in entries:
                rollup = self._rollup(segments, entry, newest_us - MINUTES_KEPT_US, ended)
                if rollup is None:
                    return added
                place = self._add(number, entry, rollup)
                added += 1
        return added

    def _rollup(
        self, segments: Segments, entry: Entry, minutes_from_us: int, ended: Callable[[], bool]
    ) -> Rollup | None:
        """What a segment adds; None where it was ended before that was known."""
        rollup, names = Rollup(minutes_from_us), self.names()
        for batch in segments.read(entry, list(COLUMNS), _BATCH_ROWS):
            if ended():
                return None
            rollup.add(batch, names)
        return rollup

    def _add(self, number: int, entry: Entry, rollup: Rollup) -> Place:
        with self.engine.begin() as connection:
            connection.exec_driver_sql("begin immediate")
            before = place_in(connection)
            if before.number != number - 1 and before.number:
                return before  # another process was faster
            ids = {one: number for number, one in series_in(connection).items()}
            for unit, sums in rollup.by.items():
                for _, series in sums.exchanges:
                    if series not in ids:
                        made = connection.execute(sa.insert(_SERIES).values(series._asdict()))
                        ids[series] = made.inserted_primary_key[0]  # type: ignore[index]
                rows = [(at, ids[series], *held) for (at, series), held in sums.exchanges.items()]
                _upsert(connection, EXCHANGES[unit], rows)
                counted = [
                    (at, ids[series], bucket, count)
                    for (at, series), buckets in sums.latencies.items()
                    for bucket, count in buckets.items()
                ]
                _upsert(connection, LATENCIES[unit], counted)
            newest_us = max(entry.last_started_at, before.newest_us or entry.last_started_at)
            for table in (EXCHANGES[MINUTE], LATENCIES[MINUTE]):
                connection.execute(sa.delete(table).where(table.c.at_us < newest_us - MINUTES_KEPT_US))
            place = Place(
                number=number, segment=entry.segment, exchanges=before.exchanges + entry.rows, newest_us=newest_us,
                first_us=min(entry.first_started_at, before.first_us or entry.first_started_at),
            )  # fmt: skip
            connection.execute(sa.delete(_PLACE))
            connection.execute(sa.insert(_PLACE).values(id=1, format=FORMAT, **msgspec.structs.asdict(place)))
            last_seq = max(entry.last_seq, sealed_in(connection, [entry.writer]).get(entry.writer, 0))
            connection.execute(sa.delete(_WRITERS).where(_WRITERS.c.writer == entry.writer))
            connection.execute(sa.insert(_WRITERS).values(writer=entry.writer, last_seq=last_seq))
            return place

    def _begin_anew(self) -> None:
        with self.engine.begin() as connection:
            for table in METADATA.sorted_tables:
                connection.execute(sa.delete(table))


def _opened(path: Path) -> sa.Engine:
    engine = open_database(path)
    make_tables(engine, METADATA)
    with engine.begin() as connection:
        if connection.execute(sa.select(_PLACE.c.format)).scalar() not in (None, FORMAT):
            METADATA.drop_all(connection)
    make_tables(engine, METADATA)
    return engine


def place_in(connection: sa.Connection) -> Place:
    """How far the sums are."""
    row = connection.execute(sa.select(_PLACE)).mappings().first()
    return Place() if row is None else Place(**{name: row[name] for name in Place.__struct_fields__})


def series_in(connection: sa.Connection) -> dict[int, Series]:
    """All series by their id."""
    query = sa.select(_SERIES.c.series_id, *(_SERIES.c[name] for name in Series._fields))
    return {row[0]: Series(*row[1:]) for row in connection.execute(query)}


def sealed_in(connection: sa.Connection, writers: Collection[str]) -> dict[str, int]:
    """The last frame of each writer's spool whose segment is in the sums."""
    query = sa.select(_WRITERS).where(_WRITERS.c.writer.in_(list(writers)))
    return {row.writer: row.last_seq for row in connection.execute(query)}


def _upsert(connection: sa.Connection, table: sa.Table, rows: Sequence[tuple[int, ...]]) -> None:
    """Add ``rows`` to what is there under the same key."""
    if not rows:
        return
    added = [column.name for column in table.columns if not column.primary_key]
    places = ", ".join("?" * len(table.columns))
    more = ", ".join(f"{name} = {name} + excluded.{name}" for name in added)
    statement = f"insert into {table.name} values ({places}) on conflict do update set {more}"  # noqa: S608 - our names
    connection.exec_driver_sql(statement, list(rows))
