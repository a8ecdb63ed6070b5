"""New accounts that show what a stopped case showed are named, and those who share one thing with it are not."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from tests.detection.conftest import START, SUBJECTS, Platform, log_batches
from tiergate.clock import DAY, HOUR
from tiergate.detection.evidence import gather
from tiergate.detection.heirs import heir_table
from tiergate.detection.holdings import Holdings
from tiergate.detection.intake import take_in

TEMPLATE = "Grade the answer below on a scale of ten, name every mistake in it, and write a better answer. "
TOOL = "You are the helper of the public garden planner, be short and friendly and end with a list of plants. "
OPENED = START + 10 * DAY


def two_pools(seed: int, heirs: int = 20) -> Platform:
    """A campaign that was stopped; its heirs, who show its instruction and an address or a card of its; and newcomers
    who share one thing with it: the instruction, an office's address, a public tool, or nothing."""
    platform = Platform(seed)
    platform.people("people", 150)
    office = platform.address()
    platform.people("office", 20, client_address=office)
    platform.people("tool", 25, system=TOOL)
    addresses, cards = [platform.address() for _ in range(4)], [f"card-{n}" for n in range(4)]

    def account(population: str, text: str, address: str, begin: int, **columns: Any) -> None:
        name = platform.account(population, **columns)
        for _ in range(3):
            told = text + platform.words(str(platform.rng.choice(SUBJECTS)), 9) + f" {platform.rng.integers(1 << 40):x}"
            at = begin + int(platform.rng.integers(HOUR))
            platform.exchange(name, at, told, client_address=address)

    for number in range(30):
        begin = int(platform.rng.integers(1, 9)) * DAY
        account("campaign", TEMPLATE, addresses[number % 4], begin, payment_hash=cards[number % 4])
    later = OPENED - START + HOUR
    for number in range(heirs):
        if number % 2:
            account("heir", TEMPLATE, addresses[number % 4], later)
        else:
            account("heir", TEMPLATE, platform.address(), later, payment_hash=cards[number % 4])
    for _ in range(20):
        account("passed_on", TEMPLATE, platform.address(), later)
        account("new_in_office", "", office, later)
        account("new_with_tool", TOOL, platform.address(), later)
        account("new", "", platform.address(), later)
    return platform


def named(platform: Platform, opened_us: int = OPENED) -> pa.Table:
    traffic = take_in(log_batches(platform.exchange_table()), bytes(32))
    holdings = Holdings.of(gather(traffic, platform.account_table()), len(traffic.account_ids))
    members = [n for n, name in enumerate(traffic.account_ids) if platform.population[name] == "campaign"]
    case: Any = SimpleNamespace(case_id="case", accounts=np.array(members))
    return heir_table([case], {"case": opened_us}, holdings, traffic)


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_heirs_are_named_and_who_shares_one_thing_is_not(seed: int) -> None:
    platform = two_pools(seed)
    populations = [platform.population[name] for name in named(platform)["account_id"].to_pylist()]
    assert populations.count("heir") >= 18
    assert set(populations) == {"heir"}


def test_without_heirs_nobody_is_named() -> None:
    for seed in (4, 5):
        assert named(two_pools(seed, heirs=0)).num_rows == 0


def test_it_says_what_it_rests_on_and_who_was_there_before_is_no_heir() -> None:
    platform = two_pools(6)
    row = named(platform).to_pylist()[0]
    assert "template" in row["families"]
    assert len(row["families"]) == 2
    assert "of the case's accounts hold and 0.00% of older ones" in row["explanation"]
    assert row["q_value"] <= 0.05 < 4.6 <= row["log_odds"]
    assert named(platform, OPENED + DAY).num_rows == 0
    assert named(platform, START - 1).num_rows == 0  # nobody is older, so nothing says what chance reaches
