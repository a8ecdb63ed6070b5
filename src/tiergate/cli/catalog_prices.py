"""`tiergate catalog prices` and `refresh`: list prices by date, and how they are brought up to date."""

from __future__ import annotations

import datetime as dt
import math
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from tiergate.cli.charts import Chart, chart_file
from tiergate.cli.options import Json
from tiergate.cli.rows import Csv, csv_file, print_rows, write_csv
from tiergate.cli.terminal import counted, note, progress, say_json
from tiergate.errors import InputError

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from tiergate.catalog.prices import ListPrice, Prices

PricesFile = Annotated[
    Path | None,
    typer.Option("--prices", metavar="FILE", help="list_prices.csv of `catalog refresh`; those shipped if not given."),
]
FIRST = dt.date(2024, 11, 30)


def register(app: typer.Typer) -> None:
    """Add the commands of this module to ``app``."""
    app.command("prices")(prices)
    app.command("refresh")(refresh)


def prices(
    model: Annotated[
        str | None, typer.Argument(metavar="[MODEL]", help="Model, or id of a price; all models if not given.")
    ] = None,
    as_of: Annotated[
        datetime | None, typer.Option(formats=["%Y-%m-%d"], metavar="DATE", help="Only what was in force on this day.")
    ] = None,
    file: PricesFile = None,
    as_json: Json = False,
    csv: Csv = None,
    chart: Chart = None,
) -> None:
    """Show list prices of a model, US dollars for a million tokens, by the day they changed.

    A day is the one from which a price was in force where that is known, else the one on which it was first seen in a
    monthly price map.

    \b
    Example:
      tiergate catalog prices gpt-5.6-luna
    """
    csv_file(csv)
    chart_file(chart)
    known = prices_of(file)
    names = _ids(model, known)
    rows = [_row(one, counts) for name in names for one, counts in known.periods(name)]
    if as_of is not None:
        now = [known.in_force(name, as_of.date()) for name in names]
        rows = [row for row in rows if any(one and _is(row, one) for one in now)]
        if not rows:
            known.on(names[0], as_of.date())  # raises, and says from when there is one
    if csv:
        write_csv(csv, rows)
    if chart:
        _draw(chart, model or "all models on file", rows, known.last_seen)
    if as_json:
        say_json(rows)
        return
    print_rows(
        ("id", "from", "", "input $/M", "output $/M", "cached $/M"),
        [(row["id"], row["from"], row["dated_by"], *(_usd(row[name]) for name in ("input", "output", "cached_input")))
         for row in rows],
        right="lllrrr",
    )  # fmt: skip
    if as_of is not None and as_of.date() > known.last_seen:
        note(f"the newest price map was read on {known.last_seen}: prices may have changed since")
    note(f"{counted(len(rows), 'price')}; sources: {_sources(rows)}; each price's own is in --json and --csv")


def refresh(
    out: Annotated[Path, typer.Option(metavar="DIR", help="Folder for prices; a second run there goes on.")],
    since: Annotated[
        datetime | None, typer.Option(formats=["%Y-%m-%d"], metavar="DATE", help="First month; 2024-11 if not given.")
    ] = None,
    until: Annotated[
        datetime | None, typer.Option(formats=["%Y-%m-%d"], metavar="DATE", help="Last day; yesterday if not given.")
    ] = None,
    again: Annotated[
        Path | None, typer.Option("--from", metavar="FILE", help="wheels.json of a refresh, to do that again exactly.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Rebuild list prices from packages on PyPI: litellm's price map at each month's end, dated and checked by others.

    Wheels are fetched by pip (`pip install 'tiergate[refresh]'`), one at a time, 10 to 50 MB each. Only the price map
    in each is read; no package is installed or run.

    \b
    Example:
      tiergate catalog refresh --since 2026-09-01 --out prices
    """
    from tiergate.catalog.prices import FILE
    from tiergate.catalog.refreshing import WHEELS, month_ends, rebuild
    from tiergate.catalog.refreshing import refresh as fetched
    from tiergate.cli.outputs import writable_folder

    yesterday = datetime.now(UTC).date() - dt.timedelta(days=1)
    first, last = since.date() if since else FIRST, until.date() if until else yesterday
    if again is not None and (since or until):
        raise InputError("`--from` says which versions are taken: leave out `--since` and `--until`")
    if not first <= last <= yesterday:
        raise InputError(f"`--since` must not be after `--until`, and that not after {yesterday}, the last whole day")
    writable_folder(out)
    with progress("fetching") as advance:
        done = rebuild(out, again, advance) if again else fetched(out, month_ends(first, last), advance)
        advance("done", 1.0)
    note(
        f"wrote {counted(len(done.prices), 'price change')} to `{out / FILE}`; fetched {counted(done.fetched, 'wheel')}"
    )
    dated = sum(one.effective is not None for one in done.prices)
    checked = {
        name: {"compared": one.compared, "same": one.compared - len(one.differing), "differing": one.differing}
        for name, one in done.checked.items()
    }
    if as_json:
        say_json(
            {"prices": len(done.prices), "with_effective_day": dated, "fetched": done.fetched, "checked": checked,
             "file": out / FILE, "wheels": out / WHEELS}
        )  # fmt: skip
        return
    print_rows(
        ("package", "version", "newest on", "SHA-256 of the wheel"),
        [(one.package, one.version, one.day, f"{one.sha256[:16]}...") for one in done.wheels],
    )
    for name, one in checked.items():
        same = f"{one['same']:,} of the {one['compared']:,}"
        note(f"{name} has the same price for {same} models of first parties that both list; --json names the others")
    note(f"{counted(dated, 'change')} dated by when it was in force, the others by when it was first seen")


def prices_of(file: Path | None) -> Prices:
    """Those of a file that was named, or those shipped."""
    from tiergate.catalog.prices import read_prices, shipped_prices

    return shipped_prices() if file is None else read_prices(file)


def _ids(model: str | None, known: Prices) -> list[str]:
    """Ids of prices that a model has, or the id itself; all when None."""
    from tiergate.catalog.priced_models import find_priced

    if model is None:
        return sorted(known.by_id)
    if model in known.by_id:
        return [model]
    names = [name for name in find_priced(model).ids if name in known.by_id]
    if not names:
        raise InputError(f"the file of prices has none of `{model}`: see `tiergate catalog prices`")
    return names


def _row(one: ListPrice, counts: dt.date) -> dict[str, Any]:
    return {
        "id": one.id,
        "provider": one.provider,
        "from": counts,
        "dated_by": "replaced by then" if counts < one.since else str(one.dated_by),
        "first_seen": one.first_seen,
        "effective": one.effective,
        "input": one.input,
        "output": one.output,
        "cached_input": one.cached_input,
        "unit": "USD per million tokens",
        "as_of": one.as_of,
        "source": one.source,
        "licence": one.licence,
        "note": one.note,
    }


def _is(row: dict[str, Any], one: ListPrice) -> bool:
    return (row["id"], row["first_seen"]) == (one.id, one.first_seen)


def _usd(amount: float | None) -> str:
    return "-" if amount is None else f"{amount:,.4g}"


def _sources(rows: list[dict[str, Any]]) -> str:
    """Packages and pages that these prices are from, and of which days."""
    parts = [part.strip().removeprefix("effective: ") for row in rows for part in row["source"].split(";")]
    days = [row["as_of"] for row in rows]
    return f"{', '.join(sorted({part.split(' ')[0] for part in parts}))}, {min(days)} to {max(days)}"


def _draw(path: Path, title: str, rows: list[dict[str, Any]], last: dt.date) -> None:
    from tiergate.cli.charts import STYLES, Ending, date_axis, label_lines, write_chart

    names = list(dict.fromkeys(row["id"] for row in rows))
    if len(names) > len(STYLES):
        raise InputError(f"a chart of {len(names)} ids cannot be read: name a model")

    def draw(figure: Figure) -> None:
        axes = figure.subplots()
        endings = []
        for name, style in zip(names, STYLES, strict=False):
            changes = [row for row in rows if row["id"] == name]
            days = [*(row["from"] for row in changes), last]
            usd = [math.nan if row["output"] is None else row["output"] for row in (*changes, changes[-1])]
            axes.step(days, usd, where="post", **style._asdict())
            if changes[-1]["output"] is not None:
                endings.append(Ending(last, usd[-1], name, style))
        axes.set_ylabel("output, US dollars for a million tokens")
        axes.set_ylim(bottom=0)
        axes.grid(axis="y")
        date_axis(axes)
        label_lines(axes, endings)

    write_chart(draw, path, title=f"List price of {title}", source=f"{_sources(rows)}; `tiergate catalog prices`")
