"""What a gateway says of itself, and that no secret is ever in it."""

from __future__ import annotations

import json
import logging
import socket
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import openai
import pytest
from benchmarks.gateway_crash import mock_upstream, serving
from hypothesis import given
from hypothesis import strategies as st

from tests.gateway.conftest import UPSTREAM_KEY, Deployed
from tests.gateway.telemetry.conftest import Collector, admin_of, get, scrape, until
from tiergate.gateway.telemetry.batches import EVERY_S
from tiergate.gateway.telemetry.logs import FIELDS, JsonLines, access_lines
from tiergate.gateway.telemetry.watch import Finished, Watch
from tiergate.records.schema import Exchange

Start = Callable[..., Deployed]

IN_HEADER, IN_QUERY, IN_BODY = "planted-in-a-header", "planted-in-a-query", "planted-in-a-body"
IN_PATH, WRONG_KEY, TOKEN = "planted-in-a-key-header", "tg_planted-wrong-key", "planted-token-of-readers"


def lines_of(gateway: Deployed) -> list[dict[str, Any]]:
    """Every line that was said, each a JSON object but for the address on stdout."""
    said = gateway.output.read_text().splitlines()
    return [json.loads(line) for line in said if "listens on" not in line]


def test_no_secret_reaches_a_log(tmp_path: Path, collector: Collector, start: Start) -> None:
    settings = {
        "log": "json", "access_log": "true", "metrics_port": "0", "otlp_endpoint": collector.address,
        "metrics_token": TOKEN, "seal_every_s": "0.5",
    }  # fmt: skip
    with serving(mock_upstream(), tmp_path / "mock.out") as mock:
        gateway = start(mock.address, **settings)
        customer = gateway.customer()
        hidden: dict[str, Any] = {
            "extra_headers": {
                "x-secret": IN_HEADER,
                "cookie": f"session={IN_HEADER}",
                "proxy-authorization": IN_HEADER,
            },
            "extra_query": {"api_key": IN_QUERY, "key": customer.key},
            "extra_body": {"metadata": {"secret": IN_BODY}, "api_key": IN_BODY},
        }
        customer.ask(f"my password is {IN_BODY}", **hidden)
        for _ in customer.ask(f"my password is {IN_BODY}", stream=True, **hidden):
            pass
        wrong = openai.OpenAI(base_url=f"{gateway.address}/v1", api_key=WRONG_KEY, max_retries=0)
        with wrong, pytest.raises(openai.AuthenticationError):
            wrong.models.list(extra_headers={"x-api-key": IN_PATH})
        for garbage in (
            f"GET /?{IN_QUERY} HTTP/1.1\r\nAuthorization: Bearer {customer.key}\r\n\r\n",
            f"POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {customer.key}\r\n"
            f"Content-Length: {len(IN_BODY)}\r\n\r\n{IN_BODY}",
            f"{customer.key}\r\n\r\n",
        ):
            with socket.create_connection(("127.0.0.1", gateway.port), timeout=10) as caller:
                caller.sendall(garbage.encode())
                assert caller.recv(1 << 16)
        assert get(f"{admin_of(gateway)}/metrics", WRONG_KEY)[0] == 401
        mock.stop()
        with pytest.raises(openai.APIStatusError):
            customer.ask(f"my password is {IN_BODY}", **hidden)
        metrics = get(f"{admin_of(gateway)}/metrics", TOKEN)[1]
        ready = get(f"{admin_of(gateway)}/readyz", TOKEN)[1]
        gateway.server.stop()
    lines = lines_of(gateway)
    assert [line["status"] for line in lines if line["event"] == "exchange"] == [200, 200, 502]
    told = {"output": gateway.output.read_bytes(), "metrics": metrics.encode(), "ready": ready.encode()}
    told |= {f"export {number}": raw for number, raw in enumerate(collector.raw)}
    told |= {str(path): path.read_bytes() for path in gateway.data.rglob("*") if path.is_file()}
    assert len(told) > 10
    secrets = (IN_HEADER, IN_QUERY, IN_BODY, IN_PATH, WRONG_KEY, TOKEN, UPSTREAM_KEY, customer.key)
    found = [(where, one) for where, content in told.items() for one in secrets if one.encode() in content]
    assert found == []


def test_what_goes_wrong_is_an_object_a_line_too(start: Start, upstream: str) -> None:
    gateway = start(upstream, log="json")
    (gateway.data / "gateway.yaml").write_text("upstreams: [")
    said = until(lambda: [line for line in lines_of(gateway) if line["level"] == "error"])
    assert "gateway.yaml" in said[0]["event"]
    assert said[0].keys() == {"time", "level", "event", "logger"}


def test_a_setting_that_is_wrong_is_an_object_too(tmp_path: Path) -> None:
    settings = {"TIERGATE_LOG": "json", "TIERGATE_UPSTREAM_URL": "ftp://x"}
    serve = ["-m", "tiergate", "serve", "--data", str(tmp_path)]
    with pytest.raises(RuntimeError, match="did not start"), serving(serve, tmp_path / "out", settings):
        pass
    (line,) = (tmp_path / "out").read_text().splitlines()
    assert "`upstream_url`" in json.loads(line)["event"]


def test_an_exchange_is_a_line_of_text_where_none_asks_for_json(start: Start, upstream: str) -> None:
    gateway = start(upstream, access_log="true", metrics_port="0")
    exchange_id = gateway.customer().exchange_id()
    line = until(
        lambda: [one for one in gateway.output.read_text().splitlines() if f"exchange_id={exchange_id}" in one]
    )
    assert " level=info event=exchange " in line[0]
    assert " status=200 finish_reason=stop " in line[0]
    assert scrape(gateway).value("tiergate_telemetry_dropped_total", follower="access_log") == 0


def test_lines_are_only_said_where_they_are_asked_for(plain: Deployed) -> None:
    plain.customer().exchange_id()
    time.sleep(2 * EVERY_S)
    assert "exchange_id" not in plain.output.read_text()


@given(st.text(), st.text(), st.sampled_from(["text", "json"]))
def test_whatever_a_caller_names_an_exchange_is_one_line(model: str, reason: str, form: Any) -> None:
    exchange = Exchange(
        exchange_id="ex_1", started_at=0, account_id="a", operation="chat", request_model=model, status=400,
        finish_reason=reason, prompt_text="secret", end_user_id="secret", user_agent="secret",
    )  # fmt: skip
    written: list[str] = []
    access_lines(form, written.append)([Finished(exchange, 0.5, None)])
    (line,) = written
    assert line.endswith("\n")
    assert len(line.splitlines()) == 1
    assert "=secret" not in line
    if form == "json":
        assert json.loads(line)["request_model"] == model


def test_no_field_of_a_line_holds_a_text() -> None:
    held = {field.name for field in msgspec.structs.fields(Exchange)}
    assert set(FIELDS) <= held
    assert not set(FIELDS) & {"system_text", "prompt_text", "response_text", "tool_names", "session_id", "project_id"}


def test_those_who_follow_get_no_text_unless_they_may() -> None:
    class Kept:
        name, dropped = "kept", 0

        def __init__(self) -> None:
            self.seen: list[Finished] = []
            self.put = self.seen.append

    for may in (False, True):
        kept = Kept()
        exchange = Exchange(
            exchange_id="e", started_at=0, account_id="a", operation="chat", request_model="m", status=200,
            system_text="s", prompt_text="p" * 200_000, response_text="r",
        )  # fmt: skip
        Watch([kept], text=may).finished(exchange, None, None)  # type: ignore[list-item]
        (seen,) = kept.seen
        assert (seen.exchange.system_text, seen.exchange.response_text) == (("s", "r") if may else (None, None))
        assert len(seen.exchange.prompt_text or "") == (65_536 if may else 0)


def test_an_exception_is_in_its_line() -> None:
    try:
        raise ValueError("what\nwas wrong")
    except ValueError as error:
        record = logging.LogRecord("a.b", logging.ERROR, "f", 1, "failed: %s", ("x",), (ValueError, error, None))
    line = JsonLines().format(record)
    assert len(line.splitlines()) == 1
    assert json.loads(line)["event"] == "failed: x"
    assert "was wrong" in json.loads(line)["traceback"]
