"""The record that is published: what was measured, and that it says so where it falls short."""

from __future__ import annotations

from pathlib import Path

import pytest

from tiergate.catalog.scores import read_vintage, shipped
from tiergate.economics.backtest import Record, backtest, over_vintages


@pytest.fixture(scope="module")
def records() -> dict[tuple[str, str, str], Record]:
    return {(one.protocol, one.method, one.follower): one for one in backtest(shipped())}


@pytest.mark.parametrize(
    ("method", "follower", "expected"),
    [("median lag", "open", 4.3), ("trend", "open", 2.7), ("median lag", "China", 2.4), ("trend", "China", 4.3)],
)
def test_baselines_miss_by_what_the_source_book_says(
    records: dict[tuple[str, str, str], Record], method: str, follower: str, expected: float
) -> None:
    # Source book 2.2, over 9 quarterly origins from 2024 on (8 answered); here over monthly ones.
    assert records["other groups", method, follower].mae_plain == pytest.approx(expected, abs=0.35)


def test_the_published_record(records: dict[tuple[str, str, str], Record]) -> None:
    # benchmarks/README.md, "Forecasts of when a gap closes"
    pace = {(one[0], one[2]): found for one, found in records.items() if one[1] == "pace"}
    assert {pair: (one.resolved, one.origins, round(one.mae or 0, 2)) for pair, one in pace.items()} == {
        ("other groups", "open"): (27, 31, 1.72),
        ("other groups", "China"): (27, 31, 2.89),
        ("other groups", "US:open"): (20, 31, 2.33),
        ("known then", "open"): (23, 27, 2.67),
        ("known then", "China"): (23, 27, 2.73),
        ("known then", "US:open"): (16, 27, 2.04),
    }
    assert all(0.85 < (one.coverage or 0) <= 1 for one in pace.values())  # of 80% intervals: too wide


def test_the_first_origins_are_those_that_something_is_known_of(
    records: dict[tuple[str, str, str], Record],
) -> None:
    assert records["known then", "pace", "open"].origins < records["other groups", "pace", "open"].origins


@pytest.mark.shared_data
def test_older_vintages_ask_and_the_newest_answers(shared_data: Path) -> None:
    folder = shared_data / "market" / "eci"
    older = [read_vintage(folder / f"{name}_scores.csv") for name in ("2026-02", "2026-03", "2026-04")]
    found = over_vintages(older, read_vintage(folder / "2026-08-11_scores.csv"))
    assert {(one.origins, one.resolved) for one in found} == {(9, 4)}
    assert {one.method: round(one.crps or 0, 1) for one in found}["pace"] == 1.1


def test_a_pair_whose_questions_are_all_open_has_no_error() -> None:
    one = backtest(shipped(), [("Mistral AI", "OpenAI")], step=12)[0]
    assert (one.method, one.resolved, one.mae, one.bias) == ("median lag", 0, None, None)
    assert one.crps is not None
