"""Requests among several upstreams: real gateways, mock upstreams, the official clients."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import openai
import pytest

from tests.gateway.conftest import GIVE_UP_S, Customer, Deployed, Start
from tests.gateway.sdk_callers import Chat, Messages, Responses, SdkCaller
from tiergate.gateway.routing.reload import FILE as ROUTES

NOBODY = "http://127.0.0.1:9"
"""A port that nobody listens on."""

FILE = """
upstreams:
  broken: {{url: "{broken}", dialect: openai, private: true}}
  sound: {{url: "{sound}/v1", dialect: openai, private: true, key_env: SOUND_KEY, region: eu-west-1}}
  other: {{url: "{sound}/v1", dialect: anthropic, private: true}}
models:
  gone: {{upstream: broken, prices: [{{from: 2026-01-01, input: 1, output: 1}}], context_tokens: 100_000,
         capabilities: [tools, streaming, structured_output]}}
  swift: {{upstream: sound, upstream_model: model-small, context_tokens: 100_000,
          prices: [{{from: 2026-01-01, input: 1_000_000, output: 2_000_000}}],
          capabilities: [tools, streaming, structured_output]}}
  wise: {{upstream: other, upstream_model: model-large, context_tokens: 100_000,
         prices: [{{from: 2026-01-01, input: 3_000_000, output: 5_000_000}}], capabilities: [streaming]}}
  later: {{upstream: sound, upstream_model: model-medium, context_tokens: 1_000,
          prices: [{{from: 2999-01-01, input: 1, output: 1}}], capabilities: [streaming]}}
groups:
  chat: {{candidates: [gone, swift]}}
  dead: {{candidates: [gone], max_attempts: 1}}
  text: {{candidates: [wise]}}
"""


@pytest.fixture(scope="module")
def routed(start_routed: Start, upstream: str) -> Deployed:
    return start_routed(FILE.format(broken=NOBODY, sound=upstream))


def ask(customer: Customer, model: str, question: str = "What is tin?", **more: Any) -> Any:
    return customer.client.chat.completions.create(
        model=model, messages=[{"role": "user", "content": question}], **more
    )


def refused(customer: Customer, model: str, **more: Any) -> tuple[openai.APIStatusError, dict[str, Any]]:
    with pytest.raises(openai.APIStatusError) as caught:
        ask(customer, model, **more)
    body = caught.value.body
    assert isinstance(body, dict)
    return caught.value, body


@pytest.mark.parametrize("caller", [Chat, Responses, Messages], ids=lambda one: one.operation)
@pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])
def test_an_upstream_that_cannot_be_reached_is_followed_by_another_and_one_is_charged(
    caller: type[SdkCaller], stream: bool, routed: Deployed
) -> None:
    customer = routed.customer()
    said = caller(routed.address, customer.key).ask("What is tin?", stream=stream, model="chat")
    (row,) = routed.rows(customer.account_id)
    assert (row["request_model"], row["route_model"], row["upstream"]) == ("chat", "swift", "sound")
    assert row["response_model"] == "model-small"
    assert row["attempts"] in (1, 2)  # 1 once the breaker leaves `gone` alone
    asked, answered = said.tokens
    assert row["cost_micro_usd"] == asked + 2 * answered > 0


def test_a_name_of_a_model_goes_to_its_upstream_in_that_upstream_s_dialect(routed: Deployed) -> None:
    customer = routed.customer()
    said = ask(customer, "text", stream=False)
    (row,) = routed.rows(customer.account_id)
    assert said.model == "model-large"
    assert (row["route_model"], row["upstream"], row["attempts"]) == ("wise", "other", 1)
    assert row["cost_micro_usd"] == 3 * row["input_tokens"] + 5 * row["output_tokens"]


def test_who_asks_for_what_no_candidate_has_is_told_why_by_candidate(routed: Deployed) -> None:
    customer = routed.customer()
    error, body = refused(customer, "chat", extra_headers={"x-tiergate-require-region": "us"})
    assert (error.status_code, body["code"]) == (400, "no_candidate_qualifies")
    found = {one["model"]: [reason["code"] for reason in one["reasons"]] for one in body["tiergate"]["candidates"]}
    assert found == {"gone": ["region_not_known"], "swift": ["region_not_allowed"]}
    error, body = refused(customer, "later")
    assert body["tiergate"]["candidates"][0]["reasons"][0]["code"] == "no_price"
    error, body = refused(customer, "swift", extra_headers={"x-tiergate-require-nothing": "1"})
    assert (error.status_code, body["code"]) == (400, "invalid_request")
    error, body = refused(customer, "model-small")
    assert (error.status_code, body["code"]) == (404, "model_not_listed")
    assert [row["cost_micro_usd"] for row in routed.rows(customer.account_id)] == [None] * 4


def test_an_embedding_goes_to_no_upstream_without_that_call(routed: Deployed) -> None:
    client = routed.customer().client
    assert client.embeddings.create(model="swift", input="tin", encoding_format="float").data
    with pytest.raises(openai.BadRequestError, match="meets all") as caught:
        client.embeddings.create(model="wise", input="tin", encoding_format="float")
    assert "surface_not_spoken" in caught.value.response.text


def test_models_are_listed_by_the_names_of_the_file(routed: Deployed) -> None:
    client = routed.customer().client
    assert {one.id for one in client.models.list()} == {"gone", "swift", "wise", "later", "chat", "dead", "text"}
    assert client.models.retrieve("chat").id == "chat"


def test_an_error_of_the_request_is_not_tried_again(routed: Deployed) -> None:
    customer = routed.customer()
    error, _ = refused(customer, "swift", question="fail-with-422")
    assert error.status_code == 422
    (row,) = routed.rows(customer.account_id)
    assert (row["attempts"], row["cost_micro_usd"]) == (1, None)


@contextmanager
def failing(status: int | None) -> Iterator[str]:
    """The address of an upstream that answers with a status alone, or hangs up without an answer."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["content-length"]))
            if status is not None:
                self.send_response(status)
                self.send_header("content-length", "0")
                self.end_headers()
            self.close_connection = True

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


def test_only_what_surely_served_nothing_is_tried_elsewhere(start_routed: Start, upstream: str) -> None:
    with failing(503) as busy, failing(None) as cut:
        text = FILE.format(broken=busy, sound=upstream).replace(
            "upstreams:", f'upstreams:\n  cut: {{url: "{cut}", dialect: openai, private: true}}'
        )
        lost = "lost: {upstream: cut, prices: [{from: 2026-01-01, input: 1, output: 1}], context_tokens: 100_000}"
        text = text.replace("models:", f"models:\n  {lost}")
        gateway = start_routed(text.replace("groups:", "groups:\n  risky: {candidates: [lost, swift]}"))
        customer = gateway.customer()
        assert ask(customer, "chat").model == "model-small"
        error, body = refused(customer, "risky")
        assert (error.status_code, body["code"]) == (502, "upstream_error")
        first, second = gateway.rows(customer.account_id)
        assert (first["route_model"], first["attempts"]) == ("swift", 2)
        assert first["cost_micro_usd"] == first["input_tokens"] + 2 * first["output_tokens"]
        assert (second["route_model"], second["attempts"], second["cost_micro_usd"]) == ("lost", 1, None)


def test_nothing_is_asked_again_for_a_caller_who_hung_up_meanwhile(start_routed: Start, upstream: str) -> None:
    asked = []

    class Busy(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"  # the connection is kept, so that a request could be sent at once

        def do_POST(self) -> None:
            asked.append(self.rfile.read(int(self.headers["content-length"])))
            self.send_response(503)
            self.send_header("retry-after", "1")
            self.send_header("content-length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Busy) as server:
        server.daemon_threads = True
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        text = FILE.format(broken=f"http://127.0.0.1:{server.server_port}", sound=upstream)
        gateway = start_routed(text.replace("groups:", "groups:\n  again: {candidates: [gone], max_attempts: 2}"))
        customer = gateway.customer()
        with pytest.raises(openai.APITimeoutError):
            ask(customer, "again", timeout=0.3)
        row = gateway.row_where(customer.account_id, lambda row: row["finish_reason"] == "client_disconnected")
        assert (row["status"], row["attempts"], len(asked)) == (499, 2, 1)
        server.shutdown()
        thread.join()


def test_a_breaker_opens_and_says_so(routed: Deployed) -> None:
    customer = routed.customer()
    codes = [refused(customer, "dead")[1]["code"] for _ in range(14)]
    assert codes[0] in ("upstream_error", "no_candidate_available")
    error, body = refused(customer, "dead")
    assert (error.status_code, body["code"]) == (503, "no_candidate_available")
    assert body["tiergate"]["candidates"][0]["reasons"][0]["code"] == "circuit_open"
    assert int(error.response.headers["retry-after"]) >= 1


def test_a_changed_file_is_followed_and_a_wrong_one_is_not(start_routed: Start, upstream: str) -> None:
    text = FILE.format(broken=NOBODY, sound=upstream)
    gateway = start_routed(text)
    customer = gateway.customer()
    replace(gateway.data / ROUTES, text.replace("chat:", "chats:"))
    give_up = time.monotonic() + GIVE_UP_S
    while "chats" not in {one.id for one in customer.client.models.list()}:
        assert time.monotonic() < give_up
        time.sleep(0.2)
    assert ask(customer, "chats").model == "model-small"
    replace(gateway.data / ROUTES, text.replace("dialect", "dialekt"))
    while "dialekt" not in gateway.output.read_text():
        assert time.monotonic() < give_up
        time.sleep(0.2)
    assert ask(customer, "chats").model == "model-small"


def replace(path: Path, text: str) -> None:
    new = path.with_suffix(".new")
    new.write_text(text)
    new.rename(path)


TIERS = """
[models.swift]
tier = "classified"
programme = "p"
organisation_packs = []
person_packs = []
[models.wise]
tier = "commodity"
[models.gone]
tier = "commodity"
[models.later]
tier = "open"
"""


def test_a_lower_tier_is_offered_and_never_taken(start_routed: Start, upstream: str) -> None:
    text = FILE.format(broken=NOBODY, sound=upstream).replace(
        "chat: {candidates: [gone, swift]}", "chat: {candidates: [swift, wise], offer: [commodity]}"
    )
    gateway = start_routed(text, TIERS)
    customer = gateway.customer()
    error, body = refused(customer, "chat")
    assert error.status_code == 403
    assert body["tiergate"]["reasons"]
    assert error.response.headers["x-tiergate-fallback"] == "wise"
    assert ask(customer, "wise").model == "model-large"
    error, body = refused(customer, "chat", extra_headers={"x-tiergate-require-region": "us"})
    assert body["code"] == "no_candidate_qualifies"
    assert [row["route_model"] for row in gateway.rows(customer.account_id)] == [None, "wise", None]
