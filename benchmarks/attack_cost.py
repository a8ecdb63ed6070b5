"""How long 100,000 draws of an attack's cost take, with the attacker's optimum in each.

    python -m benchmarks.attack_cost

Prints seconds by campaign, the best and the median of five runs after one that is not counted.
"""

from __future__ import annotations

import statistics
import time

from tiergate.economics.attack import Campaign, Deployment
from tiergate.economics.monte_carlo import DRAWS, attack_cost

CAMPAIGNS = {
    "as published": Campaign(16e6, accounts=24_000, channel="unknown", mix="unknown"),
    "undefended": Campaign(16e6),
    "all controls": Campaign(16e6, deployment=Deployment(identity_check=True, limit=100, recall=0.9, delay=1)),
}
RUNS = 5


def main() -> None:
    for name, campaign in CAMPAIGNS.items():
        seconds = []
        for _ in range(RUNS + 1):
            began = time.perf_counter()
            attack_cost(campaign)
            seconds.append(time.perf_counter() - began)
        print(
            f"{name:14} {min(seconds[1:]):.2f} s best, {statistics.median(seconds[1:]):.2f} s median, {DRAWS:,} draws"
        )


if __name__ == "__main__":
    main()
