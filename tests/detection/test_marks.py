"""Marks tell a campaign's exchanges from those of the customers behind the same accounts, also those to come."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from tests.detection.conftest import SUBJECTS, Platform, log_batches
from tests.detection.test_queues import INSTRUCTION, resellers, talk
from tiergate.clock import DAY
from tiergate.detection.intake import Traffic, take_in
from tiergate.detection.marks import mark_table
from tiergate.ledger.marks import marks_of
from tiergate.ledger.row_sketches import RowSketcher
from tiergate.ledger.sketches import Sketcher

KEY = bytes(32)


def read(platform: Platform) -> tuple[Traffic, list[str]]:
    """The log, and the message of each of its exchanges."""
    traffic = take_in(log_batches(platform.exchange_table()), KEY)
    said = {row["exchange_id"]: row["prompt_text"] for row in platform.exchanges}
    return traffic, [said[name] for name in traffic.exchange_ids.take(np.arange(traffic.rows)).to_pylist()]


def marks(platform: Platform, charged: Any) -> set[str]:
    """Marks of a case to which the messages are charged that ``charged`` holds of."""
    traffic, texts = read(platform)
    rows = np.array([number for number, text in enumerate(texts) if charged(text)])
    case: Any = SimpleNamespace(case_id="case", rows=rows, accounts=np.unique(traffic.account[rows]))
    table = mark_table([case], traffic)
    assert set(table["case_id"].to_pylist()) <= {"case"}
    # Together they tell what any of them tells, and nothing twice.
    assert sum(table["told_share"].to_pylist()) <= 1
    assert not len(table) or max(table["charged_share"].to_pylist()) <= sum(table["told_share"].to_pylist()) + 1e-9
    return set(table["mark"].to_pylist())


def share_told(found: set[str], texts: list[str]) -> float:
    told = RowSketcher(Sketcher(KEY)).sketch([(None, text) for text in texts])
    return float(np.mean([not marks_of(one).isdisjoint(found) for one in told]))


@pytest.mark.parametrize("seed", [1, 2])
def test_what_is_asked_later_is_told_too_and_customers_are_left_alone(seed: int) -> None:
    platform = resellers(seed)
    found = marks(platform, lambda text: text.startswith(INSTRUCTION))
    own = [INSTRUCTION + talk(platform, SUBJECTS[number % 6]) for number in range(200)]
    others = [talk(platform, SUBJECTS[number % 6]) for number in range(1_000)]
    assert share_told(found, own) >= 0.99
    assert share_told(found, others) <= 0.005


def test_what_one_account_sends_alone_is_its_customers() -> None:
    platform = resellers(3)
    one = next(name for name, population in platform.population.items() if population == "reseller")
    invoice = "Read the invoice below, list each line with its amount, and say which cost centre should carry it. "
    for _ in range(60):
        platform.exchange(one, int(platform.rng.integers(14 * DAY)), invoice + talk(platform, SUBJECTS[0]))
    found = marks(platform, lambda text: text.startswith((INSTRUCTION, invoice)))
    assert share_told(found, [invoice + talk(platform, SUBJECTS[0]) for _ in range(50)]) == 0
    assert share_told(found, [INSTRUCTION + talk(platform, SUBJECTS[0])]) == 1


def test_what_nothing_tells_apart_has_no_marks() -> None:
    platform = resellers(4)
    assert marks(platform, lambda text: ord(text[-1]) % 2 == 0 and not text.startswith(INSTRUCTION)) == set()
