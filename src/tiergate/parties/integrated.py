"""A second opinion on ownership: shares multiplied along chains and added up over all of them.

Flow-through rules see nothing where 40% of a holder of 70% and 30% beside it come to 58% of the whole, or where two
companies own most of each other. Integrated ownership, ``x = W (s + (1 - s) x)`` with stakes ``W`` and seeds ``s``,
does. No rule of the table in `tiergate.parties.ownership` defines ownership so; it may send to review, never admit or
refuse.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp

from tiergate.parties.ownership import I64, WHOLE
from tiergate.parties.resolving import Resolution, Verdict

ROUNDS = 200
SETTLED = 1e-7
"""Largest change of a share (1 is all) at which rounds end; a tenth of a part per million."""


def integrated_share(resolution: Resolution, prong: int) -> npt.NDArray[np.float64]:
    """Share (n,), 0 to 1, of each entity that those listed own through all direct chains, by upper bounds of
    ``prong``.

    Bounds that exceed 100% together are scaled down to it. Rounds approach the solution from below.
    """
    graph, listed = resolution.graph, resolution.listed
    stakes = np.flatnonzero((graph.prong == prong) & ~graph.indirect)
    share = graph.hi_ppm[stakes] / WHOLE
    share /= np.maximum(1.0, np.bincount(graph.owned[stakes], share, graph.entities))[graph.owned[stakes]]
    matrix = sp.csr_array((share, (graph.owned[stakes], graph.owner[stakes])), shape=(graph.entities, graph.entities))
    seeded = listed.astype(np.float64)
    owned = np.zeros(graph.entities)
    for _ in range(ROUNDS):
        after: npt.NDArray[np.float64] = matrix @ np.where(listed, seeded, owned)
        if np.abs(after - owned).max(initial=0.0) < SETTLED:
            break
        owned = after
    return owned


def review_by_integrated(resolution: Resolution) -> I64:
    """Entities, ascending, that are NO but whose integrated share meets the test's threshold. None where the test
    does not add up holders, as the sum is over all of them."""
    test = resolution.test
    if not test.aggregate:
        return np.zeros(0, np.int64)
    meets = np.zeros(resolution.graph.entities, np.bool_)
    for prong in test.counts.value:
        meets |= integrated_share(resolution, prong) >= test.need_ppm / WHOLE - SETTLED
    return np.flatnonzero(meets & (resolution.verdict == Verdict.NO))
