"""What a capability cost by month, against the cells of market.md section 2.3 and by its rules."""

from __future__ import annotations

import calendar
import datetime as dt
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from tiergate.catalog.priced_models import PricedModel, priced_models
from tiergate.catalog.prices import ListPrice, Prices, as_prices, shipped_prices
from tiergate.economics.price_at_capability import blended, cheapest
from tiergate.errors import InputError


def month_end(text: str) -> dt.date:
    year, month = map(int, text.split("-"))
    return dt.date(year, month, calendar.monthrange(year, month)[1])


@pytest.fixture(scope="module")
def recorded(request: pytest.FixtureRequest) -> Prices:
    """Prices of 28 monthly maps of litellm, by the month in which each was first seen."""
    folder: Path = request.getfixturevalue("shared_data")
    rows = []
    for row in pq.read_table(folder / "market" / "litellm_price_changes.parquet").to_pylist():
        usd = [row[f"{side}_usd_per_token"] for side in ("input", "output")]
        if None in usd or max(usd) > 0.001:
            continue
        day = month_end(row["month_seen"])
        rows.append(
            ListPrice(
                provider=row["provider"],
                id=row["model_id"],
                input=usd[0] * 1e6,
                output=usd[1] * 1e6,
                first_seen=day,
                as_of=day,
                source="litellm",
                licence="MIT",
            )
        )
    return as_prices(rows)


# Source of each cell: market.md section 2.3, litellm's history by Epoch's index, 3:1, first-party list prices. Its hand
# map of some 45 models had none of these three, which reach 130 points and were cheaper than its first cells say.
NOT_IN_THE_SOURCE = ("Gemini 1.5 Flash (Sep 2024)", "Gemini 1.5 Pro (Sept 2024)", "o1-mini")


@pytest.mark.shared_data
@pytest.mark.parametrize(
    ("threshold", "month", "usd"),
    [
        (130, "2024-11", 6.00),
        (130, "2025-08", 0.138),
        (150, "2025-08", 3.44),
        (150, "2025-12", 1.13),
        (150, "2026-08", 0.45),
        (156, "2026-03", 5.63),
        (156, "2026-07", 2.25),
        (156, "2026-08", 0.45),
    ],
)
def test_a_published_cell(recorded: Prices, threshold: float, month: str, usd: float) -> None:
    (cell,) = cheapest(
        recorded, priced_models(), months=[month_end(month)], thresholds=[threshold], without=NOT_IN_THE_SOURCE
    )
    assert cell.usd == pytest.approx(usd, abs=0.006)


@pytest.mark.shared_data
def test_with_all_models_the_first_published_cells_are_cheaper_still(recorded: Prices) -> None:
    cells = cheapest(recorded, priced_models(), months=[month_end("2024-11"), month_end("2025-08")], thresholds=[130])
    assert [(cell.model, cell.usd) for cell in cells] == [(NOT_IN_THE_SOURCE[0], pytest.approx(0.13125))] * 2


@pytest.mark.shared_data
def test_the_price_that_was_there_before_its_model_is_named_and_not_counted(recorded: Prices) -> None:
    july = {"months": [month_end("2026-07")], "thresholds": [150.0]}
    (cell,) = cheapest(recorded, priced_models(), **july)  # type: ignore[arg-type]
    assert (cell.model, cell.usd) == ("Gemini 3 Flash", pytest.approx(1.125))
    assert "not counted: DeepSeek V4 Flash 0731 at 0.175" in cell.caution
    (counted,) = cheapest(recorded, priced_models(), **july, count_earlier=True)  # type: ignore[arg-type]
    assert (counted.model, counted.usd) == ("DeepSeek V4 Flash 0731", pytest.approx(0.175))
    assert counted.caution.startswith("counted though DeepSeek V4 Flash 0731")


def test_a_price_cut_counts_from_the_day_it_was_in_force() -> None:
    """GPT-5.6 Luna fell from 1/6 to 0.2/1.2 on 2026-07-30 (genai-prices 0.2.3): the month's end has it."""
    days = [dt.date(2026, 7, 29), dt.date(2026, 7, 31)]
    before, after = cheapest(shipped_prices(), priced_models(), months=days, thresholds=[156])
    assert after.usd == pytest.approx(0.45)
    assert before.usd is not None
    assert before.usd > 2


@pytest.mark.shared_data
def test_shipped_scores_are_those_of_the_vintage_that_they_name(shared_data: Path) -> None:
    import csv

    with (shared_data / "market" / "eci" / "2026-08-11_scores.csv").open() as file:
        published = {row["Model"]: (float(row["eci"]), row["date"]) for row in csv.DictReader(file) if row["eci"]}
    assert {one.model: (one.eci, one.released.isoformat()) for one in priced_models()} == {
        one.model: published[one.model] for one in priced_models()
    }


DAY = dt.date(2026, 1, 31)


CITED: dict[str, Any] = {"as_of": DAY, "source": "s", "licence": "MIT"}


def model(name: str, eci: float, released: dt.date = DAY) -> PricedModel:
    return PricedModel(model=name, developer="d", released=released, eci=eci, ids=(name,), **CITED)


def row(name: str, usd: float | None, seen: dt.date = DAY) -> ListPrice:
    return ListPrice(provider="p", id=name, input=usd, output=usd, first_seen=seen, **CITED)


def test_what_is_free_or_no_longer_listed_is_no_price() -> None:
    known = as_prices([row("free", 0.0), row("gone", 1.0), row("gone", None, dt.date(2026, 2, 28)), row("dear", 9.0)])
    models = [model("free", 150), model("gone", 150), model("dear", 150)]
    first, second = cheapest(known, models, months=[DAY, dt.date(2026, 2, 28)], thresholds=[150])
    assert (first.model, second.model) == ("gone", "dear")


def test_a_score_that_nobody_reached_is_unknown_and_not_zero() -> None:
    (cell,) = cheapest(as_prices([row("a", 1.0)]), [model("a", 149.9)], months=[DAY], thresholds=[150])
    assert (cell.usd, cell.model) == (None, None)


def test_a_blend_weighs_input_and_output() -> None:
    price = ListPrice(provider="p", id="m", input=3.0, output=15.0, first_seen=DAY, **CITED)
    assert blended(price) == 6.0
    assert blended(price, 0) == 15.0
    assert blended(price, 1) == 9.0


def test_what_cannot_be_asked_is_said() -> None:
    known, models = as_prices([row("a", 1.0)]), [model("a", 150)]
    with pytest.raises(InputError, match="no price is on file before 2026-01-31: give a month from then on"):
        cheapest(known, models, months=[dt.date(2025, 12, 31)])
    old = ListPrice(provider="p", id="a", input=1.0, output=1.0, first_seen=DAY, effective=dt.date(2025, 6, 1), **CITED)
    with pytest.raises(InputError, match="no price is on file before 2026-01-31"):
        cheapest(as_prices([old]), models, months=[dt.date(2025, 12, 31)])
    with pytest.raises(InputError, match="there is no model `b` to leave out"):
        cheapest(known, models, months=[DAY], without=["b"])
    with pytest.raises(InputError, match="-1 parts of input are no blend"):
        cheapest(known, models, months=[DAY], input_parts=-1)
