"""What the official clients rely on, held for every surface and every upstream it can be over."""

from __future__ import annotations

import base64
import json
import struct
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from typing import Any

import anthropic
import openai
import pytest
from pydantic import BaseModel

from tests.gateway.conftest import Customer, Deployed, deployed
from tests.gateway.sdk_callers import MODEL, Chat, Messages, Responses, SdkCaller, Tool
from tiergate.ledger.verdicts import Action
from tiergate.settings import Dialect

DOORS: list[tuple[type[SdkCaller], Dialect]] = [
    (Chat, "openai"), (Responses, "openai"), (Messages, "anthropic"), (Messages, "openai"), (Chat, "anthropic"),
]  # fmt: skip
FINISHED = {"chat": ("stop", "tool_calls"), "responses": ("completed",) * 2, "messages": ("end_turn", "tool_use")}
TOOLS = [
    Tool(
        name="look_up",
        parameters={
            "type": "object",
            "properties": {"city": {"type": "string"}, "days": {"type": "array", "items": {"type": "integer"}}},
        },
    ),
    Tool(name="no_arguments", parameters={"type": "object", "properties": {}}),
]
EXPECTED_CALLS = [("look_up", {"city": "tin", "days": [7]}), ("no_arguments", {})]


@dataclass
class Door:
    """A new customer of a gateway who calls one surface of it."""

    gateway: Deployed
    customer: Customer
    caller: SdkCaller
    translated: bool

    def row(self) -> dict[str, Any]:
        (row,) = self.gateway.rows(self.customer.account_id)
        return row


@pytest.fixture(scope="session")
def over_anthropic(upstream: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Deployed]:
    with deployed(tmp_path_factory.mktemp("anthropic"), upstream, upstream_dialect="anthropic") as gateway:
        yield gateway


@pytest.fixture(scope="session")
def slow_over_anthropic(slow_upstream: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Deployed]:
    with deployed(tmp_path_factory.mktemp("slow"), slow_upstream, upstream_dialect="anthropic") as gateway:
        yield gateway


@contextmanager
def _door(gateway: Deployed, kind: type[SdkCaller], dialect: Dialect) -> Iterator[Door]:
    customer = gateway.customer()
    caller = kind(gateway.address, customer.key)
    with caller.client:
        yield Door(gateway, customer, caller, (kind is Messages) != (dialect == "anthropic"))


@pytest.fixture(params=DOORS, ids=lambda door: f"{door[0].operation}-over-{door[1]}")
def door(request: pytest.FixtureRequest, plain: Deployed, over_anthropic: Deployed) -> Iterator[Door]:
    kind, dialect = request.param
    with _door(plain if dialect == "openai" else over_anthropic, kind, dialect) as opened:
        yield opened


@pytest.fixture(params=DOORS, ids=lambda door: f"{door[0].operation}-over-{door[1]}")
def slow_door(request: pytest.FixtureRequest, slow: Deployed, slow_over_anthropic: Deployed) -> Iterator[Door]:
    kind, dialect = request.param
    with _door(slow if dialect == "openai" else slow_over_anthropic, kind, dialect) as opened:
        yield opened


both_ways = pytest.mark.parametrize("stream", [False, True])


@both_ways
def test_an_answer_is_whole_and_so_is_its_record(door: Door, stream: bool) -> None:
    said = door.caller.ask("What is tin?", stream=stream, extra_body={"temperature": 0.5})
    assert len(said.text.split()) == said.tokens[1] > 5
    assert not stream or said.pieces > 5
    row = door.row()
    assert (row["operation"], row["request_model"], row["response_model"]) == (door.caller.operation, MODEL, MODEL)
    assert (row["stream"], row["status"], row["temperature"], row["message_count"]) == (stream, 200, 0.5, 1)
    assert row["finish_reason"] == said.finish == FINISHED[door.caller.operation][0]
    assert row["output_tokens"] == said.tokens[1]
    assert row["cached_input_tokens"] == row["input_tokens"] // 4 > 0
    assert row["sketch_prompt"] is not None


def test_a_streamed_call_is_counted_as_the_same_call_unstreamed(door: Door) -> None:
    """A stream that nobody counted would be priced 0; chat clients need not ask for usage."""
    whole = door.caller.ask("What is tin?")
    request = door.caller.request("What is tin?", [], image=False)
    events = list(door.caller.stream(**request))
    assert whole.tokens[0] > 0
    _, row = door.gateway.rows(door.customer.account_id)
    assert row["output_tokens"] > 5
    # The mock counts the bytes of the request, and a stream's has some more.
    assert whole.tokens[0] <= row["input_tokens"] <= whole.tokens[0] + 20
    if isinstance(door.caller, Chat):
        assert [event for event in events if event.usage is not None or not event.choices] == []


@pytest.mark.parametrize("door", [door for door in DOORS if door[0] is Chat], indirect=True)
def test_who_asks_for_a_streams_usage_gets_it_once(door: Door) -> None:
    request = door.caller.request("What is tin?", [], image=False)
    events = list(door.caller.stream(**request, stream_options={"include_usage": True}))
    (told,) = [event.usage for event in events if event.usage is not None]
    assert events[-1].choices == []
    row = door.row()
    assert (row["input_tokens"], row["output_tokens"]) == (told.prompt_tokens, told.completion_tokens)


@both_ways
def test_parallel_calls_of_tools_and_what_they_answered(door: Door, stream: bool) -> None:
    request = door.caller.request("please use-all-tools", TOOLS, image=False)
    said = door.caller.streamed(**request) if stream else door.caller.whole(**request)
    assert [(name, arguments) for _, name, arguments in said.calls] == EXPECTED_CALLS
    assert len({call_id for call_id, _, _ in said.calls}) == 2
    assert said.finish == FINISHED[door.caller.operation][1]
    row = door.row()
    assert row["tool_names"] == ["look_up", "no_arguments"]
    assert row["finish_reason"] == said.finish
    told = door.caller.with_results(request, said, ["the sun shines", "nothing at all"])
    again = door.caller.streamed(**told) if stream else door.caller.whole(**told)
    assert "tools said the sun shines nothing at all" in again.text
    assert again.calls == []


@both_ways
def test_an_image_reaches_the_model(door: Door, stream: bool) -> None:
    assert "saw 1 images" in door.caller.ask("What is this?", stream=stream, image=True).text


def test_a_structured_answer_by_the_clients_own_helper(door: Door) -> None:
    class Metal(BaseModel):
        name: str
        melts_at: float
        uses: list[str]

    parsed = door.caller.parsed(Metal, **door.caller.request("What is tin?", [], image=False))
    assert parsed == Metal(name="tin", melts_at=1.5, uses=["tin"])


def test_a_long_stream_arrives_whole(door: Door) -> None:
    said = door.caller.ask("say-3000-words", stream=True)
    assert said.pieces == said.tokens[1] == len(said.text.split()) == 3000
    assert door.row()["output_tokens"] == 3000


def test_a_stream_that_is_left_is_recorded_as_left(slow_door: Door) -> None:
    request = slow_door.caller.request("What is tin?", [], image=False)
    stream = slow_door.caller.stream(**request)
    next(iter(stream))
    stream.close()
    row = slow_door.gateway.row_where(
        slow_door.customer.account_id, lambda row: row["finish_reason"] == "client_disconnected"
    )
    assert (row["status"], row["stream"], row["usage_source"]) == (200, True, "estimate")
    assert row["input_tokens"] > 0
    assert row["output_tokens"] < slow_door.caller.whole(**request).tokens[1]


ERRORS = {
    400: "BadRequestError",
    401: "AuthenticationError",
    403: "PermissionDeniedError",
    404: "NotFoundError",
    422: "UnprocessableEntityError",
    429: "RateLimitError",
    500: "InternalServerError",
    529: "InternalServerError",
}


@both_ways
@pytest.mark.parametrize("status", ERRORS)
def test_an_error_of_the_upstreams_raises_the_clients_exception(door: Door, status: int, stream: bool) -> None:
    request = door.caller.request(f"fail-with-{status}", [], image=False)
    with pytest.raises(getattr(door.caller.sdk, ERRORS[status])) as failed:
        door.caller.stream(**request) if stream else door.caller.whole(**request)
    assert failed.value.status_code == status
    assert "as asked" in failed.value.message
    row = door.row()
    assert (row["status"], row["output_tokens"]) == (status, None)


def code_of(error: Any) -> str:
    """Our reason code in an error, where each client looks."""
    if isinstance(error, openai.APIStatusError):
        return str(error.code)
    assert error.body["type"] == "error"
    return str(error.body["error"]["tiergate"]["code"])


def test_a_wrong_key_raises_authentication_error(door: Door) -> None:
    stranger = type(door.caller)(door.gateway.address, "tg_no")
    with stranger.client, pytest.raises(door.caller.sdk.AuthenticationError) as refused:
        stranger.ask("What is tin?")
    assert code_of(refused.value) == "invalid_api_key"


def test_what_cannot_be_read_raises_bad_request_error(door: Door) -> None:
    request = door.caller.request("What is tin?", [], image=False)
    with pytest.raises(door.caller.sdk.BadRequestError) as refused:
        door.caller.whole(**request | {"model": 7})
    assert code_of(refused.value) == "invalid_request"
    assert "$.model" in refused.value.message


def test_a_verdict_is_told_with_its_link(door: Door) -> None:
    (verdict,) = door.gateway.put("case-any", Action.SUSPEND, door.customer)
    with pytest.raises(door.caller.sdk.PermissionDeniedError) as refused:
        door.caller.ask("What is tin?", stream=True)
    assert code_of(refused.value) == "account_suspended"
    body = refused.value.body
    told = body["error"]["tiergate"] if isinstance(door.caller, Messages) else body["tiergate"]
    assert told["link"] == f"{door.gateway.address}/verdicts/{verdict.verdict_id}"
    assert door.row()["operation"] == door.caller.operation


@both_ways
def test_unknown_fields_pass_both_ways_and_none_is_dropped_in_translation(door: Door, stream: bool) -> None:
    request = door.caller.request("What is tin?", [], image=False)
    request["extra_body"] = {"mock_echo": {"deep": [1, None, "ü"]}}
    if door.translated:
        with pytest.raises(door.caller.sdk.BadRequestError, match="unknown field `mock_echo`"):
            door.caller.stream(**request) if stream else door.caller.whole(**request)
        return
    if stream:
        with closing(door.caller.stream(**request)) as opened:
            first = next(iter(opened))
        echoed = first if isinstance(door.caller, Chat) else getattr(first, "message", None) or first.response
    else:
        echoed = door.caller.whole(**request).raw
    assert echoed.mock_echo == {"deep": [1, None, "ü"]}


@pytest.mark.parametrize("upstream_speaks", ["openai", "anthropic"])
def test_models_are_told_in_the_askers_dialect(
    plain: Deployed, over_anthropic: Deployed, upstream_speaks: Dialect
) -> None:
    gateway = plain if upstream_speaks == "openai" else over_anthropic
    key, names = gateway.customer().key, ["model-large", "model-medium", "model-small"]
    with Chat(gateway.address, key).client as chat, Messages(gateway.address, key).client as messages:
        assert [(model.id, model.created, model.object) for model in chat.models.list()] == [
            (name, 1_700_000_000, "model") for name in names
        ]
        listed = messages.models.list(limit=2)
        assert [model.id for model in listed.data] == names[:2]
        assert [model.id for model in listed] == names
        assert {model.created_at.isoformat() for model in listed.data} == {"2023-11-14T22:13:20+00:00"}
        for one in (chat.models.retrieve(names[0]), messages.models.retrieve(names[0])):
            assert one.id == names[0]
        for sdk, client in ((openai, chat), (anthropic, messages)):
            with pytest.raises(sdk.NotFoundError) as missing:
                client.models.retrieve("...")
            assert code_of(missing.value) == "model_not_listed"


@pytest.mark.parametrize("given", ["one", ["one", "two"], [1, 2, 3], [[1, 2], [3]]], ids=str)
@pytest.mark.parametrize("encoding", ["float", "base64"])
def test_embeddings(plain: Deployed, given: Any, encoding: Any) -> None:
    customer = plain.customer()
    answer = customer.client.embeddings.create(
        model=MODEL, input=given, dimensions=4, user="end-1", encoding_format=encoding
    )
    count = len(given) if isinstance(given, list) and not isinstance(given[0], int) else 1
    vectors = [one.embedding for one in answer.data]
    if encoding == "base64":
        vectors = [list(struct.unpack("<4f", base64.b64decode(str(one)))) for one in vectors]
    assert [len(vector) for vector in vectors] == [4] * count
    (row,) = plain.rows(customer.account_id)
    assert (row["operation"], row["end_user_id"], row["message_count"]) == ("embeddings", "end-1", count)
    assert (row["input_tokens"], row["output_tokens"]) == (answer.usage.prompt_tokens, 0)
    assert (row["sketch_prompt"] is not None) == ("one" in json.dumps(given))


def test_a_response_in_the_background_is_refused(plain: Deployed) -> None:
    with pytest.raises(openai.BadRequestError, match="background"):
        plain.customer().client.responses.create(model=MODEL, input="x", background=True)


def test_tokens_are_counted_and_that_is_no_exchange(over_anthropic: Deployed) -> None:
    customer = over_anthropic.customer()
    with Messages(over_anthropic.address, customer.key).client as client:
        counted = client.messages.count_tokens(model=MODEL, messages=[{"role": "user", "content": "What is tin?"}])
    assert counted.input_tokens > 5
    assert over_anthropic.rows(customer.account_id) == []
    with Messages(over_anthropic.address, "tg_no").client as stranger, pytest.raises(anthropic.AuthenticationError):
        stranger.messages.count_tokens(model=MODEL, messages=[])


def test_what_the_upstream_does_not_have_is_not_found(plain: Deployed, over_anthropic: Deployed) -> None:
    with pytest.raises(openai.NotFoundError) as missing:
        over_anthropic.customer().client.embeddings.create(model=MODEL, input="x")
    assert code_of(missing.value) == "not_supported_by_upstream"
    with Messages(plain.address, plain.customer().key).client as client:
        with pytest.raises(anthropic.NotFoundError) as uncounted:
            client.messages.count_tokens(model=MODEL, messages=[])
        assert code_of(uncounted.value) == "not_supported_by_upstream"


def test_paths_that_are_not_there_are_told_in_the_askers_dialect(plain: Deployed) -> None:
    with pytest.raises(openai.NotFoundError) as missing:
        plain.customer().client.files.list()
    assert code_of(missing.value) == "not_found"
    with Messages(plain.address, plain.customer().key).client as client:
        with pytest.raises(anthropic.NotFoundError) as unfound:
            client.messages.batches.list()
        assert code_of(unfound.value) == "not_found"
