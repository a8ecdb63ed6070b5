"""Tokens that nobody counted are estimated, marked, and never fewer than were seen."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tiergate.gateway.dialects.common import Asked
from tiergate.gateway.dialects.openai_chat import read_request
from tiergate.gateway.metered import demand_of, seen_whole
from tiergate.gateway.metering import estimates
from tiergate.gateway.metering.estimates import Estimator
from tiergate.gateway.metering.usage import IMAGE_TOKENS, LIKELY_IMAGE_TOKENS, MOST_TOKENS, Demand, Seen

maybe = st.none() | st.integers(-(2**63), 2**63 - 1)
sizes = st.integers(0, 10**7)
DEMAND = Demand(input_bytes=4_000)


@given(maybe, maybe, maybe, sizes, sizes, sizes, st.booleans(), sizes)
def test_a_usage_is_possible_whatever_an_upstream_says(
    asked: int | None, said: int | None, cached: int | None, size: int, chars: int, events: int, complete: bool,
    body: int,
) -> None:  # fmt: skip
    seen = Seen(
        input_tokens=asked,
        output_tokens=said,
        cached_input_tokens=cached,
        reasoning_tokens=cached,
        text_bytes=size,
        text_chars=min(chars, size),
        events=events,
        complete=complete,
    )
    estimator = Estimator()
    for _ in range(2):
        usage = estimator.usage("m", Demand(input_bytes=body), seen)
        assert 0 <= usage.input_tokens <= MOST_TOKENS
        assert usage.cached_input_tokens >= 0
        counted = {name: 0 <= (number or -1) <= MOST_TOKENS for name, number in (("in", asked), ("out", said))}
        counted = {"in": asked == 0 or counted["in"], "out": said == 0 or counted["out"]}
        assert usage.estimated == (not (complete and counted["in"] and counted["out"]))
        if counted["in"]:
            assert usage.input_tokens == asked
        if usage.estimated:
            assert usage.output_tokens >= max(events, said or 0 if counted["out"] else 0)
        else:
            assert usage.output_tokens == said


def test_a_cut_stream_counts_for_what_was_streamed_and_for_what_it_asked() -> None:
    usage = Estimator().usage("m", DEMAND, Seen(text_bytes=400, text_chars=400, events=90, complete=False))
    assert (usage.input_tokens, usage.output_tokens, usage.estimated) == (1_001, 101, True)
    many = Estimator().usage("m", DEMAND, Seen(text_bytes=400, text_chars=400, events=150, complete=False))
    assert many.output_tokens == 150
    counted = Seen(input_tokens=900, output_tokens=120, text_bytes=400, text_chars=400, complete=False)
    assert (usage := Estimator().usage("m", DEMAND, counted)).output_tokens == 120
    assert (usage.input_tokens, usage.estimated) == (900, True)


def test_the_ratio_of_a_model_is_learnt_from_what_its_upstream_counted() -> None:
    estimator = Estimator()
    for _ in range(200):
        estimator.usage("m", DEMAND, Seen(input_tokens=500, output_tokens=200, text_bytes=900, text_chars=900))
    cut = Seen(text_bytes=90_000, text_chars=90_000, complete=False)
    usage = estimator.usage("m", Demand(input_bytes=8_000), cut)
    assert abs(usage.input_tokens - 1_000) <= 10
    assert abs(usage.output_tokens - 20_000) <= 400
    assert estimator.usage("another", DEMAND, cut).output_tokens == 22_501, "each model has a ratio of its own"


def test_text_of_few_tokens_makes_no_cut_stream_next_to_free() -> None:
    estimator, demand = Estimator(), Demand(input_bytes=4_000_000)
    for _ in range(10):
        blanks = Seen(input_tokens=50_000, output_tokens=50_000, text_bytes=4_000_000)
        estimator.usage("m", demand, blanks)
    usage = estimator.usage("m", demand, Seen(text_bytes=4_000_000, complete=False))
    assert min(usage.input_tokens, usage.output_tokens) >= 500_000


def test_images_count_by_number_and_not_as_text() -> None:
    image = {"type": "image_url", "image_url": {"url": "data:image/png;base64," + "A" * 100_000}}
    body = json.dumps({"model": "m", "messages": [{"role": "user", "content": [image, image]}]}).encode()
    demand = demand_of(read_request(body), body)
    assert (demand.images, demand.input_bytes < 300) == (2, True)
    estimated = Estimator().asked("m", demand)
    assert 2 * LIKELY_IMAGE_TOKENS < estimated < 2 * LIKELY_IMAGE_TOKENS + 200
    assert demand.most_input == len(body)
    by_address = body.replace(b"A" * 100_000, b"")
    assert demand_of(read_request(by_address), by_address).most_input >= 2 * IMAGE_TOKENS


@pytest.mark.parametrize(
    ("body", "size"),
    [
        (b'{"choices":[{"message":{"content":"tin","tool_calls":[]},"finish_reason":"stop"}]}', 3),
        (b'{"choices":[{"message":{"content":"tin"},"finish_reason":"tool_calls"}]}', None),
        (b'{"content":[{"type":"text","text":"tin"},{"type":"tool_use", "input":{}}]}', None),
        (b'{"output":[{"type":"function_call"}]}', None),
    ],
)
def test_a_whole_answer_that_calls_tools_counts_by_its_body(body: bytes, size: int | None) -> None:
    seen = seen_whole(Asked(model="m"), None, "tin", body)
    assert seen.text_bytes == (len(body) if size is None else size)


def test_what_is_known_of_models_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(estimates, "MOST_MODELS", 5)
    estimator = Estimator()
    for number in range(50):
        estimator.foresee(f"made up {number}", DEMAND)
    assert len(estimator._models) <= 5


def test_scripts_are_told_apart_and_a_model_s_answers_foreseen() -> None:
    estimator = Estimator()
    chinese = Seen(text_bytes=3_000, text_chars=1_000, complete=False)
    assert estimator.usage("m", DEMAND, chinese).output_tokens == 1_201
    assert estimator.foresee("m", DEMAND) == 1_001 + 501
    assert estimator.foresee("m", Demand(input_bytes=4_000, max_output_tokens=7, choices=3)) == 1_001 + 3 * 7
    for _ in range(300):
        estimator.usage("m", DEMAND, Seen(input_tokens=1_000, output_tokens=20))
    assert estimator.foresee("m", DEMAND) < 1_000 + 60
