"""Which columns of a log are read: those asked for, and text only where sketches do not stand for it."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tiergate.ledger.sketches import PUBLIC_KEY, Sketcher
from tiergate.records.read import read_exchanges
from tiergate.records.refused import RefusedRows
from tiergate.records.schema import LOG_SCHEMA
from tiergate.records.write import open_writer

WANTED = ("exchange_id", "prompt_text", "sketch_key_id")


def rows(number: int) -> pa.Table:
    plain = {
        "exchange_id": [f"x{at}" for at in range(number)],
        "started_at": [1_780_000_000_000_000] * number,
        "account_id": ["a"] * number,
        "operation": ["chat"] * number,
        "request_model": ["m"] * number,
        "status": [200] * number,
        "prompt_text": [f"say {at}" for at in range(number)],
        "latency_ms": [-1.0] * number,
    }
    return pa.table(plain, schema=pa.schema([LOG_SCHEMA.field(name) for name in plain]))


def with_sketches(table: pa.Table, bare: int = 0) -> pa.Table:
    sketches = pa.Table.from_batches([Sketcher(PUBLIC_KEY).sketch(table)])
    nothing = pa.table({name: pa.nulls(bare, sketches[name].type) for name in sketches.column_names})
    sketches = pa.concat_tables([sketches.slice(bare), nothing])
    for name in sketches.column_names:
        table = table.append_column(name, sketches[name])
    return table


def read(path: Path, columns: tuple[str, ...] | None, refused: RefusedRows, *, suffice: bool = True) -> pa.Table:
    return pa.Table.from_batches(
        list(read_exchanges([path], refused=refused, columns=columns, sketches_suffice=suffice))
    )


@pytest.mark.parametrize("suffix", [".parquet", ".jsonl"])
def test_a_column_that_is_not_asked_for_refuses_no_row(suffix: str, tmp_path: Path) -> None:
    path = tmp_path / f"exchanges{suffix}"
    with open_writer(path, rows(3).schema) as writer:
        writer.write(rows(3))
    with RefusedRows(None) as refused:
        assert read(path, WANTED, refused).column_names == list(WANTED)
        assert refused.count == 0
        assert next(iter(read_exchanges([path], refused=refused))).num_rows == 0
        assert refused.by_reason == {"latency_ms: is negative or not a number": 3}


def test_text_is_left_unread_where_every_row_has_sketches(tmp_path: Path) -> None:
    pq.write_table(with_sketches(rows(5)), tmp_path / "exchanges.parquet", row_group_size=2)
    with RefusedRows(None) as refused:
        assert read(tmp_path, WANTED, refused)["prompt_text"].null_count == 5
        assert read(tmp_path, WANTED, refused, suffice=False)["prompt_text"].null_count == 0


@pytest.mark.parametrize("statistics", [True, False])
def test_text_is_read_where_one_row_lacks_sketches_or_nobody_counted(statistics: bool, tmp_path: Path) -> None:
    table = with_sketches(rows(5), bare=1 if statistics else 0)
    pq.write_table(table, tmp_path / "exchanges.parquet", row_group_size=2, write_statistics=statistics)
    with RefusedRows(None) as refused:
        assert read(tmp_path, WANTED, refused)["prompt_text"].null_count == 0
