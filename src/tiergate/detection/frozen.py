"""What a look read, named and kept beside its answer, so that the same question can be asked again later.

    read.json              which segments of the state, which parameters, version and key
    read-unsealed.parquet  exchanges that no segment held yet, sketched
    read-accounts.parquet  the accounts table as it was
    read-looks.parquet     the history of earlier looks
    read-members.parquet

Segments of a state never change, so their names and sizes are enough while the state is there.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Final

import msgspec
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

import tiergate
from tiergate.detection.intake import sketched
from tiergate.detection.lineage import LOOKS_SCHEMA, MEMBERS_SCHEMA, History
from tiergate.detection.run import Parameters
from tiergate.detection.state import State
from tiergate.detection.state_manifest import Segment, load
from tiergate.detection.state_rows import ROWS_SCHEMA, read_segment
from tiergate.errors import InputError
from tiergate.ledger.sketches import PUBLIC_KEY, Sketcher
from tiergate.records.schema import ACCOUNT_SCHEMA

NAME: Final = "read.json"
FORMAT: Final = 1
UNREAD: Final = ("declared_country", "phone_country", "payment_country", "payment_bin")
"""Columns of accounts that detection does not read; nobody needs to keep them."""


class Asked(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How an answer was asked for: ``tiergate`` is the version; ``looks``: how many came before; ``again``: at the data
    of the last of them; ``accounts``: whether there was a table of accounts."""

    tiergate: str
    decoys: int | None
    seed: int
    key_id: str | None
    looks: int
    again: bool
    accounts: bool

    @property
    def parameters(self) -> Parameters:
        return Parameters(decoys=self.decoys, seed=self.seed)


class _Read(msgspec.Struct, frozen=True, kw_only=True):
    asked: Asked
    segments: list[Segment]
    format: int = FORMAT


class Frozen:
    """What a look read. ``batches`` yields exchanges as the state keeps them, in the order in which they were read."""

    def __init__(self, answer: Path, state: Path, read: _Read) -> None:
        self.asked = read.asked
        self.segments = read.segments
        self._answer = answer
        self._state = state

    @classmethod
    def of(cls, answer: Path, state: Path) -> Frozen:
        """What the look read whose answer lies in ``answer``. Raises `InputError` when that is not known any more."""
        try:
            read = msgspec.json.decode((answer / NAME).read_bytes(), type=_Read)
        except FileNotFoundError:
            raise InputError(f"`{answer}` does not say what was read for it: it is older than that") from None
        except (OSError, msgspec.DecodeError) as error:
            raise InputError(f"cannot read `{answer / NAME}`: {error}") from error
        if read.format != FORMAT:
            raise InputError(f"`{answer / NAME}` has format {read.format}, and this version has {FORMAT}")
        there = load(state).segments
        if there[: len(read.segments)] != read.segments:
            raise InputError(
                f"what was read for `{answer}` is gone: `{state}` was made anew since; restore it from a copy"
            )
        return cls(answer, state, read)

    @property
    def rows(self) -> int:
        """Exchanges that were read."""
        return sum(one.rows for one in self.segments) + int(self._file("unsealed").metadata.num_rows)

    @property
    def span_us(self) -> int:
        """From the first exchange that was read to the last, in microseconds."""
        times = [time for one in self.segments for time in (one.first_started_at, one.last_started_at)]
        unsealed = self._file("unsealed").read(["started_at"])["started_at"].cast(pa.int64())
        times += [] if not len(unsealed) else list(pc.min_max(unsealed).as_py().values())
        return max(times, default=0) - min(times, default=0)

    def batches(self, columns: list[str] | None = None) -> Iterator[pa.RecordBatch]:
        for segment in self.segments:
            yield from read_segment(self._state, segment, columns)
        yield from self._file("unsealed").iter_batches(columns=columns)

    def accounts(self) -> pa.Table | None:
        """The table of accounts; columns that detection does not read are null."""
        return self._table("accounts", ACCOUNT_SCHEMA) if self.asked.accounts else None

    def history(self) -> History:
        """The looks before."""
        return History(self.asked.looks, self._table("looks", LOOKS_SCHEMA), self._table("members", MEMBERS_SCHEMA))

    def _table(self, name: str, schema: pa.Schema) -> pa.Table:
        return self._file(name).read().cast(schema)

    def _file(self, name: str) -> pq.ParquetFile:
        path = self._answer / f"read-{name}.parquet"
        try:
            return pq.ParquetFile(path, page_checksum_verification=True)
        except (OSError, pa.ArrowException) as error:
            raise InputError(f"cannot read `{path}`: {error}") from error


def keep_read(
    out: Path,
    state: State,
    *,
    unsealed: Sequence[pa.RecordBatch],
    accounts: pa.Table | None,
    parameters: Parameters,
    again: bool,
) -> list[Path]:
    """Write into ``out`` what the next look at ``state`` reads; returns the files."""
    out.mkdir(parents=True, exist_ok=True)
    history = state.history
    tables = {
        "unsealed": _rows(unsealed),
        "looks": history.looks,
        "members": history.members,
    }
    if accounts is not None:
        tables["accounts"] = lean_accounts(accounts)
    for name, table in tables.items():
        pq.write_table(table, out / f"read-{name}.parquet", compression="zstd", write_page_checksum=True)
    asked = Asked(
        tiergate=tiergate.__version__,
        **asdict(parameters),
        key_id=state.key_id,
        looks=history.count,
        again=again,
        accounts=accounts is not None,
    )
    read = _Read(asked=asked, segments=state.segments)
    (out / NAME).write_bytes(msgspec.json.format(msgspec.json.encode(read), indent=1))
    return [*(out / f"read-{name}.parquet" for name in tables), out / NAME]


def lean_accounts(accounts: pa.Table) -> pa.Table:
    """Accounts with all columns of their schema, those that detection does not read being null."""
    there = set(accounts.schema.names) - set(UNREAD)
    columns = [
        accounts[field.name].cast(field.type) if field.name in there else pa.nulls(len(accounts), field.type)
        for field in ACCOUNT_SCHEMA
    ]
    return pa.table(columns, schema=ACCOUNT_SCHEMA)


def _rows(batches: Sequence[pa.RecordBatch]) -> pa.Table:
    """Rows as a state keeps them: what comes as text is sketched as detection sketches it."""
    sketcher = Sketcher(PUBLIC_KEY)
    rows = []
    for batch in batches:
        columns = sketched(batch, sketcher)
        rows.append(pa.RecordBatch.from_arrays([columns[name] for name in ROWS_SCHEMA.names], schema=ROWS_SCHEMA))
    return pa.Table.from_batches(rows, ROWS_SCHEMA)
