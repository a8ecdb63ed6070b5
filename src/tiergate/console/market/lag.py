"""How far one group of models is behind another, by four definitions, and how the gap went."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from tiergate.catalog.scores import shipped
from tiergate.console.charts import Chart, Series
from tiergate.console.market import asked
from tiergate.console.origins import Origin, Source, command
from tiergate.console.tables import Column, Table
from tiergate.console.visits import View, Visit
from tiergate.console.words import Words
from tiergate.economics.lag import Gap, Lag, gaps, lags
from tiergate.errors import InputError

RESAMPLES: Final = 1_000
PAIRS: Final = (("open", "closed"), ("China", "US"), ("US:open", "closed"), ("China:open", "US:closed"))
MONTHS: Final = 3


def lag(visit: Visit) -> View:
    words, vintage = visit.renderer.words.market, shipped()
    follower, leader = visit.asked("follower") or "open", visit.asked("leader") or "closed"
    view: dict[str, object] = {
        "tables": [], "wrong": "", "follower": follower, "leader": leader, "as_of": visit.query.get("as_of", ""),
        "pairs": PAIRS, "groups": ["open", "closed", "unknown", *vintage.countries, *vintage.developers],
        "lags": None, "charts": [],
    }  # fmt: skip
    try:
        as_of = asked.day(visit, "as_of")
        span = gaps(vintage, follower, leader, months=MONTHS, as_of=as_of)
        found, _ = visit.reading(
            ("lags", follower, leader, as_of), None,
            lambda: lags(vintage, follower, leader, as_of=as_of, resamples=RESAMPLES),
        )  # fmt: skip
    except InputError as error:
        return view | {"wrong": str(error)}
    charts = _charts(words, span)
    table = None if found is None else _table(words, found)
    options = ("--as-of", as_of) if as_of else ()
    source = Source(vintage.source, "https://epoch.ai/data", vintage.name)
    query = f"follower={follower}&leader={leader}" + (f"&as_of={as_of}" if as_of else "")
    return view | {
        "lags": table, "charts": charts, "vintage": vintage,
        "tables": [*([table] if table else []), *(one.table() for one in charts)],
        "origin": Origin(
            api=f"GET /v1/market/lags?{query}", command=command("economics", "lag", follower, leader, *options),
            sources=[source], note=words("resamples", count=RESAMPLES, licence=vintage.licence),
        ),
        "gap_origin": Origin(
            command=command("economics", "gap", follower, leader, "--months", MONTHS, *options), sources=[source]
        ),
    }  # fmt: skip


def _table(words: Words, found: list[Lag]) -> Table:
    columns = [
        Column("definition", words.columns.definition),
        Column("means", words.columns.means),
        Column("value", words.columns.behind, "number"),
        Column("unit", words.columns.unit),
        Column("low", words.columns.low90, "number"),
        Column("high", words.columns.high90, "number"),
        Column("least", words.columns.least, "number"),
        Column("most", words.columns.most, "number"),
        Column("from_day", words.columns.since),
        Column("as_of", words.columns.until),
    ]
    return Table(
        name="lags",
        columns=columns,
        rows=[
            {name.name: _rounded(getattr(one, name.name)) for name in columns if name.name != "means"}
            | {"means": words.definitions[one.definition]}
            for one in found
        ],
    )


def _rounded(value: object) -> object:
    return round(value, 1) if isinstance(value, float) else value


def _charts(words: Words, span: list[Gap]) -> list[Chart]:
    x = [asked.seconds(one.to_day) for one in span]
    values: Mapping[str, list[float]] = {
        "points": [round(one.points, 2) for one in span],
        "months": [round(one.months, 2) for one in span],
    }
    return [
        Chart(name=f"gap-{name}", title=words.gaps[name], x_title=words.columns.day, y_title=words.units[name],
              time=True, x=x, series=[Series(name=name, title=words.units[name], values=some)])
        for name, some in values.items()
    ]  # fmt: skip
