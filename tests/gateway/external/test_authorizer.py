"""The authorizer: over HTTP and gRPC the same answers, nothing passes that is not understood, all is on record."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import grpc
import pytest
from benchmarks.gateway_crash import serving
from benchmarks.june_world import CLOSED, COMMODITY, Person
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.gateway.conftest import GIVE_UP_S
from tests.gateway.external.conftest import LARGEST, MODEL_HEADER, TOKEN, Authorizing, ask, authorizing, suspend
from tiergate.admission.credits import Credits
from tiergate.cli.deployment import open_deployment
from tiergate.clock import SystemClock
from tiergate.errors import InputError
from tiergate.gateway.authorizer.messages import METHOD, CheckRequest, CheckResponse
from tiergate.gateway.authorizer.reports import exchanges_of
from tiergate.gateway.dialects.bodies import refuse_other_models
from tiergate.gateway.dialects.common import UNREADABLE
from tiergate.gateway.dialects.openai_chat import FIELDS, read_request
from tiergate.gateway.metering.limits import Limit, LimitStore
from tiergate.ledger.verdicts import Action

CHAT = "/v1/chat/completions"
Answer = tuple[int, dict[str, str], bytes]


def asking(model: str = COMMODITY, **more: Any) -> dict[str, Any]:
    return {"model": model, "messages": [{"role": "user", "content": "What is tin?"}], "max_tokens": 100} | more


def key_of(person: Person) -> dict[str, str]:
    return {"authorization": f"Bearer {person.key}"}


@pytest.fixture(scope="module")
def channel(authorizer: Authorizing) -> Iterator[grpc.Channel]:
    with grpc.insecure_channel(authorizer.grpc) as opened:
        yield opened


def check(channel: grpc.Channel, path: str, body: bytes, headers: dict[str, str], method: str) -> Answer:
    """What Envoy makes of the answer over gRPC, as one over HTTP."""
    asked = CheckRequest()
    http = asked.attributes.request.http
    http.method, http.path, http.raw_body = method, path.encode(), body
    for name, value in headers.items():
        http.headers.add(key=name, value=value.encode())
    call = channel.unary_unary(METHOD, CheckRequest.SerializeToString, CheckResponse.FromString)
    answer = call(asked, timeout=20)
    if answer.status.code == 0:
        told = {one.header.key: one.header.value.decode() for one in answer.ok_response.headers}
        told["x-envoy-auth-headers-to-remove"] = ",".join(answer.ok_response.headers_to_remove)
        return 200, told, b""
    denied = answer.denied_response
    told = {one.header.key: one.header.value.decode() for one in denied.headers}
    return denied.status.code, told, denied.body


def alike(answer: Answer) -> Answer:
    """An answer without what no two have in common."""
    status, headers, body = answer
    left_out = {"date", "connection", "content-length", "x-tiergate-exchange-id", "x-tiergate-decision-id"}
    return status, {name: value for name, value in headers.items() if name not in left_out}, body


@pytest.fixture(scope="module")
def suspended(authorizer: Authorizing) -> Person:
    person = authorizer.world.of("commodity")[-1]
    suspend(authorizer.world, person)
    give_up = time.monotonic() + GIVE_UP_S
    while ask(authorizer.server.address, f"/authorize{CHAT}", asking(), key_of(person))[0] == 200:
        assert time.monotonic() < give_up
    return person


CASES: dict[str, tuple[int, str, dict[str, Any]]] = {
    "a model that everybody may call": (200, "", {}),
    "by Anthropic's API": (200, "", {"path": "/v1/messages"}),
    "the list of models": (200, "", {"method": "GET", "path": "/v1/models", "body": b""}),
    "one model": (200, "", {"method": "GET", "path": "/v1/models/org/name-1.5:x", "body": b""}),
    "by the gateway's header alone": (200, "", {"body": b"", "headers": {MODEL_HEADER: COMMODITY}}),
    "no key": (401, "invalid_api_key", {"key": None}),
    "an unknown key": (401, "invalid_api_key", {"key": "tg_unknown"}),
    "an unknown key, by Anthropic's API": (401, "invalid_api_key", {"key": "tg_unknown", "path": "/v1/messages"}),
    "an account that is suspended": (403, "account_suspended", {"key": "suspended"}),
    "a model that is not listed": (404, "model_not_listed", {"model": "gpt"}),
    "a classified model": (403, "credential_not_bound", {"model": CLOSED}),
    "a classified model without its body": (
        403,
        "body_not_forwarded",
        {"body": b"", "headers": {MODEL_HEADER: CLOSED}},
    ),
    "another model than the header's": (400, "invalid_request", {"headers": {MODEL_HEADER: "other"}}),
    "no body and no header": (400, "invalid_request", {"body": b""}),
    "a body that is no JSON": (400, "invalid_request", {"body": b"{"}),
    "a body that is no text": (400, "invalid_request", {"body": b"\xff\xfe"}),
    "a part of a body": (413, "request_too_large", {"headers": {"x-envoy-auth-partial-body": "true"}}),
    "too large a body": (413, "request_too_large", {"body": b" " * (LARGEST + 1)}),
    "two models": (400, "invalid_request", {"body": b'{"model":"model-small","messages":[],"model":"mythos-5"}'}),
    "fallbacks": (400, "invalid_request", {"fallbacks": ["mythos-5"]}),
    "another path": (404, "not_found", {"path": "/v1/files"}),
    "an escaped path": (404, "not_found", {"path": "/v1/chat%2Fcompletions"}),
    "a path out of the list": (404, "not_found", {"method": "GET", "path": "/v1/models/../files", "body": b""}),
    "an escaped path out of it": (404, "not_found", {"method": "GET", "path": "/v1/models/%2e%2e/files", "body": b""}),
    "another method": (404, "not_found", {"method": "DELETE", "path": "/v1/models/m", "body": b""}),
    "a wrong token of reports": (401, "invalid_report_token", {"headers": {"x-tiergate-report-token": "guess"}}),
}


@pytest.mark.parametrize("case", CASES)
def test_http_and_grpc_answer_alike(
    case: str, authorizer: Authorizing, channel: grpc.Channel, suspended: Person
) -> None:
    status, code, asked = CASES[case]
    asked = dict(asked)
    method, path, key = asked.pop("method", "POST"), asked.pop("path", CHAT), asked.pop("key", "own")
    body, headers = asked.pop("body", None), asked.pop("headers", {})
    person = suspended if key == "suspended" else authorizer.world.of("commodity")[0]
    if key is not None:
        headers = headers | {"authorization": f"Bearer {key if key.startswith('tg_') else person.key}"}
    if path.endswith("messages"):
        headers = headers | {"anthropic-version": "2023-06-01"}
    body = json.dumps(asking() | asked).encode() if body is None else body
    by_http = ask(
        authorizer.server.address, f"/authorize{path}", body if method == "POST" else None, headers, method=method
    )
    by_grpc = check(channel, f"{path}?beta=true", body, headers, method)
    assert alike(by_http) == alike(by_grpc)
    assert by_http[0] == status, by_http
    if status == 200:
        assert by_http[1]["x-tiergate-account-id"] == person.account_id
        assert {"authorization", "x-api-key"} <= set(by_http[1]["x-envoy-auth-headers-to-remove"].split(","))
        return
    error = json.loads(by_http[2])["error"]
    assert code == (error["tiergate"]["code"] if path.endswith("messages") else error["code"])


def test_who_has_everything_may_call_a_classified_model_and_it_is_on_record(
    authorizer: Authorizing, channel: grpc.Channel
) -> None:
    person, lines = authorizer.world.of("eligible")[0], Credits(authorizer.world.engine)
    before = lines.balance(authorizer.world.line_id).spent
    headers, body = key_of(person) | person.headers(), asking(CLOSED)
    status, told, _ = ask(authorizer.server.address, f"/authorize{CHAT}", body, headers)
    assert status == 200
    assert int(told["x-tiergate-decision-id"]) >= 0
    (row,) = authorizer.rows(person.account_id)
    assert (row["exchange_id"], row["finish_reason"]) == (told["x-tiergate-exchange-id"], "authorized")
    assert (row["usage_source"], row["latency_ms"]) == ("estimate", None)
    # Nobody says what it cost: the line is charged what the record says is likely.
    balance = lines.balance(authorizer.world.line_id)
    assert (balance.spent - before, balance.reserved) == (row["cost_micro_usd"], 0)
    assert row["cost_micro_usd"] >= 100 * 15
    by_grpc = check(channel, CHAT, json.dumps(body).encode(), headers, "POST")
    assert by_grpc[0] == 200
    assert int(by_grpc[1]["x-tiergate-decision-id"]) > int(told["x-tiergate-decision-id"])


def reported(authorizer: Authorizing, person: Person, model: str = COMMODITY) -> dict[str, Any]:
    """A request that was let through, as a row that tells what came of it."""
    headers = key_of(person) | person.headers() | {"x-tiergate-report-token": TOKEN}
    status, told, said = ask(authorizer.server.address, f"/authorize{CHAT}", asking(model), headers)
    assert status == 200, said
    return {
        "exchange_id": told["x-tiergate-exchange-id"], "started_at": "2026-11-28T00:00:00Z",
        "account_id": person.account_id, "operation": "chat", "request_model": model, "status": 200,
        "input_tokens": 20, "output_tokens": 7, "finish_reason": "stop", "response_text": "secret answer",
    }  # fmt: skip


def report(authorizer: Authorizing, *rows: dict[str, Any], token: str = TOKEN) -> tuple[int, dict[str, Any]]:
    body = b"\n".join(json.dumps(row).encode() for row in rows)
    status, _, said = ask(authorizer.server.address, "/exchanges", body, {"x-tiergate-report-token": token})
    return status, json.loads(said)


def test_what_came_of_a_request_is_recorded_and_charged_once(authorizer: Authorizing) -> None:
    person, lines = authorizer.world.of("eligible")[1], Credits(authorizer.world.engine)
    before = lines.balance(authorizer.world.line_id).spent
    row = reported(authorizer, person, CLOSED)
    assert authorizer.rows(person.account_id) == []
    assert report(authorizer, row) == (200, {"recorded": 1, "repeated": 0})
    assert report(authorizer, row | {"output_tokens": 9}) == (200, {"recorded": 0, "repeated": 1})
    (kept,) = authorizer.rows(person.account_id)
    due = 20 * 3 + 7 * 15
    assert (kept["output_tokens"], kept["usage_source"], kept["cost_micro_usd"]) == (7, "upstream", due)
    assert (kept["response_text"], kept["prompt_text"]) == (None, None)
    assert kept["sketch_words"]
    balance = lines.balance(authorizer.world.line_id)
    assert (balance.spent - before, balance.reserved) == (due, 0)


def test_a_failure_that_is_reported_costs_nothing(authorizer: Authorizing) -> None:
    person, lines = authorizer.world.of("eligible")[2], Credits(authorizer.world.engine)
    before = lines.balance(authorizer.world.line_id)
    row = reported(authorizer, person, CLOSED) | {"status": 502, "finish_reason": "upstream_error"}
    for name in ("input_tokens", "output_tokens"):
        row.pop(name)
    assert report(authorizer, row)[0] == 200
    (kept,) = authorizer.rows(person.account_id)
    assert (kept["status"], kept["finish_reason"], kept["cost_micro_usd"]) == (502, "upstream_error", None)
    after = lines.balance(authorizer.world.line_id)
    assert (after.spent, after.reserved) == (before.spent, 0)


def test_reports_are_refused_without_the_token_and_as_a_whole_where_a_row_is_wrong(authorizer: Authorizing) -> None:
    person = authorizer.world.of("commodity")[1]
    row = reported(authorizer, person)
    other = row | {"account_id": authorizer.world.of("commodity")[2].account_id}
    wrong = [
        row | {"status": "fine"}, row | {"input_tokens": -1}, row | {"output_tokens": 2**70}, row | {"exchange_id": ""},
        other, {"exchange_id": "x"},
    ]  # fmt: skip
    for one in wrong:
        assert report(authorizer, row | {"exchange_id": "ex_new"}, one)[0] == 400
    assert report(authorizer, row, token="guess" * 5)[0] == 401
    assert report(authorizer, *[{}] * 1_001)[0] == 400
    assert authorizer.rows(person.account_id) == []
    assert report(authorizer, row | {"cost_micro_usd": 10**9})[0] == 200
    (kept,) = authorizer.rows(person.account_id)
    assert kept["cost_micro_usd"] == 20 * 100_000 // 10**6 + 4  # ours: 2 for the request, 3.5 for the answer


def test_an_exchange_that_was_not_let_through_here_is_recorded_as_it_is_told(authorizer: Authorizing) -> None:
    row = {
        "exchange_id": "elsewhere-1", "started_at": "2026-11-28T00:00:00Z", "account_id": "acct-elsewhere",
        "operation": "chat", "request_model": "m", "status": 200, "prompt_text": "tell me everything about tin",
        "cost_usd": 0.5, "cost_micro_usd": 5,
    }  # fmt: skip
    assert report(authorizer, row) == (200, {"recorded": 1, "repeated": 0})
    (kept,) = authorizer.rows("acct-elsewhere")
    assert (kept["prompt_text"], kept["cost_usd"], kept["cost_micro_usd"]) == (None, 0.5, None)
    assert kept["sketch_words"]


def test_who_does_not_report_is_charged_what_is_likely(world: Any, tmp_path: Any) -> None:
    person, ended = world.of("commodity")[3], world.of("commodity")[4]
    with authorizing(tmp_path, world, answer_timeout_s="1.5") as started:
        reported(started, person)
        row = started.row_where(person.account_id, lambda row: row["finish_reason"] == "not_reported")
        assert (row["status"], row["usage_source"]) == (200, "estimate")
        assert row["cost_micro_usd"] > 0
        reported(started, ended)
    started.row_where(ended.account_id, lambda row: row["finish_reason"] == "not_reported")


def test_limits_hold_and_are_told_alike(authorizer: Authorizing, channel: grpc.Channel) -> None:
    person = authorizer.world.of("commodity")[5]
    limit = Limit(scope="account", subject=person.account_id, measure="requests/minute", amount=2)
    LimitStore(authorizer.world.engine).put(limit, author="ann", now_us=SystemClock().now_us())
    body, give_up = json.dumps(asking()).encode(), time.monotonic() + GIVE_UP_S
    while (answer := check(channel, CHAT, body, key_of(person), "POST"))[0] == 200:
        assert time.monotonic() < give_up
    assert answer[0] == 429
    assert json.loads(answer[2])["error"]["code"] == "requests_limited"
    by_http = ask(authorizer.server.address, f"/authorize{CHAT}", body, key_of(person))
    assert by_http[0] == 429
    assert set(by_http[1]) - {"date", "connection", "content-length"} == set(answer[1])
    assert int(by_http[1]["retry-after"]) > 0


def test_who_must_be_answered_without_reasoning_is_refused_as_answers_pass_elsewhere(authorizer: Authorizing) -> None:
    person = authorizer.world.of("commodity")[7]
    suspend(authorizer.world, person, Action.SUMMARISE, requests_per_minute=600.0)
    give_up = time.monotonic() + GIVE_UP_S
    while (answer := ask(authorizer.server.address, f"/authorize{CHAT}", asking(), key_of(person)))[0] == 200:
        assert time.monotonic() < give_up
    assert (answer[0], json.loads(answer[2])["error"]["code"]) == (403, "answers_not_summarised")


ROUTES = """
upstreams: {east: {url: "https://api.example.com/v1", dialect: openai, key_env: NOT_SET_HERE}}
models: {swift: {upstream: east, context_tokens: 1000, free: true}}
groups: {chat: {candidates: [swift]}}
"""


def test_the_file_of_routes_is_read_without_the_keys_of_upstreams(tmp_path: Path) -> None:
    """No upstream is called from here: whoever runs this need not be trusted with their keys."""
    (tmp_path / "gateway.yaml").write_text(ROUTES)
    with open_deployment(tmp_path, create=True) as opened:
        opened.registry.add_account({"account_id": "alice", "created_at": 0})
        key = {"authorization": f"Bearer {opened.registry.issue_key('alice', '', 0)}"}
    command = ["-m", "tiergate", "authorize", "--data", str(tmp_path), "--port", "0"]
    with serving(command, tmp_path / "output") as server:
        assert ask(server.address, f"/authorize{CHAT}", asking("swift"), key)[0] == 200
        status, _, body = ask(server.address, f"/authorize{CHAT}", asking("other"), key)
    assert (status, json.loads(body)["error"]["code"]) == (403, "model_not_priced")


def test_a_port_for_grpc_that_is_taken_is_said_so(world: Any, authorizer: Authorizing) -> None:
    command = [sys.executable, "-m", "tiergate", "authorize", "--data", str(world.data), "--port", "0"]
    done = subprocess.run([*command, "--grpc-port", str(authorizer.grpc_port)], capture_output=True, text=True)
    assert (done.returncode, "cannot listen for gRPC" in done.stderr) == (2, True), done.stderr


@settings(max_examples=100)
@given(message=st.binary(max_size=200))
def test_no_message_gets_through_without_a_key(message: bytes, channel: grpc.Channel) -> None:
    call = channel.unary_unary(METHOD, lambda data: data, CheckResponse.FromString)
    with suppress(grpc.RpcError):
        assert call(message, timeout=20).status.code != 0


NAMES = st.sampled_from(["model", "Model", "MODEL", "mod\\u0065l", "\\u006dodel", "\\u004dodel", "x", "model "])
VALUES = st.sampled_from(['"a"', '"b"', "[]", '{"model":"b"}'])


@given(st.lists(st.tuples(NAMES, VALUES), max_size=5))
def test_a_body_passes_where_its_model_can_be_read_in_one_way_alone(fields: list[tuple[str, str]]) -> None:
    said = ",".join(f'"{name}":{value}' for name, value in [*fields, ("model", '"a"'), ("messages", "[]")])
    body = f"{{{said}}}".encode()
    names = [name for name, _ in json.loads(body, object_pairs_hook=list)]
    refused = False
    try:
        refuse_other_models(body, read_request(body), FIELDS)
    except (InputError, *UNREADABLE):
        refused = True
    assert refused == ([name for name in names if name.casefold() == "model"] != ["model"])


@given(st.binary(max_size=300))
def test_reports_of_any_bytes_are_read_or_refused(body: bytes) -> None:
    with suppress(InputError):
        exchanges_of(body)
