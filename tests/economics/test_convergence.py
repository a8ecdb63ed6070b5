"""The spread among developers, against the figures of the source book."""

from __future__ import annotations

import datetime as dt

import pytest

from tiergate.catalog.scores import shipped
from tiergate.economics.convergence import month_ends, spreads
from tiergate.errors import InputError


def test_the_spread_narrowed_and_widened_again() -> None:
    # Source book 1.3: OpenAI, Anthropic, Google; 12.7 (2024-12), 5.1 (2025-12), 3.7 (2026-03), 6.8 (2026-06).
    found = {one.on: one for one in spreads(shipped(), resamples=100)}
    days = [dt.date(2024, 12, 31), dt.date(2025, 12, 31), dt.date(2026, 3, 31), dt.date(2026, 6, 30)]
    assert [round(found[day].spread, 1) for day in days] == [12.7, 5.1, 3.7, 6.8]
    assert found[days[0]].models == {
        "OpenAI": "o3", "Anthropic": "Claude 3.5 Sonnet (October 2024)", "Google": "Gemini 2.0 Flash (Feb 2025)"
    }  # fmt: skip
    assert all(one.low is not None and one.high is not None and 0 <= one.low < one.high for one in found.values())


def test_one_name_has_no_spread() -> None:
    with pytest.raises(InputError, match="two groups or more"):
        spreads(shipped(), ("OpenAI", "OpenAI"))
    with pytest.raises(InputError, match="stands for no model"):
        spreads(shipped(), ("OpenAI", "Nobody"))


def test_months_end_where_they_end() -> None:
    assert month_ends(dt.date(2024, 1, 31), dt.date(2024, 3, 5)) == [
        dt.date(2024, 1, 31), dt.date(2024, 2, 29), dt.date(2024, 3, 5)
    ]  # fmt: skip
    assert month_ends(dt.date(2024, 1, 31), dt.date(2024, 1, 31)) == [dt.date(2024, 1, 31)]
