"""Values that real logs hold and the importers must take, or refuse by the row."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.importers.test_importers import MAP, SAMPLES, rows
from tiergate.errors import InputError
from tiergate.importers import columns, litellm, otlp

SPEND = {
    "request_id": "r",
    "call_type": "acompletion",
    "api_key": "k",
    "prompt_tokens": 1,
    "startTime": "2026-05-04T10:00:00",
    "endTime": "2026-05-04T10:00:01",
    "model": "m",
    "user": "u",
}


def failed_with(code: Any) -> dict[str, Any]:
    return {"status": "failure", "metadata": {"error_information": {"error_code": code}}}


def spend_log(path: Path, **changes: Any) -> Path:
    path.write_text(json.dumps(SPEND | changes) + "\n")
    return path


@pytest.mark.parametrize("tokens", ["--5", "²", "9" * 5_000])
def test_tokens_that_are_no_number_cost_their_row(tokens: str, tmp_path: Path) -> None:
    read, refused = rows(litellm.read, spend_log(tmp_path / "x.jsonl", prompt_tokens=tokens))
    assert read == []
    assert list(refused.by_reason) == ["input_tokens: is not a whole number of 64 bits"]


@pytest.mark.parametrize(("code", "status"), [("429", 429), (503, 503), ("0", 500), ("²", 500), ("9" * 5_000, 500)])
def test_a_failure_without_an_http_status_is_500(code: Any, status: int, tmp_path: Path) -> None:
    (row,), _ = rows(litellm.read, spend_log(tmp_path / "x.jsonl", **failed_with(code)))
    assert row["status"] == status


def test_litellm_writes_what_it_does_not_know_as_empty_text(tmp_path: Path) -> None:
    (row,), refused = rows(litellm.read, spend_log(tmp_path / "x.jsonl", api_key="", session_id=""))
    assert (row["credential_id"], row["session_id"], refused.count) == (None, None, 0)


@pytest.mark.parametrize(
    ("call", "operation"),
    [("atext_completion", "chat"), ("aanthropic_messages", "messages"), ("agenerate_content_stream", "chat")],
)
def test_call_types_of_model_calls(call: str, operation: str, tmp_path: Path) -> None:
    (row,), _ = rows(litellm.read, spend_log(tmp_path / "x.jsonl", call_type=call))
    assert row["operation"] == operation


def export(**changes: Any) -> dict[str, Any]:
    """The second sample, with ``changes`` to its one span."""
    whole: dict[str, Any] = json.loads((SAMPLES / "otlp_traces.jsonl").read_text().splitlines()[1])
    span = whole["resourceSpans"][0]["scopeSpans"][0]["spans"][0]
    span["attributes"] += changes.pop("attributes", [])
    span |= changes
    return whole


@pytest.mark.parametrize(
    "change",
    [
        {"startTimeUnixNano": "²"},
        {"startTimeUnixNano": "9" * 5_000},
        {"attributes": [{"key": "gen_ai.usage.input_tokens", "value": {"intValue": "--5"}}]},
    ],
)
def test_a_span_with_a_wrong_number_costs_itself(change: dict[str, Any], tmp_path: Path) -> None:
    (tmp_path / "x.jsonl").write_text(json.dumps(export(**change)) + "\n" + json.dumps(export()) + "\n")
    read, refused = rows(otlp.read, tmp_path / "x.jsonl")
    assert len(read) == 1
    assert refused.count == 1


def test_a_json_file_of_one_export_a_line_is_read(tmp_path: Path) -> None:
    (tmp_path / "traces.json").write_text((SAMPLES / "otlp_traces.jsonl").read_text())
    read, refused = rows(otlp.read, tmp_path / "traces.json")
    assert (len(read), refused.count) == (2, 0)


def test_messages_spread_over_attributes_are_put_together(tmp_path: Path) -> None:
    spread = {
        "gen_ai.prompt.0.role": "system",
        "gen_ai.prompt.0.content": "Be kind.",
        "gen_ai.prompt.1.role": "user",
        "gen_ai.prompt.1.content": "Hello?",
        "gen_ai.completion.0.role": "assistant",
        "gen_ai.completion.0.content": "Hi.",
    }
    whole = export(attributes=[{"key": key, "value": {"stringValue": value}} for key, value in spread.items()])
    span = whole["resourceSpans"][0]["scopeSpans"][0]["spans"][0]
    span["attributes"] = [one for one in span["attributes"] if one["key"] != "gen_ai.prompt"]
    (tmp_path / "x.jsonl").write_text(json.dumps(whole) + "\n")
    (row,), _ = rows(otlp.read, tmp_path / "x.jsonl")
    texts = (row["system_text"], row["prompt_text"], row["response_text"], row["message_count"])
    assert texts == ("Be kind.", "Hello?", "Hi.", 2)


def test_a_csv_row_that_is_no_utf8_costs_itself_and_a_header_the_file(tmp_path: Path) -> None:
    (tmp_path / "map.toml").write_text(MAP)
    head, row = b"id,customer.ref,model,at,streamed,tools,out\n", b"%b,c,m,1780000000123,true,a,7\n"
    (tmp_path / "x.csv").write_bytes(head + row % b"1" + row % b"\xff" + row % b"3")
    read, refused = rows(columns.read, tmp_path / "x.csv", column_map=tmp_path / "map.toml")
    assert [one["exchange_id"] for one in read] == ["1", "3"]
    assert refused.by_reason == {": is not UTF-8": 1}
    (tmp_path / "x.csv").write_bytes(b"\xff" + head)
    with pytest.raises(InputError, match="not a readable CSV file"):
        rows(columns.read, tmp_path / "x.csv", column_map=tmp_path / "map.toml")


def test_times_in_a_form_of_their_own(tmp_path: Path) -> None:
    form = MAP.replace('unit = "ms"', 'time_format = "%d/%m/%Y %H:%M"')
    (tmp_path / "map.toml").write_text(form)
    head, tail = "id,customer.ref,model,at,streamed,tools,out\n", ",true,a,7\n"
    (tmp_path / "x.csv").write_text(f"{head}1,c,m,04/05/2026 10:30{tail}2,c,m,2026-05-04{tail}")
    (row,), refused = rows(columns.read, tmp_path / "x.csv", column_map=tmp_path / "map.toml")
    assert row["started_at"].isoformat() == "2026-05-04T10:30:00+00:00"
    assert refused.by_reason == {"started_at: is not a time (RFC 3339)": 1}
    (tmp_path / "map.toml").write_text(form.replace("time_format", 'unit = "s"\ntime_format'))
    with pytest.raises(InputError, match="both `unit` and `time_format`"):
        columns.load_map(tmp_path / "map.toml")
