"""The market: tiers by date, claims, lags, prices, what an attack costs, what control buys; each with its source."""
