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
from tiergate.gateway.charging import INPUT_PRICE, Charge, Till, estimate, tariff_of
from tiergate.gateway.dialects.common import Usage
from tiergate.gateway.dialects.openai_chat import read_request
from tiergate.gateway.metered import demand_of
from tiergate.gateway.metering.prices import PriceTable
from tiergate.gateway.metering.usage import OUTPUT_TOKENS
from tiergate.gateway.routing.prices import Price

MODEL = ModelFact(model=CLOSED, tier="classified", input_price=0, output_price=1_000_000)
TARIFF = tariff_of(PriceTable({}), MODEL, 0)


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
    assert estimate(TARIFF, demand_of(asked, b" " * 1_000)) == tokens


@pytest.mark.parametrize(
    ("cost", "usage", "seen", "due"),
    [
        (None, Usage(input_tokens=5, output_tokens=40), 30, 40),
        (None, None, 30, 100),
        (None, None, 20_000, 20_000),
        (None, Usage(input_tokens=5), 20_000, 20_000),
        (None, Usage(input_tokens=2**62, output_tokens=2**62), 0, 10**6),
        (33, Usage(input_tokens=5, output_tokens=40), 50, 33),
        (0, None, 20_000, 0),
    ],
)
def test_an_answer_costs_what_its_exchange_does_or_what_was_used_and_never_less_than_was_seen_of_it(
    tmp_path: Path, cost: int | None, usage: Usage | None, seen: int, due: int
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
            charge = await till.reserve(grant, standing, TARIFF, "pur", 100)
            assert isinstance(charge, Charge)
            await charge.settle(cost, usage, seen)
        finally:
            await till.close()

    asyncio.run(pay())
    balance = lines.balance(world.line_id)
    world.engine.dispose()
    assert (balance.spent, balance.reserved) == (due, 0)


def test_credit_and_exchanges_have_the_same_prices() -> None:
    prices = PriceTable({CLOSED: [Price(from_us=0, input=1, output=2), Price(from_us=50, input=3, output=4)]})
    assert [(one.input, one.output) for one in (tariff_of(prices, MODEL, at) for at in (49, 50))] == [(1, 2), (3, 4)]
    half = ModelFact(model=CLOSED, tier="classified", output_price=7)
    assert (tariff_of(PriceTable({}), half, 0).input, tariff_of(PriceTable({}), half, 0).output) == (INPUT_PRICE, 7)
