"""Tables to files and back; a bad row costs a row, a bad file costs a sentence."""

from __future__ import annotations

import contextlib
import gzip
import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tiergate.errors import InputError
from tiergate.records import lines as lines_module
from tiergate.records.read import find_world, read_accounts, read_exchanges, read_model_releases
from tiergate.records.refused import RefusedRows
from tiergate.records.schema import ACCOUNT_SCHEMA, EXCHANGE_SCHEMA, LOG_SCHEMA
from tiergate.records.write import open_writer

SUFFIXES = (".parquet", ".jsonl", ".jsonl.gz", ".jsonl.zst")
TEXT = st.text(st.characters(codec="utf-8"), min_size=1, max_size=20)
COUNT = st.none() | st.integers(0, 2**40)


def optional(strategy: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.none() | strategy


EXCHANGES = st.fixed_dictionaries(
    {
        "exchange_id": TEXT,
        "started_at": st.datetimes(datetime(2001, 1, 1), datetime(2090, 1, 1), timezones=st.just(UTC)),  # noqa: DTZ001
        "account_id": TEXT,
        "operation": st.sampled_from(["chat", "responses", "messages", "embeddings"]),
        "request_model": TEXT,
        "status": st.integers(100, 599),
        "stream": optional(st.booleans()),
        "temperature": optional(st.floats(0, 2, allow_subnormal=False)),
        "max_tokens": COUNT,
        "tool_names": optional(st.lists(TEXT, max_size=3)),
        "prompt_text": optional(TEXT),
        "output_tokens": COUNT,
        "cost_usd": optional(st.floats(0, 100, allow_subnormal=False)),
    }
)


def row(**columns: Any) -> dict[str, Any]:
    base = {
        "exchange_id": "x1",
        "started_at": "2026-06-01T00:00:00Z",
        "account_id": "a1",
        "operation": "chat",
        "request_model": "m",
        "status": 200,
    }
    return {name: value for name, value in (base | columns).items() if value is not ...}


def write_lines(path: Path, rows: list[Any]) -> Path:
    path.write_text("".join((r if isinstance(r, str) else json.dumps(r)) + "\n" for r in rows))
    return path


def read(path: Path, side: Path | None = None, **options: Any) -> tuple[list[dict[str, Any]], RefusedRows]:
    with RefusedRows(side) as refused:
        rows = [row for batch in read_exchanges([path], refused=refused, **options) for row in batch.to_pylist()]
    return rows, refused


@pytest.mark.parametrize("suffix", SUFFIXES)
@given(st.lists(EXCHANGES, max_size=5))
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_what_is_written_is_read(suffix: str, tmp_path: Path, rows: list[dict[str, Any]]) -> None:
    table = pa.Table.from_pylist(rows, EXCHANGE_SCHEMA)
    path = tmp_path / f"exchanges{suffix}"
    with open_writer(path, table.schema) as writer:
        writer.write(table)
    back, refused = read(path)
    assert refused.count == 0
    assert [{name: got[name] for name in EXCHANGE_SCHEMA.names} for got in back] == table.to_pylist()


@pytest.mark.parametrize(
    ("fault", "column", "reason"),
    [
        ({"exchange_id": ...}, "exchange_id", "missing"),
        ({"account_id": None}, "account_id", "missing"),
        ({"account_id": ""}, "account_id", "empty"),
        ({"started_at": "yesterday"}, "started_at", "time"),
        ({"started_at": 1_780_000_000}, "started_at", "time"),
        ({"started_at": "1970-01-01T00:00:01Z"}, "started_at", "plausible"),
        ({"operation": "dance"}, "operation", "none of"),
        ({"status": 42}, "status", "HTTP"),
        ({"status": "200"}, "status", "whole number"),
        ({"status": 2**40}, "status", "whole number"),
        ({"output_tokens": -1}, "output_tokens", "negative"),
        ({"max_tokens": 1.5}, "max_tokens", "whole number"),
        ({"stream": "yes"}, "stream", "true or false"),
        ({"temperature": True}, "temperature", "number"),
        ({"tool_names": "search"}, "tool_names", "list"),
        ({"prompt_text": 7}, "prompt_text", "text"),
        ({"client_asn": 2**33}, "client_asn", "AS number"),
    ],
)
def test_a_bad_row_is_refused_with_its_place_and_reason(
    fault: dict[str, Any], column: str, reason: str, tmp_path: Path
) -> None:
    bad = {name: value for name, value in (row(exchange_id="x2") | fault).items() if value is not ...}
    path = write_lines(tmp_path / "x.jsonl", [row(), bad, row(exchange_id="x3")])
    rows, refused = read(path, tmp_path / "side.jsonl")
    assert [r["exchange_id"] for r in rows] == ["x1", "x3"]
    assert refused.count == 1
    kept = json.loads((tmp_path / "side.jsonl").read_text())
    assert (kept["file"], kept["row"], kept["column"]) == (str(path), 2, column)
    assert reason in kept["reason"]


@pytest.mark.parametrize("line", ["{", "[1]", '"text"', '{"a": nan}', "{} {}", "\x00"])
def test_a_line_that_is_no_object_is_refused(line: str, tmp_path: Path) -> None:
    rows, refused = read(write_lines(tmp_path / "x.jsonl", [row(), line, row(exchange_id="x2")]))
    assert len(rows) == 2
    assert refused.by_reason == {": is not a JSON object": 1}


def test_a_last_line_cut_short_and_bytes_that_are_no_text_cost_one_row_each(tmp_path: Path) -> None:
    good = json.dumps(row()).encode()
    (tmp_path / "x.jsonl").write_bytes(good + b"\n" + good.replace(b'"m"', b'"\xff"') + b"\n" + good[:30])
    rows, refused = read(tmp_path / "x.jsonl")
    assert len(rows) == 1
    assert refused.count == 2


def test_a_line_beyond_the_limit_is_refused_without_being_held(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lines_module, "LONGEST_LINE", 1_000)
    monkeypatch.setattr(lines_module, "BLOCK_BYTES", 512)
    path = write_lines(tmp_path / "x.jsonl", [row(), row(prompt_text="y" * 9_000), row(exchange_id="x3")])
    rows, refused = read(path)
    assert [r["exchange_id"] for r in rows] == ["x1", "x3"]
    assert refused.count == 1


def test_a_stream_cut_in_the_middle_keeps_what_came_before(tmp_path: Path) -> None:
    whole = gzip.compress(
        "".join(json.dumps(row(exchange_id=f"x{n}", prompt_text=str(n) * 50)) + "\n" for n in range(90_000)).encode()
    )
    (tmp_path / "x.jsonl.gz").write_bytes(whole[: len(whole) // 2])
    rows, refused = read(tmp_path / "x.jsonl.gz")
    assert 1_000 < len(rows) < 90_000
    assert refused.count == 1
    assert "cut here" in next(iter(refused.by_reason))


def test_parquet_of_other_types_is_cast_and_only_misfits_are_refused(tmp_path: Path) -> None:
    table = pa.table(
        {
            "exchange_id": pa.array(["a", "b", "c"], pa.large_string()),
            "started_at": pa.array([1_780_000_000_000_000_123] * 3, pa.timestamp("ns")),
            "account_id": pa.array(["p", "q", "p"]).dictionary_encode(),
            "operation": ["chat"] * 3,
            "request_model": ["m"] * 3,
            "status": pa.array([200, 2**40, 404], pa.int64()),
            "max_tokens": pa.array([1, 2, 3], pa.int16()),
            "temperature": pa.array([float("nan"), 0.5, 0.5]),
            "unknown_column": [1, 2, 3],
        }
    )
    pq.write_table(table, tmp_path / "x.parquet")
    rows, refused = read(tmp_path / "x.parquet")
    assert [(r["exchange_id"], r["account_id"], r["max_tokens"]) for r in rows] == [("c", "p", 3)]
    assert rows[0]["started_at"] == datetime.fromtimestamp(1_780_000_000, UTC)
    assert list(rows[0]) == LOG_SCHEMA.names
    assert refused.by_reason == {
        "status: is not a whole number of 32 bits": 1,
        "temperature: is not a number": 1,
    }


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("x.parquet", b"PAR1 not really", "not a readable Parquet file"),
        ("x.jsonl", b"hello\nworld\n", "not JSON lines"),
        ("x.jsonl.gz", b"plain text", "not a readable gzip file"),
        ("x.jsonl.zst", b"plain text", "not a readable zstd file"),
        ("x.txt", b"", "no known ending"),
    ],
)
def test_a_file_that_is_not_what_it_claims_is_an_error(name: str, content: bytes, said: str, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(InputError, match=said) as raised:
        read(tmp_path / name)
    assert name in str(raised.value)
    assert "\n" not in str(raised.value)


def test_missing_things_are_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="does not exist"):
        read(tmp_path / "absent.parquet")
    pq.write_table(pa.table({"exchange_id": ["a"]}), tmp_path / "x.parquet")
    with pytest.raises(InputError, match="lacks the required columns started_at, account_id"):
        read(tmp_path / "x.parquet")
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match="holds no"):
        read(tmp_path / "empty")


@given(st.binary(max_size=300), st.sampled_from([*SUFFIXES, ".ndjson"]))
@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_no_content_of_a_file_brings_more_than_an_input_error(tmp_path: Path, content: bytes, suffix: str) -> None:
    path = tmp_path / f"x{suffix}"
    path.write_bytes(content)
    with contextlib.suppress(InputError):
        read(path)


def test_a_world_is_found_by_the_names_of_its_files(tmp_path: Path) -> None:
    for name in ("exchanges-1.parquet", "exchanges-2.jsonl", "accounts.parquet", "model_releases.jsonl", "notes.md"):
        (tmp_path / name).touch()
    world = find_world(tmp_path)
    assert [path.name for path in world.exchanges] == ["exchanges-1.parquet", "exchanges-2.jsonl"]
    assert [path.name for path in world.accounts] == ["accounts.parquet"]
    assert [path.name for path in world.model_releases] == ["model_releases.jsonl"]


def test_accounts_and_releases_are_checked_too(tmp_path: Path) -> None:
    accounts = [
        {"account_id": "a", "created_at": "2026-01-01T00:00:00Z", "plan": "free", "status": "active"},
        {"account_id": "a", "created_at": "2026-02-01T00:00:00Z"},
        {"account_id": "b", "created_at": "2026-01-01T00:00:00Z", "plan": "platinum"},
        {"account_id": "c"},
    ]
    releases = [{"model": "m", "released_at": "2026-01-01T00:00:00+02:00"}, {"model": "n", "released_at": 5}]
    with RefusedRows(None) as refused:
        table = read_accounts([write_lines(tmp_path / "accounts.jsonl", accounts)], refused=refused)
        times = read_model_releases([write_lines(tmp_path / "releases.jsonl", releases)], refused=refused)
    assert table.schema.names == ACCOUNT_SCHEMA.names
    assert table["account_id"].to_pylist() == ["a"]
    assert times["released_at"].to_pylist() == [datetime(2025, 12, 31, 22, tzinfo=UTC)]
    assert refused.count == 3


def test_a_writer_that_fails_leaves_nothing_behind(tmp_path: Path) -> None:
    path = tmp_path / "x.parquet"
    path.write_text("the old one")
    with pytest.raises(RuntimeError), open_writer(path, EXCHANGE_SCHEMA):
        raise RuntimeError
    assert path.read_text() == "the old one"
    assert [p.name for p in tmp_path.iterdir()] == ["x.parquet"]
    with pytest.raises(InputError, match="cannot write"), open_writer(tmp_path / "no" / "x.parquet", EXCHANGE_SCHEMA):
        pass


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_what_is_read_can_be_written_with_the_public_schema(suffix: str, tmp_path: Path) -> None:
    source = write_lines(tmp_path / "in.jsonl", [row(), row(exchange_id="x2", operation="dance")])
    with RefusedRows(None) as refused, open_writer(tmp_path / f"out{suffix}", LOG_SCHEMA) as writer:
        for batch in read_exchanges([source], refused=refused):
            assert batch.schema == LOG_SCHEMA
            writer.write(batch)
    assert [r["exchange_id"] for r in read(tmp_path / f"out{suffix}")[0]] == ["x1"]
