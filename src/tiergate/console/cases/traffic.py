"""What the accounts of a case sent: when, how worded, from where, and what it is worth under one's own assumptions."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from tiergate.api.problems import ProblemError
from tiergate.catalog.cited import Amount
from tiergate.clock import DAY
from tiergate.console.cases.drawings import heat
from tiergate.console.cases.opened import opened
from tiergate.console.cases.words import WORDS
from tiergate.console.charts import Chart, Series
from tiergate.console.origins import Origin, Source, command
from tiergate.console.tables import Column, Table
from tiergate.console.visits import View, Visit
from tiergate.economics.priors import load_priors
from tiergate.response.sheets import Failed, Sheet

SIZE: Final = 25
ASSUMED: Final = ("input_price", "output_price", "exchange_price", "account_price", "loss_share")
ACCOUNT: Final = ("phone_code", "mailbox", "payment_instrument")
"""Prices of the catalog that an account costs whoever opens many."""
MOST: Final = 1e9


def traffic(visit: Visit) -> View:
    held = opened(visit)
    sheet = held.sheet
    failed = sheet.why if isinstance(sheet, Failed) else ""
    base = held.view("traffic") | {"tables": [], "sheet": None, "counting": sheet is None, "failed": failed}
    if not isinstance(sheet, Sheet):
        return base
    counted = sheet.traffic
    strips = counted.strips
    first = _number(visit.asked("from"), 0, len(strips))
    some = strips[int(first) : int(first) + SIZE]
    assumed = {name: _number(visit.asked(name), default, MOST) for name, default in defaults().items()}
    timeline = _timeline(sheet)
    shown = {
        "kinds": _kinds(sheet), "values": _values(sheet), "pieces": _pieces(sheet), "asks": _asks(sheet),
        "models": _models(sheet), "value": value_table(sheet, assumed, len(held.members)), "strips": _strips(sheet),
    }  # fmt: skip
    case_id = held.file.case_id
    where = Origin(
        api=f"GET /v1/cases/{case_id}/dossier", command=command("case", "dossier", case_id, "--out", "case.html"),
        sources=[Source(WORDS.traffic.source.format(look=held.found.look))],
    )  # fmt: skip
    return base | shown | {
        "tables": [*shown.values(), timeline.table()], "sheet": sheet, "timeline": timeline,
        "heat": heat(some, counted.start_us, counted.step_us), "first": int(first), "drawn": len(some),
        "strip_count": len(strips), "assumed": assumed,
        "before": visit.here(**{"from": max(0, int(first) - SIZE)}) if first else None,
        "after": visit.here(**{"from": int(first) + SIZE}) if first + SIZE < len(strips) else None,
        "where": where,
        "value_origin": Origin(
            command=command("economics", "attack"), note=WORDS.value.note,
            sources=[Source(f"{name}: {_priors()[name].source}", day=str(_priors()[name].as_of)) for name in
                     (*ACCOUNT, "input_price", "output_price")],
        ),
    }  # fmt: skip


def defaults() -> dict[str, float]:
    """Where the assumptions start: cited or said to be assumed in the catalog. USD; tokens by the million."""
    priors = _priors()
    return {
        "input_price": priors["input_price"].mode, "output_price": priors["output_price"].mode, "exchange_price": 0.0,
        "account_price": round(sum(priors[name].mode for name in ACCOUNT), 2), "loss_share": 1.0,
    }  # fmt: skip


def _priors() -> Mapping[str, Amount]:
    return load_priors()


def value_table(sheet: Sheet, assumed: dict[str, float], accounts: int) -> Table:
    """What the case is worth: as recorded, and at the prices that were given."""
    counted, rows, words = sheet.traffic, list[dict[str, object]](), WORDS.value.rows
    recorded = counted.value
    tokens = None
    if counted.input_tokens is not None:
        tokens = counted.input_tokens * assumed["input_price"] + counted.output_tokens * assumed["output_price"]
    days_us = max(sum(count > 0 for count, _ in sheet.bins), 1) * counted.step_us
    month = None if recorded.recorded is None else recorded.recorded * 1e6 * 30 * DAY / days_us
    share = min(assumed["loss_share"], 1.0)
    rows += [
        {
            "what": words.recorded,
            "low": _micro(recorded.low),
            "mid": _micro(recorded.recorded),
            "high": _micro(recorded.high),
        },
        {"what": words.tokens, "mid": tokens},
        {"what": words.exchanges, "mid": counted.charged * assumed["exchange_price"] * 1e6},
        {"what": words.accounts, "mid": accounts * assumed["account_price"] * 1e6},
        {"what": words.month, "mid": month},
        {"what": words.loss, "mid": None if recorded.recorded is None else recorded.recorded * 1e6 * share},
    ]
    columns = WORDS.value.columns
    return Table(
        name="value",
        columns=[
            Column("what", columns.what), Column("low", columns.low, "usd"), Column("mid", columns.mid, "usd"),
            Column("high", columns.high, "usd"),
        ],
        rows=rows,
    )  # fmt: skip


def _micro(usd: float | None) -> float | None:
    return None if usd is None else usd * 1e6


def _number(text: str | None, otherwise: float, most: float) -> float:
    """A number of the query within its bounds. Raises `ProblemError` for what is none."""
    if text is None:
        return otherwise
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0 <= value <= most:
        raise ProblemError(422, "unfit_query", f"`{text[:40]}` is no number from 0 to {most:g}", "go back and mend it")
    return value


def _timeline(sheet: Sheet) -> Chart:
    counted, words = sheet.traffic, WORDS.traffic.timeline
    sums, busy = zip(*sheet.bins, strict=True) if sheet.bins else ((), ())
    return Chart(
        name="timeline", title=words.title.format(step=counted.bin_name), x_title=words.x, y_title=words.y,
        x=[(counted.start_us + place * counted.step_us) / 1e6 for place in range(len(sums))], time=True,
        series=[Series(name="exchanges", title=words.exchanges, values=sums, style="bars", kind="count"),
                Series(name="accounts", title=words.accounts, values=busy, style="line", kind="count")],
    )  # fmt: skip


def _strips(sheet: Sheet) -> Table:
    """Every bin of every account that sent something: what the strips show."""
    counted, columns = sheet.traffic, WORDS.traffic.strips
    return Table(
        name="strips",
        columns=[Column("account_id", columns.account_id, "code"), Column("at_us", columns.at_us, "time"),
                 Column("exchanges", columns.exchanges, "count")],
        rows=(
            {"account_id": one.account_id, "at_us": counted.start_us + place * counted.step_us, "exchanges": count}
            for one in counted.strips for place, count in enumerate(one.counts) if count
        ),
    )  # fmt: skip


def _kinds(sheet: Sheet) -> Table:
    names = ("kind", "values", "having", "sharing", "most")
    return Table(
        name="kinds",
        columns=[Column(name, WORDS.traffic.kinds[name], "text" if name == "kind" else "count") for name in names],
        rows=[{name: getattr(one, name) for name in names} for one in sheet.traffic.shared],
    )


def _values(sheet: Sheet) -> Table:
    columns = WORDS.traffic.values
    return Table(
        name="values",
        columns=[Column("kind", columns.kind), Column("value", columns.value, "code"),
                 Column("accounts", columns.accounts, "count"), Column("share", columns.share, "share")],
        rows=[
            {"kind": one.kind, "value": one.value, "accounts": len(one.accounts),
             "share": len(one.accounts) / len(sheet.accounts)}
            for one in sheet.in_common[:30]
        ],
        empty=WORDS.traffic.nothing_shared,
    )  # fmt: skip


def _pieces(sheet: Sheet) -> Table:
    columns = WORDS.wording.columns
    return Table(
        name="pieces",
        columns=[Column("mark", columns.mark, "code"), Column("charged", columns.charged, "share"),
                 Column("other", columns.other, "share"), Column("accounts", columns.accounts, "count")],
        rows=[
            {"mark": one.mark, "charged": one.charged_share, "other": one.other_share, "accounts": one.accounts}
            for one in sheet.wording.pieces
        ],
        empty=WORDS.wording.empty,
    )  # fmt: skip


def _asks(sheet: Sheet) -> Table:
    columns = WORDS.wording.columns
    return Table(
        name="asks",
        columns=[Column("name", columns.name), Column("charged", columns.charged, "share"),
                 Column("other", columns.other, "share")],
        rows=[
            {"name": one.name.replace("_", " "), "charged": one.charged_share, "other": one.other_share}
            for one in sheet.wording.asks
        ],
    )  # fmt: skip


def _models(sheet: Sheet) -> Table:
    columns, total = WORDS.traffic.models, max(sheet.traffic.charged, 1)
    return Table(
        name="models",
        columns=[Column("model", columns.model, "code"), Column("exchanges", columns.exchanges, "count"),
                 Column("share", columns.share, "share")],
        rows=[
            {"model": model, "exchanges": count, "share": count / total}
            for model, count in sheet.traffic.models.items()
        ],
    )  # fmt: skip
