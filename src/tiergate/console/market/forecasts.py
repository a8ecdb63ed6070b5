"""Forecasts as questions that something settles, and how well their methods would have done."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from tiergate.catalog.scores import shipped
from tiergate.console.origins import Origin, Source, command
from tiergate.console.tables import Column, Link, Table
from tiergate.console.visits import View, Visit
from tiergate.console.words import Words
from tiergate.economics.backtest import Record, backtest
from tiergate.economics.questions import Resolution, read_questions, resolve

TONES: Final[Mapping[str, str]] = {"yes": "good", "no": "bad", "mixed": "warn", "open": ""}


def forecasts(visit: Visit) -> View:
    words, vintage = visit.renderer.words.market, shipped()
    settled, _ = visit.reading("questions", vintage.name, lambda: resolve(read_questions(), vintage))
    records, _ = visit.reading("backtest", vintage.name, lambda: backtest(vintage))
    questions = None if settled is None else _questions(words, settled)
    record = None if records is None else _records(words, records)
    source = Source(vintage.source, "https://epoch.ai/data", vintage.name)
    return {
        "questions": questions, "record": record, "tables": [one for one in (questions, record) if one is not None],
        "origin": Origin(command=command("economics", "forecast"), sources=[source]),
        "record_origin": Origin(
            command=command("economics", "backtest"), sources=[source], note=words.backtest_note
        ),
    }  # fmt: skip


def _questions(words: Words, found: list[Resolution]) -> Table:
    columns = [
        Column("text", words.columns.question),
        Column("outcome", words.columns.outcome, "badge"),
        Column("on", words.columns.settled),
        Column("by", words.columns.by_day),
        Column("chance", words.columns.chance, "share"),
        Column("median", words.columns.expected),
        Column("interval", words.columns.interval80),
        Column("because", words.columns.because, "prose"),
        Column("source", words.columns.source, "source"),
        Column("as_of", words.columns.as_of),
        Column("licence", words.columns.licence),
    ]
    rows = []
    for one in found:
        cites = [one.question.source, *(each.source for each in one.question.evidence)]
        rows.append(
            {
                "text": one.question.text, "outcome": Link(words.outcomes[one.outcome], tone=TONES[one.outcome]),
                "on": one.on, "by": one.question.by, "chance": one.chance,
                "median": one.outlook and one.outlook.median,
                "interval": one.outlook and f"{one.outlook.low} \u2013 {one.outlook.high}",
                "because": one.because, "source": "; ".join(cites),
                "as_of": one.question.as_of, "licence": one.question.licence,
            }
        )  # fmt: skip
    return Table(name="questions", columns=columns, rows=rows)


def _records(words: Words, found: list[Record]) -> Table:
    columns = [
        Column("protocol", words.columns.protocol),
        Column("follower", words.columns.follower),
        Column("leader", words.columns.leader),
        Column("method", words.columns.method),
        Column("origins", words.columns.origins, "count"),
        Column("resolved", words.columns.resolved, "count"),
        Column("mae", words.columns.mae, "number"),
        Column("mae_open", words.columns.mae_open, "number"),
        Column("bias", words.columns.bias, "number"),
        Column("crps", words.columns.crps, "number"),
        Column("coverage", words.columns.coverage, "share"),
    ]
    rows = [{one.name: _rounded(getattr(record, one.name)) for one in columns} for record in found]
    return Table(name="backtest", columns=columns, rows=rows)


def _rounded(value: object) -> object:
    return round(value, 2) if isinstance(value, float) else value
