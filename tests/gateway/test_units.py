"""Parts of the gateway on their own: budgets, the snapshot."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tiergate.admission.decision import Decision
from tiergate.database import Commits, open_database
from tiergate.gateway.bodies import SMALL, Bodies, BodyRefusedError, Room
from tiergate.gateway.limits import CaseBudgets
from tiergate.gateway.notices import notice
from tiergate.gateway.replies import refuse
from tiergate.gateway.snapshot import Bare, Counting, load
from tiergate.ledger.verdicts import Action, Verdict, VerdictStore
from tiergate.parties.registry import Registry


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
    asyncio.run(refuse(send, "openai", decision, None))
    assert dict(sent[0]["headers"])[b"retry-after"] == said


@pytest.mark.parametrize("rate", [None, 0.0, -1.0])
def test_no_budget_is_no_pass(rate: float | None) -> None:
    assert CaseBudgets().wait_s(limited(rate), 1e6) > 0


def test_the_database_is_asked_again_only_after_somebody_committed_to_it(tmp_path: Path) -> None:
    file, asked = tmp_path / "control.sqlite", 0

    class Asked(VerdictStore):
        def version(self) -> int:
            nonlocal asked
            asked += 1
            return super().version()

    engine, other = open_database(file), open_database(file)
    registry, commits = Registry(engine, b"p" * 32), Commits(file)
    counting = Counting(registry, Asked(engine), tmp_path, Bare(), commits)
    first = counting.read(0)
    assert counting.read(1) == first
    assert asked == 1
    Registry(other, b"p" * 32).add_account({"account_id": "a", "created_at": 0})
    second = counting.read(2)
    registry.add_account({"account_id": "b", "created_at": 0})
    assert len({first, second, counting.read(3)}) == 3
    assert counting.read(4) == counting.read(5)
    assert asked == 3
    commits.close()
    for one in (engine, other):
        one.dispose()


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


@pytest.mark.parametrize(
    ("charged", "observed", "said"),
    [
        (1200, 1500, "1,200 exchanges of the account of the 1,500 that were observed."),
        (3, None, "3 exchanges of the account."),
    ],
)
def test_a_notice_says_what_is_charged_and_how_to_contest_it(charged: int, observed: int | None, said: str) -> None:
    rests_on = ["case_1: q 0.010, membership 0.900", "look 1, sha256 1e54"]
    verdict = msgspec.structs.replace(limited(6.0), charged=charged, observed=observed, evidence=rests_on)
    told = msgspec.json.decode(notice(verdict, "help@example.com", as_html=False)[0])
    assert (told["code"], told["what_is_charged"], told["verdict"]) == ("case_limited", said, "v")
    assert told["rests_on"] == "look 1, sha256 1e54"
    assert "help@example.com" in told["how_to_appeal"]
    assert "/v1/appeals" in told["how_to_appeal"]


def test_large_bodies_are_held_within_a_limit_and_small_ones_always() -> None:
    bodies = Bodies(each=3 * SMALL, together=SMALL)

    def read(room: Room, size: int) -> bytes:
        async def receive() -> dict[str, Any]:
            return {"type": "http.request", "body": b"x" * size, "more_body": False}

        return asyncio.run(room.read(receive, {}))

    first, second = Room(bodies), Room(bodies)
    assert len(read(first, 2 * SMALL)) == 2 * SMALL
    with pytest.raises(BodyRefusedError, match="large requests") as refused:
        read(second, SMALL + 1)
    assert (refused.value.status, refused.value.code) == (503, "overloaded")
    second.leave()
    assert len(read(second, SMALL)) == SMALL
    first.leave()
    assert len(read(second, SMALL + 1)) == SMALL + 1
    second.leave()
    assert bodies.held == 0
