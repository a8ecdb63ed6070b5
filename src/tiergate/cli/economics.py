"""`tiergate economics`: what extraction costs, what a control buys, what capability costs."""

from __future__ import annotations

import typer

from tiergate.cli import (
    economics_attack,
    economics_bound,
    economics_charts,
    economics_forecast,
    economics_lag,
    economics_prices,
    economics_seed,
    economics_tornado,
)

app = typer.Typer(
    help="What extraction costs, what a control buys, computed from cited facts.",
    rich_markup_mode=None, add_completion=False,
)  # fmt: skip
economics_seed.register(app)
economics_attack.register(app)
economics_tornado.register(app)
economics_bound.register(app)
economics_lag.register(app)
economics_forecast.register(app)
economics_charts.register(app)
economics_prices.register(app)
