"""A real LiteLLM proxy with our hook before a model: asks before a call, reports after it, closed in doubt."""

from __future__ import annotations

import json
import secrets
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import anthropic
import openai
import pytest
from benchmarks.june_world import CLOSED, COMMODITY, Person, World

from tests.gateway.conftest import GIVE_UP_S
from tests.gateway.external.conftest import (
    ROOT,
    TOKEN,
    Authorizing,
    Model,
    ask,
    authorizing,
    free_port,
    installed,
    process,
    suspend,
)  # fmt: skip


@contextmanager
def litellm(folder: Path, authorizer: str, model: Model) -> Iterator[str]:
    """LiteLLM's proxy as the example has it, with another model's address; gives its own."""
    config = (ROOT / "examples" / "litellm" / "config.yaml").read_text()
    (folder / "config.yaml").write_text(config.replace("model.example.com:8000", f"127.0.0.1:{model.port}"))
    port = free_port()
    command = [str(installed("litellm") / "litellm"), "--config", str(folder / "config.yaml"), "--port", str(port)]
    command += ["--host", "127.0.0.1", "--num_workers", "1", "--telemetry", "False"]
    environment = {
        "PYTHONPATH": str(ROOT / "integrations" / "litellm"),
        "TIERGATE_AUTHORIZER": authorizer,
        "TIERGATE_REPORT_TOKEN": TOKEN,
        "UPSTREAM_KEY": "sk-upstream",
        "LITELLM_MASTER_KEY": secrets.token_urlsafe(40),
        "LITELLM_LOG": "ERROR",
        "LITELLM_LOCAL_MODEL_COST_MAP": "True",
    }
    with process(command, folder / "litellm.out", f"127.0.0.1:{port}", environment):
        yield f"http://127.0.0.1:{port}"


def openai_refusal(client: openai.OpenAI, **asked: Any) -> tuple[int, str | None]:
    with pytest.raises(openai.APIStatusError) as refused:
        client.chat.completions.create(**asked)
    return refused.value.status_code, refused.value.code


def anthropic_refusal(client: anthropic.Anthropic, **asked: Any) -> tuple[int, str, str]:
    with pytest.raises(anthropic.APIStatusError) as refused:
        client.messages.create(**asked)
    error = refused.value.body["error"]  # type: ignore[index]
    return refused.value.status_code, error["type"], error["tiergate"]["code"]


@pytest.mark.timeout(900)
def test_callers_of_litellm_are_admitted_by_tiergate(world: World, model: Model, tmp_path: Path) -> None:
    """One test, as LiteLLM takes half a minute to start."""
    person, asked = world.of("commodity")[6], {"messages": [{"role": "user", "content": "What is tin?"}]}
    asked |= {"model": COMMODITY, "max_tokens": 100}
    before = len(model.reached)
    with (
        authorizing(tmp_path, world) as started,
        litellm(tmp_path, started.server.address, model) as address,
        openai.OpenAI(base_url=f"{address}/v1", api_key=person.key, max_retries=0) as client,
        openai.OpenAI(base_url=f"{address}/v1", api_key="tg_unknown", max_retries=0) as stranger,
        anthropic.Anthropic(base_url=address, api_key=person.key, max_retries=0) as claude,
    ):
        said = client.chat.completions.create(**asked)
        assert said.choices[0].message.content == "tin"
        pieces = list(client.chat.completions.create(**asked, stream=True))
        assert "".join(piece.choices[0].delta.content or "" for piece in pieces if piece.choices) == "tin"
        assert claude.messages.create(**asked).content[0].text == "tin"
        rows = waited_for(started, person, 3)
        assert [one["operation"] for one in rows] == ["chat", "chat", "messages"]
        for one in rows:
            counts = one["input_tokens"], one["output_tokens"], one["usage_source"], one["status"]
            assert counts == (11, 3, "upstream", 200)
            assert (one["cost_micro_usd"], one["prompt_text"], one["client_address"]) == (3, None, "127.0.0.1")
            assert one["sketch_words"]
        assert (rows[2]["cached_input_tokens"], rows[2]["reasoning_tokens"]) == (4, 2)
        passed = len(model.reached)
        assert passed == before + 3
        assert all(person.key not in json.dumps(one) for one in model.reached[before:])

        assert openai_refusal(client, **asked | {"model": CLOSED}) == (403, "credential_not_bound")
        assert openai_refusal(client, **asked | {"model": "gpt"}) == (404, "model_not_listed")
        fallbacks = asked | {"extra_body": {"fallbacks": [CLOSED]}}
        assert openai_refusal(client, **fallbacks) == (400, "invalid_request")
        assert openai_refusal(stranger, **asked) == (401, "invalid_api_key")
        refused = anthropic_refusal(claude, **asked | {"model": CLOSED})
        assert refused == (403, "permission_error", "credential_not_bound")
        key = {"authorization": f"Bearer {person.key}"}
        for path in (
            "/key/generate",
            "/v1/images/generations",
            "/v1/messages/count_tokens",
            "/openai/deployments/x/chat/completions",
        ):
            status, _, told = ask(address, path, asked, key)
            assert (status, json.loads(told)["error"]["code"]) == (404, "not_found"), path
        assert len(model.reached) == passed

        broken = [{"role": "user", "content": "break"}]
        with pytest.raises(openai.InternalServerError):
            client.chat.completions.create(**asked | {"messages": broken})
        failed = started.row_where(person.account_id, lambda row: row["finish_reason"] == "upstream_error")
        assert (failed["status"], failed["cost_micro_usd"]) == (500, None)

        suspend(world, person)
        give_up = time.monotonic() + GIVE_UP_S
        while (refused := openai_refusal(client, **asked | {"model": CLOSED})) != (403, "account_suspended"):
            assert time.monotonic() < give_up, refused
        started.server.stop()
        assert openai_refusal(client, **asked) == (503, "authorizer_unavailable")
    kept = (tmp_path / "litellm.out").read_text()
    assert person.key not in kept


def waited_for(started: Authorizing, person: Person, count: int) -> list[dict[str, Any]]:
    """The person's rows, once there are so many: a report comes after the answer."""
    give_up = time.monotonic() + GIVE_UP_S
    while len(rows := started.rows(person.account_id)) < count:
        assert time.monotonic() < give_up, rows
        time.sleep(0.05)
    return rows
