"""Which control raises an attack's cost most, for each dollar that it costs and each honest account that it blocks.

A year of each control alone, and of all together, against the undefended attack; medians of the draws throughout.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Final

import numpy as np

from tiergate.catalog.cited import Amount
from tiergate.economics.attack import Campaign, Deployment
from tiergate.economics.measured import Measured
from tiergate.economics.monte_carlo import drawn_costs
from tiergate.economics.priors import load_priors, quantile
from tiergate.errors import InputError

USUAL: Final = 0.01
"""Share of honest accounts above `usual_volume` on some day, by its definition."""
DRAWS: Final = 20_000


@dataclass(frozen=True, slots=True)
class Assumed:
    """Controls to compare where none was measured. ``limit``: exchanges an account a day, `usual_volume` when None,
    that ``above`` of honest accounts exceed; detection with ``recall`` after ``delay`` days that answers ``accused`` of
    honest accounts, left out without a recall."""

    limit: float | None = None
    above: float = USUAL
    recall: float | None = None
    delay: float = 1.0
    accused: float = 0.0


@dataclass(frozen=True, slots=True)
class Worth:
    """Of one control. US dollars: ``attack``, the median attack against it, ``raised``, over the undefended one, and
    ``costs`` a year; ``blocked``: honest accounts a year; ``per_usd`` and ``per_block``: dollars raised for each, None
    where it costs or blocks nothing; ``measured``: by the red team, simulated."""

    control: str
    attack: float
    raised: float
    costs: float
    blocked: float
    per_usd: float | None
    per_block: float | None
    measured: bool


def compare(
    exchanges: float,
    honest: int,
    assumed: Assumed,
    priors: Mapping[str, Amount] | None = None,
    *,
    measured: Mapping[str, Measured] | None = None,
    draws: int = DRAWS,
    seed: int = 1,
) -> list[Worth]:
    """Controls of a deployment with ``honest`` accounts, by dollars raised for each dollar spent.

    :param measured: what the red team measured by control; takes the place of ``assumed``.
    Raises `InputError` for numbers that cannot be.
    """
    if honest < 1 or not all(0 <= one <= 1 for one in (assumed.above, assumed.accused)):
        raise InputError("give 1 honest account or more, and shares of them from 0 to 1")
    known = load_priors() if priors is None else priors
    middle = {name: float(quantile(known[name], np.array(0.5))) for name in (*_DEFENDER, "usual_volume")}
    # The largest model and accounts of its own: what is compared is what the controls bear on.
    bare = Campaign(exchanges, channel="own", mix="large")

    def attack(here: Deployment) -> float:
        return float(np.median(drawn_costs(replace(bare, deployment=here), known, draws=draws, seed=seed).total))

    free = attack(Deployment())
    rows = (
        _measured(measured, middle["check_abandoned"])
        if measured
        else _assumed(assumed, middle["usual_volume"], middle["check_abandoned"])
    )
    made = []
    for name, here, checks, detects, share in rows:
        cost, blocked = attack(here), honest * min(share, 1.0)
        # Whoever gives a check up never asks anybody to look at it again.
        reviewed = honest * max(share - checks * middle["check_abandoned"], 0.0)
        spent = honest * middle["check_price"] * checks + 12 * middle["detection_running"] * detects
        spent += reviewed * middle["review"]
        raised = cost - free
        per_usd, per_block = raised / spent if spent else None, raised / blocked if blocked else None
        made.append(Worth(name, cost, raised, spent, blocked, per_usd, per_block, bool(measured)))
    return sorted(made, key=lambda one: -(one.per_usd if one.per_usd is not None else np.inf))


_DEFENDER: Final = ("check_price", "check_abandoned", "detection_running", "review")
_Row = tuple[str, Deployment, bool, bool, float]
"""Name, deployment, whether identities are checked and traffic looked at, share of honest accounts blocked."""


def _assumed(given: Assumed, usual: float, abandoned: float) -> list[_Row]:
    limit = usual if given.limit is None else given.limit
    rows: list[_Row] = [
        ("identity check", Deployment(identity_check=True), True, False, abandoned),
        ("limit", Deployment(limit=limit), False, False, given.above),
        ("limit and check", Deployment(identity_check=True, limit=limit), True, False, abandoned + given.above),
    ]
    if given.recall is not None:
        finds = Deployment(recall=given.recall, delay=given.delay)
        together = replace(finds, identity_check=True, limit=limit)
        rows.append(("detection", finds, False, True, given.accused))
        rows.append(("all three", together, True, True, abandoned + given.above + given.accused))
    return rows


def _measured(measured: Mapping[str, Measured], abandoned: float) -> list[_Row]:
    rows: list[_Row] = []
    for name, one in measured.items():
        if name == "none":
            continue
        if one.multiplier is not None:
            checks = name not in ("rate_limit", "detection")
            detects = name in ("detection", "all", "reviewed")
            rows.append(
                (
                    name.replace("_", " "),
                    Deployment(evasion=one.multiplier),
                    checks,
                    detects,
                    one.honest + checks * abandoned,
                )
            )
    return rows
