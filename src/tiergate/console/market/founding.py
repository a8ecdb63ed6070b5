"""The founding essay's two charts, in layers: as it claims, as sources have them, and as people here do."""

from __future__ import annotations

from dataclasses import dataclass

from tiergate.catalog.claims import Ledger, Range, load_claims
from tiergate.console.charts import Chart, Series
from tiergate.console.origins import Origin, command
from tiergate.console.tables import Column, Kind, Link, Table
from tiergate.console.visits import View, Visit
from tiergate.console.words import Words
from tiergate.economics.founding_charts import FoundingChart, extraction_against_training, swe_bench_by_tier


@dataclass(frozen=True, slots=True)
class Layered:
    """A chart, the claims that it shows, and each bar with whose figure it is."""

    chart: Chart
    claims: frozenset[str]
    bars: Table


def founding(visit: Visit) -> View:
    words, overrides = visit.renderer.words.market, visit.services.claim_overrides
    standing = overrides.standing()
    shown = charts(words, overrides.ledger(), frozenset(standing))
    data = visit.services.settings.data.name
    return {
        "tables": [table for one in shown for table in (one.chart.table(), one.bars)], "shown": shown,
        "standing": list(standing.values()),
        "origin": Origin(api="GET /v1/market/claims", command=command("economics", "charts", "--data", data)),
    }  # fmt: skip


def charts(words: Words, here: Ledger, overridden: frozenset[str]) -> list[Layered]:
    """Both charts. ``overridden``: claims whose figure is one of people here."""
    return [
        _layered(words, draw(load_claims()), draw(here), overridden)
        for draw in (extraction_against_training, swe_bench_by_tier)
    ]


def _layered(words: Words, shipped: FoundingChart, here: FoundingChart, overridden: frozenset[str]) -> Layered:
    money = shipped.name == "extraction"
    claimed = {bar.claim: bar for bar in shipped.bars if bar.layer == "claimed"}
    evidence = {bar.claim: bar for bar in shipped.bars if bar.layer == "evidence"}
    ours = {bar.claim: bar for bar in here.bars if bar.layer == "evidence" and bar.claim in overridden}
    order = list(dict.fromkeys(bar.claim for bar in shipped.bars))
    named = {bar.claim: bar.label if money else f"{bar.label}, {words.tiers[bar.group]}" for bar in shipped.bars}
    named = {claim: words.bars.get(label, label) for claim, label in named.items()}
    layers = [("claimed", claimed), ("evidence", evidence), *([("ours", ours)] if ours else [])]
    kind: Kind = "usd" if money else "number"
    series = []
    for layer, bars in layers:
        values = [bars[claim].value if claim in bars else None for claim in order]
        series += [
            Series(
                name=f"{layer}_{end}", title=words.ends[end].format(layer=words.layers[layer]), kind=kind,
                style="line" if end == "low" else "range", values=[_end(one, end, money) for one in values],
            )
            for end in ("low", "high")
        ]  # fmt: skip
    chart = Chart(
        name=shipped.name, title=words.charts[shipped.name], x_title=words.charts.bar,
        y_title=words.units[shipped.name], x=list(range(len(order))),
        labels=[named[claim] for claim in order], series=series, log=money,
    )  # fmt: skip
    rows = [
        {
            "bar": named[claim], "layer": words.layers[layer], "value": str(bars[claim].value),
            "unit": bars[claim].unit, "by": _by(words, layer, bars[claim].alleged_by, bars[claim].source),
            "claim": Link(claim, f"/market/claims/{claim}"),
            "source": {"claimed": words.by.essay, "evidence": bars[claim].source}.get(layer),
        }
        for claim in order
        for layer, bars in layers
        if claim in bars
    ]  # fmt: skip
    columns = [
        Column("bar", words.charts.bar),
        Column("layer", words.columns.layer),
        Column("value", words.columns.value),
        Column("unit", words.columns.unit),
        Column("by", words.columns.by),
        Column("claim", words.columns.claim),
        Column("source", words.columns.source, "source"),
    ]
    return Layered(chart, frozenset(order), Table(name=f"{shipped.name}-bars", columns=columns, rows=rows))


def _by(words: Words, layer: str, alleged_by: str, source: str) -> str:
    if layer == "evidence":
        if source == "assumption":
            return str(words.by.simulation)
        return words("by.alleged", by=alleged_by) if alleged_by else str(words.by.sources)
    return str(words.by[layer])


def _end(value: Range | None, end: str, money: bool) -> float | None:
    if value is None:
        return None
    figure: float = getattr(value, end)
    # A logarithm knows no 0.
    return (figure * 1e6 if figure > 0 else None) if money else figure
