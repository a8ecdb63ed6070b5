"""Charts and tables of traffic over a span of time."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from tiergate.clock import DAY, HOUR, MINUTE, SECOND
from tiergate.console.charts import Chart, Series
from tiergate.console.origins import Origin, command
from tiergate.console.tables import Column, Link, Table
from tiergate.console.visits import View, Visit
from tiergate.gateway.traffic.figures import UNIT, By, Every, Figure
from tiergate.gateway.traffic.sums import SUMS

SPANS: Final[dict[str, tuple[int, Every]]] = {
    "1h": (HOUR, "minute"),
    "24h": (DAY, "hour"),
    "7d": (7 * DAY, "hour"),
    "30d": (30 * DAY, "day"),
    "90d": (90 * DAY, "day"),
}
USUAL: Final = "24h"
TIERS: Final = ("classified", "commodity", "open")


@dataclass(frozen=True)
class Span:
    """Which traffic is shown. ``past``: the newest exchange is older than the span, which therefore ends with it."""

    name: str
    from_us: int
    to_us: int
    every: Every
    newest_us: int | None
    past: bool


def span_of(visit: Visit, usual: str = USUAL) -> Span:
    """The span that is asked for. It ends now; where nothing came in it, with the newest exchange there is, so that a
    log of the past, or of a simulation, is seen too."""
    asked = visit.asked("span")
    name = asked if asked in SPANS else usual
    length, every = SPANS[name]
    newest_us = visit.services.traffic.standing()[1]
    past = newest_us is not None and not visit.now_us - length <= newest_us <= visit.now_us + MINUTE
    end = newest_us if past and newest_us is not None else visit.now_us
    unit = UNIT[every]
    to_us = (end // unit + 1) * unit
    return Span(name, to_us - length, to_us, every, newest_us, past)


def traffic(visit: Visit, span: Span) -> View:
    """What the page about the gateway shows of a span."""
    words, held = visit.renderer.words.gateway, visit.services.traffic
    over_time = held.figures(span.from_us, span.to_us, every=span.every, latencies=True)
    outcomes = held.figures(span.from_us, span.to_us, ["status"], every=span.every)
    charts = [
        _outcomes(visit, span, outcomes),
        _chart(visit, span, "latency", over_time, {"latency_p50_s": "seconds", "latency_p95_s": "seconds"}),
        _chart(visit, span, "spend", over_time, {"known_cost": "usd"}),
    ]
    models = held.figures(span.from_us, span.to_us, ["model", "tier"], latencies=True)
    upstreams = held.figures(span.from_us, span.to_us, ["upstream"], latencies=True)
    reasons = [one for one in held.figures(span.from_us, span.to_us, ["status", "reason"]) if _went_wrong(one)]
    tables = {
        "models": _by(visit, "models", ["model", "tier"], models),
        "upstreams": _by(visit, "upstreams", ["upstream"], upstreams),
        "reasons": _reasons(visit, reasons, sum(one.exchanges for one in models)),
    }
    return {
        "tables": [*(chart.table() for chart in charts), *tables.values()],
        "charts": charts,
        "named": tables,
        "span": span,
        "spans": [(name, words.spans[name], visit.here(span=name, csv=None)) for name in SPANS],
        "total": _total(models),
        "origins": {name: _origin(visit, span, by) for name, by in _BY.items()},
        "fault": held.fault,
    }


def _total(figures: Sequence[Figure]) -> Figure | None:
    """All of it, without latencies; None of nothing."""
    if not figures:
        return None
    added = (*SUMS, "answered")
    return Figure(group={}, at_us=None, **{name: sum(getattr(one, name) for one in figures) for name in added})


_BY: Final[dict[str, Sequence[By]]] = {
    "time": [], "models": ["model", "tier"], "upstreams": ["upstream"], "reasons": ["status", "reason"],
}  # fmt: skip


def _origin(visit: Visit, span: Span, by: Sequence[By]) -> Origin:
    words = visit.renderer.words.gateway
    asked = f"from_us={span.from_us}&to_us={span.to_us}" + (f"&by={','.join(by)}" if by else f"&every={span.every}")
    told = command("spend", visit.services.settings.data, "--by", "model" if "model" in by else "day")
    return Origin(api=f"GET /v1/traffic?{asked}", command=told, note=words.sums_note)


def _went_wrong(one: Figure) -> bool:
    return int(one.group["status"] or 0) >= 400 or one.group["reason"] is not None


def _points(span: Span) -> list[int]:
    unit = UNIT[span.every]
    return list(range(span.from_us // unit * unit, span.to_us, unit))


def _outcomes(visit: Visit, span: Span, figures: Sequence[Figure]) -> Chart:
    words = visit.renderer.words.gateway
    points = _points(span)
    counts: dict[str, dict[int, int]] = {name: {} for name in ("answered", "refused", "failed")}
    for one in figures:
        status, at_us = int(one.group["status"] or 0), one.at_us or 0
        kind = "answered" if status < 400 else "refused" if status < 500 else "failed"
        counts[kind][at_us] = counts[kind].get(at_us, 0) + one.exchanges
    return Chart(
        name="outcomes", title=words.charts.outcomes, x_title=words.charts.time, y_title=words.charts.exchanges,
        x=[at / SECOND for at in points], time=True,
        series=[
            Series(name=name, title=words.outcomes[name], values=[held.get(at, 0) for at in points], style="step",
                   kind="count")
            for name, held in counts.items()
        ],
    )  # fmt: skip


def _chart(visit: Visit, span: Span, name: str, figures: Sequence[Figure], kinds: dict[str, str]) -> Chart:
    words = visit.renderer.words.gateway
    points, by_time = _points(span), {one.at_us: one for one in figures}
    # Where nothing came nothing was spent; how long it would have taken nobody knows.
    absent = 0 if name == "spend" else None
    return Chart(
        name=name, title=words.charts[name], x_title=words.charts.time, y_title=words.charts.units[name],
        x=[at / SECOND for at in points], time=True,
        series=[
            Series(
                name=each, title=words.columns[each], kind=kind,  # type: ignore[arg-type]
                values=[getattr(by_time[at], each) if at in by_time else absent for at in points],
                style="bars" if name == "spend" else "line",
            )
            for each, kind in kinds.items()
        ],
    )  # fmt: skip


def _by(visit: Visit, name: str, by: Sequence[str], figures: Sequence[Figure]) -> Table:
    words = visit.renderer.words.gateway
    columns = [Column(each, words.columns[each], "code" if each == "model" else "text") for each in by]
    columns += [
        Column("exchanges", words.columns.exchanges, "count"),
        Column("answered_share", words.columns.answered_share, "share"),
        Column("input_tokens", words.columns.input_tokens, "count"),
        Column("output_tokens", words.columns.output_tokens, "count"),
        Column("known_cost", words.columns.known_cost, "usd"),
        Column("latency_p50_s", words.columns.latency_p50_s, "seconds"),
        Column("latency_p95_s", words.columns.latency_p95_s, "seconds"),
    ]
    rows = [
        one.group | {"answered_share": one.answered / one.exchanges}
        | {column.name: getattr(one, column.name) for column in columns if hasattr(one, column.name)}
        for one in figures
    ]  # fmt: skip
    return Table(name=name, columns=columns, rows=rows, empty=words.no_traffic)


def _reasons(visit: Visit, figures: Sequence[Figure], total: int) -> Table:
    words = visit.renderer.words.gateway
    rows = [
        {
            "status": Link(one.group["status"], tone="bad" if int(one.group["status"] or 0) >= 500 else "warn"),
            "reason": one.group["reason"], "exchanges": one.exchanges, "share": one.exchanges / (total or 1),
        }
        for one in sorted(figures, key=lambda one: -one.exchanges)
    ]  # fmt: skip
    columns = [
        Column("status", words.columns.status, "badge"),
        Column("reason", words.columns.reason, "code"),
        Column("exchanges", words.columns.exchanges, "count"),
        Column("share", words.columns.share, "share"),
    ]
    return Table(name="reasons", columns=columns, rows=rows, empty=words.no_errors)
