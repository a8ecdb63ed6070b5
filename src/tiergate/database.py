"""The control database: SQLite by default, whatever SQLAlchemy speaks by URL."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from tiergate.errors import SettingsError


def open_database(where: Path | str) -> sa.Engine:
    """Engine for a file (SQLite in WAL mode) or a database URL. Raises `SettingsError` when it cannot be opened."""
    url = f"sqlite:///{where}" if isinstance(where, Path) else where
    try:
        engine = sa.create_engine(url)
        if engine.dialect.name == "sqlite":
            sa.event.listen(engine, "connect", _prepare)
        with engine.connect():
            return engine
    except (sa.exc.SQLAlchemyError, ImportError) as error:
        raise SettingsError(f"cannot open the control database `{where}`: {str(error).splitlines()[0]}") from error


def make_tables(engine: sa.Engine, metadata: sa.MetaData, first: Callable[[sa.Connection], None] | None = None) -> None:
    """Make the tables that are missing, one process at a time. ``first``: inserts rows to begin with where they are not
    there, in the same transaction; another process may have been before.

    Raises `SettingsError` when they cannot be made.
    """
    if not set(metadata.tables) - set(sa.inspect(engine).get_table_names()):
        return
    try:
        with engine.begin() as connection:
            if engine.dialect.name == "sqlite":
                # Two processes that open a new database together would both find no table and both make it.
                connection.exec_driver_sql("begin immediate")
            metadata.create_all(connection)
            if first is not None:
                first(connection)
    except sa.exc.SQLAlchemyError as error:
        raise SettingsError(f"cannot make tables in the control database: {str(error).splitlines()[0]}") from error


def _prepare(connection: Any, _record: Any) -> None:
    # WAL lets the gateway read while a command writes; the timeout waits for another writer's turn.
    connection.execute("pragma journal_mode = wal")
    connection.execute("pragma busy_timeout = 5000")
    connection.execute("pragma foreign_keys = on")
