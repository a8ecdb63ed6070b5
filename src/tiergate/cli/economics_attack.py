"""`tiergate economics attack-cost`, `inverse` and `inputs`: what N exchanges cost, at which prices."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any, Literal

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
    Draws,
    Exchanges,
    Limit,
    Mix,
    Model,
    NewcomerLimit,
    On,
    Recall,
    RedTeam,
    Seed,
    as_cells,
    campaign_of,
    deployment_of,
    dollars,
    priors_of,
    shown_inputs,
    simulated,
    spread_row,
)
from tiergate.cli.options import Json
from tiergate.cli.rows import Csv, csv_file, print_rows, write_csv
from tiergate.cli.terminal import note, say, say_json
from tiergate.errors import InputError

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from tiergate.economics.attack import Campaign
    from tiergate.economics.monte_carlo import AttackCost


def register(app: typer.Typer) -> None:
    """Add the commands of this module to ``app``."""
    app.command("attack-cost")(attack_cost)
    app.command("inverse")(inverse)
    app.command("inputs")(inputs)


def attack_cost(
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
    draws: Draws = 100_000,
    seed: Seed = 1,
    as_json: Json = False,
    csv: Csv = None,
    chart: Chart = None,
) -> None:
    """Estimate what N exchanges cost whoever extracts them, against a deployment like yours.

    A Monte Carlo over every price; in each draw the attacker chooses what is cheapest for it. Many prices are
    assumptions, see `tiergate economics inputs`. With --accounts, the way and the model are taken as unknown.

    \b
    Example:
      tiergate economics attack-cost --exchanges 16e6 --accounts 24000
      tiergate economics attack-cost --exchanges 1e6 --limit 100 --recall 0.9 --delay 1
      tiergate economics attack-cost --exchanges 8000 --redteam redteam
    """
    from tiergate.economics.monte_carlo import attack_cost as estimated

    csv_file(csv)
    chart_file(chart)
    here = deployment_of(
        identity_check, account_cost, limit, newcomer_limit, recall, delay, redteam, control, exchanges
    )
    campaign = campaign_of(exchanges, accounts, channel, mix, here)
    found = estimated(campaign, priors_of(changes, model=model, on=on), draws=draws, seed=seed)
    rows = [spread_row(name, one) for name, one in _figures(found).items()]
    if csv is not None:
        write_csv(csv, rows)
    if chart is not None:
        write_chart(
            lambda figure: _draw_cost(figure, found),
            chart,
            title=f"What {exchanges:,.0f} exchanges cost whoever extracts them",
            source=f"{SOURCES}. Median, and 5th to 95th percentile of {draws:,} draws{simulated(here)}",
        )
    if as_json:
        about = {"exchanges": exchanges, "draws": draws, "seed": seed, "simulated": here.evasion is not None}
        chosen = {"models": dict(found.models)} if found.models else {}
        say_json(about | {"unit": "USD where the figure names no other", "figures": rows} | chosen)
        return
    print_rows(
        ("USD", "median", "5% of draws below", "95% below"),
        [(name, *as_cells(one)) for name, one in _money(found).items()],
        right="lrrr",
    )
    say()
    say(_chosen(found, campaign))
    note(f"{draws:,} draws{simulated(here)}; {SOURCES}")


def inverse(
    lever: Annotated[
        Literal["account-cost", "limit", "delay"], typer.Argument(metavar="LEVER", help="account-cost, limit or delay.")
    ],
    usd: Annotated[float, typer.Argument(metavar="USD", min=1, help="What the median attack should cost.")],
    exchanges: Exchanges = 16e6,
    accounts: Accounts = None,
    channel: Channel = None,
    mix: Mix = None,
    model: Model = None,
    on: On = None,
    identity_check: Check = False,
    limit: Limit = None,
    newcomer_limit: NewcomerLimit = None,
    recall: Recall = 0.0,
    changes: Changes = None,
    seed: Seed = 1,
    as_json: Json = False,
) -> None:
    """Say which account cost, limit or delay of detection makes N exchanges cost what you want.

    \b
    Example:
      tiergate economics inverse account-cost 1000000 --accounts 24000
      tiergate economics inverse limit 5000000 --identity-check
      tiergate economics inverse delay 5000000 --limit 100 --recall 0.9
    """
    from tiergate.economics.inverse import needed

    here = deployment_of(identity_check, None, limit, newcomer_limit, recall, 1.0, None, "all", exchanges)
    campaign = campaign_of(exchanges, accounts, channel, mix, here)
    found = needed(campaign, lever, usd, priors_of(changes, model=model, on=on), seed=seed)
    if as_json:
        say_json({"exchanges": exchanges, "seed": seed} | asdict(found))
        return
    say(f"{found.value:,.3g} {found.unit}" if found.value < 1000 else f"{found.value:,.0f} {found.unit}")
    note(f"{exchanges:,.0f} exchanges then cost {usd:,.0f} dollars in the median draw; {SOURCES}")


def inputs(
    names: Annotated[list[str] | None, typer.Argument(metavar="[NAME]...", help="Inputs to show; all.")] = None,
    changes: Changes = None,
    as_json: Json = False,
    csv: Csv = None,
) -> None:
    """Show inputs of these estimates: low, mode and high, day and source, or why it is assumed.

    \b
    Example:
      tiergate economics inputs
      tiergate economics inputs labour_time --set labour_time=2,6,12
    """
    from tiergate.economics.bound import others
    from tiergate.economics.priors import load_priors

    csv_file(csv)
    priors = priors_of(changes, dict(load_priors()) | {"open_lag": others().months})
    known = {str(row["input"]): row for row in shown_inputs(priors)}
    for name in names or ():
        if name not in known:
            raise InputError(f"there is no input `{name}`: give some of {', '.join(sorted(known))}")
    rows = [known[name] for name in names or known]
    if csv is not None:
        write_csv(csv, rows)
    if as_json:
        say_json(rows)
        return
    for row in rows:
        say(f"{row['input']}: {row['low']:g}, {row['mode']:g}, {row['high']:g} {row['unit']}; {row['as_of']}")
        say(f"    {row['source']}{': ' if row['source'] == 'assumption' else '; ' if row['note'] else ''}{row['note']}")


def _money(found: AttackCost) -> dict[str, Any]:
    return {
        **found.items,
        "total": found.total,
        "all but labour": found.but_labour,
        "per exchange": found.per_exchange,
    }


def _figures(found: AttackCost) -> dict[str, Any]:
    return {
        **_money(found),
        "accounts bought": found.accounts,
        "exchanges per account": found.exchanges_per_account,
        "exchanges per account and day": found.exchanges_per_account_a_day,
        "share from resellers": found.resold,
    }


def _chosen(found: AttackCost, campaign: Campaign) -> str:
    each = f"{found.exchanges_per_account.median:,.0f} out, {found.exchanges_per_account_a_day.median:,.3g} a day"
    if campaign.accounts is not None:
        half = " In half of the draws the tokens are a reseller's." if campaign.channel == "unknown" else ""
        return f"Each of the {campaign.accounts:,.0f} accounts gets {each}.{half}"
    words = (
        f"In the median draw {found.resold.median:.0%} of the exchanges come from resellers, and it buys "
        f"{found.accounts.median:,.0f} accounts for the others; an account gets {each}."
    )
    if found.models:
        words += " Cheapest model: " + ", ".join(f"{name} in {share:.0%}" for name, share in found.models.items())
        words += " of draws; N counts exchanges of the large one, and more of a smaller one for what it is worth."
    return words


def _draw_cost(figure: Figure, found: AttackCost) -> None:
    axes = figure.subplots()
    bars = [(name, one) for name, one in found.items.items() if one.median >= 1]
    bars = [*bars, ("total", found.total)][::-1]
    for at, (name, one) in enumerate(bars):
        style = STYLES[1] if name == "total" else STYLES[0]
        axes.plot([max(one.low, 1), one.high], [at, at], color=style.color, linestyle=style.linestyle, linewidth=2)
        axes.plot([one.median], [at], color=style.color, marker=style.marker, markersize=6)
        axes.annotate(
            dollars(one.median), (one.median, at), xytext=(0, 6), textcoords="offset points", ha="center", fontsize=7.5
        )
    axes.set_xscale("log")
    axes.xaxis.set_major_formatter(lambda value, _: f"{value:,.0f}")
    axes.set_yticks(range(len(bars)), [name for name, _ in bars])
    axes.set_ylim(-0.6, len(bars) - 0.2)
    axes.set_xlabel("US dollars")
    axes.grid(axis="x")
