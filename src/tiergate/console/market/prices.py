"""What a fixed capability costs, month by month: the cheapest list price of a model that reaches a score."""

from __future__ import annotations

import datetime as dt
from functools import lru_cache

from tiergate.catalog.priced_models import priced_models
from tiergate.catalog.prices import shipped_prices
from tiergate.catalog.refreshing import month_ends
from tiergate.console.charts import Chart, Series
from tiergate.console.market import asked
from tiergate.console.origins import Origin, command
from tiergate.console.tables import Column, Table
from tiergate.console.visits import View, Visit
from tiergate.economics.price_at_capability import INPUT_PARTS, THRESHOLDS, Cell, cheapest
from tiergate.errors import InputError


def prices(visit: Visit) -> View:
    words, known = visit.renderer.words.market, shipped_prices()
    view: dict[str, object] = {"wrong": "", "tables": [], "chart": None, "last": known.last_seen}
    try:
        blend = asked.number(visit, "blend")
        cells = _cells(INPUT_PARTS if blend is None else blend, asked.day(visit, "until") or known.last_seen)
    except InputError as error:
        return view | {"wrong": str(error), "blend": visit.query.get("blend", ""), "until": ""}
    months = sorted({one.month for one in cells})
    by_threshold = {score: {one.month: one for one in cells if one.threshold == score} for score in THRESHOLDS}
    chart = Chart(
        name="price", title=words.charts.price, x_title=words.columns.month, y_title=words.units.price, time=True,
        log=True, x=[asked.seconds(one) for one in months],
        series=[
            Series(name=f"eci_{score:g}", title=words("at_least", score=f"{score:g}"), style="step", kind="usd",
                   values=[_micro(held[month].usd) for month in months])
            for score, held in by_threshold.items()
        ],
    )  # fmt: skip
    columns = [
        Column("month", words.columns.month),
        Column("threshold", words.columns.score, "number"),
        Column("usd", words.columns.price, "usd"),
        Column("model", words.columns.model),
        Column("id", words.columns.price_id, "code"),
        Column("since", words.columns.since),
        Column("dated_by", words.columns.dated_by),
        Column("source", words.columns.source, "source"),
        Column("licence", words.columns.licence),
        Column("caution", words.columns.note),
    ]
    last = Table(name="now", columns=columns, rows=[_row(one) for one in cells if one.month == months[-1]])
    every = Table(name="months", columns=columns, rows=[_row(one) for one in reversed(cells)] if visit.csv else [])
    line = command("economics", "prices", "--blend", f"{INPUT_PARTS if blend is None else blend:g}")
    return view | {
        "tables": [chart.table(), last, every], "chart": chart, "now": last, "month": months[-1],
        "blend": f"{INPUT_PARTS if blend is None else blend:g}", "until": visit.query.get("until", ""),
        "origin": Origin(command=line, note=words.price_note),
    }  # fmt: skip


@lru_cache(maxsize=16)
def _cells(blend: float, until: dt.date) -> list[Cell]:
    known = shipped_prices()
    if not known.first_day <= until <= known.last_seen:
        raise InputError(f"prices are on file from {known.first_day} to {known.last_seen}: give a day between")
    months = month_ends(known.first_day, until)
    if not months:
        raise InputError(f"no month had ended by {until}: give a later day")
    return cheapest(known, priced_models(), months=months, input_parts=blend)


def _row(one: Cell) -> dict[str, object]:
    price = one.price
    return {
        "month": one.month, "threshold": one.threshold, "usd": _micro(one.usd), "model": one.model,
        "id": price and price.id, "since": price and price.since, "dated_by": price and price.dated_by.value,
        "source": price and price.source, "licence": price and price.licence, "caution": one.caution,
    }  # fmt: skip


def _micro(usd: float | None) -> float | None:
    return None if usd is None else usd * 1e6
