"""Parts of the gateway on their own: event streams in any pieces, budgets, the snapshot."""

from __future__ import annotations

import asyncio
import itertools
import json
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tiergate.admission.decision import Decision
from tiergate.gateway.chat import decode_request
from tiergate.gateway.limits import CaseBudgets
from tiergate.gateway.replies import refuse
from tiergate.gateway.snapshot import load
from tiergate.gateway.sse import LONGEST_EVENT, AnswerReader
from tiergate.ledger.verdicts import Action, Verdict, VerdictStore
from tiergate.parties.database import open_database
from tiergate.parties.registry import Registry

EVENTS = [
    {"model": "m-1", "choices": [{"index": 0, "delta": {"role": "assistant", "content": "über"}}]},
    {"choices": [{"index": 0, "delta": {"content": " tin"}, "finish_reason": None}]},
    {"choices": [{"index": 0, "delta": {}, "finish_reason": "length"}]},
    {"choices": [], "usage": {"prompt_tokens": 7, "completion_tokens": 2}},
]
STREAM = ": hello\r\n\r\n" + "".join(f"data: {json.dumps(e, ensure_ascii=False)}\r\n\r\n" for e in EVENTS)
STREAM_BYTES = (STREAM + "data: \x00 no JSON\n\ndata: [DONE]\n\n").encode()


@given(st.lists(st.integers(0, len(STREAM_BYTES)), max_size=40))
def test_a_stream_says_the_same_in_any_pieces(cuts: list[int]) -> None:
    reader = AnswerReader(keep_text=True)
    for start, end in itertools.pairwise([0, *sorted(cuts), len(STREAM_BYTES)]):
        reader.feed(STREAM_BYTES[start:end])
    assert (reader.model, reader.finish_reason, reader.text, reader.done) == ("m-1", "length", "über tin", True)
    assert reader.usage is not None
    assert (reader.usage.prompt_tokens, reader.usage.completion_tokens) == (7, 2)
    assert reader.pieces == 2


@given(st.binary(max_size=300))
def test_no_bytes_break_the_reader(noise: bytes) -> None:
    reader = AnswerReader(keep_text=True)
    reader.feed(b"data: " + noise + b"\n")
    reader.feed(b"\n" + STREAM_BYTES)
    assert reader.finish_reason == "length"


def test_an_endless_line_is_not_kept() -> None:
    reader = AnswerReader(keep_text=False)
    for _ in range(6):
        reader.feed(b"x" * (1 << 20))
    assert len(reader._rest) <= LONGEST_EVENT
    reader.feed(b"\n" + STREAM_BYTES)
    assert (reader.finish_reason, reader.text) == ("length", None)


def limited(rate: float | None, case: str = "c") -> Verdict:
    return Verdict(
        verdict_id="v", account_id="a", case_id=case, action=Action.LIMIT, reason="r", author="x", decided_at=0,
        requests_per_minute=rate,
    )  # fmt: skip


@given(st.floats(1, 600), st.lists(st.floats(0, 30), min_size=1, max_size=80))
def test_a_budget_is_never_exceeded(rate: float, gaps: list[float]) -> None:
    budgets, now, passed = CaseBudgets(), 0.0, 0
    for gap in gaps:
        now += gap
        passed += budgets.wait_s(limited(rate), now) == 0
    assert passed <= now * rate / 60 + 1e-6


def test_waiting_as_told_is_enough_and_cases_do_not_share() -> None:
    budgets = CaseBudgets()
    wait = budgets.wait_s(limited(6.0), 100.0)
    assert wait == pytest.approx(10.0)
    assert budgets.wait_s(limited(6.0), 100.0 + wait / 2) > 0
    assert budgets.wait_s(limited(6.0, "other"), 100.0 + wait) > 0
    assert budgets.wait_s(limited(6.0), 100.001 + wait) == 0


@pytest.mark.parametrize(("wait_s", "said"), [(0.01, b"1"), (1.2, b"2"), (10.0, b"10")])
def test_the_wait_is_never_told_too_short(wait_s: float, said: bytes) -> None:
    sent: list[dict[str, Any]] = []

    async def send(message: dict[str, Any]) -> None:
        sent.append(message)

    decision = Decision(False, 429, "case_limited", "wait", limited(1.0), wait_s)
    asyncio.run(refuse(send, decision, None))
    assert dict(sent[0]["headers"])[b"retry-after"] == said


@pytest.mark.parametrize("rate", [None, 0.0, -1.0])
def test_no_budget_is_no_pass(rate: float | None) -> None:
    assert CaseBudgets().wait_s(limited(rate), 1e6) > 0


def test_a_snapshot_is_replaced_only_by_a_change(tmp_path: Path) -> None:
    engine = open_database(tmp_path / "control.sqlite")
    registry, store = Registry(engine, b"p" * 32), VerdictStore(engine)
    registry.add_account({"account_id": "a", "created_at": 0})
    first = load(registry, store, 0, None)
    assert load(registry, store, 0, first) is first
    store.put([msgspec.structs.replace(limited(1.0), expires_at=50)])
    second = load(registry, store, 0, first)
    assert second.verdict("a", 49) == second.notices["v"]
    assert second.verdict("a", 50) is None
    key = registry.issue_key("a", "x", 0)
    third = load(registry, store, 0, second)
    assert second.credential(key) is None
    assert third.credential(key) is not None
    assert third.credential(None) is None
    engine.dispose()


def test_what_the_log_wants_of_a_request() -> None:
    parts = [{"type": "text", "text": "one"}, {"type": "image_url", "image_url": {}}, {"type": "text", "text": "two"}]
    request = decode_request(
        msgspec.json.encode(
            {
                "model": "m",
                "messages": [
                    {"role": "developer", "content": "be brief"},
                    {"role": "user", "content": parts},
                    {"role": "assistant", "content": None, "tool_calls": []},
                    {"role": "tool", "content": "42"},
                ],
                "tools": [{"type": "function", "function": {"name": "f"}}, {"type": "custom"}],
            }
        )
    )
    assert (request.system_text(), request.prompt_text(), request.tool_names()) == ("be brief", "one\ntwo", ["f"])
