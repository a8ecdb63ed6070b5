"""Months of exclusivity that access control buys at most."""

from __future__ import annotations

import math
from functools import lru_cache
from typing import Final, Literal

from tiergate.console.market import asked
from tiergate.console.origins import Origin, Source, command
from tiergate.console.tables import Column, Table
from tiergate.console.visits import View, Visit
from tiergate.console.words import Words
from tiergate.economics.bound import Bought, Others, others
from tiergate.economics.bound import bound as bounds
from tiergate.economics.monte_carlo import Quantiles
from tiergate.economics.priors import load_priors
from tiergate.errors import InputError

DRAWS: Final = 20_000
Definition = Literal["horizontal", "strict", "staleness"]
DEFINITIONS: Final[tuple[Definition, ...]] = ("strict", "horizontal", "staleness")


def bound(visit: Visit) -> View:
    words = visit.renderer.words.market
    follower, leader = visit.asked("follower") or "open", visit.asked("leader") or "closed"
    definition = next((one for one in DEFINITIONS if one == visit.asked("definition")), "strict")
    view: dict[str, object] = {
        "tables": [], "wrong": "", "follower": follower, "leader": leader, "definition": definition, "table": None,
        "definitions": [(one, words.definitions[one]) for one in DEFINITIONS],
        "slowed": visit.query.get("slowed", ""), "worth": visit.query.get("worth", ""),
    }  # fmt: skip
    try:
        slowed, worth = asked.number(visit, "slowed"), asked.number(visit, "worth")
        outside, found = _bounds(follower, leader, definition, math.inf if slowed is None else slowed, worth)
    except InputError as error:
        return view | {"wrong": str(error)}
    columns = [
        Column("measure", words.columns.means),
        Column("option", words.columns.option),
        Column("median", words.columns.median, "number"),
        Column("low", words.columns.p5, "number"),
        Column("high", words.columns.p95, "number"),
        Column("unit", words.columns.unit),
    ]
    rows = [row for one in found for row in _rows(words, one)]
    table = Table(name="bound", columns=columns, rows=rows)
    options: list[object] = [follower, leader, "--definition", definition, "--draws", DRAWS]
    options += ["--slowed", f"{slowed:g}"] if slowed is not None else []
    options += ["--worth", f"{worth:g}"] if worth is not None else []
    return view | {
        "tables": [table], "table": table, "found": found, "outside": outside,
        "origin": Origin(
            command=command("economics", "bound", *options),
            sources=[Source(outside.months.source, "https://epoch.ai/data", str(outside.months.as_of))],
            note=words("draws_note", draws=DRAWS, seed=1),
        ),
    }  # fmt: skip


@lru_cache(maxsize=32)
def _bounds(
    follower: str, leader: str, definition: Definition, slowed: float, worth: float | None
) -> tuple[Others, list[Bought]]:
    outside = others(None, follower, leader, definition)
    priors = dict(load_priors()) | {"open_lag": outside.months}
    return outside, bounds(priors, follower=follower, slowed_days=slowed, month_worth=worth, draws=DRAWS)


def _rows(words: Words, one: Bought) -> list[dict[str, object]]:
    months: dict[str, Quantiles] = {"outside": one.outside, "extraction": one.extraction, "bought": one.bought}
    rows: list[dict[str, object]] = [
        {"measure": words.measures[name], "option": one.option, "median": round(some.median, 2),
         "low": round(some.low, 2), "high": round(some.high, 2), "unit": words.units.months}
        for name, some in months.items()
    ]  # fmt: skip
    rows.append(
        {"measure": words.measures.nothing, "option": one.option, "median": round(100 * one.nothing, 1), "unit": "%"}
    )
    if one.worth is not None:
        rows.append(
            {"measure": words.measures.worth, "option": one.option, "median": one.worth.median, "low": one.worth.low,
             "high": one.worth.high, "unit": words.units.dollars}
        )  # fmt: skip
    return rows
