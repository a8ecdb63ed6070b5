"""The measurements as pictures (SVG)."""

from __future__ import annotations

import io
from collections import defaultdict
from collections.abc import Callable, Sequence
from typing import Any, Final

import matplotlib as mpl
from benchmarks.detection.measures import calibration, upper_limit
from benchmarks.detection.measuring import TIERGATE
from benchmarks.detection.results import Results, Share
from matplotlib.axes import Axes
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter

INK: Final = "#1b1e23"
OURS: Final = "#0b5fa5"
PLAIN: Final = "#8a8f98"
RC: Final[dict[Any, Any]] = {
    "svg.fonttype": "path",
    "svg.hashsalt": "tiergate",
    "font.size": 9.0,
    "text.color": INK,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.titlelocation": "left",
    "axes.titlesize": 9.0,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": "#e4e6ea",
    "legend.frameon": False,
}
# Peers are told apart by dashes and lightness as well, for readers who do not see colours apart.
STYLES: Final = (
    ("#c2571a", "-"),
    ("#c2571a", ":"),
    ("#4d8c57", "-"),
    ("#4d8c57", ":"),
    ("#7d5ba6", "-"),
    ("#7d5ba6", ":"),
    (PLAIN, "-"),
    (PLAIN, ":"),
)


def recall(results: Results) -> str | None:
    """Recall against innocent accounts let through, one panel a scenario, seeds pooled."""
    scenarios = [name for name, some in _curves(results).items() if some]
    if not scenarios:
        return None
    columns = min(4, len(scenarios))
    rows = -(-len(scenarios) // columns)

    def draw(figure: Figure) -> None:
        panels = figure.subplots(rows, columns, sharex=True, sharey=True, squeeze=False).ravel().tolist()
        for axes, scenario in zip(panels, scenarios, strict=False):
            _panel(axes, scenario, _curves(results)[scenario])
        for axes in panels[len(scenarios) :]:
            axes.set_visible(False)
        figure.supxlabel("innocent accounts let through in each world", fontsize=9)
        figure.supylabel("campaign accounts found", fontsize=9)
        names = {str(line.get_label()): line for axes in panels[: len(scenarios)] for line in axes.get_lines()}
        figure.legend(list(names.values()), list(names), loc="outside upper left", ncols=5)

    return drawing(draw, (max(6.5, 2.3 * columns + 0.5), 2.0 * rows + 0.9))


def calibrated(results: Results) -> str | None:
    """Cases by their confidence against the share of them that is right."""
    cases = [
        case for one in results.worlds if TIERGATE in one.measurements for case in one.measurements[TIERGATE].cases
    ]
    if not cases:
        return None

    def draw(figure: Figure) -> None:
        axes = figure.subplots()
        axes.plot([0, 1], [0, 1], color=PLAIN, linewidth=0.8, linestyle="--")
        for _, confidence, right in calibration(cases):
            low = 1 - upper_limit(Share(right.of - right.part, right.of), 0.95)
            high = upper_limit(right, 0.95)
            axes.plot([confidence] * 2, [low, high], color=OURS, linewidth=1)
            axes.plot(confidence, right.value, "o", color=OURS)
            axes.annotate(f"{right.of}", (confidence, right.value), (5, -9), textcoords="offset points")
        axes.set_xlim(0.35, 1.02)
        axes.set_ylim(-0.03, 1.03)
        axes.set_xlabel("confidence of the case; beside each point, cases in its bin")
        axes.set_ylabel("share right, with 90% interval")

    return drawing(draw, (4.4, 3.4))


def leaks(results: Results) -> str | None:
    """Hours and campaign exchanges until a case opens and until one acts, one line a world."""
    worlds = [one for one in results.worlds if one.leak is not None and one.leak.looks]
    if not worlds:
        return None

    def draw(figure: Figure) -> None:
        axes = figure.subplots()
        for place, one in enumerate(worlds):
            assert one.leak is not None
            hours = [look.hours for look in one.leak.looks]
            axes.plot([hours[0], one.leak.span_hours], [place] * 2, color=PLAIN, linewidth=0.8, zorder=1)
            for look in one.leak.looks:
                shown = (OURS if look.acting.part else "white", OURS if look.opened.part else PLAIN)
                axes.plot(look.hours, place, "o", markerfacecolor=shown[0], markeredgecolor=shown[1], zorder=2)
        axes.set_yticks(range(len(worlds)), [f"{one.scenario} {one.seed}" for one in worlds])
        axes.set_ylim(len(worlds) - 0.5, -0.5)
        axes.set_xscale("log")
        axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
        axes.set_xlabel("hours after the campaign's first exchange")
        axes.set_title("grey: no case of the campaign; blue ring: watched; blue: above `watch`")

    return drawing(draw, (6.5, 1.1 + 0.32 * len(worlds)))


PLOTS: Final[dict[str, Callable[[Results], str | None]]] = {
    "recall.svg": recall,
    "calibration.svg": calibrated,
    "leak.svg": leaks,
}


def drawing(draw: Callable[[Figure], None], size: tuple[float, float]) -> str:
    """Run ``draw`` on a figure of ``size`` inches and return it as SVG, the same for the same figures."""
    with mpl.rc_context(RC):
        figure = Figure(figsize=size, layout="constrained")
        FigureCanvasSVG(figure)
        draw(figure)
        buffer = io.StringIO()
        figure.savefig(buffer, format="svg", metadata={"Date": None})
    return buffer.getvalue()


def _panel(axes: Axes, scenario: str, curves: dict[str, list[tuple[int, float]]]) -> None:
    axes.set_title(scenario)
    peers = [name for name in curves if name != TIERGATE]
    for name, points in curves.items():
        colour, dashes = (OURS, "-") if name == TIERGATE else STYLES[peers.index(name) % len(STYLES)]
        width = 2.2 if name == TIERGATE else 1.1
        at, found = zip(*points, strict=True)
        axes.step(at, found, where="post", color=colour, linestyle=dashes, linewidth=width, label=name)
    axes.set_xscale("symlog", linthresh=1)
    axes.set_xlim(left=0)
    axes.set_ylim(-0.03, 1.03)
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))


def _curves(results: Results) -> dict[str, dict[str, list[tuple[int, float]]]]:
    """By scenario and detector: innocents allowed in each world, and the share of campaign accounts then found."""
    found: dict[str, dict[str, dict[int, list[Share]]]] = {}
    for one in results.worlds:
        curves = found.setdefault(one.scenario, {})
        for name, measured in one.measurements.items():
            for allowed, count in measured.roc:
                of = Share(count, one.facts.campaign_accounts)
                curves.setdefault(name, defaultdict(list))[allowed].append(of)
    return {
        scenario: {name: [(n, _pooled(some)) for n, some in sorted(points.items())] for name, points in curves.items()}
        for scenario, curves in found.items()
    }


def _pooled(shares: Sequence[Share]) -> float:
    return sum(shares, start=Share(0, 0)).value
