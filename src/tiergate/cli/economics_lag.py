"""`tiergate economics lag`, `gap` and `convergence`: who is behind whom by which definition, and is it getting less."""

from __future__ import annotations

import datetime as dt
from dataclasses import asdict
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from tiergate.cli.charts import STYLES, Chart, chart_file, label_line, write_chart
from tiergate.cli.options import Json
from tiergate.cli.rows import Csv, csv_file, print_rows, write_csv
from tiergate.cli.terminal import note, say_json
from tiergate.errors import InputError

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from tiergate.catalog.scores import Vintage
    from tiergate.economics.convergence import Spread
    from tiergate.economics.lag import Gap, Lag

Follower = Annotated[
    str, typer.Argument(metavar="FOLLOWER", help="open, closed, unknown, a country, a developer, or US:open.")
]
Leader = Annotated[str, typer.Argument(metavar="LEADER", help="The group that is followed; the same words.")]
VintageFile = Annotated[
    Path | None,
    typer.Option("--vintage", metavar="FILE", help="A CSV file of Epoch's index; the frontier rows that are shipped."),
]
Since = Annotated[datetime | None, typer.Option(formats=["%Y-%m-%d"], metavar="DATE", help="First day that counts.")]
AsOf = Annotated[
    datetime | None,
    typer.Option(formats=["%Y-%m-%d"], metavar="DATE", help="As if it were this day; the vintage's last."),
]
Resamples = Annotated[int, typer.Option(metavar="N", min=0, max=100_000, help="Draws of scores for the intervals.")]
Seed = Annotated[int, typer.Option(metavar="N", help="Seed of the draws.")]


def register(app: typer.Typer) -> None:
    """Add the commands of this module to ``app``."""
    app.command("lag")(lag)
    app.command("gap")(gap)
    app.command("convergence")(convergence)


def lag(
    follower: Follower = "open",
    leader: Leader = "closed",
    vintage: VintageFile = None,
    since: Since = None,
    as_of: AsOf = None,
    resamples: Resamples = 1000,
    seed: Seed = 1,
    as_json: Json = False,
    csv: Csv = None,
    chart: Chart = None,
) -> None:
    """Say how far one group of models is behind another, by each of four definitions.

    \b
    Example:
      tiergate economics lag open closed
      tiergate economics lag China US --as-of 2026-01-01
      tiergate economics lag Anthropic OpenAI --vintage eci_scores.csv
    """
    from tiergate.economics.lag import DEFINITIONS, lags

    csv_file(csv)
    chart_file(chart)
    scores = read(vintage)
    found = lags(scores, follower, leader, since=day_of(since), as_of=day_of(as_of), resamples=resamples, seed=seed)
    if csv is not None:
        write_csv(csv, [asdict(one) for one in found])
    if chart is not None:
        write_chart(
            lambda figure: _draw_lags(figure, found),
            chart,
            title=f"How far {follower} models are behind {leader} ones depends on the definition",
            source=f"{cited(scores)}. Bars: 90% over scores drawn from their published intervals",
        )
    if as_json:
        say_json([asdict(one) for one in found])
        return
    print_rows(
        ("definition", "behind", "unit", "90% interval", "5% to 95% of what is averaged"),
        [
            (
                one.definition,
                f"{one.value:.1f}",
                one.unit,
                "unknown" if one.low is None else f"{one.low:.1f} to {one.high:.1f}",
                f"{one.least:.1f} to {one.most:.1f}",
            )
            for one in found
        ],
        right="lr",
    )
    note(f"{follower} behind {leader}, {found[0].from_day} to {found[0].as_of}; {cited(scores)}")
    note("horizontal and strict know only scores that both reached; horizontal counts a tie (5%) as reached")
    if len(found) < len(DEFINITIONS):
        note(f"vintage `{scores.name}` has no intervals, so ties cannot be told and no error bars be given")
    _say_left_out(scores)


def gap(
    follower: Follower = "open",
    leader: Leader = "closed",
    months: Annotated[int, typer.Option(metavar="N", help="Months a row: 1, 2, 3, 4, 6 or 12.")] = 6,
    vintage: VintageFile = None,
    since: Since = None,
    as_of: AsOf = None,
    as_json: Json = False,
    csv: Csv = None,
    chart: Chart = None,
) -> None:
    """Show how the gap between two groups of models went, half-year by half-year.

    \b
    Example:
      tiergate economics gap China US --months 3 --chart gap.svg
    """
    from tiergate.economics.lag import gaps

    csv_file(csv)
    chart_file(chart)
    if months not in (1, 2, 3, 4, 6, 12):
        raise InputError(f"a year has no whole number of spans of {months} months: give 1, 2, 3, 4, 6 or 12")
    scores = read(vintage)
    found = gaps(scores, follower, leader, months=months, since=day_of(since), as_of=day_of(as_of))
    if csv is not None:
        write_csv(csv, [asdict(one) for one in found])
    if chart is not None:
        write_chart(
            lambda figure: _draw_gaps(figure, found),
            chart,
            title=f"The gap between {leader} and {follower} models",
            source=f"{cited(scores)}. Means over the days of each span",
        )
    if as_json:
        say_json([asdict(one) for one in found])
        return
    print_rows(
        ("from", "to", "vertical, ECI points", "staleness, months"),
        [(one.from_day, one.to_day, f"{one.points:.1f}", f"{one.months:.1f}") for one in found],
        right="llrr",
    )
    note(f"{follower} behind {leader}; {cited(scores)}")
    _say_left_out(scores)


def convergence(
    names: Annotated[
        list[str] | None, typer.Argument(metavar="NAME...", help="Developers or groups; OpenAI, Anthropic and Google.")
    ] = None,
    vintage: VintageFile = None,
    since: Since = None,
    as_of: AsOf = None,
    resamples: Resamples = 1000,
    seed: Seed = 1,
    as_json: Json = False,
    csv: Csv = None,
    chart: Chart = None,
) -> None:
    """Show whether the best models of several developers get closer, month by month.

    \b
    Example:
      tiergate economics convergence
      tiergate economics convergence OpenAI Anthropic Google xAI Meta --since 2025-01-01
    """
    from tiergate.economics.convergence import FRONTIER_LABS, spreads

    csv_file(csv)
    chart_file(chart)
    scores = read(vintage)
    labs = tuple(names or FRONTIER_LABS)
    found = spreads(scores, labs, since=day_of(since), as_of=day_of(as_of), resamples=resamples, seed=seed)
    flat = [
        {"on": one.on, "spread": one.spread, "low": one.low, "high": one.high} | {name: one.best[name] for name in labs}
        for one in found
    ]
    if csv is not None:
        write_csv(csv, flat)
    if chart is not None:
        write_chart(
            lambda figure: _draw_spreads(figure, found, labs),
            chart,
            title="The best model of each developer, and the spread among them",
            source=f"{cited(scores)}. The spread with 90% over scores drawn from their published intervals",
        )
    if as_json:
        say_json([asdict(one) for one in found])
        return
    print_rows(
        ("on", "spread, ECI points", "90% interval", *(f"{name}'s best" for name in labs)),
        [
            (
                one.on,
                f"{one.spread:.1f}",
                "unknown" if one.low is None else f"{one.low:.1f} to {one.high:.1f}",
                *(f"{one.best[name]:.1f}" for name in labs),
            )
            for one in found
        ],
        right="lr" + "l" + "r" * len(labs),
    )
    note(f"{cited(scores)}; --json names the models")
    _say_left_out(scores)


def read(vintage: Path | None) -> Vintage:
    """The vintage in a file, or the frontier rows that come with Tiergate."""
    from tiergate.catalog.scores import read_vintage, shipped

    return shipped() if vintage is None else read_vintage(vintage)


def cited(scores: Vintage) -> str:
    """The line that says whose figures these are."""
    return f"vintage `{scores.name}`, {scores.source}, {scores.licence}"


def _say_left_out(scores: Vintage) -> None:
    if scores.left_out:
        note("rows left out: " + ", ".join(f"{count} {reason}" for reason, count in scores.left_out.items()))


def day_of(moment: datetime | None) -> dt.date | None:
    """The day of an option, if it was given."""
    return None if moment is None else moment.date()


def _draw_lags(figure: Figure, found: list[Lag]) -> None:
    panels = figure.subplots(1, 2, width_ratios=(3, 1), squeeze=False)[0]
    for axes, unit, style in zip(panels, ("months", "ECI points"), STYLES, strict=False):
        shown = [one for one in found if one.unit == unit]
        for at, one in enumerate(shown):
            bar = None if one.low is None or one.high is None else [[one.value - one.low], [one.high - one.value]]
            axes.errorbar([at], [one.value], yerr=bar, fmt=style.marker, color=style.color, capsize=4)
            axes.annotate(f"{one.value:.1f}", (at, one.value), xytext=(7, 0), textcoords="offset points", va="center")
        axes.set_xticks(range(len(shown)), [one.definition for one in shown])
        axes.set_xlim(-0.5, len(shown) - 0.2)
        axes.set_ylim(bottom=min(0.0, *(one.value if one.low is None else one.low for one in shown)))
        axes.set_ylabel(unit)


def _draw_gaps(figure: Figure, found: list[Gap]) -> None:
    panels = figure.subplots(2, 1, sharex=True, squeeze=False)[:, 0]
    middle = [one.from_day + (one.to_day - one.from_day) / 2 for one in found]
    for axes, heights, unit, style in zip(
        panels,
        ([one.points for one in found], [one.months for one in found]),
        ("vertical, ECI points", "staleness, months"),
        STYLES,
        strict=False,
    ):
        axes.plot(middle, heights, **style._asdict())
        axes.set_ylim(bottom=0)
        axes.set_ylabel(unit)
        axes.grid(axis="y")


def _draw_spreads(figure: Figure, found: list[Spread], labs: tuple[str, ...]) -> None:
    top, below = figure.subplots(2, 1, sharex=True, height_ratios=(2, 1))
    days = [one.on for one in found]
    lowest = min(min(one.best.values()) for one in found)
    apart = (max(max(one.best.values()) for one in found) - lowest) / 14
    written = -float("inf")
    for name in sorted(labs, key=lambda name: found[-1].best[name]):
        style = STYLES[labs.index(name) % len(STYLES)]
        heights = [one.best[name] for one in found]
        top.plot(days, heights, drawstyle="steps-post", markevery=3, **style._asdict())
        written = max(heights[-1], written + apart)
        label_line(top, days[-1], written, name, style)
    below.plot(days, [one.spread for one in found], color="black")
    if found[0].low is not None:
        lows, highs = [one.low or 0.0 for one in found], [one.high or 0.0 for one in found]
        below.fill_between(days, lows, highs, color="#bbbbbb")
    top.set_ylabel("best score, ECI")
    below.set_ylabel("spread, ECI points")
    below.set_ylim(bottom=0)
