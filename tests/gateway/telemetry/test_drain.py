"""The end of a gateway, and its replacement by another: what is under way ends well, and nobody is turned away."""

from __future__ import annotations

import asyncio
import json
import signal
import socket
import threading
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import openai
import pytest
from benchmarks.gateway_crash import gateway as serve
from benchmarks.gateway_crash import issue_keys, serving

from tests.gateway.conftest import GIVE_UP_S, Customer, Deployed
from tests.gateway.telemetry.conftest import admin_of, get, until
from tests.gateway.test_serving import Caller, echo, run
from tests.gateway.test_serving import serving as serving_here
from tiergate.gateway.telemetry.readiness import REASONS, WARNINGS, Readiness
from tiergate.ledger.log import read_log

Start = Callable[..., Deployed]


def codes(gateway: Deployed, address: str | None = None) -> tuple[int, set[str]]:
    status, body = get(f"{address or gateway.address}/readyz")
    return status, {one["code"] for one in json.loads(body)["reasons"]}


def test_a_stream_survives_the_drain_and_a_newcomer_is_served_until_the_grace_is_over(
    slow_upstream: str, start: Start
) -> None:
    gateway = start(slow_upstream, drain_grace_s="2", metrics_port="0")
    admin, customer = admin_of(gateway), gateway.customer()
    assert codes(gateway) == (200, set())
    stream = customer.ask("Tell me a long story, please", stream=True)
    first = next(iter(stream))
    gateway.server.process.send_signal(signal.SIGTERM)
    # At once, on both addresses, while requests are still taken and told to come back by another connection.
    until(lambda: codes(gateway, admin) == (503, {"draining"}))
    assert codes(gateway) == (503, {"draining"})
    other = gateway.customer()
    raw = other.client.chat.completions.with_raw_response.create(
        model="model-small", messages=[{"role": "user", "content": "What is tin?"}]
    )
    assert (raw.status_code, raw.headers["connection"]) == (200, "close")
    rest = list(stream)
    assert first.choices
    assert rest[-1].choices[0].finish_reason == "stop"
    assert gateway.server.process.wait(GIVE_UP_S) == 0
    with pytest.raises(openai.APIConnectionError):
        gateway.customer().ask()
    for one in (customer, other):
        assert [row["finish_reason"] for row in gateway.rows(one.account_id)] == ["stop"]
    # All of it is sealed, and the spool is gone.
    assert list((gateway.data / "log" / "spool").iterdir()) == []


def test_a_stream_that_does_not_end_is_cut_and_recorded(slow_upstream: str, start: Start) -> None:
    gateway = start(slow_upstream, drain_s="0.3")
    customer = gateway.customer()
    stream = customer.ask("Tell me a long story, please", stream=True)
    next(iter(stream))
    gateway.server.process.send_signal(signal.SIGTERM)
    with pytest.raises(openai.APIError):
        list(stream)
    assert gateway.server.process.wait(GIVE_UP_S) == 0
    (row,) = gateway.rows(customer.account_id)
    assert row["finish_reason"] in ("client_disconnected", "upstream_broke_off", "interrupted")


def test_who_asks_twice_does_not_wait(slow_upstream: str, start: Start) -> None:
    gateway = start(slow_upstream, drain_grace_s="600", drain_s="600")
    stream = gateway.customer().ask("Tell me a long story, please", stream=True)
    next(iter(stream))
    gateway.server.process.send_signal(signal.SIGTERM)
    until(lambda: codes(gateway)[0] == 503)
    gateway.server.process.send_signal(signal.SIGTERM)
    assert gateway.server.process.wait(GIVE_UP_S) == 0
    stream.close()


def test_a_rolling_restart_turns_nobody_away(upstream: str, tmp_path: Path) -> None:
    data = tmp_path / "data"
    keys = issue_keys(data, 6)
    settings = {"TIERGATE_REUSE_PORT": "true", "TIERGATE_DRAIN_GRACE_S": "1.5", "TIERGATE_UPSTREAM_API_KEY": "k"}
    ended, answered, failures = threading.Event(), [0] * len(keys), list[Exception]()

    def ask(number: int, address: str) -> None:
        # Half of them come anew each time, half keep their connection as clients do.
        more = {"extra_headers": {"connection": "close"}} if number % 2 else {}
        with openai.OpenAI(base_url=f"{address}/v1", api_key=keys[number], max_retries=0, timeout=30) as client:
            customer = Customer(f"acct-{number}", keys[number], client)
            while not ended.is_set():
                try:
                    customer.ask(f"Question {answered[number]} of {number}?", **more)
                    answered[number] += 1
                except openai.OpenAIError as error:
                    failures.append(error)

    with ExitStack() as workers:
        current = workers.enter_context(serving(serve(data, upstream), tmp_path / "out", settings))
        again = serve(data, upstream, current.address.rpartition(":")[2])
        threads = [threading.Thread(target=ask, args=(number, current.address)) for number in range(len(keys))]
        for thread in threads:
            thread.start()
        try:
            for turn in range(2):
                following = workers.enter_context(serving(again, tmp_path / f"out{turn}", settings))
                current.process.send_signal(signal.SIGTERM)
                assert current.process.wait(GIVE_UP_S) == 0
                current, before = following, list(answered)
                until(lambda: all(now > then for now, then in zip(answered, before, strict=True)))  # noqa: B023
        finally:
            ended.set()
            for thread in threads:
                thread.join()
    assert [(one, one.__cause__) for one in failures] == []
    assert sum(batch.num_rows for batch in read_log(data / "log", columns=["exchange_id"])) == sum(answered)


def test_who_got_through_before_the_end_is_answered() -> None:
    async def story() -> None:
        async with serving_here() as (server, _):
            port = server._listener.getsockname()[1]
            # Connected and asked, but never accepted: the loop has had no turn since.
            callers = [socket.create_connection(("127.0.0.1", port)) for _ in range(5)]
            for caller in callers:
                caller.setblocking(False)
                caller.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
            await server.close(GIVE_UP_S)
            for caller in callers:
                answer = Caller(*await asyncio.open_connection(sock=caller))
                status, headers, _ = await answer.answer()
                assert (status, headers["connection"]) == (200, "close")
                answer.writer.close()

    run(story())


def test_an_answer_that_begins_after_the_notice_closes_its_connection() -> None:
    async def story() -> None:
        asked, go = asyncio.Event(), asyncio.Event()

        async def late(scope: Any, receive: Any, send: Any) -> None:
            asked.set()
            await go.wait()
            await echo(scope, receive, send)

        async with serving_here(late) as (server, call):
            caller = await call()
            await caller.send(b"GET /1 HTTP/1.1\r\nHost: x\r\n\r\n")
            await asked.wait()
            server.leave()
            go.set()
            assert (await caller.answer())[1]["connection"] == "close"
            # The door is still open.
            another = await call()
            await another.send(b"GET /2 HTTP/1.1\r\nHost: x\r\n\r\n")
            assert (await another.answer())[0] == 200

    run(story())


def test_a_log_that_cannot_be_written_makes_a_gateway_unready(upstream: str, start: Start) -> None:
    gateway = start(upstream, metrics_port="0")
    spool = gateway.data / "log" / "spool"
    spool.rename(spool.with_name("away"))
    gateway.server.process.send_signal(signal.SIGHUP)
    until(lambda: codes(gateway) == (503, {"log_not_writable"}))
    assert str(spool) not in get(f"{gateway.address}/readyz")[1]
    assert str(spool) in get(f"{admin_of(gateway)}/readyz")[1]
    spool.with_name("away").rename(spool)
    gateway.server.process.send_signal(signal.SIGHUP)
    until(lambda: codes(gateway) == (200, set()))


def test_facts_that_are_too_old_make_a_gateway_unready() -> None:
    now = [100.0]
    readiness = Readiness(lambda: now[0])
    assert readiness.told()[0] == 200
    now[0] = 106.0
    assert readiness.reasons() == {"facts_too_old": "for 6 s"}
    assert readiness.told() == readiness.told()
    readiness.heard_s = 105.0
    assert readiness.told()[0] == 200


def test_each_failure_is_a_reason_or_a_warning_and_has_its_row_in_the_page() -> None:
    failures = dict.fromkeys([*REASONS, *WARNINGS], lambda: "in `/secret/path`")
    readiness = Readiness(lambda: 0.0, failures)
    readiness.complaints = {"gateway.yaml": None}
    assert readiness.reasons().keys() | readiness.warnings().keys() == {*REASONS, *WARNINGS}
    status, body = readiness.told()
    assert (status, b"/secret/path" in body, b"/secret/path" in readiness.told(details=True)[1]) == (503, False, True)
    page = (Path(__file__).resolve().parents[3] / "docs" / "telemetry.md").read_text(encoding="utf-8")
    assert all(f"| `{code}` | not ready |" in page for code in REASONS)
    assert all(f"| `{code}` | ready |" in page for code in WARNINGS)
