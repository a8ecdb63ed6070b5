"""The claim ledger: what the essay claims, what sources say, what people here say, and what rests on each."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final

from tiergate.api.problems import not_found
from tiergate.api.services import Services
from tiergate.catalog.claim_figures import Figure, figures, moved
from tiergate.catalog.claims import Ledger, Status, load_claims
from tiergate.console.acting import Consequence, Deed
from tiergate.console.market import founding
from tiergate.console.origins import Origin, Source, cited, command
from tiergate.console.tables import Column, Link, Table
from tiergate.console.visits import View, Visit
from tiergate.console.words import Words, load_words
from tiergate.economics.founding_charts import moved_bars

TONES: Final[Mapping[Status, str]] = {
    Status.CORROBORATED: "good", Status.DISPUTED: "warn", Status.REFUTED: "bad", Status.UNCORROBORATED: "",
}  # fmt: skip


def ledger(visit: Visit) -> View:
    words, overrides = visit.renderer.words.market, visit.services.claim_overrides
    standing, here = overrides.standing(), overrides.ledger()
    topic, status = visit.asked("topic"), visit.asked("status")
    shown = [
        one
        for one in load_claims().claims.values()
        if topic in (None, one.topic) and status in (None, here.find(one.id).status.value)
    ]
    columns = [
        Column("claim", words.columns.claim),
        Column("says", words.columns.says, "prose"),
        Column("status", words.columns.status, "badge"),
        Column("claimed", words.columns.claimed),
        Column("evidence", words.columns.evidence),
        Column("ours", words.columns.ours),
        Column("unit", words.columns.unit),
        Column("source", words.columns.source, "source"),
        Column("as_of", words.columns.as_of),
        Column("licence", words.columns.licence),
    ]
    table = Table(
        name="claims",
        columns=columns,
        rows=[
            {
                "claim": Link(one.id, f"/market/claims/{one.id}"),
                "says": one.says,
                "status": Link(words.statuses[here.find(one.id).status.value], tone=TONES[here.find(one.id).status]),
                "claimed": _text(one.claimed),
                "evidence": _text(one.evidence),
                "ours": standing[one.id].value if one.id in standing else None,
                "unit": one.unit,
                "source": one.source,
                "as_of": one.as_of,
                "licence": one.licence,
            }
            for one in shown
        ],
    )
    result = figure_table(words, figures(load_claims()), here)
    return {
        "tables": [table, result], "table": table, "figures": result, "topic": topic, "status": status,
        "topics": list(dict.fromkeys(one.topic for one in load_claims().claims.values())),
        "statuses": [one.value for one in Status], "standing": list(standing.values()),
        "origin": Origin(api="GET /v1/market/claims", command=_line(visit)),
        "figures_origin": Origin(api="GET /v1/market/claims", command=_line(visit, "--figures")),
    }  # fmt: skip


def one_claim(visit: Visit) -> View:
    words, name = visit.renderer.words.market, visit.path("claim_id")
    overrides = visit.services.claim_overrides
    claim = load_claims().claims.get(name)
    if claim is None:
        raise not_found("claim", name)
    standing, here = overrides.standing(), overrides.ledger()
    used = [one for one in figures(load_claims()) if name in one.of]
    history = Table(
        name="history",
        columns=[
            Column("at_us", words.columns.at_us, "time"),
            Column("author", words.columns.author),
            Column("action", words.columns.action),
            Column("value", words.columns.value),
            Column("reason", words.columns.reason, "prose"),
        ],
        rows=[
            {"at_us": one.at_us, "author": one.author, "action": words.actions[one.action], "reason": one.reason,
             "value": override.value}
            for one, override in reversed(overrides.history(name))
        ],
        empty=words.no_overrides,
    )  # fmt: skip
    table = figure_table(words, used, here)
    charts = [one for one in founding.charts(words, here, frozenset(standing)) if name in one.claims]
    return {
        "tables": [history, table, *(one.chart.table() for one in charts)], "claim": claim, "here": here.find(name),
        "override": standing.get(name), "tone": TONES, "history": history, "figures": table if used else None,
        "charts": charts,
        "origin": Origin(
            api=f"GET /v1/market/claims/{name}", command=_line(visit, name),
            sources=[Source(one.title, one.href, str(claim.as_of)) for one in cited(claim.source) if one.href]
            or [Source(claim.source, day=str(claim.as_of))],
        ),
    }  # fmt: skip


def figure_table(words: Words, shipped: Iterable[Figure], here: Ledger) -> Table:
    """Figures as the essay has them, as sources have them, and as they are here where that differs."""
    ours = {one.id: one.evidence for one in figures(here)}
    return Table(
        name="figures",
        columns=[
            Column("means", words.columns.means),
            Column("claimed", words.columns.claimed),
            Column("evidence", words.columns.evidence),
            Column("ours", words.columns.ours, "badge"),
            Column("unit", words.columns.unit),
            Column("of", words.columns.of),
        ],
        rows=[
            {
                "means": one.means, "claimed": _text(one.claimed), "evidence": _text(one.evidence),
                "ours": Link(str(ours[one.id]), tone="warn") if ours[one.id] != one.evidence else None,
                "unit": one.unit, "of": ", ".join(one.of),
            }
            for one in shipped
        ],
    )  # fmt: skip


def before_override(services: Services, deed: Deed, _now_us: int) -> Consequence:
    """Which figures and bars move."""
    return _moves(services, deed.path["claim_id"], str(deed.values.get("value", "")))


def before_withdrawal(services: Services, deed: Deed, _now_us: int) -> Consequence:
    """The same, where the sources count again."""
    return _moves(services, deed.path["claim_id"], None)


def _moves(services: Services, name: str, value: str | None) -> Consequence:
    words, overrides = load_words().market, services.claim_overrides
    before, after = overrides.ledger(), overrides.preview(name, value)
    rows: list[dict[str, object]] = [
        {"means": old.means, "before": _text(old.evidence), "after": _text(new.evidence), "unit": old.unit}
        for old, new in moved(before, after)
    ]
    rows += [
        {"means": words("bar_of", label=words.bars.get(new.label, new.label)), "before": str(old.value),
         "after": str(new.value), "unit": new.unit}
        for _, old, new in moved_bars(before, after)
    ]  # fmt: skip
    columns = [
        Column("means", words.columns.means),
        Column("before", words.columns.before),
        Column("after", words.columns.after),
        Column("unit", words.columns.unit),
    ]
    sentence = words.confirm.nothing_moves if not rows else words("confirm.moves", count=len(rows))
    return Consequence(
        sentences=[sentence, words.confirm.everybody],
        tables=[Table(name="moves", columns=columns, rows=rows)] if rows else [],
    )


def _line(visit: Visit, *more: str) -> str:
    return command("catalog", "claims", *more, "--data", visit.services.settings.data.name)


def _text(value: object) -> str | None:
    return None if value is None else str(value)
