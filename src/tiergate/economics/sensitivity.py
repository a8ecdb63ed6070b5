"""Which uncertain price matters: Sobol's indices of an attack's cost, and its tornado.

Indices are of the logarithm of the total, which spreads over orders of magnitude: Saltelli's sampling (Comput. Phys.
Commun. 2010, doi 10.1016/j.cpc.2009.09.018) by SciPy. Its own intervals take no seed, so ours are made here. SALib has
them, and needs pandas, which pyarrow would load in every gateway that it finds it beside.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Literal, TypeAlias

import numpy as np
import numpy.typing as npt
from scipy.stats import qmc, sobol_indices

from tiergate.catalog.cited import Amount
from tiergate.economics.attack import Campaign, cost_of, drawn
from tiergate.economics.priors import load_priors
from tiergate.economics.swings import swing

SAMPLES: Final = 2_048
"""Base samples, a power of two; the cost is computed for each, for as many others, and once more for every input."""
RESAMPLES: Final = 100
_Z95: Final = 1.959963984540054

Floats: TypeAlias = npt.NDArray[np.float64]
Ints: TypeAlias = npt.NDArray[np.int64]


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
    Raises `InputError` where the campaign cannot be run as it is given.
    """
    known = load_priors() if priors is None else priors
    names = campaign.inputs()
    points = qmc.Sobol(2 * len(names), rng=seed).random(samples)
    one, other = points[:, : len(names)], points[:, len(names) :]

    def costs(at: Floats) -> Floats:
        shares = {name: at[:, column] for column, name in enumerate(names)}
        return np.log(cost_of(campaign, known, drawn(campaign, known, shares)).total)

    def swapped(column: int) -> Floats:
        mixed = one.copy()
        mixed[:, column] = other[:, column]
        return costs(mixed)

    mixed = np.stack([swapped(column) for column in range(len(names))])
    first, total, within = _indices(costs(one), costs(other), mixed, np.random.default_rng(seed))
    ends = [(end.at_low, end.at_high) for end in (swing(campaign, known, name) for name in names)]
    rows = zip(names, first, within[0], total, within[1], ends, strict=True)
    made = [Influence(name, *map(float, indices), *pair) for name, *indices, pair in rows]
    return sorted(made, key=lambda one: -one.total)


def _indices(one: Floats, other: Floats, mixed: Floats, rng: np.random.Generator) -> tuple[Floats, Floats, Floats]:
    """First and total indices of each input, and the half widths of the 95% intervals of both, (2, inputs), from
    samples drawn again with replacement. ``one``, ``other``: (samples,); ``mixed``: (inputs, samples)."""

    def of(rows: slice | Ints) -> tuple[Floats, Floats]:
        known: dict[Literal["f_A", "f_B", "f_AB"], Floats] = {
            "f_A": one[None, rows],
            "f_B": other[None, rows],
            "f_AB": mixed[:, None, rows],
        }
        found = sobol_indices(func=known, n=len(one))
        return found.first_order, found.total_order

    again = [of(rng.integers(0, len(one), len(one))) for _ in range(RESAMPLES)]
    return *of(slice(None)), _Z95 * np.std(again, axis=0, ddof=1)
