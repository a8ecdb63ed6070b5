"""Personal values of decisions and the salts of their commitments: the one part of a decision log that can forget.

An SQLite database beside the records, with one row a record: MessagePack of its openings, each an array of field, salt
and value. Erasing removes salt and value and leaves a row that says when, so that a value which is missing for another
reason shows. The record keeps its commitment, which is then a random number.
"""

from __future__ import annotations

import contextlib
import itertools
import operator
import os
import sqlite3
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

import msgspec

from tiergate.errors import LedgerError, ProofError
from tiergate.ledger.decision_records import FACTS, Opening

_TABLES = """
create table if not exists openings (record integer primary key, held blob not null);
create table if not exists erased (
    record integer not null, field text not null, erased_at integer not null,
    primary key (record, field)) without rowid;
"""
_ROWS: Final = """
select record, cast(held as blob),
    (select group_concat(field, ' ') from erased where erased.record = openings.record)
from openings
"""
_encode: Final = msgspec.msgpack.Encoder().encode
_decode: Final = msgspec.msgpack.Decoder(list[Opening]).decode


class PersonalValues:
    """Salts and values by record and field. One connection, not for several threads at once.

    Raises `LedgerError` when the database cannot be used, `ProofError` for a row that is damaged.
    """

    def __init__(self, path: Path, *, durable: bool = False) -> None:
        self._path = path
        with self._explained():
            # SQLite would make it readable by everybody the umask lets.
            os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))
            self._database = sqlite3.connect(path, isolation_level=None, check_same_thread=False, timeout=10)
            # A new database's: rows of some 2 KB would leave much of smaller pages empty.
            self._database.execute("pragma page_size = 16384")
            self._database.execute("pragma journal_mode = wal")
            # NORMAL survives the death of the process; FULL also survives the loss of power.
            self._database.execute(f"pragma synchronous = {'full' if durable else 'normal'}")
            self._database.execute("pragma secure_delete = on")
            self._database.executescript(_TABLES)
        if self._has_rows_of_values():
            self._join_rows_of_values()

    def put(self, first: int, openings: Sequence[Sequence[Opening]]) -> None:
        """Keep the openings of records ``first`` and on."""
        rows = [(first + n, _encode(held)) for n, held in enumerate(openings) if held]
        if rows:
            with self._transaction():
                self._database.executemany("insert into openings values (?, ?)", rows)

    def of(self, record: int) -> list[Opening]:
        """What is kept of one record, in the order in which it was recorded."""
        return self.row(record)[0]

    def row(self, record: int) -> tuple[list[Opening], list[str]]:
        """What is kept of one record, and the fields that are erased."""
        with self._explained():
            rows = self._database.execute(f"{_ROWS} where record = ?", (record,)).fetchall()
        return next(((_openings(*row[:2]), _fields(row[2])) for row in rows), ([], []))

    def drop_from(self, size: int) -> None:
        """Forget what belongs to records that were never written."""
        with self._transaction():
            self._database.execute("delete from openings where record >= ?", (size,))

    def erase(
        self, now_us: int, *, record: int | None = None, field: str | None = None, value: bytes | None = None
    ) -> int:
        """Erase what fits all that is given, and the `FACTS` of those records; returns how many values.

        :param now_us: when, in microseconds since the epoch.
        :param value: canonical JSON; with ``field``, this finds every record of one person.
        Raises `LedgerError` when a reader keeps the old pages from being overwritten: they are gone at its end, or
        when this is called again.
        """
        erased = 0
        with self._transaction():
            records = self._database.execute(
                "select record from openings where (?1 is null or record = ?1) and (?2 is null or instr(held, ?2))",
                (record, value),
            ).fetchall()
            for (one,) in records:
                erased += self._erase_of(one, now_us, field, value)
        with self._explained():
            # Overwritten pages reach the file, and old ones leave the write-ahead log, only with this.
            busy = self._database.execute("pragma wal_checkpoint(truncate)").fetchone()[0]
        if busy:
            raise LedgerError(
                f"{erased} values are erased, but a reader of `{self._path}` still holds their old pages: run it again"
            )
        return erased

    def rows(self) -> Iterator[tuple[int, list[Opening], list[str]]]:
        """Records that have or had values, in order: what is kept, and the fields that are erased."""
        with self._explained():
            for record, held, erased in self._database.execute(f"{_ROWS} order by record"):
                yield record, _openings(record, held), _fields(erased)

    def close(self) -> None:
        self._database.close()

    def _erase_of(self, record: int, now_us: int, field: str | None, value: bytes | None) -> int:
        held = self.of(record)
        gone = {one.field for one in held if field in (None, one.field) and value in (None, one.value)}
        if gone:
            gone |= {one.field for one in held if one.field == FACTS}
            left = _encode([one for one in held if one.field not in gone])
            self._database.execute("update openings set held = ? where record = ?", (left, record))
            rows = [(record, one, now_us) for one in sorted(gone)]
            self._database.executemany("insert or ignore into erased values (?, ?, ?)", rows)
        return len(gone)

    def _has_rows_of_values(self) -> bool:
        with self._explained():
            found = self._database.execute("select 1 from sqlite_master where name = 'personal'").fetchone()
        return found is not None

    def _join_rows_of_values(self) -> None:
        """A log of the time before had a row a value, in the table `personal`, and none where all was erased."""
        with self._transaction():
            if not self._has_rows_of_values():
                return  # another process was first
            rows = self._database.execute("select record, field, salt, value from personal order by record, field")
            self._database.executemany(
                "insert into openings values (?, ?)",
                (
                    (record, _encode([Opening(*row[1:]) for row in values]))
                    for record, values in itertools.groupby(rows, key=operator.itemgetter(0))
                ),
            )
            self._database.execute(
                "insert or ignore into openings select distinct record, ? from erased", (_encode([]),)
            )
            self._database.execute("drop table personal")

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


def _openings(record: int, held: bytes) -> list[Opening]:
    try:
        return _decode(held)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise ProofError(f"record {record}: its personal values are damaged: {error}", index=record) from error


def _fields(erased: str | None) -> list[str]:
    # A field has no space in its name.
    return erased.split(" ") if erased else []
