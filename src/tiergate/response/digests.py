"""Digests of an answer of detection, case by case, so that one case can be shown to be of it without the others.

A case's digest is the SHA-256 of its rows in `cases`, `case_accounts`, `case_evidence` and `case_exchanges`; one more
covers the table `case_ties`, whose rows are of two cases. The answer's digest is the SHA-256 of all of these, sorted.
Who is given a case's rows and the list of digests can check both, and learns of other cases nothing but their number.

Values are hashed as they are and not as Parquet wrote them, which changes with the version of its library.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from tiergate.errors import InputError

TABLES: Final = ("cases", "case_accounts", "case_evidence", "case_exchanges")
TIES: Final = "case_ties"


def case_digests(folder: Path) -> dict[str, str]:
    """By case of an answer its digest, and that of the ties under `case_ties`; 64 hexadecimal digits each.

    Raises `InputError` when a table is missing or unreadable.
    """
    tables = {name: read_table(folder, name) for name in TABLES}
    of_case = {
        case_id: digest_of_case({name: rows_of(table, case_id) for name, table in tables.items()})
        for case_id in tables["cases"]["case_id"].to_pylist()
    }
    return {**of_case, TIES: _hashed(TIES, [read_table(folder, TIES)])}


def digest_of_case(rows: dict[str, pa.Table]) -> str:
    """The digest of one case's rows, by table."""
    return _hashed("case", [rows[name] for name in TABLES])


def digest_of_all(digests: Iterable[str]) -> str:
    """An answer's digest from those of its cases and ties."""
    return hashlib.sha256("\n".join(["tiergate answer 1", *sorted(digests)]).encode()).hexdigest()


def rows_of(table: pa.Table, case_id: str) -> pa.Table:
    """The rows of one case, in order."""
    return table.filter(pc.equal(table["case_id"], case_id))


def read_table(folder: Path, name: str) -> pa.Table:
    """Raises `InputError` when it is missing or unreadable."""
    try:
        return pq.read_table(folder / f"{name}.parquet")
    except OSError as error:
        raise InputError(
            f"`{folder}` is no answer of detection: cannot read `{name}.parquet`: {str(error).splitlines()[0]}"
        ) from error
    except pa.ArrowException as error:
        raise InputError(f"cannot read `{folder / name}.parquet`: {str(error).splitlines()[0]}") from error


def _hashed(what: str, tables: Iterable[pa.Table]) -> str:
    digest = hashlib.sha256(f"tiergate {what} 1\n".encode())
    for table in tables:
        digest.update(f"{table.num_rows} {' '.join(table.schema.names)}\n".encode())
        for column in table.columns:
            _add(digest, column.combine_chunks())
    return digest.hexdigest()


def _add(digest: Any, column: pa.Array) -> None:
    """Which values are null, then the values: lengths and UTF-8 of text; numbers and times, 64 bits little-endian."""
    digest.update(np.packbits(np.asarray(column.is_valid())).tobytes())
    kind = column.type
    if pa.types.is_list(kind):
        digest.update(np.asarray(pc.list_value_length(column).fill_null(0)).astype("<i8").tobytes())
        _add(digest, column.flatten())
    elif pa.types.is_string(kind):
        digest.update(np.asarray(pc.binary_length(column).fill_null(0)).astype("<i8").tobytes())
        digest.update("".join(column.fill_null("").to_pylist()).encode())
    elif pa.types.is_floating(kind):
        digest.update(np.asarray(column.fill_null(0.0)).astype("<f8").tobytes())
    else:
        whole = column.cast(pa.int64()).fill_null(0)
        digest.update(np.asarray(whole).astype("<i8").tobytes())
