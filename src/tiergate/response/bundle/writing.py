"""Making a bundle of a case: everything that its look read, under other names for everybody else.

Tables are written one at a time beside the bundle and moved into it, so that disk is needed for one of them more.
"""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import BinaryIO, Final

import msgspec
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from tiergate.detection.frozen import Frozen
from tiergate.detection.lineage import MEMBERS_SCHEMA
from tiergate.detection.state_rows import ROWS_SCHEMA
from tiergate.errors import InputError
from tiergate.response.bundle.layout import ABOUT, CASE_FILE, README, About, Held, header_of, padding_of
from tiergate.response.bundle.renaming import Renaming
from tiergate.response.digests import TABLES, case_digests, digest_of_all, read_table, rows_of
from tiergate.response.record import Record

Progress = Callable[[str, float], None]

FILE_ROWS: Final = 4_000_000
"""Exchanges in one table of a bundle."""

TEXT: Final = """\
Evidence bundle of case {case_id}, made by tiergate {version}.

It holds what detection read when it opened the case, and the case's part of the answer. To run it again:

    pip install tiergate=={version}
    tiergate case verify {name}

The answer's SHA-256, which the case file and every verdict of the case name, is
{digest}

It holds no text of any request, and no name, address or contact of other customers: their accounts stand under other
names. It does show when, how much and by what kind of request each of these asked. Hand it on with care.
"""


def export(
    record: Record,
    cases: Iterable[str],
    answer: Path,
    frozen: Frozen,
    out: Path,
    *,
    now_us: int,
    progress: Progress,
) -> About:
    """Write the bundle ``out`` of the ``cases`` of an ``answer`` that make up one case file.

    Raises `InputError` when the answer is not the one that the case file names.
    """
    digests = case_digests(answer)
    digest = digest_of_all(digests.values())
    if digest != record.file.found.digest:
        raise InputError(f"`{answer}` is not what the case file names: it has SHA-256 {digest}")
    wanted = list(cases)
    rows = {name: _of_cases(read_table(answer, name), wanted) for name in TABLES}
    members = set(rows["case_accounts"]["account_id"].to_pylist())
    history = frozen.history()
    accounts = frozen.accounts()
    known, networks, models = _seen(frozen, members, progress)
    known |= set(history.members["account_id"].to_pylist())
    known |= set() if accounts is None else set(accounts["account_id"].to_pylist())
    renaming = Renaming(known, members, networks, models)
    part = out.with_name(f".{out.name}.part")
    try:
        with _own(part) as file:
            bundle = _Writer(file, part.with_name(f"{part.name}-table"))
            text = TEXT.format(case_id=record.file.case_id, version=frozen.asked.tiergate, name=out.name, digest=digest)
            bundle.add(README, text.encode())
            bundle.add(CASE_FILE, msgspec.json.format(msgspec.json.encode(record), indent=1))
            for name, table in rows.items():
                bundle.add_table(f"case/{name}.parquet", table)
            bundle.add_table("looks.parquet", history.looks)
            bundle.add_table("members.parquet", renaming.table(history.members.cast(MEMBERS_SCHEMA)))
            if accounts is not None:
                bundle.add_table("accounts.parquet", renaming.table(accounts))
            bundle.add_rows(frozen, renaming, progress)
            about = About(
                case_id=record.file.case_id,
                cases={one: digests[one] for one in wanted},
                digest=digest,
                digests=sorted(digests.values()),
                asked=frozen.asked,
                exchanges=frozen.rows,
                accounts=len(known),
                others=len(known - members),
                exported_at_us=now_us,
                files=bundle.files,
            )
            bundle.finish(about)
        part.replace(out)
    finally:
        part.unlink(missing_ok=True)
        part.with_name(f"{part.name}-table").unlink(missing_ok=True)
    return about


def _own(path: Path) -> BinaryIO:
    """A new file that its owner alone reads: it tells of all customers, and the folder may be anybody's."""
    path.unlink(missing_ok=True)
    return os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600), "wb")


class _Writer:
    """Appends files to a bundle. ``spare``: where a table is written before its size is known."""

    def __init__(self, file: BinaryIO, spare: Path) -> None:
        self._file = file
        self._spare = spare
        self.files: dict[str, Held] = {}

    def add(self, name: str, data: bytes) -> None:
        self._file.write(header_of(name, len(data)) + data + padding_of(len(data)))
        self.files[name] = Held(size=len(data), sha256=hashlib.sha256(data).hexdigest())

    def add_table(self, name: str, table: pa.Table) -> None:
        _own(self._spare).close()
        pq.write_table(table, self._spare, compression="zstd")
        self._take(name, len(table))

    def add_rows(self, frozen: Frozen, renaming: Renaming, progress: Progress) -> None:
        batches = iter(frozen.batches())
        number = done = 0
        batch = next(batches, None)
        while batch is not None:
            number, rows = number + 1, 0
            _own(self._spare).close()
            with pq.ParquetWriter(self._spare, ROWS_SCHEMA, compression="zstd") as writer:
                while batch is not None and rows < FILE_ROWS:
                    if batch.num_rows:
                        writer.write_batch(renaming.rows(batch))
                    rows, done = rows + batch.num_rows, done + batch.num_rows
                    progress(f"writing, {done:,} exchanges", done / max(frozen.rows, 1))
                    batch = next(batches, None)
            self._take(f"rows-{number:06d}.parquet", rows)

    def finish(self, about: About) -> None:
        self.add(ABOUT, msgspec.json.format(msgspec.json.encode(about), indent=1))
        self._file.write(b"\0" * 1024)
        self._file.flush()
        os.fsync(self._file.fileno())

    def _take(self, name: str, rows: int) -> None:
        size = self._spare.stat().st_size
        self._file.write(header_of(name, size))
        with self._spare.open("rb") as table:
            digest = hashlib.file_digest(table, "sha256").hexdigest()
            table.seek(0)
            shutil.copyfileobj(table, self._file, 1 << 20)
        self._file.write(padding_of(size))
        self._spare.unlink()
        self.files[name] = Held(size=size, sha256=digest, rows=rows)


def _of_cases(table: pa.Table, cases: list[str]) -> pa.Table:
    return pa.concat_tables([rows_of(table, one) for one in cases])


def _seen(frozen: Frozen, members: set[str], progress: Progress) -> tuple[set[str], set[int], set[str]]:
    """All accounts and autonomous systems of the log, and the models that the case's members asked for."""
    accounts: set[str] = set()
    networks: set[int] = set()
    models: set[str] = set()
    inside = pa.array(sorted(members), pa.string())
    for batch in frozen.batches(["account_id", "client_asn", "request_model"]):
        progress("naming accounts", 0.0)
        accounts.update(pc.unique(batch.column("account_id")).to_pylist())
        networks.update(pc.unique(batch.column("client_asn")).drop_null().to_pylist())
        theirs = batch.column("request_model").filter(pc.is_in(batch.column("account_id"), value_set=inside))
        models.update(pc.unique(theirs).to_pylist())
    return accounts, networks, models
