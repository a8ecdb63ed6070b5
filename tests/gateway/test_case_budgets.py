"""One budget for a whole case, whichever gateway its accounts ask."""

from __future__ import annotations

import asyncio
import itertools
import time
from collections.abc import Iterator
from pathlib import Path

import msgspec
import openai
import pytest
import sqlalchemy as sa
from benchmarks.gateway_crash import gateway, serving
from hypothesis import given
from hypothesis import strategies as st

from tests.gateway.conftest import Customer, Deployed
from tests.gateway.test_units import limited
from tiergate.admission.decision import admit
from tiergate.clock import SECOND
from tiergate.database import open_database
from tiergate.gateway.limits import METADATA, SharedBudgets, has_budget
from tiergate.ledger.verdicts import Action
from tiergate.parties.registry import Credential

NUMBERS = itertools.count()


class Hands:
    """A clock that stands where it is put."""

    def __init__(self) -> None:
        self.us = 1_000 * SECOND

    def now_us(self) -> int:
        return self.us


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[sa.Engine]:
    engine = open_database(tmp_path_factory.mktemp("budgets") / "control.sqlite")
    yield engine
    engine.dispose()


@given(st.floats(1, 600), st.lists(st.tuples(st.booleans(), st.floats(0, 30)), min_size=1, max_size=25))
def test_two_workers_together_pass_no_more_than_one(
    engine: sa.Engine, rate: float, asked: list[tuple[bool, float]]
) -> None:
    clock, passed = Hands(), 0
    workers = SharedBudgets(engine, clock), SharedBudgets(engine, clock)
    began, verdict = clock.us, limited(rate, f"case-{next(NUMBERS)}")

    async def ask(second: bool) -> float | None:
        return await workers[second].wait_s(verdict)

    for second, gap_s in asked:
        clock.us += round(gap_s * SECOND)
        wait_s = asyncio.run(ask(second))
        assert wait_s is not None
        passed += wait_s == 0
        if wait_s > 0:
            assert wait_s <= 60 / rate + 10 + 1e-3
    assert passed <= (clock.us - began) / SECOND * rate / 60 + 1e-3


def test_who_waits_as_told_is_let_through_and_a_flood_asks_the_database_once(engine: sa.Engine) -> None:
    clock, statements = Hands(), list[str]()
    budgets, verdict = SharedBudgets(engine, clock), limited(6.0, "case-flood")

    async def flood() -> list[float | None]:
        return await asyncio.gather(*(budgets.wait_s(verdict) for _ in range(50)))

    async def floods() -> None:
        assert set(await flood()) == {10.0}
        clock.us += 10 * SECOND
        # One is let through, the next learns that there is no more, and nobody asks after that.
        assert sorted(wait_s for wait_s in await flood() if wait_s is not None) == [0.0, *[10.0] * 49]

    listening = engine, "before_cursor_execute", lambda *said: statements.append(said[2])
    sa.event.listen(*listening)
    asyncio.run(floods())
    sa.event.remove(*listening)
    assert len(statements) == 6


def test_without_the_database_nobody_passes(tmp_path: Path) -> None:
    engine, clock = open_database(tmp_path / "control.sqlite"), Hands()
    budgets, verdict = SharedBudgets(engine, clock), limited(6.0)
    METADATA.drop_all(engine)
    assert asyncio.run(budgets.wait_s(verdict)) is None
    assert asyncio.run(budgets.wait_s(verdict)) == 1.0
    METADATA.create_all(engine)
    clock.us += SECOND
    assert asyncio.run(budgets.wait_s(verdict)) == 10.0
    engine.dispose()


def test_a_summary_without_a_budget_spends_none() -> None:
    verdict = msgspec.structs.replace(limited(None), action=Action.SUMMARISE)
    credential = Credential(
        credential_id="k", account_id="a", organization_id=None, account_status="active", label="", issued_at=0,
        revoked_at=None,
    )  # fmt: skip
    assert not has_budget(verdict)
    assert admit(credential, verdict).verdict is verdict
    assert not admit(credential, msgspec.structs.replace(verdict, requests_per_minute=6.0)).allowed
    assert has_budget(limited(None))
    assert not admit(credential, limited(None)).allowed


def test_two_gateways_together_let_no_more_through_than_one_would(
    plain: Deployed, upstream: str, tmp_path: Path
) -> None:
    here, there = plain.customer(), plain.customer()
    with serving(gateway(plain.data, upstream), tmp_path / "second.out") as second:
        client = openai.OpenAI(base_url=f"{second.address}/v1", api_key=there.key, max_retries=0, timeout=20)
        there = Customer(there.account_id, there.key, client)
        began = time.monotonic()
        plain.put("case-two-gateways", Action.LIMIT, here, there, requests_per_minute=60.0)
        passed = dict.fromkeys((here.account_id, there.account_id), 0)
        with client:
            while sum(passed.values()) < 4:
                for one in (here, there):
                    try:
                        one.ask()
                        passed[one.account_id] += 1
                    except openai.RateLimitError as error:
                        assert error.code == "case_limited"  # noqa: PT017
                time.sleep(0.02)
        # A budget for each gateway would pass four in about half the time.
        assert sum(passed.values()) <= time.monotonic() - began + 1
