"""The graph of a case's accounts: places of its points, and the way from one account to another."""

from __future__ import annotations

import heapq
from collections.abc import Sequence
from typing import Final

import msgspec
import numpy as np
import numpy.typing as npt

Points = npt.NDArray[np.float64]

ROUNDS: Final = 150
OTHERS: Final = 64
"""Points that push each point away in a round, drawn anew; they stand for all."""


class Link(msgspec.Struct, frozen=True, kw_only=True):
    """A link between the accounts at places ``a`` and ``b``; ``weight`` in nats; ``families``: its causes."""

    a: int
    b: int
    weight: float
    families: list[str]


def layout(points: int, ends: npt.NDArray[np.int64], weights: Points) -> Points:
    """Places (points, 2) of a graph with edges ``ends`` (m, 2) of ``weights`` (m,), the same each time.

    Fruchterman and Reingold 1991, from places on a spiral, with a sample of all points that push each other away: a
    round takes time in proportion to points and edges, so that ten thousand points take seconds.
    """
    at = np.arange(points)
    angle = at * 2.399963  # the golden angle spreads neighbours in the list apart
    place = np.stack([np.cos(angle), np.sin(angle)], 1) * np.sqrt((at[:, None] + 1) / max(points, 1))
    if points < 2:
        return place
    drawn = np.random.default_rng(points)
    ideal = 1.0 / np.sqrt(points)
    pull = (weights / max(float(weights.max(initial=0.0)), 1e-9))[:, None]
    # An account with many links is not torn in all directions at once.
    degree = np.maximum(np.bincount(ends.ravel(), minlength=points), 1)[:, None]
    some = min(OTHERS, points)
    for heat in np.linspace(0.12, 0.002, ROUNDS):
        others = drawn.integers(0, points, (points, some))
        gap = place[:, None] - place[others]
        apart = np.maximum((gap**2).sum(2, keepdims=True), 1e-6)
        force = (gap * (ideal**2 / apart)).sum(1) * (points / some)
        along = place[ends[:, 0]] - place[ends[:, 1]]
        drag = along * (np.linalg.norm(along, axis=1, keepdims=True) / ideal) * pull
        np.subtract.at(force, ends[:, 0], drag / np.sqrt(degree[ends[:, 0]]))
        np.add.at(force, ends[:, 1], drag / np.sqrt(degree[ends[:, 1]]))
        force -= place * 0.3  # keeps pieces that no edge joins on the page
        length = np.maximum(np.linalg.norm(force, axis=1, keepdims=True), 1e-9)
        place = place + force / length * np.minimum(length, heat)
    return place


def way(links: Sequence[Link], start: int, end: int) -> list[Link]:
    """The fewest links from one account to another, of equally many the strongest; empty where there is no way."""
    beside: dict[int, list[Link]] = {}
    for link in links:
        beside.setdefault(link.a, []).append(link)
        beside.setdefault(link.b, []).append(link)
    ahead: list[tuple[int, float, int]] = [(0, 0.0, start)]
    came: dict[int, Link | None] = {}
    through: dict[int, tuple[tuple[int, float], Link]] = {}
    while ahead:
        steps, lightness, here = heapq.heappop(ahead)
        if here in came:
            continue
        came[here] = through[here][1] if here in through else None
        if here == end:
            break
        for link in beside.get(here, ()):
            there = link.b if link.a == here else link.a
            cost = (steps + 1, lightness - link.weight)
            if there not in came and (there not in through or cost < through[there][0]):
                through[there] = (cost, link)
                heapq.heappush(ahead, (*cost, there))
    if end not in came:
        return []
    found: list[Link] = []
    here = end
    while (link_here := came[here]) is not None:
        found.append(link_here)
        here = link_here.a if link_here.b == here else link_here.b
    return found[::-1]
