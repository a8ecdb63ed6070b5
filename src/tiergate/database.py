"""The control database: SQLite by default, whatever SQLAlchemy speaks by URL."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from tiergate.errors import SettingsError


def open_database(where: Path | str) -> sa.Engine:
    """Engine for a file (SQLite in WAL mode; a new one only its owner can read) or a database URL.

    Raises `SettingsError` when it cannot be opened.
    """
    url = f"sqlite:///{where}" if isinstance(where, Path) else where
    try:
        if isinstance(where, Path):
            # SQLite would let everybody read it whom the umask lets, and its write-ahead log likewise. One that is
            # there is not opened here: to close it would drop the locks of this process on it.
            with suppress(FileExistsError):
                os.close(os.open(where, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))
        engine = sa.create_engine(url)
        if engine.dialect.name == "sqlite":
            sa.event.listen(engine, "connect", _prepare)
        with engine.connect():
            return engine
    except (OSError, sa.exc.SQLAlchemyError, ImportError) as error:
        raise SettingsError(f"cannot open the control database `{where}`: {str(error).splitlines()[0]}") from error


def make_tables(engine: sa.Engine, metadata: sa.MetaData, first: Callable[[sa.Connection], None] | None = None) -> None:
    """Make the tables and nullable columns that are missing, one process at a time.

    :param first: inserts rows to begin with where they are not there, in the same transaction; another process may have
        been before.

    Raises `SettingsError` when they cannot be made.
    """
    if not _missing(engine, metadata):
        return
    try:
        with engine.begin() as connection:
            if engine.dialect.name == "sqlite":
                # Two processes that open a new database together would both find no table and both make it.
                connection.exec_driver_sql("begin immediate")
            metadata.create_all(connection)
            for column in _missing(connection, metadata):
                kind = column.type.compile(engine.dialect)
                connection.exec_driver_sql(f"alter table {column.table.name} add column {column.name} {kind}")
            if first is not None:
                first(connection)
    except sa.exc.SQLAlchemyError as error:
        raise SettingsError(f"cannot make tables in the control database: {str(error).splitlines()[0]}") from error


class Commits:
    """Notices commits to a SQLite file, for a fiftieth of what asking its tables costs. For one thread at a time.

    Raises `sqlite3.Error` when the file cannot be read.
    """

    def __init__(self, path: Path) -> None:
        self._connection = sqlite3.connect(path, check_same_thread=False, isolation_level=None)

    def mark(self) -> int:
        """A number that is another one after every commit (SQLite: PRAGMA data_version, of a connection that itself
        never writes)."""
        return int(self._connection.execute("pragma data_version").fetchone()[0])

    def close(self) -> None:
        self._connection.close()


def _missing(bind: sa.Engine | sa.Connection, metadata: sa.MetaData) -> list[sa.Column[Any]]:
    """Columns that are not there; those that an earlier version made no column for can be added while nullable."""
    found = sa.inspect(bind)
    names = set(found.get_table_names())
    held = {
        name: {column["name"] for column in found.get_columns(name)} if name in names else set()
        for name in metadata.tables
    }
    return [one for name, table in metadata.tables.items() for one in table.columns if one.name not in held[name]]


def _prepare(connection: Any, _record: Any) -> None:
    # WAL lets the gateway read while a command writes; the timeout waits for another writer's turn.
    connection.execute("pragma busy_timeout = 5000")
    connection.execute("pragma journal_mode = wal")
    connection.execute("pragma foreign_keys = on")
