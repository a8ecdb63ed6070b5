"""Places for the points of a small graph (Fruchterman and Reingold 1991), the same each time it is drawn."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

ROUNDS = 120

Points = npt.NDArray[np.float64]


def spring_layout(points: int, ends: npt.NDArray[np.int64], weights: Points) -> Points:
    """Positions (points, 2) of a graph with edges ``ends`` (m, 2) of ``weights`` (m,), for up to ~1,000 points.

    Starts on a circle rather than at random places, so that no seed is needed.
    """
    angle = np.arange(points) * 2.399963  # the golden angle spreads neighbours in the list apart
    place = np.stack([np.cos(angle), np.sin(angle)], 1) * np.sqrt((np.arange(points)[:, None] + 1) / max(points, 1))
    ideal = 1.0 / np.sqrt(max(points, 1))
    pull = weights / max(float(weights.max(initial=0.0)), 1e-9)
    for heat in np.linspace(0.12, 0.002, ROUNDS):
        gap = place[:, None] - place[None]
        apart = np.maximum(np.sqrt((gap**2).sum(2)), 1e-3)
        force = (gap * (ideal**2 / apart**2)[..., None]).sum(1)
        along = place[ends[:, 0]] - place[ends[:, 1]]
        drawn = along * (np.sqrt((along**2).sum(1)) / ideal * pull)[:, None]
        np.subtract.at(force, ends[:, 0], drawn)
        np.add.at(force, ends[:, 1], drawn)
        force -= place * 0.3  # keeps pieces that no edge joins on the page
        length = np.maximum(np.sqrt((force**2).sum(1, keepdims=True)), 1e-9)
        place = place + force / length * np.minimum(length, heat)
    return place
