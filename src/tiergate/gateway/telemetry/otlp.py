"""Spans and metrics of finished exchanges, sent to a collector (OTLP over HTTP, protobuf).

Only a gateway that has a collector loads this module, and with it OpenTelemetry: `pip install 'tiergate[telemetry]'`.
What is sent beside the address is set by OpenTelemetry's own variables, such as `OTEL_EXPORTER_OTLP_HEADERS` and
`OTEL_RESOURCE_ATTRIBUTES`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import PeriodicExportingMetricReader
from opentelemetry.sdk.resources import OTELResourceDetector, Resource
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SpanExportResult
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from opentelemetry.trace import SpanContext, SpanKind, Status, StatusCode, TraceFlags, TraceState

import tiergate
from tiergate.errors import TiergateError
from tiergate.gateway.telemetry.counters import BUCKETS_S, Names
from tiergate.gateway.telemetry.spans import attributes, error_type
from tiergate.gateway.telemetry.watch import Finished
from tiergate.records.conventions import (
    DURATION,
    EMBEDDED_TOKENS,
    ERROR_TYPE,
    OTEL_NAMES,
    SCHEMA_URL,
    TIME_TO_FIRST_CHUNK,
    TOKENS,
    operation_name,
)

METRICS_EVERY_MS: Final = 60_000


class Exporter:
    """Sends batches of exchanges to the collector at ``endpoint``. Belongs to one thread.

    :param instance: a name that no other process of the deployment has.
    """

    def __init__(self, endpoint: str, instance: str) -> None:
        version = tiergate.__version__
        named = {"service.name": "tiergate", "service.version": version, "service.instance.id": instance}
        # What the operator's `OTEL_RESOURCE_ATTRIBUTES` and `OTEL_SERVICE_NAME` say comes before ours.
        self._resource = Resource.create(named).merge(OTELResourceDetector().detect())
        self._scope = InstrumentationScope("tiergate.gateway", version, SCHEMA_URL)
        self._spans = OTLPSpanExporter(f"{endpoint}/v1/traces")
        reader = PeriodicExportingMetricReader(OTLPMetricExporter(f"{endpoint}/v1/metrics"), METRICS_EVERY_MS)
        self._provider = MeterProvider([reader], self._resource, shutdown_on_exit=False)
        meter = self._provider.get_meter("tiergate.gateway", version, SCHEMA_URL)
        bounds = list(BUCKETS_S)
        self._durations = {
            name: meter.create_histogram(metric, "s", "Duration.", explicit_bucket_boundaries_advisory=bounds)
            for name, metric in DURATION.items()
        }
        self._first = meter.create_histogram(
            TIME_TO_FIRST_CHUNK, "s", "Time to the first content.", explicit_bucket_boundaries_advisory=bounds
        )
        self._tokens = {column: meter.create_counter(name, "{token}", "Tokens.") for column, name in TOKENS.items()}
        self._embedded = meter.create_histogram(EMBEDDED_TOKENS, "{token}", "Tokens that were embedded.")
        self._models, self._codes = Names(), Names()

    def send(self, batch: Sequence[Finished]) -> None:
        """Send a span each, and add them to the metrics. Raises `ExportError` where the collector takes none."""
        told = [(one, attributes(one)) for one in batch]
        for one, attrs in told:
            self._measure(one, attrs)
        if self._spans.export([self._span(one, attrs) for one, attrs in told]) is not SpanExportResult.SUCCESS:
            raise ExportError("the collector did not take them")

    def close(self) -> None:
        """Send the metrics once more, and end."""
        self._provider.shutdown()
        self._spans.shutdown()  # type: ignore[no-untyped-call]

    def _span(self, one: Finished, attrs: dict[str, Any]) -> ReadableSpan:
        exchange, trace = one.exchange, one.trace
        assert trace is not None
        start_ns, failed = exchange.started_at * 1000, error_type(exchange)
        return ReadableSpan(
            name=f"{attrs[OTEL_NAMES['operation']]} {exchange.request_model}",
            context=_context(trace.trace_id, trace.span_id, trace.state, is_remote=False),
            parent=None if trace.parent_id is None else _context(trace.trace_id, trace.parent_id, b"", is_remote=True),
            resource=self._resource,
            attributes=attrs,
            kind=SpanKind.CLIENT,
            status=Status(StatusCode.ERROR, failed) if failed else Status(StatusCode.UNSET),
            start_time=start_ns,
            end_time=start_ns + round((exchange.latency_ms or 0.0) * 1_000_000),
            instrumentation_scope=self._scope,
        )

    def _measure(self, one: Finished, attrs: dict[str, Any]) -> None:
        exchange = one.exchange
        model = self._models.label(exchange.route_model or exchange.request_model, earned=exchange.status < 400)
        labels = {name: attrs[name] for name in (OTEL_NAMES["operation"], OTEL_NAMES["provider"])}
        labels[OTEL_NAMES["request_model"]] = model
        operation = operation_name(exchange.operation)
        if operation == "embeddings":
            if exchange.input_tokens is not None:
                self._embedded.record(exchange.input_tokens, labels)
        else:
            for column, counter in self._tokens.items():
                if (count := getattr(exchange, column)) is not None:
                    counter.add(count, labels)
        if one.first_token_s is not None:
            self._first.record(one.first_token_s, labels)
        if ERROR_TYPE in attrs:
            labels = labels | {ERROR_TYPE: self._codes.label(attrs[ERROR_TYPE], earned=True)}
        self._durations[operation].record((exchange.latency_ms or 0.0) / 1000, labels)


class ExportError(TiergateError):
    """A collector that does not answer, or refuses."""


def _context(trace_id: str, span_id: str, state: bytes, *, is_remote: bool) -> SpanContext:
    flags = TraceFlags(TraceFlags.SAMPLED)
    said = TraceState.from_header([state.decode("latin-1")]) if state else None
    return SpanContext(int(trace_id, 16), int(span_id, 16), is_remote, flags, said)
