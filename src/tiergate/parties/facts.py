"""The fact store: what was known of parties, by when it held and by when it was known. Nothing is changed in place.

Facts come in imports. An import's rows lie as Parquet in binary columns of the database, some 10**5 facts each, and
count from the moment the import's own row is there: a reader sees a whole import or nothing of it. Rows of columns
instead of rows of SQL, because a register has millions of facts that are read all at once and never one by one; in
the database instead of beside it, so that one transaction, one backup and one URL cover everything.

Recorded times grow strictly: an import gets the caller's time, or just after the one before if a clock went back.
What `FactStore.as_of` says for a recorded time up to the last import's can therefore never change again.
"""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Final

import msgspec
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import sqlalchemy as sa

from tiergate.clock import DAY
from tiergate.database import make_tables
from tiergate.errors import InputError, LedgerError
from tiergate.parties.fact_rows import SCHEMAS, TABLE_OF, Fact, fault, to_batch
from tiergate.parties.snapshot import Snapshot, build_snapshot

METADATA: Final = sa.MetaData()
SEGMENT_FACTS: Final = 100_000
_COUNTS: Final = tuple(SCHEMAS)
_IMPORTS: Final = sa.Table(
    "fact_imports",
    METADATA,
    sa.Column("number", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("import_key", sa.String(32), nullable=False, unique=True),
    sa.Column("recorded_at_us", sa.BigInteger, nullable=False, unique=True),
    sa.Column("source", sa.String(256), nullable=False),
    sa.Column("as_of_us", sa.BigInteger, nullable=False),
    sa.Column("complete", sa.Boolean, nullable=False),
    sa.Column("snapshot_hash", sa.String(64)),
    *(sa.Column(name, sa.BigInteger, nullable=False) for name in _COUNTS),
)
_SEGMENTS: Final = sa.Table(
    "fact_segments",
    METADATA,
    # SQLite numbers rows by itself only where the type is its own INTEGER.
    sa.Column("number", sa.BigInteger().with_variant(sa.Integer, "sqlite"), primary_key=True, autoincrement=True),
    sa.Column("import_key", sa.String(32), nullable=False, index=True),
    sa.Column("kind", sa.String(16), nullable=False),
    sa.Column("facts", sa.BigInteger, nullable=False),
    sa.Column("written_at_us", sa.BigInteger, nullable=False),
    sa.Column("payload_hash", sa.String(64), nullable=False),
    sa.Column("payload", sa.LargeBinary, nullable=False),
)


class Import(msgspec.Struct, frozen=True, kw_only=True):
    """One import. ``number``: the version of the store that it made. ``as_of_us``: the time for which the source says
    what it says. ``complete``: facts of the source that it does not repeat ended then. ``snapshot_hash``: SHA-256 of
    the files. Counts are facts by kind."""

    number: int
    recorded_at_us: int
    source: str
    as_of_us: int
    complete: bool
    snapshot_hash: str | None
    parties: int
    stakes: int
    undisclosed: int
    listings: int


class FactWriter:
    """Takes the facts of one import; see `FactStore.importing`."""

    def __init__(self, engine: sa.Engine, now_us: int) -> None:
        self.key = secrets.token_hex(16)
        self.counts = dict.fromkeys(_COUNTS, 0)
        self.complete_if_asked = True
        self.snapshot_hash: str | None = None
        self._engine = engine
        self._now_us = now_us
        self._held: dict[str, list[Fact]] = {name: [] for name in _COUNTS}

    def add(self, fact: Fact) -> None:
        """Take one fact. Raises `InputError` when it cannot be one; see `tiergate.parties.fact_rows.fault`."""
        wrong = fault(fact)
        if wrong is not None:
            raise InputError(f"the fact's {wrong[0]} {wrong[1]}")
        table = TABLE_OF[type(fact)]
        held = self._held[table]
        held.append(fact)
        if len(held) == SEGMENT_FACTS:
            self._flush(table)

    def add_batch(self, table: str, batch: pa.RecordBatch) -> None:
        """Take facts as a batch of the table's columns (`tiergate.parties.fact_rows.SCHEMAS`), unchecked."""
        self._flush(table)
        for start in range(0, batch.num_rows, SEGMENT_FACTS):
            self._write(table, batch.slice(start, SEGMENT_FACTS))

    def flush(self) -> None:
        """Write what is held."""
        for table in _COUNTS:
            self._flush(table)

    def _flush(self, table: str) -> None:
        if self._held[table]:
            self._write(table, to_batch(table, self._held[table]))
            self._held[table] = []

    def _write(self, table: str, batch: pa.RecordBatch) -> None:
        sink = pa.BufferOutputStream()
        # Keys are hashes: a dictionary of them costs time and saves nothing.
        plain = [name for name in batch.schema.names if name not in ("key", "party", "owner", "owned")]
        pq.write_table(pa.Table.from_batches([batch]), sink, compression="zstd", use_dictionary=plain)
        payload = sink.getvalue().to_pybytes()
        row = {
            "import_key": self.key,
            "kind": table,
            "facts": batch.num_rows,
            "written_at_us": self._now_us,
            "payload_hash": hashlib.sha256(payload).hexdigest(),
            "payload": payload,
        }
        # A transaction each: another writer waits for one segment, not for an import of minutes.
        with self._engine.begin() as connection:
            connection.execute(sa.insert(_SEGMENTS), row)
        self.counts[table] += batch.num_rows


class FactStore:
    """Facts in a database. Readers and writers in several processes may share it."""

    def __init__(self, engine: sa.Engine) -> None:
        self._engine = engine
        make_tables(engine, METADATA)

    @contextmanager
    def importing(
        self, source: str, *, now_us: int, as_of_us: int | None = None, complete: bool = False
    ) -> Iterator[FactWriter]:
        """A writer whose facts count, all together, when the block ends well; none of them when it does not.

        :param as_of_us: time for which the source speaks; ``now_us`` when None.
        :param complete: the facts are all that the source knows: earlier ones that are not repeated end at
            ``as_of_us``. A writer's ``complete_if_asked`` set to False withdraws that.
        """
        self._sweep(now_us - DAY)
        writer = FactWriter(self._engine, now_us)
        try:
            yield writer
            writer.flush()
            row = {
                "import_key": writer.key,
                "source": source,
                "as_of_us": now_us if as_of_us is None else as_of_us,
                "complete": complete and writer.complete_if_asked,
                "snapshot_hash": writer.snapshot_hash,
                **writer.counts,
            }
            self._commit(row, now_us)
        except BaseException:
            with self._engine.begin() as connection:
                connection.execute(sa.delete(_SEGMENTS).where(_SEGMENTS.c.import_key == writer.key))
            raise

    def add(self, facts: Iterable[Fact], *, source: str, now_us: int) -> int:
        """Record a few facts as one import; returns the new version. Raises `InputError` for a fact that is none."""
        with self.importing(source, now_us=now_us) as writer:
            for fact in facts:
                writer.add(fact)
        return self.version()

    def version(self) -> int:
        """A number that grows with every import; 0 when there is none."""
        with self._engine.connect() as connection:
            return int(connection.execute(sa.select(sa.func.max(_IMPORTS.c.number))).scalar_one() or 0)

    def imports(self, recorded_us: int | None = None) -> list[Import]:
        """All imports in order, or those recorded up to ``recorded_us``."""
        query = sa.select(_IMPORTS).order_by(_IMPORTS.c.number)
        if recorded_us is not None:
            query = query.where(_IMPORTS.c.recorded_at_us <= recorded_us)
        with self._engine.connect() as connection:
            rows = connection.execute(query).mappings().all()
        return [Import(**{name: row[name] for name in Import.__struct_fields__}) for row in rows]

    def as_of(self, valid_us: int, recorded_us: int | None = None) -> Snapshot:
        """What held at ``valid_us``, as it was known at ``recorded_us`` (all that is known when None).

        The snapshot's own ``recorded_us`` is that of its last import: a decision that keeps it can be replayed.
        Raises `LedgerError` when a segment is damaged.
        """
        imports = self.imports(recorded_us)
        try:
            tables = {name: self._read(name, imports) for name in SCHEMAS}
        except (sa.exc.DatabaseError, pa.ArrowException) as error:
            raise LedgerError(f"the parties' facts cannot be read: {str(error).splitlines()[0]}") from error
        return build_snapshot(valid_us, imports, tables)

    def described(self, parties: Iterable[bytes]) -> set[bytes]:
        """Which of these ids some record of a party tells of. Raises `LedgerError` for a damaged segment."""
        wanted = pa.array(parties, pa.binary(16))
        if not len(wanted):
            return set()
        told = self._read("parties", self.imports(), ["party"])["party"]
        return set(told.filter(pc.is_in(told, wanted)).to_pylist())

    def _read(self, kind: str, imports: list[Import], names: Sequence[str] | None = None) -> pa.Table:
        """All facts of one kind in the order they were recorded, with the number of their import; all columns, or those
        of ``names``."""
        columns = (_IMPORTS.c.number, _SEGMENTS.c.number, _SEGMENTS.c.payload_hash, _SEGMENTS.c.payload)
        joined = _SEGMENTS.join(_IMPORTS, _SEGMENTS.c.import_key == _IMPORTS.c.import_key)
        last = imports[-1].number if imports else 0
        query = sa.select(*columns).select_from(joined).order_by(_IMPORTS.c.number, _SEGMENTS.c.number)
        query = query.where(_SEGMENTS.c.kind == kind, _IMPORTS.c.number <= last)
        tables = []
        with self._engine.connect() as connection:
            for number, segment, expected, payload in connection.execution_options(yield_per=8).execute(query):
                if hashlib.sha256(payload).hexdigest() != expected:
                    raise LedgerError(f"segment {segment} of the parties' facts is damaged: restore it from a copy")
                table = pq.read_table(pa.BufferReader(payload), columns=names)
                tables.append(table.append_column("import", pa.repeat(pa.scalar(number, pa.int32()), table.num_rows)))
        held = SCHEMAS[kind] if names is None else pa.schema([SCHEMAS[kind].field(name) for name in names])
        schema = held.append(pa.field("import", pa.int32()))
        return pa.concat_tables([table.cast(schema) for table in tables]) if tables else schema.empty_table()

    def _commit(self, row: Mapping[str, object], now_us: int) -> None:
        for _ in range(100):
            try:
                with self._engine.begin() as connection:
                    newest = sa.select(sa.func.max(_IMPORTS.c.number), sa.func.max(_IMPORTS.c.recorded_at_us))
                    number, recorded = connection.execute(newest).one()
                    recorded = now_us if recorded is None else max(now_us, recorded + 1)
                    values = {**row, "number": (number or 0) + 1, "recorded_at_us": recorded}
                    connection.execute(sa.insert(_IMPORTS), values)
                    return
            except sa.exc.IntegrityError:
                continue  # another import took the number in between
        raise LedgerError("the parties' facts could not be recorded: too many imports at once; try again")

    def _sweep(self, before_us: int) -> None:
        """Remove what imports left that died before they counted."""
        counted = sa.select(_IMPORTS.c.import_key)
        dead = sa.delete(_SEGMENTS).where(_SEGMENTS.c.import_key.not_in(counted), _SEGMENTS.c.written_at_us < before_us)
        with self._engine.begin() as connection:
            connection.execute(dead)
