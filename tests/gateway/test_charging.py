"""What is set aside for a request, and what an answer costs whose use nobody told."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import pytest
from benchmarks.june_world import CLOSED, build

from tiergate.admission.credit_rows import MOST_MICRO_USD
from tiergate.admission.credits import Credits
from tiergate.admission.known_facts import GrantFact, ModelFact, Standing
from tiergate.clock import SystemClock
from tiergate.gateway.charging import OUTPUT_TOKENS, Charge, Till, estimate
from tiergate.gateway.dialects.common import Usage
from tiergate.gateway.dialects.openai_chat import read_request

MODEL = ModelFact(model=CLOSED, tier="classified", input_price=0, output_price=1_000_000)


@pytest.mark.parametrize(
    ("limits", "tokens"),
    [
        ({}, OUTPUT_TOKENS),
        ({"max_tokens": 7}, 7),
        ({"max_tokens": 1, "max_completion_tokens": 50_000}, 50_000),
        ({"max_tokens": 50_000, "max_completion_tokens": 1}, 50_000),
        # Some upstreams take a limit below 1 for none.
        ({"max_tokens": -1}, OUTPUT_TOKENS),
        ({"max_tokens": 0, "max_completion_tokens": 9}, OUTPUT_TOKENS),
        ({"max_tokens": 7, "n": 3}, 21),
        ({"max_tokens": 7, "n": -3}, 7),
        ({"max_tokens": 2**63 - 1, "n": 2**63 - 1}, MOST_MICRO_USD),
    ],
)
def test_as_much_is_set_aside_as_any_upstream_may_take(limits: dict[str, int], tokens: int) -> None:
    asked = read_request(json.dumps({"model": CLOSED, "messages": []} | limits).encode())
    assert estimate(MODEL, asked, 1_000) == tokens


@pytest.mark.parametrize(
    ("usage", "seen", "due"),
    [
        (Usage(input_tokens=5, output_tokens=40), 30, 40),
        (None, 30, 100),
        (None, 20_000, 20_000),
        (Usage(input_tokens=5), 20_000, 20_000),
        (Usage(input_tokens=2**62, output_tokens=2**62), 0, 10**6),
    ],
)
def test_an_answer_costs_what_was_used_and_never_less_than_was_seen_of_it(
    tmp_path: Path, usage: Usage | None, seen: int, due: int
) -> None:
    world = build(tmp_path / "data", {"eligible": 1}, line_micro_usd=10**6)
    lines = Credits(world.engine)
    grant = GrantFact(
        grant_id="g", programme="circle", person_id="p", project="red", models=(CLOSED,), surfaces=("chat",),
        purposes=("test_own",), starts_us=0, ends_us=1, credit_line=world.line_id,
    )  # fmt: skip
    standing = Standing(credential_id="k", credential_bound=True, credential_live=True, person_id="p")

    async def pay() -> None:
        till = Till(lines, SystemClock(), asyncio.get_running_loop())
        try:
            charge = await till.reserve(grant, standing, MODEL, "pur", 100)
            assert isinstance(charge, Charge)
            await charge.settle(usage, seen)
        finally:
            await till.close()

    asyncio.run(pay())
    balance = lines.balance(world.line_id)
    world.engine.dispose()
    assert (balance.spent, balance.reserved) == (due, 0)
