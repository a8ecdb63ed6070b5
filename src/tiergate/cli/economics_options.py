"""Options that the commands about an attack's cost share, and the campaign that they describe."""

from __future__ import annotations

import math
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from tiergate.cli.terminal import note
from tiergate.errors import InputError

if TYPE_CHECKING:
    from tiergate.catalog.cited import Amount
    from tiergate.economics.attack import Campaign, Deployment
    from tiergate.economics.monte_carlo import Quantiles

SOURCES = "`tiergate economics inputs` shows every price with its source"

Exchanges = Annotated[float, typer.Option(metavar="N", help="Exchanges the attacker is after.")]
Accounts = Annotated[
    float | None, typer.Option(metavar="N", help="Accounts it buys in all; the cheapest number if not given.")
]
Channel = Annotated[
    Literal["cheapest", "own", "reseller", "unknown"] | None,
    typer.Option(
        metavar="WAY", help="cheapest, own (accounts), reseller, or unknown: a reseller in half of the draws."
    ),
]
Mix = Annotated[
    Literal["cheapest", "unknown", "small", "middle", "large"] | None,
    typer.Option(metavar="MODEL", help="cheapest, small, middle, large, or unknown: one model of any price between."),
]
Check = Annotated[bool, typer.Option("--identity-check", help="Accounts pass an identity check at sign-up.")]
AccountCost = Annotated[float | None, typer.Option(metavar="USD", help="What an account costs the attacker in all.")]
Limit = Annotated[float | None, typer.Option(metavar="N", help="Exchanges that an account may ask a day.")]
NewcomerLimit = Annotated[float | None, typer.Option(metavar="N", help="The same in an account's first 7 days.")]
Recall = Annotated[float, typer.Option(metavar="SHARE", help="Share of its accounts that your detection finds.")]
Delay = Annotated[float, typer.Option(metavar="D", help="Days after an account's first exchange until it is closed.")]
RedTeam = Annotated[
    Path | None,
    typer.Option("--redteam", metavar="PATH", help="What `tiergate redteam --out` wrote, in place of these."),
]
Control = Annotated[
    str, typer.Option(metavar="NAME", help="Control of that file: all, reviewed, detection, rate_limit and so on.")
]
Changes = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="NAME=VALUE", help="An input of your own, VALUE or LOW,MODE,HIGH; repeatable."),
]
Model = Annotated[
    str | None, typer.Option(metavar="ID", help="Model of `tiergate catalog prices` at whose list price tokens are.")
]
On = Annotated[datetime | None, typer.Option(formats=["%Y-%m-%d"], metavar="DATE", help="Day of that price; the last.")]
Draws = Annotated[int, typer.Option(metavar="N", min=100, max=10_000_000, help="Draws of the inputs.")]
Seed = Annotated[int, typer.Option(metavar="N", min=0, help="Seed of the draws.")]


def priors_of(
    changes: list[str] | None,
    known: Mapping[str, Amount] | None = None,
    *,
    model: str | None = None,
    on: datetime | None = None,
) -> dict[str, Amount]:
    """The inputs with the user's own and, if one is named, with a model's prices; a note says which are."""
    from tiergate.catalog.prices import shipped_prices
    from tiergate.economics.priors import load_priors, of_models, with_changes

    if model is not None:
        named = [change for change in changes or () if change.startswith(("input_price=", "output_price="))]
        if named:
            raise InputError(f"`--model` and `{named[0]}` both say what tokens cost: leave one of them out")
        prices = shipped_prices()
        price = prices.on(model, prices.last_seen if on is None else on.date())
        known = dict(load_priors() if known is None else known) | of_models(price, price, price)
        note(f"{model}: {price.input:g} and {price.output:g} USD a million tokens since {price.since}, {price.source}")
    elif on is not None:
        raise InputError("`--on` is the day of a model's price: give `--model` too")
    priors = with_changes(changes or (), known)
    if changes:
        note(f"your own figures, not Tiergate's: {'; '.join(changes)}")
    return priors


def deployment_of(
    identity_check: bool,
    account_cost: float | None,
    limit: float | None,
    newcomer_limit: float | None,
    recall: float,
    delay: float,
    redteam: Path | None,
    control: str,
    exchanges: float,
) -> Deployment:
    """What stands against the attacker, by the options or as the red team measured it."""
    from tiergate.economics.attack import Deployment
    from tiergate.economics.measured import read_measured

    evasion = None
    if redteam is not None:
        controls = read_measured(redteam, exchanges)
        if control not in controls:
            raise InputError(f"`{redteam}` has no control `{control}`: give `--control` one of {', '.join(controls)}")
        found = controls[control]
        if found.multiplier is None:
            raise InputError(
                f"no attack got past `{control}` in that search, so its cost is not known: give another `--control`"
            )
        evasion = found.multiplier
        first = "no verdict on any of its accounts" if found.delay is None else f"first verdict on day {found.delay:g}"
        note(
            f"measured by the red team, simulated, for {found.exchanges:,} exchanges against `{control}`: its cheapest "
            f"attack costs {evasion.mode:.3g} times the undefended ({evasion.low:.3g} to {evasion.high:.3g}), {first}, "
            f"{found.recall:.0%} of its accounts answered; {found.honest:.2%} of honest accounts in the way"
        )
        note("a cleverer attacker pays less: the multiplier is an upper bound")
    return Deployment(
        identity_check=identity_check,
        account_cost=account_cost,
        limit=math.inf if limit is None else limit,
        newcomer_limit=math.inf if newcomer_limit is None else newcomer_limit,
        recall=recall,
        delay=delay,
        evasion=evasion,
    )


def campaign_of(exchanges: float, accounts: float | None, channel: Any, mix: Any, deployment: Deployment) -> Campaign:
    """The campaign that the options describe; what is not given is the attacker's choice, or unknown with accounts."""
    from tiergate.economics.attack import Campaign

    free: Any = "cheapest" if accounts is None else "unknown"
    return Campaign(exchanges, accounts=accounts, channel=channel or free, mix=mix or free, deployment=deployment)


def simulated(here: Deployment) -> str:
    """Words for a note on what rests on a simulation."""
    return "" if here.evasion is None else ", with the red team's multiplier, which is simulated"


def dollars(amount: float) -> str:
    """`1,234,000`: four figures that count, and cents where they matter."""
    if amount == 0 or not math.isfinite(amount):
        return f"{amount:,.0f}"
    digits = 3 - math.floor(math.log10(abs(amount)))
    return f"{round(amount, digits):,.{max(digits, 0) if abs(amount) < 10 else 0}f}"


def spread_row(name: str, found: Quantiles) -> dict[str, object]:
    """A row for CSV and JSON."""
    return {"figure": name, "p5": found.low, "median": found.median, "p95": found.high}


def as_cells(found: Quantiles) -> tuple[str, str, str]:
    """Median, 5th and 95th percentile, for a table."""
    return dollars(found.median), dollars(found.low), dollars(found.high)


def shown_inputs(priors: Mapping[str, Amount]) -> list[dict[str, object]]:
    """Every input with where it is from."""
    return [
        {
            "input": name,
            "low": one.low,
            "mode": one.mode,
            "high": one.high,
            "unit": one.unit,
            "as_of": one.as_of,
            "source": one.source,
            "note": one.note,
            "licence": one.licence,
        }
        for name, one in priors.items()
    ]
