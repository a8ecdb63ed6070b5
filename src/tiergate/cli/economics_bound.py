"""`tiergate economics bound` and `controls`: what a control can buy at most, and which buys most for its price."""

from __future__ import annotations

import math
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from tiergate.cli.charts import STYLES, Chart, chart_file, write_chart
from tiergate.cli.economics_lag import Follower, Leader, VintageFile, read
from tiergate.cli.economics_options import SOURCES, Changes, Draws, Exchanges, Seed, dollars, priors_of
from tiergate.cli.options import Json
from tiergate.cli.rows import Csv, csv_file, print_rows, write_csv
from tiergate.cli.terminal import note, say_json

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from tiergate.economics.bound import Bought
    from tiergate.economics.controls import Worth
    from tiergate.economics.monte_carlo import Quantiles

Defined = Annotated[
    Literal["horizontal", "strict", "staleness"], typer.Option(metavar="NAME", help="horizontal, strict or staleness.")
]


def register(app: typer.Typer) -> None:
    """Add the commands of this module to ``app``."""
    app.command("bound")(bound)
    app.command("controls")(controls)


def bound(
    follower: Follower = "open",
    leader: Leader = "closed",
    definition: Annotated[
        Literal["horizontal", "strict", "staleness"],
        typer.Option(metavar="NAME", help="horizontal, strict or staleness."),
    ] = "strict",
    vintage: VintageFile = None,
    slowed: Annotated[
        float | None,
        typer.Option(metavar="D", help="Days by which control delays an extraction; for good if not given."),
    ] = None,
    worth: Annotated[
        float | None, typer.Option(metavar="USD", help="What a month of exclusivity is worth to you.")
    ] = None,
    changes: Changes = None,
    draws: Draws = 100_000,
    seed: Seed = 1,
    as_json: Json = False,
    csv: Csv = None,
    chart: Chart = None,
) -> None:
    """Say how many months of exclusivity access control buys at most.

    Nothing is protected any longer once open weights give the same, and nothing is bought where they come sooner than
    an extraction would. How long they take is as measured, or as you say: --set open_lag=LOW,MODE,HIGH.

    \b
    Example:
      tiergate economics bound --worth 2000000
      tiergate economics bound China US --definition staleness
    """
    from tiergate.economics.bound import bound as bounds
    from tiergate.economics.bound import others
    from tiergate.economics.priors import load_priors

    csv_file(csv)
    chart_file(chart)
    days = math.inf if slowed is None else slowed
    outside = others(read(vintage), follower, leader, definition)
    priors = priors_of(changes, dict(load_priors()) | {"open_lag": outside.months})
    found = bounds(priors, follower=follower, slowed_days=days, month_worth=worth, draws=draws, seed=seed)
    if csv is not None:
        write_csv(csv, [_flat(one) for one in found])
    if chart is not None:
        write_chart(
            lambda figure: _draw_bound(figure, found),
            chart,
            title="Months until others have the capability, and what control buys",
            source=f"{SOURCES}. Median, and 5th to 95th percentile of {draws:,} draws",
        )
    if as_json:
        say_json([asdict(one) for one in found])
        return
    print_rows(
        ("months", *(f"against {one.option}" for one in found)),
        [
            ("until they have it", *(_months(one.outside) for one in found)),
            ("until an extraction is of use", *(_months(one.extraction) for one in found)),
            ("bought at most", *(_months(one.bought) for one in found)),
            ("nothing bought, share of draws", *(f"{one.nothing:.0%}" for one in found)),
            ("worth, USD", *("-" if one.worth is None else dollars(one.worth.median) for one in found)),
        ],
        right="lrr",
    )
    control = "a control that nobody gets past" if slowed is None else f"a control that delays by {slowed:g} days"
    note(f"medians, 5% to 95% of {draws:,} draws in brackets; an upper bound, for {control}; {SOURCES}")
    lag = priors["open_lag"]
    note(f"{follower} behind {leader}: {lag.low:.1f} to {lag.high:.1f} months, {lag.mode:.1f}; {lag.source}")
    note(f"at a time they give all but the last {outside.points:.1f} points of ECI, `tiergate economics gap`")


def controls(
    honest: Annotated[int, typer.Option(metavar="N", help="Honest accounts of yours.")],
    exchanges: Exchanges = 16e6,
    limit: Annotated[
        float | None, typer.Option(metavar="N", help="Exchanges an account a day; what 99% of honest ones stay below.")
    ] = None,
    above: Annotated[float, typer.Option(metavar="SHARE", help="Share of honest accounts above the limit.")] = 0.01,
    recall: Annotated[
        float | None, typer.Option(metavar="SHARE", help="Share of the accounts that detection finds; none without.")
    ] = None,
    delay: Annotated[float, typer.Option(metavar="D", help="Days until they are closed.")] = 1.0,
    accused: Annotated[float, typer.Option(metavar="SHARE", help="Share of honest accounts that it accuses.")] = 0.001,
    redteam: Annotated[
        Path | None, typer.Option(metavar="PATH", help="What `tiergate redteam --out` wrote, in place of these.")
    ] = None,
    changes: Changes = None,
    seed: Seed = 1,
    as_json: Json = False,
    csv: Csv = None,
) -> None:
    """Compare controls: dollars an attack costs more, for each dollar a year and each honest account blocked.

    \b
    Example:
      tiergate economics controls --honest 20000 --limit 100 --recall 0.9 --delay 1
      tiergate economics controls --honest 20000 --exchanges 8000 --redteam redteam
    """
    from tiergate.economics.controls import Assumed, compare
    from tiergate.economics.measured import read_measured

    csv_file(csv)
    measured = None if redteam is None else read_measured(redteam, exchanges)
    given = Assumed(limit, above, recall, delay, accused if recall is not None else 0.0)
    found = compare(exchanges, honest, given, priors_of(changes), measured=measured, seed=seed)
    if csv is not None:
        write_csv(csv, [asdict(one) for one in found])
    if as_json:
        say_json({"simulated": measured is not None, "controls": [asdict(one) for one in found]})
        return
    print_rows(
        ("control", "attack, USD", "raised by", "costs, USD a year", "honest blocked", "raised per USD", "per block"),
        [_cells(one) for one in found],
        right="lrrrrrr",
    )
    if measured is None and recall is None:
        note("detection is left out: give its --recall and --delay, or what `tiergate redteam` wrote with --redteam")
    if measured is not None:
        note("multipliers measured by the red team, simulated: upper bounds, as a cleverer attacker pays less")
    note(f"medians, {exchanges:,.0f} exchanges of the large model from accounts of its own; {SOURCES}")


def _cells(one: Worth) -> tuple[str, ...]:
    per_usd, per_block = ("free" if each is None else dollars(each) for each in (one.per_usd, one.per_block))
    return (
        one.control,
        *(dollars(each) for each in (one.attack, one.raised, one.costs)),
        f"{one.blocked:,.0f}",
        per_usd,
        per_block,
    )


def _months(found: Quantiles) -> str:
    return f"{found.median:.1f} ({found.low:.1f}-{found.high:.1f})"


def _flat(one: Bought) -> dict[str, object]:
    flat: dict[str, object] = {"option": one.option}
    for name in ("outside", "extraction", "bought"):
        spread: Quantiles = getattr(one, name)
        flat |= {f"{name}_months_p5": spread.low, f"{name}_months": spread.median, f"{name}_months_p95": spread.high}
    usd = (None,) * 3 if one.worth is None else (one.worth.low, one.worth.median, one.worth.high)
    return flat | {"nothing": one.nothing} | dict(zip(("usd_p5", "usd", "usd_p95"), usd, strict=True))


def _draw_bound(figure: Figure, found: list[Bought]) -> None:
    axes = figure.subplots()
    bars = [("undefended extraction", found[0].extraction)]
    bars += [(one.option, one.outside) for one in found]
    bars += [(f"bought, against {one.option}", one.bought) for one in found]
    for at, (name, one) in enumerate(bars[::-1]):
        style = STYLES[1] if name.startswith("bought") else STYLES[0]
        axes.plot([one.low, one.high], [at, at], color=style.color, linestyle=style.linestyle, linewidth=2)
        axes.plot([one.median], [at], color=style.color, marker=style.marker, markersize=6)
        axes.annotate(f"{one.median:.1f}", (one.median, at), xytext=(0, 6), textcoords="offset points", ha="center")
    axes.set_yticks(range(len(bars)), [name for name, _ in bars[::-1]])
    axes.set_ylim(-0.6, len(bars) - 0.2)
    axes.set_xlim(left=0)
    axes.set_xlabel("months from the day the capability is first served")
    axes.grid(axis="x")
