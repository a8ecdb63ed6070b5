"""The chart of `tiergate catalog tiers`: how many models each tier had, month by month."""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING, Any

import numpy as np

from tiergate.catalog.tiers import Tier, tiers
from tiergate.cli.charts import HATCHES, STYLES

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from tiergate.catalog.models import Catalog

SHOWN = (Tier.OPEN, Tier.COMMODITY, Tier.CLASSIFIED, Tier.UNAVAILABLE)


def draw_tiers(figure: Figure, catalog: Catalog, last: dt.date) -> None:
    """Stack the number of models by tier, on the first of each month and on ``last``."""
    days = [*_months(catalog.begins, last), last]
    at: Any = np.array(days, dtype="datetime64[D]")
    found = [[one.tier for one in tiers(catalog, day)] for day in days]
    counts = [[day.count(tier) for day in found] for tier in SHOWN]
    axes = figure.subplots()
    areas = axes.stackplot(at, counts, colors=[style.color for style in STYLES], alpha=0.55, edgecolor="white")
    for area, hatch in zip(areas, HATCHES, strict=False):
        area.set_hatch(hatch)
    below = 0
    for tier, line in zip(SHOWN, counts, strict=True):
        if line[-1]:
            axes.annotate(
                f"{tier} {line[-1]}",
                (at[-1], below + line[-1] / 2),
                xytext=(5, 0),
                textcoords="offset points",
                va="center",
                annotation_clip=False,
            )
        below += line[-1]
    axes.set_ylabel("models")
    axes.margins(x=0)
    axes.set_ylim(0)
    axes.grid(axis="y")


def _months(first: dt.date, last: dt.date) -> list[dt.date]:
    """The first day, and the first of each later month before the last day."""
    days = [first]
    month = first.replace(day=1)
    while (month := (month + dt.timedelta(days=32)).replace(day=1)) < last:
        days.append(month)
    return days
