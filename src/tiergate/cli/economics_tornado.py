"""`tiergate economics tornado`: which uncertain input decides what an attack costs."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any

import typer

from tiergate.cli.charts import STYLES, Chart, chart_file, write_chart
from tiergate.cli.economics_options import (
    SOURCES,
    AccountCost,
    Accounts,
    Changes,
    Channel,
    Check,
    Control,
    Delay,
    Exchanges,
    Limit,
    Mix,
    Model,
    NewcomerLimit,
    On,
    Recall,
    RedTeam,
    Seed,
    campaign_of,
    deployment_of,
    dollars,
    priors_of,
    simulated,
)
from tiergate.cli.options import Json
from tiergate.cli.rows import Csv, csv_file, print_rows, write_csv
from tiergate.cli.terminal import note, say_json
from tiergate.errors import InputError

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from tiergate.economics.sensitivity import Influence


def register(app: typer.Typer) -> None:
    """Add the command of this module to ``app``."""
    app.command("tornado")(tornado)


def tornado(
    exchanges: Exchanges = 16e6,
    accounts: Accounts = None,
    channel: Channel = None,
    mix: Mix = None,
    model: Model = None,
    on: On = None,
    identity_check: Check = False,
    account_cost: AccountCost = None,
    limit: Limit = None,
    newcomer_limit: NewcomerLimit = None,
    recall: Recall = 0.0,
    delay: Delay = 1.0,
    redteam: RedTeam = None,
    control: Control = "all",
    changes: Changes = None,
    samples: Annotated[int, typer.Option(metavar="N", help="Base samples, a power of two.")] = 2_048,
    seed: Seed = 1,
    as_json: Json = False,
    csv: Csv = None,
    chart: Chart = None,
) -> None:
    """Show which uncertain input decides the cost: Sobol's indices.

    Indices are shares of the variance of the cost's logarithm: what the input explains alone, and in all, with its
    interactions, within so much (95%). The last columns are the cost with that input low or
    high, at its 5th and 95th percentile, and all others at their medians.

    \b
    Example:
      tiergate economics tornado --accounts 24000 --chart tornado.svg
    """
    from tiergate.economics.sensitivity import influences

    csv_file(csv)
    chart_file(chart)
    if samples < 64 or samples & (samples - 1) or samples > 1 << 17:
        raise InputError(f"`--samples {samples}`: give a power of two from 64 to 131,072")
    here = deployment_of(
        identity_check, account_cost, limit, newcomer_limit, recall, delay, redteam, control, exchanges
    )
    campaign = campaign_of(exchanges, accounts, channel, mix, here)
    found = influences(campaign, priors_of(changes, model=model, on=on), samples=samples, seed=seed)
    rows: list[dict[str, Any]] = [asdict(one) for one in found]
    if csv is not None:
        write_csv(csv, rows)
    if chart is not None:
        write_chart(
            lambda figure: _draw_tornado(figure, found),
            chart,
            title=f"What decides the cost of {exchanges:,.0f} exchanges",
            source=f"{SOURCES}. Each input at its 5th and 95th percentile, others at their medians{simulated(here)}",
        )
    if as_json:
        say_json({"exchanges": exchanges, "samples": samples, "seed": seed, "inputs": rows})
        return
    print_rows(
        ("input", "alone", "in all", "within", "USD if low", "USD if high"),
        [
            (
                one.name,
                f"{max(one.first, 0):.3f}",
                f"{one.total:.3f}",
                f"{one.total_within:.3f}",
                dollars(one.at_low),
                dollars(one.at_high),
            )
            for one in found
        ],
        right="lrrrrr",
    )
    if campaign.channel == "unknown":
        note("channel: low is a reseller, high are accounts of its own; reseller_share is shown for the former")
    note(f"shares of the variance of log cost, {samples:,} base samples{simulated(here)}; {SOURCES}")


def _draw_tornado(figure: Figure, found: list[Influence]) -> None:
    axes = figure.subplots()
    # With all inputs at their medians: where the bars part.
    shown = found[:12][::-1]
    middle = sorted(end for one in shown for end in (one.at_low, one.at_high))[len(shown)]
    for at, one in enumerate(shown):
        for end, style, hatch in ((one.at_low, STYLES[0], ""), (one.at_high, STYLES[1], "////")):
            axes.barh(at, end - middle, left=middle, color="white" if hatch else style.color, hatch=hatch)
            axes.patches[-1].set_edgecolor(style.color)
    axes.set_yticks(range(len(shown)), [f"{one.name} ({one.total:.2f})" for one in shown])
    axes.set_xscale("log")
    axes.xaxis.set_major_formatter(lambda value, _: f"{value:,.0f}")
    axes.xaxis.set_minor_formatter(lambda value, _: f"{value:,.0f}")
    axes.axvline(middle, color="black", linewidth=0.8)
    axes.set_xlabel("US dollars; plain: input low, hatched: high; in brackets: its share of the variance")
