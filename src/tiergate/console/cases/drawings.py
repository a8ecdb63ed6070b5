"""Drawings of a case that the server makes: numbers for templates, which set them as SVG."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from tiergate.response.dossier.alternatives import LEAST
from tiergate.response.dossier.facts import Evidence
from tiergate.response.dossier.traffic import Strip

WIDTH: Final = 640
SHADES: Final = 4


@dataclass(frozen=True)
class Bar:
    """A step of a waterfall from ``x`` on, ``width`` wide; ``label`` stands at ``end``. Units of the drawing."""

    name: str
    value: float
    x: float
    width: float
    end: float
    against: bool = False
    total: bool = False


@dataclass(frozen=True)
class Waterfall:
    """Steps from nothing to the whole; ``zero``: where nothing is."""

    bars: list[Bar]
    zero: float
    width: int = WIDTH


@dataclass(frozen=True)
class Heat:
    """Rows of time, one an account: for each shade, from faint to full, the outline of the bins that have it."""

    rows: list[tuple[str, int, list[str]]]
    ticks: list[tuple[float, int]]
    width: int = WIDTH


def waterfall(evidence: Sequence[Evidence], total: str) -> Waterfall:
    """Nats by family, what speaks for the case and then what speaks against it; ``total``: what the sum is called."""
    sums: dict[tuple[bool, str], float] = {}
    for one in evidence:
        if abs(one.log_odds) >= LEAST:
            key = (one.log_odds < 0, one.family)
            sums[key] = sums.get(key, 0.0) + one.log_odds
    steps = sorted(sums.items(), key=lambda item: -item[1])
    at, ends = 0.0, [0.0]
    for _, value in steps:
        at += value
        ends.append(at)
    low, high = min(ends), max(ends)
    scale = WIDTH / ((high - low) or 1.0)
    bars = []
    for ((against, family), value), start in zip(steps, ends, strict=False):
        left, right = sorted(((start - low) * scale, (start + value - low) * scale))
        bars.append(Bar(family, value, left, max(right - left, 1.0), right, against))
    left, right = sorted(((0 - low) * scale, (at - low) * scale))
    bars.append(Bar(total, at, left, max(right - left, 1.0), right, total=True))
    return Waterfall(bars, (0 - low) * scale)


def heat(strips: Sequence[Strip], start_us: int, step_us: int) -> Heat:
    """When accounts sent what is charged to the case: a row each, darker where it sent more of its own busiest bin."""
    bins = max((len(one.counts) for one in strips), default=1)
    wide = WIDTH / max(bins, 1)
    rows = []
    for strip in strips:
        most = max(strip.counts, default=0) or 1
        shades = [""] * SHADES
        for place, count in enumerate(strip.counts):
            if count:
                shade = min(SHADES - 1, count * SHADES // (most + 1))
                shades[shade] += f"M{place * wide:.1f} 0h{wide:.1f}v12h-{wide:.1f}z"
        rows.append((strip.account_id, sum(strip.counts), shades))
    every = max(1, bins // 6)
    return Heat(rows, [(place * wide, start_us + place * step_us) for place in range(0, bins, every)])
