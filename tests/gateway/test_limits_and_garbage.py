"""What a stranger or a clumsy client may send, and what must never leak or get lost."""

from __future__ import annotations

import json
import os
import re
import resource
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Callable
from http.client import HTTPConnection
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import httpx2
import openai
import pytest

from tests.gateway.conftest import GIVE_UP_S, UPSTREAM_KEY, Customer, Deployed, now_us
from tiergate.gateway.dialects.parts import MOST_PARTS
from tiergate.ledger.log import INTERRUPTED, read_log

MARKER = "violet-marmalade-lighthouse"


def post(gateway: Deployed, customer: Customer, body: bytes, headers: dict[str, str] | None = None) -> tuple[int, Any]:
    connection = HTTPConnection("127.0.0.1", gateway.port, timeout=20)
    try:
        connection.request(
            "POST", "/v1/chat/completions", body, {"Authorization": f"Bearer {customer.key}"} | (headers or {})
        )
        answer = connection.getresponse()
        return answer.status, json.loads(answer.read())
    finally:
        connection.close()


def question(text: str = "x", **more: Any) -> bytes:
    return json.dumps({"model": "m", "messages": [{"role": "user", "content": text}]} | more).encode()


def test_a_body_above_the_limit_is_413_with_and_without_a_length(proxied: Deployed) -> None:
    customer = proxied.customer()
    assert post(proxied, customer, question("x" * 4000))[0] == 200
    status, body = post(proxied, customer, question("x" * 6000))
    assert (status, body["error"]["code"]) == (413, "request_too_large")
    with socket.create_connection(("127.0.0.1", proxied.port)) as raw:
        head = f"POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {customer.key}\r\n"
        raw.sendall(f"{head}Transfer-Encoding: chunked\r\n\r\n".encode() + b"1770\r\n" + b"x" * 6000 + b"\r\n0\r\n\r\n")
        assert raw.recv(1000).startswith(b"HTTP/1.1 413 ")
    assert len(proxied.rows(customer.account_id)) == 1


@pytest.mark.parametrize("how", ["revoke_keys", "close_account"])
def test_who_is_stopped_while_their_body_is_on_its_way_is_refused(plain: Deployed, how: str) -> None:
    customer, body = plain.customer(), question()
    with socket.create_connection(("127.0.0.1", plain.port), timeout=GIVE_UP_S) as raw:
        head = f"POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {customer.key}\r\n"
        raw.sendall(f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body[:10])
        assert post(plain, customer, body)[0] == 200
        getattr(plain.registry, how)(customer.account_id, now_us())
        stopped = time.monotonic()
        while post(plain, customer, body)[0] == 200:
            assert time.monotonic() - stopped < GIVE_UP_S
        raw.sendall(body[10:])
        assert raw.recv(1000).split()[1] in (b"401", b"403")


def test_a_body_of_three_megabytes_passes(plain: Deployed) -> None:
    customer = plain.customer()
    assert post(plain, customer, question("tin " * 786_432))[0] == 200
    assert plain.rows(customer.account_id)[0]["input_tokens"] > 700_000


def test_a_body_of_too_many_parts_is_400_and_braces_in_a_text_are_none(plain: Deployed) -> None:
    customer = plain.customer()
    parts = b'{"model": "model-small", "messages": [{"role": "user", "content": [%s{}]}]}' % (b"{}," * MOST_PARTS)
    status, body = post(plain, customer, parts)
    assert (status, body["error"]["code"]) == (400, "invalid_request")
    assert "50,000 objects and lists" in body["error"]["message"]
    assert post(plain, customer, question('{"[\\' * MOST_PARTS))[0] == 200


def test_of_the_names_that_callers_give_so_much_is_recorded(plain: Deployed) -> None:
    customer, long = plain.customer(), "u" * 100_000
    tools = [{"type": "function", "function": {"name": long[:2_000]}}] * 2_000
    assert post(plain, customer, question(user=long, tools=tools))[0] == 200
    (row,) = plain.rows(customer.account_id)
    assert (row["end_user_id"], row["tool_names"]) == ("u" * 256, ["u" * 256] * 1_000)


GARBAGE = {
    "empty": b"",
    "no JSON": b"{",
    "an array": b"[]",
    "a bare word": b"null",
    "no UTF-8": b'{"model": "\xff", "messages": []}',
    "no model": b'{"messages": []}',
    "a long model name": question(model="m" * 100_000),
    "wrong types": b'{"model": 1, "messages": "hi"}',
    "deep": b'{"model": "m", "messages": ' + b"[" * 100_000 + b"]" * 100_000 + b"}",
    "deep and unknown": b'{"model": "m", "messages": [], "x": ' + b"[" * 100_000 + b"]" * 100_000 + b"}",
}


@pytest.mark.parametrize("name", GARBAGE)
def test_garbage_is_400_in_openais_words(plain: Deployed, name: str) -> None:
    status, body = post(plain, plain.customer(), GARBAGE[name])
    assert (status, body["error"]["code"], body["error"]["type"]) == (400, "invalid_request", "invalid_request_error")


ODD = {
    "a number beyond 64 bits": question(max_tokens=2**70),
    "a negative number beyond 64 bits": question(max_tokens=-(2**70)),
    "lone surrogates": b'{"model": "m", "messages": [{"role": "user", "content": "\\ud800 x"}], "user": "\\ud800"}',
    "NUL": question("a\0b", user="\0"),
    "an endless number": b'{"model": "m", "messages": [], "temperature": 1e999}',
    "no messages": question(messages=[]),
    "parts": question(messages=[{"role": "user", "content": [{"type": "text", "text": 7}, {}]}]),
    "moderate depth": b'{"model": "m", "messages": [], "x": ' + b"[" * 300 + b"]" * 300 + b"}",
}


@pytest.mark.parametrize("name", ODD)
def test_odd_requests_get_an_answer_and_the_next_one_is_recorded(plain: Deployed, name: str) -> None:
    odd, customer = plain.customer(), plain.customer()
    status, _ = post(plain, odd, ODD[name])
    assert status in (200, 400)
    assert len(plain.rows(odd.account_id)) == (status == 200)
    customer.ask()
    assert len(plain.rows(customer.account_id)) == 1


TARGETS = [
    "/v1/models", "//v1/models", "/healthz/../v1/models", "/v1/./models", "/%76%31/models", "/V1/models", "/v1/models/",
    "/v1/models;/healthz", "/v1/models%00/healthz", "/v1/models?/healthz", "/verdicts/../v1/models",
    "http://localhost/v1/models", "http://localhost/healthz/../v1/models", "*",
]  # fmt: skip
SAYING = ["Host: localhost", "X-Forwarded-Host: localhost", "X-Original-URL: /healthz", "X-Rewrite-URL: /healthz",
          "X-Forwarded-For: 127.0.0.1", "X-HTTP-Method-Override: GET"]  # fmt: skip


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_no_spelling_of_a_path_or_host_goes_past_the_key(plain: Deployed, method: str) -> None:
    for target in TARGETS:
        for header in SAYING:
            host = "" if header.startswith("Host") else "Host: tiergate\r\n"
            asked = f"{method} {target} HTTP/1.1\r\n{host}{header}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
            with socket.create_connection(("127.0.0.1", plain.port), GIVE_UP_S) as connection:
                connection.sendall(asked.encode())
                answer = b"".join(iter(lambda: connection.recv(65536), b""))
            assert answer.split(b" ", 2)[1] in (b"400", b"401", b"404"), (target, header, answer)
            assert b"model-small" not in answer


@pytest.mark.parametrize("header", [b"X-Session-Id: a\r\n b", b"X-Session-Id: a\nb: c", b"X-\rSession: 1", b": none"])
def test_line_breaks_in_headers_smuggle_nothing(plain: Deployed, header: bytes) -> None:
    body = question()
    customer = plain.customer()
    with socket.create_connection(("127.0.0.1", plain.port), timeout=10) as raw:
        head = f"POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {customer.key}\r\n".encode()
        raw.sendall(head + header + b"\r\nConnection: close\r\nContent-Length: %d\r\n\r\n" % len(body) + body)
        said = b""
        while piece := raw.recv(65536):
            said += piece
    assert said.count(b"HTTP/1.1 ") == 1
    assert re.match(rb"HTTP/1.1 (400|200) ", said)
    for row in plain.rows(customer.account_id):
        assert "\n" not in (row["session_id"] or "")
        assert "\r" not in (row["session_id"] or "")


FORWARDED = {
    "X-Forwarded-For": "203.0.113.9, 198.51.100.7, 127.0.0.9",
    "X-JA4": "t13d1516h2_8daaf6152771_02713d6af862",
    "X-Tiergate-Time": "2026-03-01T12:00:00+00:00",
    "X-Session-Id": "session-1",
}


def test_forwarding_headers_are_believed_from_a_trusted_proxy(proxied: Deployed) -> None:
    customer = proxied.customer()
    assert post(proxied, customer, question(), FORWARDED)[0] == 200
    (row,) = proxied.rows(customer.account_id)
    # The left one the client may have made up; the right one is our own proxy.
    assert row["client_address"] == "198.51.100.7"
    assert row["tls_fingerprint"] == FORWARDED["X-JA4"]
    assert row["started_at"].isoformat() == FORWARDED["X-Tiergate-Time"]
    assert row["session_id"] == "session-1"


def test_a_repeated_forwarding_header_is_one_list(proxied: Deployed) -> None:
    body, customer = question(), proxied.customer()
    lines = b"X-Forwarded-For: 198.51.100.7\r\nX-Forwarded-For: 127.0.0.9\r\n"
    with socket.create_connection(("127.0.0.1", proxied.port), timeout=10) as raw:
        head = f"POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nx-api-key: {customer.key}\r\n".encode()
        raw.sendall(head + lines + b"Content-Length: %d\r\n\r\n" % len(body) + body)
        assert raw.recv(1000).startswith(b"HTTP/1.1 200 ")
    assert proxied.rows(customer.account_id)[0]["client_address"] == "198.51.100.7"


@pytest.mark.parametrize("time", ["yesterday", "2026-03-01T12:00:00", "0001-01-01T00:00:00+14:00"])
@pytest.mark.parametrize("address", ["unknown", "1.2.3.4, <script>", ""])
def test_nonsense_from_a_trusted_proxy_is_passed_over(proxied: Deployed, time: str, address: str) -> None:
    customer = proxied.customer()
    assert post(proxied, customer, question(), {"X-Forwarded-For": address, "X-Tiergate-Time": time})[0] == 200
    (row,) = proxied.rows(customer.account_id)
    assert row["client_address"] == "127.0.0.1"


def test_forwarding_headers_of_a_stranger_are_not_believed(plain: Deployed) -> None:
    customer = plain.customer()
    assert post(plain, customer, question(), FORWARDED)[0] == 200
    (row,) = plain.rows(customer.account_id)
    assert (row["client_address"], row["tls_fingerprint"]) == ("127.0.0.1", None)
    assert row["started_at"].year == 2026
    assert row["started_at"].isoformat() != FORWARDED["X-Tiergate-Time"]


def kept_bytes(gateway: Deployed) -> bytes:
    return b"".join(path.read_bytes() for path in gateway.data.rglob("*") if path.is_file())


@pytest.mark.parametrize("retention", ["sketches", "text"])
def test_secrets_stay_out_of_the_data_folder_and_the_output(
    start: Callable[..., Deployed], upstream: str, retention: str
) -> None:
    gateway = start(upstream, retention=retention)
    customer = gateway.customer()
    said = customer.ask(MARKER).choices[0].message.content
    list(customer.ask(MARKER, stream=True))
    post(gateway, customer, b"{" + MARKER.encode())
    spooled = kept_bytes(gateway)
    gateway.server.stop()
    for kept in (spooled, kept_bytes(gateway), gateway.output.read_bytes()):
        assert customer.key.encode() not in kept
        assert UPSTREAM_KEY.encode() not in kept
        if retention == "sketches":
            assert MARKER.encode() not in kept
    texts = [(row["prompt_text"], row["response_text"]) for row in gateway.rows(customer.account_id)]
    assert len(texts) == 2
    assert texts[0] == ((MARKER, said) if retention == "text" else (None, None))


def test_sigterm_lets_a_stream_end_and_seals_the_log(start: Callable[..., Deployed], slow_upstream: str) -> None:
    gateway = start(slow_upstream)
    customer = gateway.customer()
    answer = iter(customer.ask(stream=True))
    chunks = [next(answer)]
    gateway.server.process.send_signal(signal.SIGTERM)
    chunks += list(answer)
    assert chunks[-1].choices[0].finish_reason == "stop"
    assert gateway.server.process.wait(GIVE_UP_S) == 0
    assert not list((gateway.data / "log" / "spool").iterdir())
    (row,) = gateway.rows(customer.account_id)
    assert (row["status"], row["finish_reason"]) == (200, "stop")
    with pytest.raises(openai.APIConnectionError):
        customer.ask()
    assert b"Traceback" not in gateway.output.read_bytes()


def test_a_killed_stream_is_in_the_log_as_interrupted(start: Callable[..., Deployed], slow_upstream: str) -> None:
    gateway = start(slow_upstream)
    customer = gateway.customer()
    answer = customer.ask(stream=True)
    next(iter(answer))
    gateway.server.process.kill()
    gateway.server.process.wait()
    answer.close()
    from tiergate.ledger.log import ExchangeLog
    from tiergate.ledger.sketches import Sketcher

    ExchangeLog.open(gateway.data / "log", sketcher=Sketcher(bytes(32))).close()
    (row,) = [row for batch in read_log(gateway.data / "log") for row in batch.to_pylist()]
    assert (row["finish_reason"], row["account_id"]) == (INTERRUPTED, customer.account_id)


def test_an_upstream_that_breaks_off_does_not_pass_for_a_whole_answer(start: Callable[..., Deployed]) -> None:
    event = b'data: {"choices":[{"index":0,"delta":{"content":"half"}}]}\n\n'

    def serve(listener: socket.socket) -> None:
        connection, _ = listener.accept()
        with connection:
            connection.recv(65536)
            connection.sendall(
                b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"
            )
            connection.sendall(b"%x\r\n%s\r\n" % (len(event), event))

    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=serve, args=(listener,))
        thread.start()
        gateway = start(f"http://127.0.0.1:{listener.getsockname()[1]}")
        customer = gateway.customer()
        with pytest.raises((openai.APIConnectionError, httpx2.RemoteProtocolError)):
            list(customer.ask(stream=True))
        thread.join()
    assert gateway.rows(customer.account_id)[0]["finish_reason"] == "upstream_broke_off"


def test_callers_share_no_idempotency_key_and_the_body_is_called_what_it_is(start: Callable[..., Deployed]) -> None:
    seen: list[dict[str, str]] = []

    class Upstream(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["content-length"]))
            seen.append({name.lower(): value for name, value in self.headers.items()})
            self.send_response(200)
            self.send_header("content-length", "2")
            self.end_headers()
            self.wfile.write(b"{}")

    with HTTPServer(("127.0.0.1", 0), Upstream) as upstream:
        thread = threading.Thread(target=upstream.serve_forever)
        thread.start()
        gateway = start(f"http://127.0.0.1:{upstream.server_port}")
        one, other = gateway.customer(), gateway.customer()
        for customer in (one, other, one):
            odd = {"Idempotency-Key": "job-1", "Content-Type": "text/plain; charset=utf-7"}
            assert post(gateway, customer, question(), odd)[0] == 200
        upstream.shutdown()
        thread.join()
    first, second, third = (headers["idempotency-key"] for headers in seen)
    assert first == third != second
    assert {headers["content-type"] for headers in seen} == {"application/json"}


def test_too_many_at_once_are_asked_to_come_back(start: Callable[..., Deployed], slow_upstream: str) -> None:
    gateway = start(slow_upstream, max_concurrency="1")
    first, second = gateway.customer(), gateway.customer()
    stream = first.ask(stream=True)
    with pytest.raises(openai.InternalServerError) as refused:
        second.ask()
    assert (refused.value.status_code, refused.value.code) == (503, "overloaded")
    assert refused.value.response.headers["retry-after"] == "1"
    list(stream)
    second.ask()


def test_one_account_leaves_room_for_others(start: Callable[..., Deployed], slow_upstream: str) -> None:
    gateway = start(slow_upstream, max_account_concurrency="1")
    first, second = gateway.customer(), gateway.customer()
    stream = first.ask(stream=True)
    with pytest.raises(openai.RateLimitError) as refused:
        first.ask()
    assert refused.value.code == "too_many_at_once"
    assert refused.value.response.headers["retry-after"] == "1"
    second.ask()
    list(stream)
    first.ask()


def test_an_answer_that_cannot_be_recorded_is_withheld(start: Callable[..., Deployed], slow_upstream: str) -> None:
    gateway = start(slow_upstream)
    customer = gateway.customer()
    process = gateway.server.process.pid
    stream = customer.ask(stream=True)
    chunks = [next(iter(stream))]
    soft, hard = resource.prlimit(process, resource.RLIMIT_FSIZE)
    # From here on every write to a file fails, as on a full disk.
    resource.prlimit(process, resource.RLIMIT_FSIZE, (1, hard))
    with pytest.raises((openai.APIConnectionError, httpx2.RemoteProtocolError)):
        chunks += list(stream)
    for streamed in (False, True):
        with pytest.raises(openai.InternalServerError) as withheld:
            customer.ask(stream=streamed)
        assert (withheld.value.status_code, withheld.value.code) == (503, "not_recorded")
    resource.prlimit(process, resource.RLIMIT_FSIZE, (soft, hard))
    customer.ask("after")
    gateway.server.stop()
    assert [row["finish_reason"] for row in gateway.rows(customer.account_id)] == [INTERRUPTED, "stop"]


def test_the_end_of_a_stream_does_not_wait_for_the_upstream_to_hang_up(start: Callable[..., Deployed]) -> None:
    event = b'data: {"choices":[{"index":0,"delta":{"content":"tin"},"finish_reason":"stop"}]}\n\ndata: [DONE]\n\n'
    done = threading.Event()

    def serve(listener: socket.socket) -> None:
        connection, _ = listener.accept()
        with connection:
            connection.recv(65536)
            connection.sendall(b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n\r\n" + event)
            done.wait(GIVE_UP_S)

    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=serve, args=(listener,))
        thread.start()
        gateway = start(f"http://127.0.0.1:{listener.getsockname()[1]}")
        customer = gateway.customer()
        with urllib.request.urlopen(
            urllib.request.Request(
                f"{gateway.address}/v1/chat/completions", question(stream=True), {"x-api-key": customer.key}
            ),
            timeout=5,
        ) as answer:
            assert answer.read(len(event)) == event
        assert gateway.rows(customer.account_id)[0]["finish_reason"] == "stop"
        done.set()
        thread.join()


def test_an_answer_that_cannot_be_passed_on_is_an_error_of_the_upstreams_and_on_record(
    start: Callable[..., Deployed],
) -> None:
    call = b'{"type": "tool_use", "id": "t", "name": "f", "input": {"no": "\xff"}}'
    said = b'{"id": "m", "model": "m", "content": [%s]}' % call

    def serve(listener: socket.socket) -> None:
        connection, _ = listener.accept()
        with connection:
            connection.recv(65536)
            head = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n" % len(said)
            connection.sendall(head + said)
            connection.recv(1)

    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=serve, args=(listener,))
        thread.start()
        gateway = start(f"http://127.0.0.1:{listener.getsockname()[1]}", upstream_dialect="anthropic")
        customer = gateway.customer()
        with pytest.raises(openai.InternalServerError) as failed:
            customer.ask()
        (row,) = gateway.rows(customer.account_id)
        gateway.server.stop()
        thread.join()
    assert (failed.value.status_code, row["status"], row["finish_reason"]) == (502, 502, "upstream_error")


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({}, "`upstream_url`"),
        ({"TIERGATE_UPSTREAM_URL": "file:///etc/passwd"}, "http or https"),
        ({"TIERGATE_UPSTREAM_URL": "http://x/v1", "TIERGATE_ROUTES": "absent.yaml"}, "there is no `absent.yaml`"),
        ({"TIERGATE_UPSTREAM_URL": "http://x/v1", "TIERGATE_PORT": "70000"}, "`port`"),
        ({"TIERGATE_UPSTRAEM_URL": "http://x/v1"}, "did you mean `TIERGATE_UPSTREAM_URL`?"),
        ({"TIERGATE_UPSTREAM_URL": "http://x/v1", "tiergate_xyz": "1"}, "leave `TIERGATE_` to settings"),
        ({"TIERGATE_CONTROL_PORT": "1", "TIERGATE_LOG": "text"}, "`upstream_url`"),
        ({"TIERGATE_UPSTREAM_URL": "http://x/v1", "TIERGATE_MAX_BODY_BYTES": "0"}, "`max_body_bytes`"),
        ({"TIERGATE_UPSTREAM_URL": "http://x/v1", "TIERGATE_TRUSTED_PROXIES": '["10.0.0.0/99"]'}, "`trusted_proxies`"),
        ({"TIERGATE_UPSTREAM_URL": "http://x/v1", "TIERGATE_TRUSTED_PROXIES": "10.0.0.1, x"}, "trusted_proxies"),
        ({"TIERGATE_UPSTREAM_URL": "http://x/v1", "TIERGATE_HOST": "192.0.2.1"}, "cannot listen on 192.0.2.1"),
        ({"TIERGATE_UPSTREAM_URL": "http://x/v1", "TIERGATE_DATA": "/dev/null/x"}, "cannot use the data folder"),
        ({"TIERGATE_UPSTREAM_URL": "http://x/v1", "TIERGATE_HOST": "no such host"}, "cannot listen on no such host"),
    ],
)
def test_a_wrong_setting_is_a_sentence_and_exit_code_2(settings: dict[str, str], said: str, tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "tiergate", "serve"],
        env=settings | {"PYTHONPATH": os.environ.get("PYTHONPATH", "")},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=GIVE_UP_S,
    )
    assert done.returncode == 2, done.stderr
    assert "Traceback" not in done.stderr
    assert said in done.stderr
    assert len(done.stderr.splitlines()) == 1
