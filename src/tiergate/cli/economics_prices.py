"""`tiergate economics prices`: the cheapest list price of a capability, by month."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from tiergate.cli.catalog_prices import PricesFile, prices_of
from tiergate.cli.charts import Chart, chart_file
from tiergate.cli.economics_lag import VintageFile
from tiergate.cli.options import Json
from tiergate.cli.rows import Csv, csv_file, print_rows, write_csv
from tiergate.cli.terminal import note, say, say_json
from tiergate.errors import InputError

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from tiergate.economics.price_at_capability import Cell

SCORES = "scores: Epoch AI, Epoch Capabilities Index (ECI), vintage {}, CC BY 4.0"
SHIPPED = "2026-08-11"


def register(app: typer.Typer) -> None:
    """Add the command of this module to ``app``."""
    app.command("prices")(prices)


def prices(
    threshold: Annotated[
        list[float] | None,
        typer.Option("--eci", metavar="N", help="Points of ECI to reach; repeatable. 130 to 156 if not given."),
    ] = None,
    since: Annotated[
        datetime | None, typer.Option(formats=["%Y-%m-%d"], metavar="DATE", help="First month; the first on file.")
    ] = None,
    until: Annotated[
        datetime | None, typer.Option(formats=["%Y-%m-%d"], metavar="DATE", help="Last month; that of the last price.")
    ] = None,
    blend: Annotated[float, typer.Option(metavar="N", help="Tokens of input for each of output.")] = 3.0,
    without: Annotated[list[str] | None, typer.Option(metavar="MODEL", help="Model to leave out; repeatable.")] = None,
    count_earlier: Annotated[
        bool, typer.Option("--count-earlier", help="Also prices that were there before their model.")
    ] = False,
    vintage: VintageFile = None,
    file: PricesFile = None,
    as_json: Json = False,
    csv: Csv = None,
    chart: Chart = None,
) -> None:
    """Show what a capability cost at the end of each month: the cheapest first-party list price that reached it.

    A column a threshold: US dollars for a million tokens, three of input for one of output. List prices, no discounts;
    resellers of open weights may be cheaper. Scores are those of 2026-08-11, or of --vintage where it has the model.

    \b
    Example:
      tiergate economics prices --eci 150 --eci 156 --since 2025-08-01
    """
    from tiergate.catalog.priced_models import priced_models, scored_by
    from tiergate.catalog.refreshing import month_ends
    from tiergate.catalog.scores import read_vintage
    from tiergate.economics.price_at_capability import THRESHOLDS, cheapest

    csv_file(csv)
    chart_file(chart)
    known = prices_of(file)
    wanted = sorted(set(threshold or THRESHOLDS))
    last = until.date() if until else known.last_seen
    first = since.date() if since else known.first_day
    if first > last:
        raise InputError(f"`--since` must not be after {last}")
    if last > known.last_seen:
        raise InputError(f"prices are known until {known.last_seen}: give `--until` no later day, or refresh them")
    months = month_ends(first, last)
    models, scores = priced_models(), SCORES.format(SHIPPED)
    if vintage is not None:
        read = read_vintage(vintage)
        models, scores = scored_by(read, models), SCORES.format(read.name)
        note(f"vintage `{read.name}` has {len(models)} of the {len(priced_models())} models with prices on file")
    cells = cheapest(
        known, models, months=months, thresholds=wanted, input_parts=blend, without=without or (),
        count_earlier=count_earlier,
    )  # fmt: skip
    rows = [_row(one) for one in cells]
    used = [one.price for one in cells if one.price is not None]
    days = f", {min(one.as_of for one in used)} to {max(one.as_of for one in used)}" if used else ""
    source = f"list prices: price maps on PyPI{days}, MIT (`tiergate catalog prices`); {scores}"
    if csv:
        write_csv(csv, rows)
    if chart:
        _draw(chart, cells, source, blend)
    if as_json:
        say_json({"unit": f"USD per million tokens, {blend:g}:1 input to output", "cells": rows, "source": source})
        return
    print_rows(
        ("end of", *(f"{one:g}" for one in wanted)),
        [(month, *(_usd(one.usd) for one in cells if one.month == month)) for month in months],
        right="l" + "r" * len(wanted),
    )
    say()
    say("A column a score of ECI. Whose price it is, from the first month that it was the cheapest:")
    for one in wanted:
        say(f"  ECI>={one:g}  {_holders([cell for cell in cells if cell.threshold == one])}")
    for caution in dict.fromkeys(cell.caution for cell in cells if cell.caution):
        touched = dict.fromkeys(f"{cell.month:%Y-%m}" for cell in cells if cell.caution == caution)
        note(f"{', '.join(touched)}: {caution}")
    note(f"US dollars for a million tokens, {blend:g}:1 of input to output; {source}")


def _usd(amount: float | None) -> str:
    return "-" if amount is None else f"{amount:,.3f}"


def _holders(cells: list[Cell]) -> str:
    named, before = [], None
    for one in cells:
        if one.model != before:
            named.append(f"{one.month:%Y-%m} {one.model or 'none'}")
            before = one.model
    return ", ".join(named)


def _row(one: Cell) -> dict[str, Any]:
    return {
        "month": one.month,
        "eci": one.threshold,
        "usd": None if one.usd is None else round(one.usd, 6),
        "model": one.model,
        "id": one.price and one.price.id,
        "price_since": one.price and one.price.since,
        "dated_by": one.price and str(one.price.dated_by),
        "source": one.price and one.price.source,
        "caution": one.caution,
    }


def _draw(path: Path, cells: list[Cell], source: str, blend: float) -> None:
    from tiergate.cli.charts import STYLES, Ending, date_axis, label_lines, write_chart

    thresholds = sorted({one.threshold for one in cells if one.usd is not None})
    if not thresholds:
        raise InputError("no model of the table reached these scores in these months, so there is nothing to draw")
    if len(thresholds) > len(STYLES):
        raise InputError(f"a chart of {len(thresholds)} thresholds cannot be read: give {len(STYLES)} or fewer")

    def draw(figure: Figure) -> None:
        axes = figure.subplots()
        endings = []
        for threshold, style in zip(thresholds, STYLES, strict=False):
            found = [one for one in cells if one.threshold == threshold and one.usd is not None]
            months: list[Any] = [one.month for one in found]
            axes.step(months, [one.usd or 0.0 for one in found], where="post", **style._asdict())
            name = f"ECI \N{GREATER-THAN OR EQUAL TO} {threshold:g}"
            endings.append(Ending(months[-1], found[-1].usd or 0.0, name, style))
        axes.set_yscale("log")
        axes.yaxis.set_major_formatter(lambda value, _: f"{value:g}")
        axes.set_ylabel(f"US dollars for a million tokens, {blend:g}:1")
        axes.grid(axis="y", which="both")
        date_axis(axes)
        label_lines(axes, endings)

    write_chart(draw, path, title="Cheapest list price of a capability", source=source)
