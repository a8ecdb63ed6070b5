"""Gateways that are observed: metrics scraped, a collector of spans and metrics, an upstream that tells its headers."""

from __future__ import annotations

import json
import re
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.error import HTTPError

import pytest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from prometheus_client.parser import text_string_to_metric_families

from tests.gateway.conftest import GIVE_UP_S, Deployed

MODELS = '[models."model-small"]\ntier = "open"\ninput_price = 1_000_000\noutput_price = 2_000_000\n'
"""A file with a price, so that another model is refused."""


def until(holds: Callable[[], Any]) -> Any:
    """What ``holds`` gives once it gives anything."""
    give_up = time.monotonic() + GIVE_UP_S
    while not (found := holds()):
        assert time.monotonic() < give_up
        time.sleep(0.02)
    return found


def admin_of(gateway: Deployed) -> str:
    """The address of a gateway's metrics, once it has told it."""
    return str(until(lambda: re.search(r"metrics are at (http://\S+)/metrics", gateway.output.read_text()))[1])


def get(url: str, token: str | None = None) -> tuple[int, str]:
    request = urllib.request.Request(url, headers={"Authorization": f"Bearer {token}"} if token else {})
    try:
        with urllib.request.urlopen(request, timeout=GIVE_UP_S) as answer:
            return answer.status, answer.read().decode()
    except HTTPError as error:
        with error:
            return error.code, error.read().decode()


class Scrape:
    """A scrape, parsed by Prometheus' own client."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.families = list(text_string_to_metric_families(text))
        self._samples = [sample for family in self.families for sample in family.samples]

    def value(self, name: str, **labels: str) -> float:
        """The sum of all samples of this name with these labels."""
        fits = [one.value for one in self._samples if one.name == name and labels.items() <= one.labels.items()]
        return sum(fits)


def scrape(gateway: Deployed) -> Scrape:
    status, text = get(f"{admin_of(gateway)}/metrics")
    assert status == 200
    return Scrape(text)


@dataclass
class Collector:
    """What came to a collector, and the bytes that it came as."""

    address: str
    spans: list[ExportTraceServiceRequest] = field(default_factory=list)
    metrics: list[ExportMetricsServiceRequest] = field(default_factory=list)
    raw: list[bytes] = field(default_factory=list)
    headers: list[dict[str, str]] = field(default_factory=list)

    def all_spans(self) -> list[Any]:
        exports = list(self.spans)
        return [span for one in exports for res in one.resource_spans for sc in res.scope_spans for span in sc.spans]

    def all_metrics(self) -> dict[str, Any]:
        """By name; the last export's."""
        exports = list(self.metrics)
        found = [m for one in exports for res in one.resource_metrics for sc in res.scope_metrics for m in sc.metrics]
        return {one.name: one for one in found}


@pytest.fixture
def collector() -> Iterator[Collector]:
    kinds = {
        "/v1/traces": ("spans", ExportTraceServiceRequest),
        "/v1/metrics": ("metrics", ExportMetricsServiceRequest),
    }

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            name, kind = kinds[self.path]
            getattr(found, name).append(kind.FromString(body))
            found.raw.append(body)
            found.headers.append(dict(self.headers))
            self.send_response(200)
            self.send_header("content-length", "0")
            self.end_headers()

        def log_message(self, *_: Any) -> None: ...

    with _server(Handler) as address:
        found = Collector(address)
        yield found


@pytest.fixture
def telling_upstream() -> Iterator[tuple[str, list[dict[str, str]]]]:
    """An upstream that answers a word, and the headers it was sent."""
    said: list[dict[str, str]] = []
    answer = {
        "id": "chatcmpl-1", "object": "chat.completion", "created": 1, "model": "model-small",
        "choices": [{"index": 0, "message": {"role": "assistant", "content": "tin"}, "finish_reason": "stop"}],
        "usage": {"prompt_tokens": 5, "completion_tokens": 1, "total_tokens": 6},
    }  # fmt: skip

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["content-length"]))
            said.append({name.lower(): value for name, value in self.headers.items()})
            body = json.dumps(answer).encode()
            self.send_response(200)
            self.send_header("content-type", "application/json")
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: Any) -> None: ...

    with _server(Handler) as address:
        yield address, said


@contextmanager
def _server(handler: type[BaseHTTPRequestHandler]) -> Iterator[str]:
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()
