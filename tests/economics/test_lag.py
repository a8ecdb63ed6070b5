"""Lags by four definitions: figures that Epoch and our source book publish, and what must hold of any two groups."""

from __future__ import annotations

import datetime as dt
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tiergate.catalog.scores import Vintage, read_vintage, shipped
from tiergate.economics.frontiers import Group, group
from tiergate.economics.lag import gaps, horizontal, lags, staleness, vertical
from tiergate.errors import InputError

FEBRUARY, AUGUST = "2026-02_scores.csv", "2026-08-11_scores.csv"


def vintage_of(shared_data: Path, name: str) -> Vintage:
    return read_vintage(shared_data / "market" / "eci" / name)


def value(vintage: Vintage, follower: str, leader: str, definition: str, **days: dt.date) -> float:
    (found,) = [
        one for one in lags(vintage, follower, leader, resamples=0, **days) if one.definition == definition
    ]  # fmt: skip
    return found.value


@pytest.mark.shared_data
class TestPublishedByEpoch:
    def test_open_weights_are_4_months_behind(self, shared_data: Path) -> None:
        # epoch.ai/data-insights/open-closed-eci-gap, 2026-05-29: "4 months"
        found = value(vintage_of(shared_data, AUGUST), "open", "closed", "horizontal", as_of=dt.date(2026, 5, 29))
        assert found == pytest.approx(4.0, abs=1.0)

    def test_open_weights_were_3_5_months_behind(self, shared_data: Path) -> None:
        # epoch.ai/data-insights/open-weights-vs-closed-weights-models, 2025-10-30: "3.5 months (1.1 to 5.3)"
        found = value(vintage_of(shared_data, AUGUST), "open", "closed", "horizontal", as_of=dt.date(2025, 10, 30))
        assert found == pytest.approx(3.5, abs=1.0)

    def test_chinese_models_were_7_months_behind(self, shared_data: Path) -> None:
        # epoch.ai/data-insights/us-vs-china-eci, 2026-01: "7 months on average since 2023, 4 to 14"
        found = value(vintage_of(shared_data, FEBRUARY), "China", "US", "staleness", as_of=dt.date(2025, 12, 17))
        assert found == pytest.approx(7.0, abs=1.0)

    @pytest.mark.parametrize("name", [FEBRUARY, AUGUST])
    def test_the_vertical_gap_was_8_1_points(self, shared_data: Path, name: str) -> None:
        # Epoch's notebook of 2025-10, by way of IAPS-AI/ECI-Accessibility-Gap
        found = value(vintage_of(shared_data, name), "open", "closed", "vertical", as_of=dt.date(2025, 10, 30))
        assert found == pytest.approx(8.1, abs=0.5)


# The project's own earlier reproduction (ledger of claims, section 2.2): vintage, groups, definition, months or points.
# It left open on which day daily means end, which moves them by up to 0.2.
@pytest.mark.shared_data
@pytest.mark.parametrize(
    ("name", "follower", "leader", "definition", "expected"),
    [
        (FEBRUARY, "open", "closed", "horizontal", 0.7),
        (AUGUST, "open", "closed", "horizontal", 4.15),
        (FEBRUARY, "open", "closed", "strict", 4.3),
        (AUGUST, "open", "closed", "strict", 5.7),
        (FEBRUARY, "open", "closed", "vertical", 7.9),
        (AUGUST, "open", "closed", "vertical", 8.3),
        (FEBRUARY, "open", "closed", "staleness", 6.6),
        (AUGUST, "open", "closed", "staleness", 7.2),
        (FEBRUARY, "China", "US", "staleness", 7.9),
        (FEBRUARY, "China", "US", "strict", 7.5),
        (AUGUST, "China", "US", "strict", 7.5),
    ],
)
def test_cells_of_the_source_book(
    shared_data: Path, name: str, follower: str, leader: str, definition: str, expected: float
) -> None:
    assert value(vintage_of(shared_data, name), follower, leader, definition) == pytest.approx(expected, abs=0.2)


@pytest.mark.shared_data
def test_china_since_2023_in_the_newest_vintage(shared_data: Path) -> None:
    # Source book 2.2: 8.6 (range 1.5 to 18.2) over 2023-04 to 2026-01.
    vintage = vintage_of(shared_data, AUGUST)
    span = {"since": dt.date(2023, 4, 1), "as_of": dt.date(2026, 1, 1)}
    assert value(vintage, "China", "US", "staleness", **span) == pytest.approx(8.6, abs=0.1)
    behind, ahead = group(vintage, "China").frontier(), group(vintage, "US").frontier()
    days = np.arange(dt.date(2023, 6, 1).toordinal(), dt.date(2026, 1, 1).toordinal() + 1)
    stale = staleness(behind, ahead, days)
    assert (round(stale.min(), 1), round(stale.max(), 1)) == (1.5, 18.2)


def test_half_years_of_staleness() -> None:
    # Source book 2.2: open behind closed, 2024H1 to 2026H2, newest vintage.
    found = gaps(shipped(), "open", "closed", since=dt.date(2024, 1, 1))
    assert [one.months for one in found] == pytest.approx([12.6, 5.9, 4.1, 9.4, 7.8, 6.0], abs=0.1)


@pytest.mark.shared_data
@pytest.mark.parametrize(
    "groups", [("open", "closed"), ("China", "US"), ("US:open", "closed"), ("Anthropic", "OpenAI")]
)
def test_shipped_rows_give_what_the_whole_vintage_gives(shared_data: Path, groups: tuple[str, str]) -> None:
    whole = lags(vintage_of(shared_data, AUGUST), *groups, resamples=0)
    assert [one.value for one in lags(shipped(), *groups, resamples=0)] == [one.value for one in whole]


def test_us_open_weights_and_vendors_have_lags_too() -> None:
    # 16 points in April 2026 (source book, finding 3): GPT-5.4 Pro 158.5 against Gemma 4 31B 142.3.
    (april,) = gaps(shipped(), "US:open", "closed", months=1, since=dt.date(2026, 4, 2), as_of=dt.date(2026, 4, 22))
    assert april.points == pytest.approx(16.2, abs=0.05)
    assert value(shipped(), "Anthropic", "OpenAI", "strict") > 0


def test_intervals_hold_the_value_and_come_from_the_seed() -> None:
    found = lags(shipped(), "open", "closed", resamples=200)
    assert all(one.low is not None and one.high is not None and one.low <= one.value <= one.high for one in found)
    assert found == lags(shipped(), "open", "closed", resamples=200)
    assert found != lags(shipped(), "open", "closed", resamples=200, seed=2)


@pytest.mark.shared_data
def test_a_vintage_without_intervals_knows_no_ties(shared_data: Path) -> None:
    found = lags(vintage_of(shared_data, "2026-04_scores.csv"), "open", "closed")
    assert [one.definition for one in found] == ["strict", "vertical", "staleness"]
    assert {one.low for one in found} == {None}


@pytest.mark.parametrize("name", ["nobody", "US:nobody", "open:closed", ""])
def test_a_name_without_models_is_refused(name: str) -> None:
    with pytest.raises(InputError, match="stands for no model"):
        lags(shipped(), name, "closed")


def test_days_that_are_not_there_are_refused() -> None:
    with pytest.raises(InputError, match="after 2023-06-01"):
        lags(shipped(), "open", "closed", since=dt.date(2024, 1, 1), as_of=dt.date(2023, 6, 1))


def test_a_pair_without_a_common_score_has_no_horizontal_lag() -> None:
    with pytest.raises(InputError, match="no score in common"):
        lags(shipped(), "Baichuan", "closed", resamples=0)


models = st.lists(
    st.tuples(st.integers(738_000, 739_000), st.floats(90, 160), st.floats(0, 5)), min_size=1, max_size=12
)


def made(rows: list[tuple[int, float, float]], later: int = 0) -> Group:
    rows = sorted(rows, key=lambda row: (row[0], -row[1]))
    days, scores, errors = (np.array(column) for column in zip(*rows, strict=True))
    return Group("made", tuple(map(str, range(len(rows)))), days + later, scores, errors, errors)


@given(models)
def test_a_frontier_rises_and_loses_nothing(rows: list[tuple[int, float, float]]) -> None:
    whole, frontier = made(rows), made(rows).frontier()
    assert (np.diff(frontier.scores) > 0).all()
    assert (np.diff(frontier.days) > 0).all()
    assert frontier.scores[-1] == whole.scores.max()
    assert frontier.frontier().models == frontier.models


@given(models, models, st.integers(1, 400))
def test_a_follower_that_comes_later_is_behind_by_as_much_more(
    one: list[tuple[int, float, float]], other: list[tuple[int, float, float]], later: int
) -> None:
    ahead = made(other).frontier()
    for ties in (False, True):
        before = horizontal(made(one).frontier(), ahead, ties=ties)
        after = horizontal(made(one, later).frontier(), ahead, ties=ties)
        assert after == pytest.approx(before + later / 30.4375)


@given(models, models)
def test_ties_shorten_and_bounds_hold(
    one: list[tuple[int, float, float]], other: list[tuple[int, float, float]]
) -> None:
    behind, ahead = made(one).frontier(), made(other).frontier()
    assert (horizontal(behind, ahead, ties=True) <= horizontal(behind, ahead, ties=False)).all()
    days = np.arange(739_000, 739_100)
    stale, points = staleness(behind, ahead, days), vertical(behind, ahead, days)
    assert (stale >= 0).all()
    assert ((stale == 0) | (points >= 0)).all()  # who leads is not behind
    assert (vertical(ahead, behind, days) == -points).all()
    assert (horizontal(ahead, ahead, ties=False) == 0).all()
