"""Charts that commands draw into a file: one palette, readable in print and by the colour-blind, sources below.

No line is told from another by colour alone: `STYLES` gives each its dash and marker too, and `label_line` writes
its name where it ends, after its marker.
"""

from __future__ import annotations

import math
import textwrap
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final, NamedTuple

import typer

from tiergate.cli.outputs import writable_file
from tiergate.errors import InputError, SettingsError

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Chart = Annotated[
    Path | None, typer.Option("--chart", metavar="FILE", help="Draw it into FILE, .svg or .png (extra: report).")
]

SIZE: Final = (7.5, 4.4)
"""Inches; fits a page in portrait."""
DOTS_PER_INCH: Final = 200
LINE_POINTS: Final = 11.0
"""From one label to the next, at the font's size."""
INK: Final = "#1a1a1a"
QUIET: Final = "#555555"


class Style(NamedTuple):
    """How one line is drawn: keywords of `Axes.plot`."""

    color: str
    linestyle: str
    marker: str


STYLES: Final = (
    Style("#0072B2", "-", "o"),
    Style("#D55E00", "--", "s"),
    Style("#009E73", "-.", "^"),
    Style("#CC79A7", ":", "D"),
    Style("#56B4E9", "-", "v"),
    Style("#E69F00", "--", "P"),
    Style("#000000", ":", "X"),
)
"""Okabe and Ito's colours for all kinds of colour blindness (https://jfly.uni-koeln.de/color/), without the yellow,
which is not seen on paper."""
HATCHES: Final = ("", "////", "....", "xxxx", "\\\\\\\\", "----", "++++")
"""Fills of areas and bars, in the order of `STYLES`."""

_RC: Final[dict[Any, Any]] = {
    "svg.fonttype": "none",
    "svg.hashsalt": "tiergate",
    "text.parse_math": False,  # a dollar is a dollar
    "font.size": 9.0,
    "font.family": "sans-serif",
    "text.color": INK,
    "axes.edgecolor": QUIET,
    "axes.labelcolor": INK,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.axisbelow": True,
    "grid.color": "#d8d8d8",
    "grid.linewidth": 0.6,
    "hatch.linewidth": 0.6,
    "xtick.labelcolor": INK,
    "ytick.labelcolor": INK,
    "legend.frameon": False,
    "lines.markersize": 4.0,
}


def chart_file(path: Path | None) -> None:
    """See to it, before any work, that a chart can be drawn into ``path``; nothing to do when None.

    Raises `InputError` for another suffix or a place that cannot be written, `SettingsError` without matplotlib.
    """
    if path is None:
        return
    if path.suffix not in (".svg", ".png"):
        raise InputError(f"a chart is an .svg or a .png, and `{path}` is neither")
    if find_spec("matplotlib") is None:
        raise SettingsError("a chart needs matplotlib: `pip install 'tiergate[report]'`")
    writable_file(path, "--chart")


def write_chart(
    draw: Callable[[Figure], None], path: Path, *, title: str, source: str, size: tuple[float, float] = SIZE
) -> None:
    """Run ``draw`` on an empty figure and write it to ``path``; the same drawing gives the same bytes.

    :param source: where the figures are from and, if they are, that they are simulated; printed below.
    :param size: inches.
    """
    import matplotlib as mpl
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    with mpl.rc_context(_RC):
        figure = Figure(figsize=size, layout="constrained")
        FigureCanvasAgg(figure)
        wide = size[0] * 18  # letters of the source line that fit
        figure.suptitle(title, x=0.01, ha="left", fontsize=10.5, weight="bold")
        figure.supxlabel(textwrap.fill(f"Source: {source}", int(wide)), x=0.01, ha="left", fontsize=6.5, color=QUIET)
        draw(figure)  # after what is around it, so that it can measure
        if path.suffix == ".svg":
            figure.savefig(path, format="svg", metadata={"Date": None, "Creator": None})
        else:
            figure.savefig(path, format="png", dpi=DOTS_PER_INCH, metadata={"Software": None})


def label_line(axes: Axes, x: Any, y: float, text: str, style: Style, *, below: float = 0.0) -> None:
    """Write a line's name beside its last point, ``below`` points under it, after the line's own marker: several lines
    may end at one place, where colour alone would tell whose name is whose."""
    from matplotlib.transforms import ScaledTranslation

    beside = ScaledTranslation(9 / 72, -below / 72, axes.figure.dpi_scale_trans)
    axes.plot(
        [x], [y], marker=style.marker, color=style.color, transform=axes.transData + beside, clip_on=False,
        scalex=False, scaley=False,
    )  # fmt: skip
    axes.annotate(
        text, (x, y), xytext=(15, -below), textcoords="offset points", va="center", color=INK, annotation_clip=False
    )


class Ending(NamedTuple):
    """Where a line ends, in the axes' own units, and what it is called."""

    x: Any
    y: float
    text: str
    style: Style


def label_lines(axes: Axes, endings: list[Ending]) -> None:
    """Write each line's name beside its end, and those of lines that end at one place below each other.

    To be called last: it goes by the limits of the axes as they are.
    """
    axes.figure.draw_without_rendering()  # type: ignore[union-attr]
    point = axes.figure.dpi / 72
    taken = math.inf
    for one in sorted(endings, key=lambda one: -one.y):
        at = axes.transData.transform((axes.convert_xunits(one.x), one.y))[1] / point  # type: ignore[no-untyped-call]
        taken = min(at, taken - LINE_POINTS)
        label_line(axes, *one, below=at - taken)


def date_axis(axes: Axes) -> None:
    """Days along x, as few as can be read."""
    from matplotlib import dates

    locator = dates.AutoDateLocator(minticks=3, maxticks=8)  # type: ignore[no-untyped-call]
    axes.xaxis.set_major_locator(locator)
    axes.xaxis.set_major_formatter(
        dates.ConciseDateFormatter(locator, show_offset=False)  # type: ignore[no-untyped-call]
    )
