"""Charts that commands draw into a file: one palette, readable in print and by the colour-blind, sources below.

No line is told from another by colour alone: `STYLES` gives each its dash and marker too, and `label_line` writes its
name where it ends.
"""

from __future__ import annotations

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
        draw(figure)
        wide = size[0] * 18  # letters of the source line that fit
        figure.suptitle(title, x=0.01, ha="left", fontsize=10.5, weight="bold")
        figure.supxlabel(textwrap.fill(f"Source: {source}", int(wide)), x=0.01, ha="left", fontsize=6.5, color=QUIET)
        if path.suffix == ".svg":
            figure.savefig(path, format="svg", metadata={"Date": None, "Creator": None})
        else:
            figure.savefig(path, format="png", dpi=DOTS_PER_INCH, metadata={"Software": None})


def label_line(axes: Axes, x: Any, y: float, text: str, style: Style) -> None:
    """Write a line's name beside its last point, in its colour."""
    axes.annotate(
        text, (x, y), xytext=(5, 0), textcoords="offset points", va="center", color=style.color, annotation_clip=False
    )
