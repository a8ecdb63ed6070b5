"""Personal values of decisions and the salts of their commitments: the one part of a decision log that can forget.

An SQLite database beside the records. Erasing removes salt and value and leaves a row that says when, so that a value
which is missing for another reason shows. The record keeps its commitment, which is then a random number.
"""

from __future__ import annotations

import contextlib
import os
import sqlite3
from collections.abc import Iterator, Sequence
from pathlib import Path

from tiergate.errors import LedgerError
from tiergate.ledger.decision_records import Opening

_TABLES = """
create table if not exists personal (
    record integer not null, field text not null, salt blob not null, value blob not null,
    primary key (record, field)) without rowid;
create table if not exists erased (
    record integer not null, field text not null, erased_at integer not null,
    primary key (record, field)) without rowid;
"""


class PersonalValues:
    """Salts and values by record and field. One connection, not for several threads at once.

    Raises `LedgerError` when the database cannot be used.
    """

    def __init__(self, path: Path, *, durable: bool = False) -> None:
        self._path = path
        with self._explained():
            # SQLite would make it readable by everybody the umask lets.
            os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))
            self._database = sqlite3.connect(path, isolation_level=None, check_same_thread=False, timeout=10)
            self._database.execute("pragma journal_mode = wal")
            # NORMAL survives the death of the process; FULL also survives the loss of power.
            self._database.execute(f"pragma synchronous = {'full' if durable else 'normal'}")
            self._database.execute("pragma secure_delete = on")
            self._database.executescript(_TABLES)

    def put(self, first: int, openings: Sequence[Sequence[Opening]]) -> None:
        """Keep the openings of records ``first`` and on."""
        rows = [(first + n, one.field, one.salt, one.value) for n, held in enumerate(openings) for one in held]
        if rows:
            with self._transaction():
                self._database.executemany("insert into personal values (?, ?, ?, ?)", rows)

    def of(self, record: int) -> list[Opening]:
        """What is kept of one record, by field."""
        with self._explained():
            rows = self._database.execute(
                "select field, salt, value from personal where record = ? order by field", (record,)
            ).fetchall()
        return [Opening(*row) for row in rows]

    def drop_from(self, size: int) -> None:
        """Forget what belongs to records that were never written."""
        with self._transaction():
            self._database.execute("delete from personal where record >= ?", (size,))

    def erase(
        self, now_us: int, *, record: int | None = None, field: str | None = None, value: bytes | None = None
    ) -> int:
        """Erase what fits all that is given; returns how many values.

        :param now_us: when, in microseconds since the epoch.
        :param value: canonical JSON; with ``field``, this finds every record of one person.
        Raises `LedgerError` when a reader keeps the old pages from being overwritten: they are gone at its end, or
        when this is called again.
        """
        given = {"record": record, "field": field, "value": value}
        wanted = {name: one for name, one in given.items() if one is not None}
        where = " and ".join(f"{name} = ?" for name in wanted) or "1"
        parameters = tuple(wanted.values())
        with self._transaction():
            self._database.execute(
                f"insert or ignore into erased select record, field, ? from personal where {where}",  # noqa: S608
                (now_us, *parameters),
            )
            erased = self._database.execute(f"delete from personal where {where}", parameters).rowcount  # noqa: S608
        with self._explained():
            # Overwritten pages reach the file, and old ones leave the write-ahead log, only with this.
            busy = self._database.execute("pragma wal_checkpoint(truncate)").fetchone()[0]
        if busy:
            raise LedgerError(
                f"{erased} values are erased, but a reader of `{self._path}` still holds their old pages: run it again"
            )
        return int(erased)

    def rows(self, stop: int) -> Iterator[tuple[int, Opening | str]]:
        """All records up to ``stop`` in order, each with an opening, or with the name of a field that is erased."""
        with self._explained():
            for record, field, salt, value in self._database.execute(
                "select record, field, cast(salt as blob), cast(value as blob) from personal where record < ?1 "
                "union all select record, field, null, null from erased where record < ?1 order by record, field",
                (stop,),
            ):
                yield record, field if salt is None else Opening(field, salt, value)

    def close(self) -> None:
        self._database.close()

    @contextlib.contextmanager
    def _transaction(self) -> Iterator[None]:
        with self._explained():
            self._database.execute("begin immediate")
            try:
                yield
                self._database.execute("commit")
            except BaseException:
                if self._database.in_transaction:
                    self._database.execute("rollback")
                raise

    @contextlib.contextmanager
    def _explained(self) -> Iterator[None]:
        try:
            yield
        except (sqlite3.Error, OSError) as error:
            raise LedgerError(f"cannot use the personal values at `{self._path}`: {error}") from error
