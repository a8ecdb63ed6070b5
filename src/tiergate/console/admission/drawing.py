"""A graph of owners drawn in layers: the organisation below, who holds it above, who holds those above them.

Layers are steps from the organisation; within a layer parties stand near those they hold (the barycentre heuristic of
Sugiyama, Tagawa and Toda, 1981). What would lead downwards again, as owners in a circle do, is drawn around the side.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from tiergate.parties.neighbours import Owners, Party, Tie

WIDTH: Final = 184
HEIGHT: Final = 56
ACROSS: Final = 26
BETWEEN: Final = 78
MARGIN: Final = 12
LETTERS: Final = 23
SWEEPS: Final = 4
MEASURED: Final = frozenset({"shares", "votes", "unknown"})
"""Kinds of stake that have a size; the others are there or not."""


@dataclass(frozen=True)
class Node:
    """A party, its box's upper left corner. ``detail``: its second line; ``more``: holders that are not drawn."""

    party: Party
    x: float
    y: float
    name: str
    detail: str
    root: bool
    more: int


@dataclass(frozen=True)
class Edge:
    """Stakes of one party in another: a path from the owner down to what it owns, and what stands beside it."""

    path: str
    label: str
    x: float
    y: float
    kind: str
    title: str


@dataclass(frozen=True)
class Drawing:
    """What the template draws."""

    width: float
    height: float
    nodes: Sequence[Node]
    edges: Sequence[Edge]


def draw(owners: Owners) -> Drawing:
    """The drawing of a graph of owners."""
    layers = _layers(owners)
    widest = max(len(layer) for layer in layers)
    width = widest * (WIDTH + ACROSS) - ACROSS + 2 * MARGIN
    looping = any(owners.steps[tie.owner] <= owners.steps[tie.owned] for tie in owners.ties)
    height = len(layers) * (HEIGHT + BETWEEN) - BETWEEN + 2 * MARGIN
    place: dict[str, tuple[float, float]] = {}
    for depth, layer in enumerate(layers):
        begin = MARGIN + (width - 2 * MARGIN - len(layer) * (WIDTH + ACROSS) + ACROSS) / 2
        for at, one in enumerate(layer):
            place[one] = begin + at * (WIDTH + ACROSS), MARGIN + (len(layers) - 1 - depth) * (HEIGHT + BETWEEN)
    parties = {one.party_id: one for one in owners.parties}
    nodes = [
        Node(
            parties[one], x, y, _short(parties[one].name or one), _detail(parties[one]), owners.steps[one] == 0,
            owners.more.get(one, 0),
        )
        for one, (x, y) in place.items()
    ]  # fmt: skip
    together: defaultdict[tuple[str, str], list[Tie]] = defaultdict(list)
    for tie in owners.ties:
        together[tie.owner, tie.owned].append(tie)
    edges = [_edge(ties, place, owners) for ties in together.values()]
    return Drawing(width + (60 if looping else 0), height, nodes, edges)


def size_of(tie: Tie) -> str:
    """A stake's size as people read it: `50%`, `25% to 50%`, or what kind it is where it has none."""
    if tie.prong not in MEASURED:
        return tie.prong if tie.lo_ppm else f"{tie.prong}?"
    size = _percent(tie.lo_ppm) if tie.lo_ppm == tie.hi_ppm else f"{_percent(tie.lo_ppm)}\u2013{_percent(tie.hi_ppm)}"
    kind = {"shares": "", "votes": " votes", "unknown": " of unknown kind"}[tie.prong]
    return f"{size}{kind}{' indirectly' if tie.indirect else ''}"


def _layers(owners: Owners) -> list[list[str]]:
    layers: list[list[str]] = [[] for _ in range(max(owners.steps.values()) + 1)]
    for one, step in owners.steps.items():
        layers[step].append(one)
    near: defaultdict[str, list[str]] = defaultdict(list)
    for tie in owners.ties:
        near[tie.owner].append(tie.owned)
        near[tie.owned].append(tie.owner)
    for sweep in range(SWEEPS):
        upwards = sweep % 2 == 0
        for depth in range(1, len(layers)) if upwards else range(len(layers) - 2, -1, -1):
            beside = layers[depth - 1 if upwards else depth + 1]
            at = {one: (place + 0.5) / len(beside) for place, one in enumerate(beside)}
            now = {one: (place + 0.5) / len(layers[depth]) for place, one in enumerate(layers[depth])}

            def middle(one: str, at: dict[str, float] = at, now: dict[str, float] = now) -> float:
                places = [at[other] for other in near[one] if other in at]
                return sum(places) / len(places) if places else now[one]

            layers[depth].sort(key=middle)
    return layers


def _edge(ties: Sequence[Tie], place: dict[str, tuple[float, float]], owners: Owners) -> Edge:
    tie = ties[0]
    (x1, y1), (x2, y2) = place[tie.owner], place[tie.owned]
    if owners.steps[tie.owner] > owners.steps[tie.owned]:
        begin, end = (x1 + WIDTH / 2, y1 + HEIGHT), (x2 + WIDTH / 2, y2)
        half = (end[1] - begin[1]) / 2
        path = (
            f"M{begin[0]:.0f} {begin[1]:.0f}C{begin[0]:.0f} {begin[1] + half:.0f} "
            f"{end[0]:.0f} {end[1] - half:.0f} {end[0]:.0f} {end[1]:.0f}"
        )
        # Nearer to the owner, where edges that end in one party still stand apart.
        x, y = begin[0] + 0.28 * (end[0] - begin[0]), begin[1] + 0.4 * (end[1] - begin[1])
    else:
        begin, end = (x1 + WIDTH, y1 + HEIGHT / 2), (x2 + WIDTH, y2 + HEIGHT / 2)
        out = max(begin[0], end[0]) + 50
        path = (
            f"M{begin[0]:.0f} {begin[1]:.0f}C{out:.0f} {begin[1]:.0f} {out:.0f} {end[1]:.0f} {end[0]:.0f} {end[1]:.0f}"
        )
        # Beside the owner, where no other edge begins.
        x, y = begin[0] + 26, begin[1] - 8
    sizes = [size_of(one) for one in ties]
    kind = "control" if all(one.prong not in MEASURED for one in ties) else "indirect" if tie.indirect else "share"
    return Edge(path, ", ".join(sizes), x, y, kind, ", ".join(f"{one.prong}: {size_of(one)}" for one in ties))


def _detail(party: Party) -> str:
    where = party.headquarters or party.incorporated_in
    parts = [where or "", *party.lists, "undisclosed" if party.undisclosed else ""]
    return _short(" \u00b7 ".join(part for part in parts if part))


def _short(text: str) -> str:
    return text if len(text) <= LETTERS else f"{text[: LETTERS - 1]}\u2026"


def _percent(ppm: int) -> str:
    whole, rest = divmod(ppm, 10_000)
    return f"{whole}{f'.{rest:04d}'.rstrip('0') if rest else ''}%"
