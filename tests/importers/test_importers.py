"""Other products' logs arrive in the exchange log's columns."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tiergate.errors import InputError
from tiergate.importers import columns, litellm, otlp
from tiergate.records.refused import RefusedRows
from tiergate.records.schema import EXCHANGE_SCHEMA

SAMPLES = Path(__file__).parent / "samples"


def rows(read: Callable[..., Iterator[pa.RecordBatch]], path: Path, **options: Any) -> tuple[list[Any], RefusedRows]:
    with RefusedRows(None) as refused:
        batches = list(read(path, refused=refused, **options))
    assert all(batch.schema.names == EXCHANGE_SCHEMA.names for batch in batches)
    return [row for batch in batches for row in batch.to_pylist()], refused


def given_in(row: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in row.items() if value is not None}


def test_litellm_spend_logs_with_stored_prompts() -> None:
    (first, second), refused = rows(litellm.read, SAMPLES / "litellm_spend_logs.jsonl")
    assert given_in(first) == {
        "exchange_id": "chatcmpl-9a1",
        "started_at": datetime(2026, 5, 4, 10, 0, 0, 125_000, UTC),
        "account_id": "alice",
        "organization_id": "team-7",
        "credential_id": "88dc28d0f030c55ed4ab77ed8faf098196cb1c05df778539800c9f1243fe6b4b",
        "end_user_id": "customer-3",
        "session_id": "s-1",
        "provider": "openai",
        "operation": "chat",
        "request_model": "gpt-4o",
        "response_model": "openai/gpt-4o-2024-08-06",
        "stream": True,
        "temperature": 0.2,
        "max_tokens": 256,
        "tool_names": ["lookup"],
        "message_count": 2,
        "system_text": "Be brief.",
        "prompt_text": "What is tin?",
        "response_text": "A metal.",
        "input_tokens": 30,
        "output_tokens": 100,
        "cached_input_tokens": 8,
        "reasoning_tokens": 40,
        "status": 200,
        "finish_reason": "stop",
        "latency_ms": 2500.0,
        "cost_usd": 0.00123,
        "client_address": "203.0.113.9",
    }
    assert (second["account_id"], second["operation"], second["status"]) == ("team-7", "embeddings", 429)
    # An image is no exchange of the log: refused by name, not dropped in silence.
    assert refused.count == 1
    assert "operation" in next(iter(refused.by_reason))


def test_litellm_spend_logs_as_csv() -> None:
    (row,), refused = rows(litellm.read, SAMPLES / "litellm_spend_logs.csv")
    assert (row["account_id"], row["input_tokens"], row["cost_usd"]) == ("aa11", 10, 0.5)
    assert row["latency_ms"] == 1000.0
    assert refused.by_reason == {"cost_usd: is not a number": 1}


def test_opentelemetry_spans_by_present_and_earlier_names() -> None:
    (present, earlier), refused = rows(otlp.read, SAMPLES / "otlp_traces.jsonl")
    assert given_in(present) == {
        "exchange_id": "chatcmpl-77",
        "started_at": datetime(2026, 5, 28, 20, 26, 40, 123_456, UTC),
        "account_id": "u-1",
        "session_id": "conv-5",
        "provider": "openai",
        "operation": "chat",
        "request_model": "gpt-4o",
        "response_model": "gpt-4o-2024-08-06",
        "temperature": 0.5,
        "max_tokens": 200,
        "message_count": 1,
        "system_text": "Be kind.",
        "prompt_text": "Hello?",
        "response_text": "Hi.",
        "input_tokens": 47,
        "output_tokens": 52,
        "status": 200,
        "finish_reason": "stop",
        "latency_ms": 1000.0,
        "client_address": "2001:db8::7",
        "user_agent": "OpenAI/Python 2.8.1",
    }
    assert (earlier["account_id"], earlier["provider"], earlier["status"]) == ("batch", "anthropic", 500)
    assert (earlier["input_tokens"], earlier["output_tokens"], earlier["prompt_text"]) == (3, 4, "old style")
    assert refused.count == 0


def test_one_export_in_a_json_file_reads_like_lines(tmp_path: Path) -> None:
    first = (SAMPLES / "otlp_traces.jsonl").read_text().splitlines()[0]
    (tmp_path / "export.json").write_text(first)
    read, _ = rows(otlp.read, tmp_path / "export.json")
    assert [row["exchange_id"] for row in read] == ["chatcmpl-77"]


MAP = """
exchange_id = "id"
account_id = "customer.ref"
request_model = "model"
stream = "streamed"
tool_names = "tools"
output_tokens = "out"
[started_at]
from = "at"
unit = "ms"
[operation]
constant = "chat"
[status]
constant = 200
"""


def test_any_table_by_a_map(tmp_path: Path) -> None:
    (tmp_path / "map.toml").write_text(MAP)
    (tmp_path / "log.csv").write_text(
        "id,customer.ref,model,at,streamed,tools,out\n"
        '1,c1,m,1780000000123,true,"a, b",7\n2,c2,m,never,false,,7\n3,c3,m\n'
    )
    (row,), refused = rows(columns.read, tmp_path / "log.csv", column_map=tmp_path / "map.toml")
    assert (row["account_id"], row["stream"], row["tool_names"], row["output_tokens"]) == ("c1", True, ["a", "b"], 7)
    assert row["started_at"] == datetime(2026, 5, 28, 20, 26, 40, 123_000, UTC)
    assert refused.count == 2
    (tmp_path / "log.jsonl").write_text(
        '{"id": 5, "customer": {"ref": "c9"}, "model": "m", "at": 1780000000123, "out": 3}\n'
    )
    sources = columns.load_map(tmp_path / "map.toml")
    del sources["stream"], sources["tool_names"]
    (row,), _ = rows(columns.read, tmp_path / "log.jsonl", column_map=sources)
    assert (row["exchange_id"], row["account_id"]) == ("5", "c9")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('colour = "x"', "no column of the exchange log"),
        ('status = "code"', "lacks the required columns exchange_id"),
        ("status = {}", "either `from` or `constant`"),
        ('started_at = {from = "t", unit = "weeks"}', "use s, ms, us or ns"),
        ("status = {form = 1}", "is wrong"),
        ("= nothing", "cannot read"),
    ],
)
def test_a_wrong_map_is_an_error_in_words(text: str, said: str, tmp_path: Path) -> None:
    (tmp_path / "map.toml").write_text(text)
    with pytest.raises(InputError, match=said):
        columns.load_map(tmp_path / "map.toml")


def test_a_source_column_that_is_not_there_is_named(tmp_path: Path) -> None:
    (tmp_path / "map.toml").write_text(MAP)
    (tmp_path / "log.csv").write_text("id,customer.ref,model,at\n1,c,m,1780000000123\n")
    with pytest.raises(InputError, match="no column `out, streamed, tools`"):
        rows(columns.read, tmp_path / "log.csv", column_map=tmp_path / "map.toml")


KEYS = (
    "resourceSpans", "scopeSpans", "spans", "attributes", "key", "value", "arrayValue", "values", "intValue", "status",
    "resource", "metadata", "messages", "response", "choices", "message", "content", "role", "proxy_server_request",
    "tools", "function", "usage_object", "error_information", "gen_ai.request.model", "call_type", "startTime",
)  # fmt: skip


@pytest.mark.parametrize("read", [litellm.read, otlp.read])
@given(
    content=st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(max_size=8),
        lambda inner: (
            st.lists(inner, max_size=3)
            | st.dictionaries(st.sampled_from(KEYS) | st.text(max_size=4), inner, max_size=4)
        ),
        max_leaves=25,
    )
)
@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_no_json_brings_more_than_refusals(read: Any, tmp_path: Path, content: Any) -> None:
    (tmp_path / "x.jsonl").write_text(json.dumps(content) + "\n")
    with contextlib.suppress(InputError):
        rows(read, tmp_path / "x.jsonl")


@pytest.mark.parametrize("name", ["x.csv", "x.json", "x.jsonl", "x.doc"])
def test_files_of_other_kinds_are_errors_or_refusals(name: str, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(b"\xff\xfe\x00 nonsense {")
    with contextlib.suppress(InputError):
        read, refused = rows(litellm.read, tmp_path / name)
        assert read == []
        assert refused.count
