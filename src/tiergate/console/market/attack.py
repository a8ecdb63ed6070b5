"""What a campaign of so many exchanges costs whoever runs it, against a deployment that the visitor describes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Final, get_args
from urllib.parse import urlencode

import msgspec

from tiergate.api.market import DRAWS, AttackQuery, Spread, spreads
from tiergate.catalog.cited import Amount
from tiergate.console.charts import Chart, Series
from tiergate.console.origins import Origin, command
from tiergate.console.tables import Column, Table
from tiergate.console.visits import View, Visit
from tiergate.console.words import Words
from tiergate.economics.attack import Campaign, Channel, Mix
from tiergate.economics.monte_carlo import AttackCost, attack_cost
from tiergate.economics.priors import with_changes
from tiergate.economics.swings import Swing, swings
from tiergate.errors import InputError

CHANNELS: Final[tuple[Channel, ...]] = get_args(Channel)
MIXES: Final[tuple[Mix, ...]] = get_args(Mix)


@dataclass(frozen=True, slots=True)
class Slider:
    """A number that a visitor moves: its bounds, and whether steps are of its logarithm."""

    name: str
    low: float
    high: float
    step: float
    log: bool = False


SLIDERS: Final = (
    Slider("exchanges", 1e4, 1e9, 0.05, log=True),
    Slider("accounts", 1, 1e6, 0.05, log=True),
    Slider("account_cost", 0, 100, 0.5),
    Slider("limit", 1, 1e5, 0.05, log=True),
    Slider("newcomer_limit", 1, 1e5, 0.05, log=True),
    Slider("recall", 0, 1, 0.01),
    Slider("delay", 0, 60, 0.5),
)


def attack(visit: Visit) -> View:
    words = visit.renderer.words.market
    given = {name: visit.query[name] for name in AttackQuery.__struct_fields__ if visit.asked(name)}
    own = tuple((visit.asked("set") or "").replace(";", " ").split())
    view: dict[str, object] = {
        "tables": [], "wrong": "", "given": {"exchanges": "16000000", "delay": "1", "recall": "0"} | given,
        "sliders": SLIDERS, "channels": CHANNELS, "mixes": MIXES, "own": " ".join(own), "found": None, "draws": DRAWS,
    }  # fmt: skip
    try:
        query = msgspec.convert(_plain(given), AttackQuery, strict=False)
        found, swung = _estimated(query.campaign(), own, query.seed)
        priors = _priors(own)
    except msgspec.ValidationError as error:
        return view | {"wrong": str(error)}
    except InputError as error:
        return view | {"wrong": str(error)}
    items, chosen = _tables(words, spreads(found))
    cost, tornado = _chart(words, found), _tornado(words, swung)
    inputs = _inputs(words, priors, query.campaign().inputs())
    arguments = [part for name, value in given.items() for part in _argument(name, value)]
    arguments += [part for one in own for part in ("--set", one)]
    line = command("economics", "attack-cost", *arguments, "--draws", DRAWS)
    return view | {
        "found": found, "items": items, "chosen": chosen, "chart": cost, "tornado": tornado, "inputs": inputs,
        "tables": [items, chosen, inputs, cost.table(), tornado.table()],
        "origin": Origin(
            api=f"GET /v1/market/attack-cost?{urlencode(given)}" if not own else None, command=line,
            note=words("draws_note", draws=DRAWS, seed=query.seed),
        ),
        "tornado_origin": Origin(command=command("economics", "tornado", *arguments), note=words.tornado_note),
        "inputs_origin": Origin(command=command("economics", "inputs")),
    }  # fmt: skip


def _plain(given: Mapping[str, str]) -> dict[str, object]:
    kept: dict[str, object] = {name: _number(value) for name, value in given.items()}
    if "identity_check" in kept:
        kept["identity_check"] = kept["identity_check"] in ("on", "true", "1")
    return kept


def _number(text: str) -> float | str:
    try:
        return float(text.replace(",", ""))
    except ValueError:
        return text


def _priors(own: tuple[str, ...]) -> dict[str, Amount]:
    return with_changes(own)


@lru_cache(maxsize=128)
def _estimated(campaign: Campaign, own: tuple[str, ...], seed: int) -> tuple[AttackCost, list[Swing]]:
    priors = _priors(own)
    return attack_cost(campaign, priors, draws=DRAWS, seed=seed), swings(campaign, priors)


def _argument(name: str, value: str) -> list[str]:
    option = f"--{name.replace('_', '-')}"
    return [option] if name == "identity_check" else [option, value]


def _tables(words: Words, found: Sequence[Spread]) -> tuple[Table, Table]:
    def columns(kind: Any) -> list[Column]:
        return [
            Column("figure", words.columns.item),
            Column("median", words.columns.median, kind),
            Column("p5", words.columns.p5, kind),
            Column("p95", words.columns.p95, kind),
        ]

    money = [
        {"figure": words.items[one.figure], "median": _micro(one.median), "p5": _micro(one.p5), "p95": _micro(one.p95)}
        for one in found
        if one.unit == "USD"
    ]
    others = [
        {"figure": words.items[one.figure], "median": one.median, "p5": one.p5, "p95": one.p95}
        for one in found
        if one.unit != "USD"
    ]
    return (
        Table(name="cost", columns=columns("usd"), rows=money),
        Table(name="chosen", columns=columns("number"), rows=others),
    )


def _chart(words: Words, found: AttackCost) -> Chart:
    shown = {name: one for name, one in {**found.items, "total": found.total}.items() if one.median >= 1}
    ends = {
        "p5": [max(one.low, 1) * 1e6 for one in shown.values()],
        "p95": [one.high * 1e6 for one in shown.values()],
        "median": [one.median * 1e6 for one in shown.values()],
    }
    return Chart(
        name="items", title=words.charts.items, x_title=words.columns.item, y_title=words.units.dollars, log=True,
        x=list(range(len(shown))), labels=[words.items[name] for name in shown],
        series=[
            Series(name=name, title=words.columns[name], values=values, kind="usd",
                   style="points" if name == "median" else "range" if name == "p95" else "line")
            for name, values in ends.items()
        ],
    )  # fmt: skip


def _tornado(words: Words, swung: Sequence[Swing]) -> Chart:
    shown = swung[:8]
    return Chart(
        name="tornado", title=words.charts.tornado, x_title=words.columns.input_name, y_title=words.units.dollars,
        x=list(range(len(shown))), labels=[one.name for one in shown],
        series=[
            Series(name="at_low", title=words.columns.at_low, values=[one.at_low * 1e6 for one in shown], kind="usd",
                   style="line"),
            Series(name="at_high", title=words.columns.at_high, values=[one.at_high * 1e6 for one in shown], kind="usd",
                   style="range"),
        ],
    )  # fmt: skip


def _inputs(words: Words, priors: Mapping[str, Amount], used: Sequence[str]) -> Table:
    columns = [
        Column("input", words.columns.input_name, "code"),
        Column("low", words.columns.low, "number"),
        Column("mode", words.columns.mode, "number"),
        Column("high", words.columns.high, "number"),
        Column("unit", words.columns.unit),
        Column("source", words.columns.source, "source"),
        Column("as_of", words.columns.as_of),
        Column("licence", words.columns.licence),
        Column("note", words.columns.note, "prose"),
    ]
    return Table(
        name="inputs",
        columns=columns,
        rows=[
            {"input": name} | {one.name: getattr(priors[name], one.name) for one in columns[1:]}
            for name in used
            if name in priors
        ],
    )


def _micro(usd: float | None) -> float | None:
    return None if usd is None else usd * 1e6
