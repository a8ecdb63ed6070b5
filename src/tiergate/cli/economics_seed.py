"""`tiergate economics seed`: the founding essay's arithmetic, exactly, and the same extraction estimated."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import typer

from tiergate.cli.economics_options import SOURCES, Changes, Draws, Seed, dollars, priors_of
from tiergate.cli.options import Json
from tiergate.cli.rows import Csv, csv_file, print_rows, write_csv
from tiergate.cli.terminal import note, say, say_json

if TYPE_CHECKING:
    from tiergate.economics.seed import Seed as SeedFigures


def register(app: typer.Typer) -> None:
    """Add the command of this module to ``app``."""
    app.command("seed")(seed_)


def seed_(
    changes: Changes = None,
    draws: Draws = 100_000,
    seed: Seed = 1,
    as_json: Json = False,
    csv: Csv = None,
) -> None:
    """Show the founding essay's figures of one extraction as its arithmetic gives them, and whether they hold.

    \b
    Example:
      tiergate economics seed
    """
    from tiergate.economics.seed import FAMILY, claims, priors_of_then, seed_figures

    csv_file(csv)
    found = seed_figures(priors_of(changes, priors_of_then()), draws=draws, seed=seed)
    rows = _rows(found)
    if csv is not None:
        write_csv(csv, rows)
    if as_json:
        say_json({"draws": draws, "seed": seed, "credible": found.credible, "figures": rows})
        return
    shown = [(row["figure"], row["shown"], row["basis"]) for row in rows]
    print_rows(("figure", "value", "basis"), shown, right="lr")
    say()
    say(
        f"{found.cost:,.0f} dollars is {'within' if found.credible else 'below the 1st percentile of'} what such an "
        f"extraction costs: {_share(found.total_below)} of draws are as cheap, {_share(found.tokens_below)} for "
        "the tokens alone."
    )
    for one in claims():
        whose = f"alleged by {one.alleged_by}, " if one.alleged_by else ""
        note(f"{one.id}: {whose}{one.status}; `tiergate catalog claims {one.id}`")
    note(f"list prices of {', '.join(FAMILY)} when it was disclosed, `tiergate catalog prices ID`; {SOURCES}")


def _share(share: float) -> str:
    return f"{share:.1%}" if share >= 0.001 else "fewer than 0.1%"


def _rows(found: SeedFigures) -> list[dict[str, Any]]:
    claimed, computed = "as claimed", "estimated, 5% to 95% of draws"
    total, tokens = found.estimate.total, found.estimate.items["tokens"]
    rows = [
        ("exchanges", found.exchanges, f"{found.exchanges:,.0f}", "alleged by Anthropic"),
        ("accounts", found.accounts, f"{found.accounts:,.0f}", "alleged by Anthropic"),
        ("cost, USD", found.cost, f"{found.cost:,.0f}", f"{claimed}, uncorroborated"),
        ("USD per exchange", found.per_exchange, f"{found.per_exchange:.3f}", claimed),
        ("USD per account", found.per_account, f"{found.per_account:.2f}", claimed),
        ("exchanges per account", found.exchanges_per_account, f"{found.exchanges_per_account:,.0f}", claimed),
        ("training / extraction, low", found.training_ratio_low, f"{found.training_ratio_low:,.0f}", claimed),
        ("training / extraction, high", found.training_ratio_high, f"{found.training_ratio_high:,.0f}", claimed),
        (
            "tokens, USD",
            tokens.median,
            dollars(tokens.median),
            f"{computed}: {dollars(tokens.low)} to {dollars(tokens.high)}",
        ),
        (
            "total, USD",
            total.median,
            dollars(total.median),
            f"{computed}: {dollars(total.low)} to {dollars(total.high)}",
        ),
    ]
    rows += [
        (f"tokens at list, {model} model, USD", usd, dollars(usd), kind)
        for (kind, model), usd in found.recomputed.items()
    ]
    return [{"figure": name, "value": value, "shown": shown, "basis": basis} for name, value, shown, basis in rows]
