"""What requests cost and which limits they meet, on running gateways with the official clients."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import anthropic
import openai
import pytest
from benchmarks.gateway_crash import gateway, serving

from tests.gateway.conftest import Deployed, deployed, now_us
from tests.gateway.sdk_callers import Chat, Messages, Responses, SdkCaller
from tiergate.admission.models import FILE
from tiergate.database import open_database
from tiergate.gateway.metering.limits import Limit, LimitStore

PRICES = """
[models."model-small"]
tier = "open"
input_price = 1_000_000
output_price = 2_000_000

[models."model-large"]
tier = "open"
"""
BUDGET = 1_500
"""Micro-dollars a day of `acct-200`."""

CALLERS: list[type[SdkCaller]] = [Chat, Responses, Messages]


def made(folder: Path) -> Path:
    """A folder whose deployment has prices, and limits on two accounts."""
    data = folder / "data"
    data.mkdir()
    (data / FILE).write_text(PRICES)
    engine = open_database(data / "control.sqlite")
    limits = LimitStore(engine)
    for subject, measure, amount in (("acct-200", "usd/day", BUDGET), ("acct-201", "requests/minute", 1)):
        limit = Limit(scope="account", subject=subject, measure=measure, amount=amount)  # type: ignore[arg-type]
        limits.put(limit, author="ann", now_us=now_us())
    engine.dispose()
    return folder


@pytest.fixture(scope="module")
def priced(upstream: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Deployed]:
    with deployed(made(tmp_path_factory.mktemp("priced")), upstream) as started:
        yield started


@pytest.mark.parametrize("caller", CALLERS, ids=lambda one: one.operation)
@pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])
def test_every_answer_is_priced_by_what_the_upstream_counted(
    caller: type[SdkCaller], stream: bool, priced: Deployed
) -> None:
    customer = priced.customer()
    said = caller(priced.address, customer.key).ask("What is tin?", stream=stream)
    (row,) = priced.rows(customer.account_id)
    asked, answered = said.tokens
    assert (row["input_tokens"], row["output_tokens"], row["usage_source"]) == (asked, answered, "upstream")
    assert row["cost_micro_usd"] == asked + 2 * answered > 0
    assert row["cost_usd"] == row["cost_micro_usd"] / 1_000_000


def test_a_stream_is_priced_whose_caller_asks_for_no_usage(priced: Deployed) -> None:
    customer = priced.customer()
    for _ in customer.ask(stream=True, extra_headers={"x-tiergate-project": "red"}):
        pass
    (row,) = priced.rows(customer.account_id)
    assert row["cost_micro_usd"] == row["input_tokens"] + 2 * row["output_tokens"] > 0
    assert row["project_id"] == "red"


def test_a_stream_that_its_caller_cuts_is_billed(slow_upstream: str, tmp_path: Path) -> None:
    with deployed(made(tmp_path), slow_upstream) as started:
        customer = started.customer()
        stream = customer.ask("say-50-words", stream=True)
        seen = [next(stream) for _ in range(4)]
        stream.close()
        customer.client.close()
        row = started.row_where(customer.account_id, lambda row: row["finish_reason"] == "client_disconnected")
    assert len(seen) == 4
    assert row["usage_source"] == "estimate"
    assert row["output_tokens"] >= 3
    assert row["cost_micro_usd"] == row["input_tokens"] + 2 * row["output_tokens"]


def asked_in_all_ways(address: str, key: str, model: str) -> list[tuple[int, str, Any]]:
    """Status, code and headers of what each surface answers."""
    client = openai.OpenAI(base_url=f"{address}/v1", api_key=key, max_retries=0, timeout=60)
    told = []
    for caller in (*(one(address, key) for one in CALLERS), None):
        try:
            if caller is None:
                client.embeddings.create(model=model, input="tin", encoding_format="float")
            else:
                caller.ask("What is tin?", model=model)
        except Exception as error:
            body = error.response.json()["error"]  # type: ignore[attr-defined]
            code = body.get("code") or body["tiergate"]["code"]
            told.append((error.status_code, code, error.response.headers))  # type: ignore[attr-defined]
        else:
            told.append((200, "", {}))
    return told


@pytest.mark.parametrize("model", ["model-large", "never-heard-of"])
def test_a_model_without_a_price_is_refused_on_every_surface(model: str, priced: Deployed) -> None:
    customer = priced.customer()
    told = asked_in_all_ways(priced.address, customer.key, model)
    assert [(status, code) for status, code, _ in told] == [(403, "model_not_priced")] * 4
    rows = priced.rows(customer.account_id)
    assert [(row["finish_reason"], row["cost_micro_usd"]) for row in rows] == [("model_not_priced", None)] * 4


def test_another_spelling_of_the_model_buys_nothing_dearer(priced: Deployed) -> None:
    customer = priced.customer()
    with pytest.raises(openai.BadRequestError, match="were not judged"):
        customer.ask(extra_body={"models": ["model-large"]})


def test_no_surface_goes_past_a_limit(priced: Deployed) -> None:
    key = priced.keys[201]
    client = openai.OpenAI(base_url=f"{priced.address}/v1", api_key=key, max_retries=0, timeout=60)
    first = client.embeddings.with_raw_response.create(model="model-small", input="tin", encoding_format="float")
    assert first.headers["x-ratelimit-limit-requests"] == "1"
    assert first.headers["x-ratelimit-remaining-requests"] == "0"
    told = asked_in_all_ways(priced.address, key, "model-small")
    assert [(status, code) for status, code, _ in told] == [(429, "requests_limited")] * 4
    assert all(1 <= int(headers["retry-after"]) <= 60 for _, _, headers in told)
    assert priced.rows("acct-201")[-1]["status"] == 429


def test_what_no_model_answers_counts_as_a_request_and_needs_no_money(upstream: str, tmp_path: Path) -> None:
    folder = made(tmp_path)
    database = open_database(folder / "data" / "control.sqlite")
    for subject, measure, amount in (
        ("acct-201", "usd/day", 0), ("acct-201", "tokens/minute", 0), ("acct-202", "requests/minute", 4)
    ):  # fmt: skip
        limit = Limit(scope="account", subject=subject, measure=measure, amount=amount)  # type: ignore[arg-type]
        LimitStore(database).put(limit, author="ann", now_us=now_us())
    database.dispose()
    with deployed(folder, upstream, upstream_dialect="anthropic") as started:
        ways: list[Callable[[anthropic.Anthropic], Any]] = [
            lambda client: client.messages.count_tokens(
                model="model-small", messages=[{"role": "user", "content": "x"}]
            ),
            lambda client: client.models.list(),
            lambda client: client.models.retrieve("model-small"),
        ]
        for number in (201, 202):
            client = anthropic.Anthropic(base_url=started.address, api_key=started.keys[number], max_retries=0)
            allowed = 1 if number == 201 else 4
            for at in range(allowed):
                ways[at % 3](client)
            for way in ways:
                with pytest.raises(anthropic.RateLimitError, match="requests"):
                    way(client)


def test_a_budget_holds_across_two_gateways_and_spend_is_the_sum_of_exchanges(
    priced: Deployed, upstream: str, tmp_path: Path
) -> None:
    key, passed = priced.keys[200], 0
    refusals: list[str | None] = []
    with serving(gateway(priced.data, upstream), tmp_path / "second.out") as second:
        clients = [
            openai.OpenAI(base_url=f"{address}/v1", api_key=key, max_retries=0, timeout=60)
            for address in (priced.address, second.address)
        ]
        for number in range(100):
            try:
                clients[number % 2].chat.completions.create(
                    model="model-small", messages=[{"role": "user", "content": f"What is tin? {number}"}], max_tokens=40
                )
            except openai.RateLimitError as error:
                refusals.append(error.code)
            else:
                passed += 1
            if len(refusals) > 5:
                break
        rows = [row for row in priced.rows("acct-200") if row["status"] == 200]
        cost = sum(row["cost_micro_usd"] for row in rows)
    assert {"budget_reserved", "budget_exhausted"} >= set(refusals)
    assert len(refusals) > 5
    assert len(rows) == passed > 5
    assert BUDGET / 3 < cost <= BUDGET, ([row["cost_micro_usd"] for row in rows], refusals)
    done = subprocess.run(
        [sys.executable, "-m", "tiergate", "spend", str(priced.data), "--by", "account", "--json"],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    spent = {row["account"]: row["cost_micro_usd"] for row in json.loads(done.stdout)}
    assert {name: sum(row["cost_micro_usd"] or 0 for row in priced.rows(name)) for name in spent} == spent
    assert spent["acct-200"] == cost
