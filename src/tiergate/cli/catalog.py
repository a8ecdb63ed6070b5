"""`tiergate catalog`: models, prices, claims, each with its source."""

from __future__ import annotations

import typer

from tiergate.cli import (
    catalog_allegations,
    catalog_check,
    catalog_claims,
    catalog_models,
    catalog_overrides,
    catalog_prices,
    catalog_providers,
)

app = typer.Typer(
    help="Facts of the market, each with its day and source.", rich_markup_mode=None, add_completion=False
)
catalog_models.register(app)
catalog_allegations.register(app)
catalog_providers.register(app)
catalog_prices.register(app)
catalog_claims.register(app)
catalog_overrides.register(app)
catalog_check.register(app)
