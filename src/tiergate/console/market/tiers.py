"""The tier map: every model on a day, by which fact, against another day; and one model in full."""

from __future__ import annotations

import datetime as dt
from collections import Counter
from collections.abc import Iterable
from functools import lru_cache
from typing import Final

from tiergate.api.problems import not_found
from tiergate.catalog.cited import Cited
from tiergate.catalog.model_figures import prices_of, scores_of
from tiergate.catalog.models import Access, Model, load_catalog
from tiergate.catalog.prices import shipped_prices
from tiergate.catalog.scores import shipped
from tiergate.catalog.tiers import Tier, changes, standing, tiers
from tiergate.console.charts import Chart, Series
from tiergate.console.market import asked
from tiergate.console.origins import Origin, command
from tiergate.console.tables import Column, Link, Table
from tiergate.console.visits import View, Visit
from tiergate.console.words import Words

SHOWN: Final = (Tier.CLASSIFIED, Tier.COMMODITY, Tier.OPEN, Tier.UNAVAILABLE, Tier.UNKNOWN)


def tier_map(visit: Visit) -> View:
    today, words = asked.this_day(visit), visit.renderer.words.market
    day, other = asked.day(visit, "on") or today, asked.day(visit, "against")
    catalog = load_catalog()
    shown = tiers(catalog, day)
    then = {} if other is None else {name: standing(one, other).tier for name, one in catalog.by_id.items()}
    counts, before = Counter(one.tier for one in shown), Counter(then.values())
    columns = [
        Column("tier", words.columns.tier, "badge"),
        *([] if other is None else [Column("then", words("columns.on_day", day=other), "badge")]),
        Column("model", words.columns.model),
        Column("developer", words.columns.developer),
        Column("country", words.columns.country),
        Column("released", words.columns.released),
        Column("fact", words.columns.fact),
        Column("source", words.columns.source, "source"),
        Column("as_of", words.columns.as_of),
        Column("licence", words.columns.licence),
    ]
    rows = []
    for one in shown:
        # Without a fact the row rests on what is on file of the model itself.
        cited = one.facts or one.conditions or (one.model,)
        was = then.get(one.model.id)
        rows.append(
            {
                "tier": _badge(words, one.tier),
                "then": None if was is None else _badge(words, was, moved=was != one.tier),
                "model": Link(one.model.name, f"/market/models/{one.model.id}"),
                "developer": one.model.developer,
                "country": one.model.country,
                "released": one.model.released,
                "fact": "; ".join(_said(words, fact) for fact in (*one.facts, *one.conditions)) or one.because,
                "source": "; ".join(dict.fromkeys(fact.source for fact in cited)),
                "as_of": max(fact.as_of for fact in cited),
                "licence": ", ".join(dict.fromkeys(fact.licence for fact in cited)),
            }
        )
    tables = [Table(name="tiers", columns=columns, rows=rows)]
    if other is not None:
        tables.append(_changes(words, min(day, other), max(day, other)))
    chart = _over_time(words, day)
    line = command("catalog", "tiers", "--as-of", day)
    return {
        "tables": [*tables, chart.table()], "map": tables[0], "changes": tables[1] if other is not None else None,
        "chart": chart, "day": day, "other": other, "today": today, "newest": catalog.newest_fact, "counts": counts,
        "before": before, "shown": [tier for tier in SHOWN if counts[tier] or before[tier]],
        "origin": Origin(api=f"GET /v1/market/tiers?on={day}", command=line),
        "changes_origin": None if other is None else Origin(
            api=f"GET /v1/market/tiers?on={max(day, other)}&since={min(day, other)}",
            command=command("catalog", "changes", min(day, other), max(day, other)),
        ),
    }  # fmt: skip


def one_model(visit: Visit) -> View:
    words, name = visit.renderer.words.market, visit.path("model_id")
    catalog = load_catalog()
    found = catalog.by_id.get(name)
    if found is None:
        raise not_found("model", name)
    day = asked.day(visit, "on") or asked.this_day(visit)
    columns = [
        Column("fact", words.columns.fact),
        Column("since", words.columns.since),
        Column("until", words.columns.until),
        Column("source", words.columns.source, "source"),
        Column("as_of", words.columns.as_of),
        Column("licence", words.columns.licence),
        Column("note", words.columns.note),
    ]
    facts = Table(
        name="facts",
        columns=columns,
        rows=[
            {"fact": _said(words, one), "since": one.since, "until": one.until, "source": one.source,
             "as_of": one.as_of, "licence": one.licence, "note": one.note}
            for one in found.access
        ],
        empty=words.no_facts,
    )  # fmt: skip
    scores = Table(
        name="scores",
        columns=[
            Column("vintage", words.columns.vintage),
            Column("version", words.columns.version),
            Column("score", words.columns.score, "number"),
            Column("low", words.columns.low, "number"),
            Column("high", words.columns.high, "number"),
            Column("source", words.columns.source, "source"),
            Column("licence", words.columns.licence),
        ],
        rows=[
            {
                "vintage": one.vintage,
                "version": one.version,
                "score": one.eci,
                "low": one.low,
                "high": one.high,
                "source": one.source,
                "licence": one.licence,
            }
            for one in scores_of(catalog, found, [shipped()])
        ],
        empty=words.no_score,
    )
    prices = Table(
        name="prices",
        columns=[
            Column("id", words.columns.price_id, "code"),
            Column("since", words.columns.since),
            Column("input", words.columns.input, "usd"),
            Column("output", words.columns.output, "usd"),
            Column("source", words.columns.source, "source"),
            Column("as_of", words.columns.as_of),
            Column("licence", words.columns.licence),
        ],
        rows=[
            {"id": one.id, "since": one.since, "input": _micro(one.input), "output": _micro(one.output),
             "source": one.source, "as_of": one.as_of, "licence": one.licence}
            for one in prices_of(catalog, found, shipped_prices(), day)
        ],
        empty=words.no_price,
    )  # fmt: skip
    return {
        "model": found, "standing": standing(found, day), "day": day, "facts": facts, "scores": scores,
        "prices": prices, "tables": [facts, scores, prices],
        "origin": Origin(api=f"GET /v1/market/tiers?on={day}", command=command("catalog", "model", found.id)),
    }  # fmt: skip


def _changes(words: Words, first: dt.date, last: dt.date) -> Table:
    rows = []
    for one in changes(load_catalog(), first, last):
        facts: list[Cited] = [*one.began, *one.ended] or [one.model]
        said = [words("begin", fact=_said(words, fact)) for fact in one.began]
        said += [words("end", fact=_said(words, fact)) for fact in one.ended]
        rows.append(
            {
                "day": one.day, "model": Link(one.model.name, f"/market/models/{one.model.id}"),
                "before": _badge(words, one.before), "after": _badge(words, one.after),
                "fact": "; ".join(said) or one.because,
                "source": "; ".join(dict.fromkeys(fact.source for fact in facts)),
                "licence": ", ".join(dict.fromkeys(fact.licence for fact in facts)),
            }
        )  # fmt: skip
    columns = [
        Column("day", words.columns.day),
        Column("model", words.columns.model),
        Column("before", words.columns.before, "badge"),
        Column("after", words.columns.after, "badge"),
        Column("fact", words.columns.fact),
        Column("source", words.columns.source, "source"),
        Column("licence", words.columns.licence),
    ]
    return Table(name="changes", columns=columns, rows=rows, empty=words.no_changes)


def _over_time(words: Words, last: dt.date) -> Chart:
    days, counts = _counts(last)
    shown = [tier for tier in SHOWN if any(one[tier] for one in counts)]
    return Chart(
        name="over-time", title=words.over_time, x_title=words.columns.day, y_title=words.models, time=True,
        x=[asked.seconds(one) for one in days],
        series=[
            Series(name=tier.value, title=words.tiers[tier.value], values=[one[tier] for one in counts], style="step",
                   kind="count")
            for tier in shown
        ],
    )  # fmt: skip


@lru_cache(maxsize=32)
def _counts(last: dt.date) -> tuple[list[dt.date], list[Counter[Tier]]]:
    """How many models each tier had on the first of each month, and on the last day."""
    days, month = [], load_catalog().begins
    while month < last:
        days.append(month)
        month = (month.replace(day=1) + dt.timedelta(days=32)).replace(day=1)
    days.append(last)
    return days, [Counter(standing(one, day).tier for one in _out(day)) for day in days]


def _out(day: dt.date) -> Iterable[Model]:
    return [one for one in load_catalog().by_id.values() if one.released <= day]


def _badge(words: Words, tier: Tier, *, moved: bool = False) -> Link:
    return Link(words.tiers[tier.value], tone=f"{tier.value} moved" if moved else tier.value)


def _said(words: Words, fact: Access) -> str:
    said = words.modes[fact.mode.value].format(programme=fact.programme, days=fact.retention_days)
    return ", ".join(part for part in (said, fact.weights, words.uses[fact.use] if fact.use else "") if part)


def _micro(usd: float | None) -> float | None:
    return None if usd is None else usd * 1e6
