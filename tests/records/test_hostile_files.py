"""Files that hold what their format allows and Python does not, or that end too early."""

from __future__ import annotations

import gzip
import json
import os
import random
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tiergate.errors import InputError
from tiergate.records import lines as lines_module
from tiergate.records.read import find_world, read_exchanges
from tiergate.records.refused import RefusedRows
from tiergate.records.schema import TIME

NOON = 1_780_000_000_000_000


def not_utf8() -> pa.Array:
    """Two strings, of which the first is no UTF-8, as another program's Parquet may hold them."""
    return pa.StringArray.from_buffers(2, pa.array([0, 1, 2], pa.int32()).buffers()[1], pa.py_buffer(b"\xffm"))


def two_rows(**columns: Any) -> pa.Table:
    return pa.table(
        {
            "exchange_id": ["a", "b"],
            "started_at": pa.array([NOON] * 2, TIME),
            "account_id": ["p", "q"],
            "operation": ["chat"] * 2,
            "request_model": ["m"] * 2,
            "status": pa.array([200] * 2, pa.int32()),
        }
        | columns
    )


def lines(count: int) -> bytes:
    """JSON lines whose text does not compress away."""
    row = {"started_at": "2026-06-01T00:00:00Z", "account_id": "a", "operation": "chat", "request_model": "m"}
    made = (row | {"exchange_id": f"x{n}", "status": 200, "prompt_text": os.urandom(30).hex()} for n in range(count))
    return "".join(json.dumps(one) + "\n" for one in made).encode()


def read(path: Path, side: Path | None = None) -> tuple[list[str], RefusedRows]:
    with RefusedRows(side) as refused:
        batches = list(read_exchanges([path], refused=refused))
    return [name for batch in batches for name in batch["exchange_id"].to_pylist()], refused


@pytest.mark.parametrize(
    ("columns", "faulty"),
    [
        ({"prompt_text": not_utf8()}, "prompt_text"),
        ({"account_id": not_utf8()}, "account_id"),
        ({"tool_names": pa.ListArray.from_arrays([0, 1, 2], not_utf8())}, "tool_names"),
        ({"started_at": pa.array([2**62, NOON], TIME)}, "started_at"),
        ({"started_at": pa.array([2**61, NOON // 1000], pa.timestamp("ms"))}, "started_at"),
    ],
)
def test_parquet_values_that_python_cannot_hold_cost_their_row(
    columns: dict[str, Any], faulty: str, tmp_path: Path
) -> None:
    pq.write_table(two_rows(**columns), tmp_path / "x.parquet")
    ids, refused = read(tmp_path / "x.parquet", tmp_path / "side.jsonl")
    assert ids == ["b"]
    assert refused.count == 1
    kept = json.loads((tmp_path / "side.jsonl").read_text())
    assert (kept["row"], kept["column"]) == (1, faulty)
    assert kept["raw"]


def test_a_time_before_the_first_year_costs_its_row(tmp_path: Path) -> None:
    (tmp_path / "x.jsonl").write_bytes(lines(2).replace(b"2026-06-01T00:00:00Z", b"0001-01-01T00:00:00+14:00", 1))
    ids, refused = read(tmp_path / "x.jsonl")
    assert ids == ["x1"]
    assert refused.by_reason == {"started_at: is no plausible time": 1}


def test_two_parquet_columns_of_one_name_are_an_error(tmp_path: Path) -> None:
    table = two_rows()
    pq.write_table(table.append_column("status", table["status"]), tmp_path / "x.parquet")
    with pytest.raises(InputError, match="more than one column status"):
        read(tmp_path / "x.parquet")


@pytest.mark.parametrize("codec", ["gzip", "zstd"])
@pytest.mark.parametrize("rows", [2_000, 20_000])
def test_every_row_before_a_cut_is_kept(codec: str, rows: int, tmp_path: Path) -> None:
    packed = gzip.compress(lines(rows)) if codec == "gzip" else pa.compress(lines(rows), codec=codec, asbytes=True)
    path = tmp_path / f"x.jsonl.{'gz' if codec == 'gzip' else 'zst'}"
    path.write_bytes(packed[: len(packed) * 9 // 10])
    ids, refused = read(path)
    # A codec's last block is lost with its end: at most 128 KiB, some 800 rows.
    assert rows * 9 // 10 - 900 < len(ids) < rows
    assert ids == [f"x{n}" for n in range(len(ids))]
    assert refused.by_reason == {f": the {codec} stream is cut here": 1}


def test_long_lines_make_small_batches(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lines_module, "BATCH_BYTES", 2_000)
    (tmp_path / "x.jsonl").write_bytes(lines(100))
    with RefusedRows(None) as refused:
        sizes = [batch.num_rows for batch in read_exchanges([tmp_path / "x.jsonl"], refused=refused)]
    assert sum(sizes) == 100
    assert max(sizes) < 20


def test_a_folder_that_is_not_there_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="is no folder"):
        find_world(tmp_path / "absent")


def test_a_damaged_parquet_file_brings_no_more_than_an_input_error(tmp_path: Path) -> None:
    pq.write_table(two_rows(tool_names=[["t"], ["u"]], prompt_text=["hello", "there"]), tmp_path / "x.parquet")
    whole = (tmp_path / "x.parquet").read_bytes()
    dice, errors = random.Random(7), 0
    for _ in range(400):
        damaged = bytearray(whole)
        for _ in range(dice.randint(1, 4)):
            damaged[dice.randrange(len(damaged))] = dice.randrange(256)
        (tmp_path / "x.parquet").write_bytes(damaged)
        try:
            read(tmp_path / "x.parquet")
        except InputError:
            errors += 1
    assert 0 < errors < 400
