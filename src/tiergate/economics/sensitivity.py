"""Which uncertain price matters: Sobol's indices of an attack's cost, and its tornado.

Indices are of the logarithm of the total, which spreads over orders of magnitude: Saltelli's sampling (Comput. Phys.
Commun. 2010, doi 10.1016/j.cpc.2009.09.018) as SALib does it, from the extra ``economics``. SciPy's `sobol_indices` has
the same indices, and intervals that take no seed, so that no tornado could be made again. SALib's import takes seconds,
and is made only here.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np

from tiergate.catalog.cited import Amount
from tiergate.economics.attack import Campaign, cost_of, drawn
from tiergate.economics.priors import load_priors
from tiergate.errors import SettingsError

SAMPLES: Final = 2_048
"""Base samples, a power of two; the cost is computed for each, for as many others, and once more for every input."""


@dataclass(frozen=True, slots=True)
class Influence:
    """Of one input: ``first``, the share of the variance that it explains alone, ``total``, with all its interactions,
    each with the half width of its 95% interval; ``at_low`` and ``at_high``: US dollars of the attack with this input
    at its 5th and 95th percentile and all others at their medians."""

    name: str
    first: float
    first_within: float
    total: float
    total_within: float
    at_low: float
    at_high: float


def influences(
    campaign: Campaign, priors: Mapping[str, Amount] | None = None, *, samples: int = SAMPLES, seed: int = 1
) -> list[Influence]:
    """All inputs of the campaign's cost, the most influential first; the same seed gives the same figures.

    :param samples: a power of two.
    Raises `SettingsError` without SALib, `InputError` where the campaign cannot be run as it is given.
    """
    try:
        from SALib.analyze import sobol as analysis
        from SALib.sample import sobol as sampling
    except ModuleNotFoundError:
        raise SettingsError("a tornado needs SALib: `pip install 'tiergate[economics]'`") from None
    known = load_priors() if priors is None else priors
    names = campaign.inputs()
    problem = {"num_vars": len(names), "names": list(names), "bounds": [[0.0, 1.0]] * len(names)}
    points = sampling.sample(problem, samples, calc_second_order=False, seed=seed)
    shares = {name: points[:, at] for at, name in enumerate(names)}
    total = cost_of(campaign, known, drawn(campaign, known, shares)).total
    found = analysis.analyze(problem, np.log(total), calc_second_order=False, seed=seed)
    ends = [_ends(campaign, known, name) for name in names]
    rows = zip(names, found["S1"], found["S1_conf"], found["ST"], found["ST_conf"], ends, strict=True)
    made = [Influence(name, *map(float, indices), *pair) for name, *indices, pair in rows]
    return sorted(made, key=lambda one: -one.total)


def _ends(campaign: Campaign, priors: Mapping[str, Amount], name: str) -> tuple[float, float]:
    shares = {name: np.array([0.05, 0.95])}
    if name == "reseller_share" and campaign.channel == "unknown":
        shares["channel"] = np.zeros(2)  # what a reseller asks bears on whoever buys from one
    low, high = cost_of(campaign, priors, drawn(campaign, priors, shares)).total.tolist()
    return low, high
