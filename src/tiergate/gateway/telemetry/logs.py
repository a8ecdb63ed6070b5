"""Lines on stderr: what goes wrong, and where it is asked for one for each exchange. As text, or as JSON."""

from __future__ import annotations

import json
import logging
import sys
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Any, Final, Literal

from tiergate.gateway.telemetry.watch import Finished

FIELDS: Final = (
    "exchange_id", "account_id", "organization_id", "credential_id", "operation", "request_model", "route_model",
    "upstream", "attempts", "stream", "status", "finish_reason", "latency_ms", "input_tokens", "output_tokens",
    "cost_micro_usd", "client_address",
)  # fmt: skip
"""Columns of the exchange log in a line for an exchange. None holds a text or a key, or what only the caller named but
for the model that it asked."""


class JsonLines(logging.Formatter):
    """One object a line: time (RFC 3339, UTC), level, event, logger, and a trace's text where there is one."""

    def format(self, record: logging.LogRecord) -> str:
        line: dict[str, Any] = {
            "time": _moment(round(record.created * 1_000_000)),
            "level": record.levelname.lower(),
            "event": record.getMessage(),
            "logger": record.name,
        }
        if record.exc_info:
            line["traceback"] = self.formatException(record.exc_info)
        return json.dumps(line)


def set_up(form: Literal["text", "json"]) -> None:
    """Let what is logged in this process be JSON lines on stderr, from level INFO on, where that is asked."""
    if form == "json":
        handler = logging.StreamHandler(sys.stderr)
        handler.setFormatter(JsonLines())
        logging.basicConfig(level=logging.INFO, handlers=[handler], force=True)


def access_lines(form: Literal["text", "json"], write: Callable[[str], object]) -> Callable[[Sequence[Finished]], None]:
    """What says exchanges: one line each, written at once for a batch."""
    # Both forms are ASCII: other signs can end a line, or move a terminal's cursor.
    encode = json.dumps if form == "json" else _as_text

    def say(batch: Sequence[Finished]) -> None:
        write("".join([f"{encode(_fields(one))}\n" for one in batch]))

    return say


def _fields(one: Finished) -> dict[str, Any]:
    exchange, trace = one.exchange, one.trace
    ended_us = exchange.started_at + round((exchange.latency_ms or 0.0) * 1000)
    fields: dict[str, Any] = {"time": _moment(ended_us), "level": "info", "event": "exchange"}
    fields |= {name: value for name in FIELDS if (value := getattr(exchange, name)) is not None}
    if one.first_token_s is not None:
        fields["first_token_ms"] = round(one.first_token_s * 1000, 3)
    if trace is not None:
        fields |= {"trace_id": trace.trace_id, "span_id": trace.span_id}
    return fields


def _as_text(fields: dict[str, Any]) -> str:
    """`name=value`, in quotes where a value could be taken for more than one."""
    return " ".join(f"{name}={_plain(value)}" for name, value in fields.items())


def _plain(value: Any) -> str:
    text = str(value)
    simple = text.isascii() and text.isprintable() and not any(sign in text for sign in ' "=')
    return text if simple and text else json.dumps(text)


def _moment(time_us: int) -> str:
    return datetime.fromtimestamp(time_us / 1_000_000, UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")
