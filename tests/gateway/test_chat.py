"""The official client through the gateway: answers whole and streamed, refusals it understands, and their records."""

from __future__ import annotations

import json
import socket
import threading
import time
import urllib.request
from collections.abc import Callable
from http.client import HTTPConnection
from itertools import pairwise

import openai
import pytest

from tests.gateway.conftest import GIVE_UP_S, UPSTREAM_KEY, Deployed, now_us


def test_a_whole_answer_is_the_upstreams_own_and_is_recorded(plain: Deployed, upstream: str) -> None:
    customer = plain.customer()
    before = now_us()
    answer = customer.ask("What is tin?", temperature=0.25, max_tokens=77, user="end-1")
    with openai.OpenAI(base_url=f"{upstream}/v1", api_key="x") as direct:
        said = direct.chat.completions.create(
            model="model-small",
            messages=[{"role": "user", "content": "What is tin?"}],
            temperature=0.25,
            max_tokens=77,
            user="end-1",
        )
    assert answer.choices[0].message.content == said.choices[0].message.content
    (row,) = plain.rows(customer.account_id)
    assert (row["input_tokens"], row["output_tokens"]) == (answer.usage.prompt_tokens, answer.usage.completion_tokens)
    assert (row["request_model"], row["response_model"]) == ("model-small", answer.model)
    assert (row["temperature"], row["max_tokens"], row["end_user_id"]) == (0.25, 77, "end-1")
    assert (row["status"], row["finish_reason"], row["operation"]) == (200, "stop", "chat")
    assert (row["stream"], row["message_count"], row["client_address"]) == (False, 1, "127.0.0.1")
    assert before <= round(row["started_at"].timestamp() * 1e6) <= now_us()
    assert row["latency_ms"] > 0
    assert row["sketch_prompt"] is not None
    assert row["sketch_words"]
    assert row["credential_id"].startswith("key_")
    assert row["user_agent"].startswith("OpenAI/Python")
    assert (row["prompt_text"], row["response_text"]) == (None, None)


def test_the_same_prompt_has_the_same_sketch_and_another_has_not(plain: Deployed) -> None:
    customer = plain.customer()
    for question in ("name the capital of France", "name the capital of France", "integrate x squared"):
        customer.ask(question)
    first, second, third = (row["sketch_prompt"] for row in plain.rows(customer.account_id))
    assert first == second != third


def test_a_stream_arrives_piece_by_piece_and_is_recorded(slow: Deployed) -> None:
    customer = slow.customer()
    began, times, words = time.perf_counter(), [], []
    for chunk in customer.ask(stream=True, stream_options={"include_usage": True}):
        times.append(time.perf_counter() - began)
        words += [choice.delta.content for choice in chunk.choices if choice.delta.content]
        usage = chunk.usage
    # The mock makes an event every 100 ms: held-back pieces would come together at the end.
    assert len(times) >= 8
    assert times[0] < times[-1] - 0.5
    assert sum(later - earlier > 0.05 for earlier, later in pairwise(times)) >= len(times) // 2
    (row,) = slow.rows(customer.account_id)
    assert (row["input_tokens"], row["output_tokens"]) == (usage.prompt_tokens, usage.completion_tokens)
    assert usage.completion_tokens == len(words)
    assert (row["stream"], row["finish_reason"], row["status"]) == (True, "stop", 200)


def test_many_at_once_each_get_their_own_answer_and_record(plain: Deployed) -> None:
    from concurrent.futures import ThreadPoolExecutor

    customer = plain.customer()
    with ThreadPoolExecutor(12) as pool:
        ids = list(pool.map(customer.exchange_id, (f"question {n}" for n in range(60))))
    assert len(set(ids)) == 60
    assert sorted(row["exchange_id"] for row in plain.rows(customer.account_id)) == sorted(ids)


@pytest.mark.parametrize(
    ("dialect", "path", "sent"),
    [
        ("openai", "/v1/chat/completions", [b"authorization: bearer " + UPSTREAM_KEY.encode(), b"openai-beta: b"]),
        (
            "anthropic",
            "/v1/messages",
            [b"x-api-key: " + UPSTREAM_KEY.encode(), b"anthropic-version: 2023-06-01", b"anthropic-beta: b"],
        ),
    ],
)
def test_unknown_fields_reach_the_upstream_and_the_callers_key_does_not(
    start: Callable[..., Deployed], dialect: str, path: str, sent: list[bytes]
) -> None:
    body = json.dumps({"model": "m", "messages": [], "new_field": {"deep": [1, None, "ü"]}}).encode()
    with socket.create_server(("127.0.0.1", 0)) as listener:
        gateway = start(f"http://127.0.0.1:{listener.getsockname()[1]}", upstream_dialect=dialect)
        key, seen = gateway.customer().key, b""
        headers = {"Authorization": f"Bearer {key}", "x-api-key": key, "x-secret": "stays", "openai-beta": "b"}

        def ask() -> None:
            asked = urllib.request.Request(gateway.address + path, body, headers | {"anthropic-beta": "b"})
            with urllib.request.urlopen(asked, timeout=GIVE_UP_S) as answer:
                answer.read()

        thread = threading.Thread(target=ask)
        thread.start()
        connection, _ = listener.accept()
        with connection:
            while not seen.endswith(body):
                seen += connection.recv(65536)
            connection.sendall(b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 2\r\n\r\n{}")
            thread.join()
    head = seen.removesuffix(body).lower()
    assert head.startswith(b"post " + path.encode() + b" ")
    assert all(line in head for line in sent), head
    assert key.encode() not in head
    assert b"x-secret" not in head
    # What is the other dialect's stays here.
    assert (b"authorization:" in head, b"openai-beta" in head) == (dialect == "openai",) * 2


INJECTIONS = ("' OR '1'='1' --", "tg_' OR 1=1 --", "tg_%", "*", "tg_\\' UNION SELECT token_hash FROM credentials --")


@pytest.mark.parametrize(
    "key", ["tg_wrong", "sk-upstream-must-stay-inside", "ключ".encode().decode("latin-1"), *INJECTIONS]
)
def test_a_wrong_key_is_refused_in_openais_words(plain: Deployed, key: str) -> None:
    connection = HTTPConnection("127.0.0.1", plain.port)
    connection.request("POST", "/v1/chat/completions", "{}", {"Authorization": f"Bearer {key}".encode("latin-1")})
    answer = connection.getresponse()
    assert answer.status == 401
    assert json.loads(answer.read())["error"]["code"] == "invalid_api_key"
    connection.close()


def test_the_client_raises_authentication_error_and_a_revoked_key_stops(plain: Deployed) -> None:
    customer = plain.customer()
    customer.ask()
    with openai.OpenAI(base_url=f"{plain.address}/v1", api_key="tg_no", max_retries=0) as stranger:
        with pytest.raises(openai.AuthenticationError) as refused:
            stranger.chat.completions.create(model="m", messages=[])
        with pytest.raises(openai.AuthenticationError):
            stranger.models.list()
    assert refused.value.code == "invalid_api_key"
    (row,) = plain.rows(customer.account_id)
    plain.registry.revoke_key(row["credential_id"], now_us())
    time.sleep(1.2)
    with pytest.raises(openai.AuthenticationError):
        customer.ask()


def test_without_a_key_nothing_answers(plain: Deployed) -> None:
    connection = HTTPConnection("127.0.0.1", plain.port)
    for path in (f"/v1/chat/completions?api_key={plain.keys[0]}", "/v1/chat/completions"):
        connection.request("POST", path, "{}")
        answer = connection.getresponse()
        answer.read()
        assert answer.status == 401
    connection.close()


def test_a_closed_account_is_refused(plain: Deployed) -> None:
    customer = plain.customer()
    plain.registry.close_account(customer.account_id, now_us())
    time.sleep(1.2)
    with pytest.raises(openai.PermissionDeniedError) as refused:
        customer.ask()
    assert refused.value.code == "account_not_active"


def test_models_are_the_upstreams(plain: Deployed) -> None:
    customer = plain.customer()
    assert [model.id for model in customer.client.models.list()] == ["model-large", "model-medium", "model-small"]


def test_health_and_unknown_paths(plain: Deployed) -> None:
    with urllib.request.urlopen(f"{plain.address}/healthz") as answer:
        assert answer.status == 200
    customer = plain.customer()
    with pytest.raises(openai.NotFoundError):
        customer.client.moderations.create(input="x")


def test_an_upstream_that_is_down_is_502_and_recorded(start: Callable[..., Deployed]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        nobody = f"http://127.0.0.1:{listener.getsockname()[1]}"
    gateway = start(nobody)
    customer = gateway.customer()
    for stream in (False, True):
        with pytest.raises(openai.InternalServerError) as failed:
            customer.ask(stream=stream)
        assert failed.value.status_code == 502
    with pytest.raises(openai.InternalServerError):
        customer.client.models.list()
    rows = gateway.rows(customer.account_id)
    assert [(row["status"], row["finish_reason"]) for row in rows] == [(502, "upstream_error")] * 2


def test_an_upstream_that_is_silent_is_504_and_recorded(start: Callable[..., Deployed]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        gateway = start(f"http://127.0.0.1:{listener.getsockname()[1]}", read_timeout_s="0.3")
        customer = gateway.customer()
        with pytest.raises(openai.InternalServerError) as failed:
            customer.ask()
    assert failed.value.status_code == 504
    (row,) = gateway.rows(customer.account_id)
    assert (row["status"], row["finish_reason"]) == (504, "upstream_error")


def test_hanging_up_in_a_stream_is_recorded(slow: Deployed) -> None:
    customer = slow.customer()
    answer = customer.ask(stream=True)
    next(iter(answer))
    answer.close()
    row = slow.row_where(customer.account_id, lambda row: row["finish_reason"] == "client_disconnected")
    assert (row["status"], row["stream"]) == (200, True)


def test_hanging_up_before_an_answer_is_recorded(slow: Deployed) -> None:
    customer = slow.customer()
    with pytest.raises(openai.APITimeoutError):
        customer.client.with_options(timeout=0.03).chat.completions.create(
            model="m", messages=[{"role": "user", "content": "x"}]
        )
    row = slow.row_where(customer.account_id, lambda row: True)
    assert (row["status"], row["finish_reason"]) == (499, "client_disconnected")
