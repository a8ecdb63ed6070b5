"""Spans and metrics as a real collector receives them from a real gateway."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import openai
import pytest
from benchmarks.gateway_crash import mock_upstream, serving
from google.protobuf.json_format import MessageToDict
from hypothesis import given
from hypothesis import strategies as st

from tests.gateway.conftest import Deployed
from tests.gateway.telemetry.conftest import MODELS, Collector
from tiergate.admission.models import FILE
from tiergate.errors import SettingsError
from tiergate.gateway.telemetry.batches import Batches
from tiergate.gateway.telemetry.setting_up import watch_of
from tiergate.gateway.telemetry.trace_context import TraceContext, continued
from tiergate.importers.otlp import read
from tiergate.records import conventions
from tiergate.records.refused import RefusedRows
from tiergate.records.schema import EXCHANGE_SCHEMA
from tiergate.settings import Settings

Start = Callable[..., Deployed]

TRACE, PARENT = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
TRACEPARENT = f"00-{TRACE}-{PARENT}-00"
WORDS = "What-is-tin-alloyed-with"
UNKNOWN_ELSEWHERE = {"cost_usd", "message_count", "finish_reason", "latency_ms", "provider", "max_tokens"}
"""Columns that a span has no place for, or rounds."""


def told(value: Any) -> Any:
    kind = value.WhichOneof("value")
    return [told(one) for one in value.array_value.values] if kind == "array_value" else getattr(value, kind)


def attributes(span: Any) -> dict[str, Any]:
    return {one.key: told(one.value) for one in span.attributes}


def ask_in_every_way(gateway: Deployed, mock: Any) -> Any:
    """Whole, streamed, refused, and failed when the upstream ``mock`` is gone."""
    customer = gateway.customer()
    customer.ask(WORDS, extra_headers={"traceparent": TRACEPARENT, "tracestate": "congo=t61rcWkgMzE"})
    for _ in customer.ask(WORDS, stream=True):
        pass
    with pytest.raises(openai.APIStatusError):
        customer.client.chat.completions.create(model="unpriced", messages=[{"role": "user", "content": WORDS}])
    mock.stop()
    with pytest.raises(openai.APIStatusError):
        customer.ask(WORDS)
    return customer


@pytest.mark.parametrize("text", [False, True], ids=["without-text", "with-text"])
def test_every_exchange_has_one_span(tmp_path: Path, collector: Collector, start: Start, text: bool) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / FILE).write_text(MODELS)
    with serving(mock_upstream(), tmp_path / "mock.out") as mock:
        settings = {"otlp_endpoint": collector.address, "otlp_text": str(text).lower(), "metrics_port": "0"}
        gateway = start(mock.address, **settings)
        customer = ask_in_every_way(gateway, mock)
        gateway.server.stop()
    spans = {attributes(span)["tiergate.exchange.id"]: span for span in collector.all_spans()}
    rows = {row["exchange_id"]: row for row in gateway.rows(customer.account_id)}
    assert len(collector.all_spans()) == len(rows) == 4
    assert spans.keys() == rows.keys()
    for name, row in rows.items():
        span, about = spans[name], attributes(spans[name])
        assert span.name == f"chat {row['request_model']}"
        assert about["gen_ai.operation.name"] == "chat"
        assert about["gen_ai.provider.name"] == "openai"
        assert about["user.id"] == customer.account_id
        assert about["http.response.status_code"] == row["status"]
        assert about.get("gen_ai.usage.output_tokens") == row["output_tokens"]
        assert about.get("tiergate.cost.micro_usd") == row["cost_micro_usd"]
        assert (span.status.code == 2) == (row["status"] >= 400)
        assert about.get("error.type") == (row["finish_reason"] if row["status"] >= 400 else None)
        assert span.start_time_unix_nano == round(row["started_at"].timestamp() * 1e6) * 1000
        assert (span.end_time_unix_nano - span.start_time_unix_nano) / 1e6 == pytest.approx(row["latency_ms"])
        assert ("gen_ai.response.time_to_first_chunk" in about) == (row["stream"] is True and row["status"] == 200)
        assert ("gen_ai.input.messages" in about) is text
    first = spans[min(rows)]
    assert (first.trace_id.hex(), first.parent_span_id.hex(), first.trace_state) == (
        TRACE, PARENT, "congo=t61rcWkgMzE"
    )  # fmt: skip
    assert len({span.trace_id for span in spans.values()}) == 4
    assert any(WORDS.encode() in raw for raw in collector.raw) is text
    if text:
        asked = json.loads(attributes(first)["gen_ai.input.messages"])
        assert asked == [{"role": "user", "parts": [{"type": "text", "content": WORDS}]}]
        assert json.loads(attributes(first)["gen_ai.output.messages"])[0]["parts"][0]["content"]
        # What is sent away is not kept because of that.
        assert all(row["prompt_text"] is None and row["response_text"] is None for row in rows.values())
    measured = collector.all_metrics()
    assert sum(point.count for point in measured["gen_ai.client.inference.duration"].histogram.data_points) == 4
    (streamed,) = measured["gen_ai.client.inference.time_to_first_chunk"].histogram.data_points
    assert streamed.count == 1
    output = measured["gen_ai.client.inference.usage.output_tokens"].sum.data_points
    assert sum(point.as_int for point in output) == sum(row["output_tokens"] or 0 for row in rows.values())
    assert {attributes(point)["gen_ai.request.model"] for point in output} == {"model-small"}
    resources = [one.resource for export in collector.spans for one in export.resource_spans]
    assert {attributes(one)["service.name"] for one in resources} == {"tiergate"}


def test_what_is_exported_can_be_imported(tmp_path: Path, collector: Collector, start: Start, upstream: str) -> None:
    gateway = start(upstream, otlp_endpoint=collector.address)
    customer = gateway.customer()
    customer.ask(temperature=0.5, max_tokens=50, user="end-user-7", extra_headers={"x-session-id": "s-1"})
    for _ in customer.ask(stream=True):
        pass
    customer.client.embeddings.create(model="embed", input="tin", encoding_format="float")
    customer.client.responses.create(model="model-small", input="What is tin?")
    gateway.server.stop()
    path = tmp_path / "spans.jsonl"
    path.write_text("\n".join(json.dumps(MessageToDict(one)) for one in collector.spans))
    refused = RefusedRows(tmp_path / "refused.jsonl")
    back = [row for batch in read(path, refused=refused) for row in batch.to_pylist()]
    back.sort(key=lambda row: row["exchange_id"])
    rows = gateway.rows(customer.account_id)
    assert len(rows) == len(back) == 4
    columns = [name for name in EXCHANGE_SCHEMA.names if name not in UNKNOWN_ELSEWHERE]
    assert [{name: row[name] for name in columns} for row in back] == [
        {name: row[name] for name in columns} for row in rows
    ]
    for row, own in zip(back, rows, strict=True):
        assert row["latency_ms"] == pytest.approx(own["latency_ms"])
        assert row["finish_reason"] == own["finish_reason"]


def test_the_upstream_is_told_the_trace(
    collector: Collector, start: Start, telling_upstream: tuple[str, list[dict[str, str]]]
) -> None:
    address, said = telling_upstream
    gateway = start(address, otlp_endpoint=collector.address)
    customer = gateway.customer()
    customer.ask(extra_headers={"traceparent": TRACEPARENT, "tracestate": "a=1", "baggage": "who=me"})
    customer.ask()
    gateway.server.stop()
    first, second = sorted(collector.all_spans(), key=lambda span: span.start_time_unix_nano)
    assert said[0]["traceparent"] == f"00-{TRACE}-{first.span_id.hex()}-01"
    assert said[0]["tracestate"] == "a=1"
    assert said[1]["traceparent"] == f"00-{second.trace_id.hex()}-{second.span_id.hex()}-01"
    assert "tracestate" not in said[1]
    assert all("baggage" not in headers for headers in said)


def test_without_a_collector_no_trace_goes_out(
    start: Start, telling_upstream: tuple[str, list[dict[str, str]]]
) -> None:
    address, said = telling_upstream
    start(address).customer().ask(extra_headers={"traceparent": TRACEPARENT, "tracestate": "a=1"})
    assert not said[0].keys() & {"traceparent", "tracestate"}


def test_a_collector_that_is_gone_stops_nobody(start: Start, upstream: str) -> None:
    gateway = start(upstream, otlp_endpoint="http://127.0.0.1:9")
    customer = gateway.customer()
    for _ in range(5):
        customer.ask()
    gateway.server.stop()
    assert gateway.server.process.returncode == 0
    assert len(gateway.rows(customer.account_id)) == 5
    said = gateway.output.read_text()
    assert said.count("what is left of otlp is lost") + said.count("otlp are lost") >= 1
    assert "Traceback" not in said


def test_what_is_not_asked_for_is_not_loaded() -> None:
    script = "import sys, tiergate.gateway.server; print([*sys.modules])"
    loaded = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stdout
    assert "'tiergate.gateway.telemetry.watch'" in loaded
    assert "'opentelemetry" not in loaded
    assert "'prometheus_client" not in loaded


def test_without_the_extra_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "tiergate.gateway.telemetry.otlp", raising=False)
    monkeypatch.setitem(sys.modules, "opentelemetry.sdk.metrics", None)
    with pytest.raises(SettingsError, match=r"pip install 'tiergate\[telemetry\]'"):
        watch_of(Settings(otlp_endpoint="http://127.0.0.1:4318"), "one")


def test_what_finds_no_room_is_dropped_and_counted() -> None:
    handed: list[int] = []
    batches = Batches("numbers", handed.extend, most=3)
    # Before the thread looks for the first time, or after: what is not handed over is counted.
    for number in range(1_000):
        batches.put(number)
    batches.close()
    assert len(handed) + batches.dropped == 1_000
    assert handed[:3] == [0, 1, 2]


def test_a_batch_that_fails_is_counted_and_the_next_one_tried(caplog: pytest.LogCaptureFixture) -> None:
    def fail(batch: list[int]) -> None:
        raise OSError("nobody there")

    batches = Batches("numbers", fail)
    for number in range(1_000):
        batches.put(number)
    batches.close()
    assert batches.dropped == 1_000
    (said,) = caplog.messages
    assert "numbers are lost: OSError: nobody there" in said


@pytest.mark.parametrize(
    "value",
    [
        b"", b"00", f"00-{TRACE}-{PARENT}", f"ff-{TRACE}-{PARENT}-01", f"00-{'0' * 32}-{PARENT}-01",
        f"00-{TRACE}-{'0' * 16}-01", f"00-{TRACE.upper()}-{PARENT}-01", f"00-{TRACE}-{PARENT}-01-more",
        f"0-{TRACE}-{PARENT}-01", f"00-{TRACE}-{PARENT}-zz",
    ],
)  # fmt: skip
def test_a_traceparent_that_is_none_begins_a_trace(value: str | bytes) -> None:
    made = continued([(b"traceparent", value.encode() if isinstance(value, str) else value), (b"tracestate", b"a=1")])
    assert made.trace_id != TRACE
    assert (made.parent_id, made.state) == (None, b"")


def test_of_two_traceparents_none_counts_and_a_later_version_does() -> None:
    one = (b"traceparent", f"00-{TRACE}-{PARENT}-01".encode())
    assert continued([one, one]).parent_id is None
    later = continued([(b"traceparent", f"01-{TRACE}-{PARENT}-01-more".encode()), (b"tracestate", b"a=1")])
    assert (later.trace_id, later.parent_id, later.state) == (TRACE, PARENT, b"a=1")


@given(st.binary(max_size=80), st.binary(max_size=600))
def test_any_header_gives_a_context_that_another_can_read(parent: bytes, state: bytes) -> None:
    made = continued([(b"traceparent", parent), (b"tracestate", state)])
    again = continued(made.headers())
    assert isinstance(made, TraceContext)
    assert (again.trace_id, again.parent_id) == (made.trace_id, made.span_id)


def test_the_page_has_every_name_of_the_conventions() -> None:
    page = (Path(__file__).resolve().parents[3] / "docs" / "telemetry.md").read_text(encoding="utf-8")
    not_of_spans = {"gen_ai.response.id", "gen_ai.tool.name", "geo.country.iso_code"}
    names = {*conventions.OTEL_NAMES.values(), *conventions.OWN_NAMES.values(), *conventions.DURATION.values()}
    names |= {conventions.ERROR_TYPE, conventions.FIRST_CHUNK, conventions.TOOL_DEFINITIONS}
    names |= {conventions.TIME_TO_FIRST_CHUNK, conventions.EMBEDDED_TOKENS}
    assert sorted(name for name in names - not_of_spans if f"`{name}`" not in page) == []
