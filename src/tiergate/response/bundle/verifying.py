"""Does a bundle hold what it says, and does it give the case's answer again?

A bundle may come from anybody. Files are copied out under names of ours after their size and SHA-256 were found right;
tables must have the columns of their schema, and no more values than so many bytes can honestly hold.
"""

from __future__ import annotations

import hashlib
import re
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path
from typing import Final

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from tiergate.detection.cases import (
    CASE_ACCOUNTS_SCHEMA,
    CASE_EVIDENCE_SCHEMA,
    CASE_EXCHANGES_SCHEMA,
    CASES_SCHEMA,
)
from tiergate.detection.intake import SKETCHED_TEXT
from tiergate.detection.lineage import LOOKS_SCHEMA, MEMBERS_SCHEMA, History
from tiergate.detection.run import DetectionInputs, run_detection
from tiergate.detection.state_rows import BATCH_ROWS, ROWS_SCHEMA
from tiergate.errors import InputError
from tiergate.records.refused import RefusedRows
from tiergate.records.schema import ACCOUNT_SCHEMA
from tiergate.response.bundle.layout import About, read_about
from tiergate.response.digests import TABLES, digest_of_all, digest_of_case, read_table, rows_of

Progress = Callable[[str, float], None]

SCHEMAS: Final = {
    "rows": ROWS_SCHEMA,
    "accounts": ACCOUNT_SCHEMA,
    "looks": LOOKS_SCHEMA,
    "members": MEMBERS_SCHEMA,
    "case/cases": CASES_SCHEMA,
    "case/case_accounts": CASE_ACCOUNTS_SCHEMA,
    "case/case_evidence": CASE_EVIDENCE_SCHEMA,
    "case/case_exchanges": CASE_EXCHANGES_SCHEMA,
}
UNREADABLE: Final = (OSError, ValueError, LookupError, OverflowError, pa.ArrowException)
"""What reading a damaged table may come to."""
_KIND: Final = re.compile(r"-[0-9]{6}|\.")
VALUES_PER_BYTE: Final = 64
"""Most values that a byte of a table may stand for: ours have about one, a bomb has thousands."""
GROWTH: Final = 500
"""How many times its size a table may unfold to, again far more than ours do."""
MOST_TEXT: Final = 64 << 10
"""Bytes of the longest text in a table."""
COPIED: Final = 1 << 20


@dataclass(frozen=True, slots=True)
class Verified:
    """What came of it: ``wrong`` has a sentence for each fault, and is empty when the bundle holds."""

    about: About
    wrong: list[str] = field(default_factory=list)

    @property
    def holds(self) -> bool:
        return not self.wrong


def verify(bundle: Path, progress: Progress) -> Verified:
    """Check every hash, look again at what was read, and compare the case's rows with its digest.

    Raises `InputError` when the file is no bundle, so that nothing in it can be compared.
    """
    about, places = read_about(bundle)
    with tempfile.TemporaryDirectory(prefix="tiergate-verify-") as name:
        folder = Path(name)
        progress("checking hashes", 0.0)
        wrong = [_copied(bundle, folder, about, one, *places[one]) for one in about.files]
        faults = [one for one in wrong if one] + _sums(about, folder)
        if faults:
            return Verified(about, faults)
        answer = folder / "answer"
        _look_again(about, folder, answer, progress)
        return Verified(about, _differences(about, folder, answer))


def _copied(bundle: Path, folder: Path, about: About, name: str, start: int, size: int) -> str | None:
    """Copy one file out; says what is wrong if its hash is."""
    digest = hashlib.sha256()
    target = folder / name
    target.parent.mkdir(exist_ok=True)
    with bundle.open("rb") as source, target.open("xb") as copy:
        source.seek(start)
        while size:
            piece = source.read(min(size, COPIED))
            if not piece:
                raise InputError(f"`{bundle}` was cut short while it was read")
            digest.update(piece)
            copy.write(piece)
            size -= len(piece)
    if digest.hexdigest() == about.files[name].sha256:
        return None
    return f"`{name}` was changed: it has SHA-256 {digest.hexdigest()}, and the bundle says {about.files[name].sha256}"


def _sums(about: About, folder: Path) -> list[str]:
    """Whether the digests in the bundle are those of what it holds."""
    if digest_of_all(about.digests) != about.digest:
        return [f"the answer's SHA-256 is not {about.digest}: the list of digests in the bundle gives another"]
    wrong = [f"case `{one}` is not of that answer" for one, its in about.cases.items() if its not in about.digests]
    if not about.cases:
        wrong.append("the bundle names no case")
    for one, digest in about.cases.items():
        if digest_of_case(_kept_rows(folder, about, one)) != digest:
            wrong.append(f"the rows of case `{one}` are not those that its digest {digest} stands for")
    return wrong


def _look_again(about: About, folder: Path, out: Path, progress: Progress) -> None:
    asked = about.asked
    rows = [_opened(folder, about, name) for name in sorted(about.files) if name.startswith("rows-")]
    if sum(file.metadata.num_rows for file in rows) != about.exchanges:
        raise InputError("the bundle does not hold as many exchanges as it says")
    history = History(asked.looks, _table(folder, about, "looks.parquet"), _table(folder, about, "members.parquet"))
    with RefusedRows(None) as refused:
        inputs = DetectionInputs(
            exchanges=lambda: chain.from_iterable(map(_with_text, map(_batches, rows))),
            accounts=_table(folder, about, "accounts.parquet") if asked.accounts else None,
            model_releases=None,
            refused=refused,
            files=[],
        )
        try:
            run_detection(
                inputs,
                out,
                parameters=asked.parameters,
                sketch_key=None,
                progress=progress,
                history=history,
                again=asked.again,
            )
        except (ArithmeticError, LookupError, ValueError) as error:
            raise InputError(f"detection cannot read what the bundle holds: {type(error).__name__}: {error}") from error


def _differences(about: About, folder: Path, answer: Path) -> list[str]:
    """What is not the same in the answer that was just given, case by case."""
    wrong: list[str] = []
    found = {name: read_table(answer, name) for name in TABLES}
    for case_id, digest in about.cases.items():
        now = {name: rows_of(table, case_id) for name, table in found.items()}
        if digest_of_case(now) == digest:
            continue
        if not len(now["cases"]):
            wrong.append(f"case `{case_id}` does not come out again")
            continue
        before = _kept_rows(folder, about, case_id)
        wrong += [f"case `{case_id}`: {one}" for name in TABLES for one in _told(name, before[name], now[name])]
    return wrong


def _told(name: str, before: pa.Table, now: pa.Table) -> list[str]:
    """How two tables differ, in words."""
    if before.schema.names != now.schema.names:
        return [f"`{name}` has other columns"]
    if len(before) != len(now):
        return [f"`{name}` has {len(now):,} rows, and had {len(before):,}"]
    told = []
    for column in before.schema.names:
        old, new = before[column].to_pylist(), now[column].to_pylist()
        at = [row for row, (one, other) in enumerate(zip(old, new, strict=True)) if one != other]
        if at:
            example = f"the first is {new[at[0]]!r:.60}, and was {old[at[0]]!r:.60}"
            told.append(f"`{name}.{column}` differs in {len(at):,} of {len(old):,} rows; {example}")
    return told


def _kept_rows(folder: Path, about: About, case_id: str) -> dict[str, pa.Table]:
    """The case's rows as the bundle holds them."""
    return {name: rows_of(_table(folder, about, f"case/{name}.parquet"), case_id) for name in TABLES}


def _opened(folder: Path, about: About, name: str) -> pq.ParquetFile:
    """A table of the bundle, held against its schema. Raises `InputError` when it is not one of ours."""
    schema, held = SCHEMAS[_KIND.split(name)[0]], about.files.get(name)
    if held is None or held.rows is None:
        raise InputError(f"the bundle has no table `{name}`")
    text = [one.name for one in schema if pa.types.is_string(one.type)]
    try:
        there = pq.read_schema(folder / name)
        if not there.equals(schema):
            raise InputError(f"`{name}` does not have the columns that this version knows: use tiergate {_made(about)}")
        file = pq.ParquetFile(folder / name, read_dictionary=text)
    except UNREADABLE as error:
        raise InputError(f"`{name}` is no table: {str(error).splitlines()[0]}") from error
    head = file.metadata
    if head.num_rows != held.rows:
        raise InputError(f"`{name}` has {head.num_rows:,} rows, and the bundle says {held.rows:,}")
    groups = [head.row_group(number) for number in range(head.num_row_groups)]
    columns = [group.column(number) for group in groups for number in range(group.num_columns)]
    values, size = sum(one.num_values for one in columns), sum(one.total_uncompressed_size for one in columns)
    if values > VALUES_PER_BYTE * held.size or size > GROWTH * held.size:
        raise InputError(f"`{name}` would unfold to far more than {held.size:,} bytes: it was not made by an export")
    return file


def _table(folder: Path, about: About, name: str) -> pa.Table:
    file = _opened(folder, about, name)
    return pa.Table.from_batches(_batches(file), SCHEMAS[_KIND.split(name)[0]])


def _batches(file: pq.ParquetFile) -> Iterator[pa.RecordBatch]:
    """Batches with text as text. Raises `InputError` where a value is longer than any of ours, or is none."""
    try:
        for batch in file.iter_batches(BATCH_ROWS):
            batch.validate(full=True)
            columns = []
            for column in batch.columns:
                if isinstance(column, pa.DictionaryArray):
                    if (pc.max(pc.binary_length(column.dictionary)).as_py() or 0) > MOST_TEXT:
                        raise InputError(f"a text of the bundle is longer than {MOST_TEXT:,} bytes")
                    column = column.cast(pa.string())
                columns.append(column)
            yield pa.RecordBatch.from_arrays(columns, schema=_plain(batch.schema))
    except UNREADABLE as error:
        raise InputError(f"a table of the bundle is damaged: {str(error).splitlines()[0]}") from error


def _plain(schema: pa.Schema) -> pa.Schema:
    fields = [one.with_type(pa.string()) if pa.types.is_dictionary(one.type) else one for one in schema]
    return pa.schema(fields)


def _with_text(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    """Exchanges with the columns of text that `take_in` asks for, which a bundle never has."""
    for batch in batches:
        nulls = [pa.nulls(batch.num_rows, pa.string()) for _ in SKETCHED_TEXT]
        yield pa.RecordBatch.from_arrays([*batch.columns, *nulls], names=[*batch.schema.names, *SKETCHED_TEXT])


def _made(about: About) -> str:
    return f"{about.asked.tiergate}, which made it"
