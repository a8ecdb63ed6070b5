"""Colours of the report's figures: drawn as fixed stand-ins, shown as CSS variables that follow light and dark.

The pair blue and orange stays apart for all common kinds of colour blindness; what is against is hatched as well.
"""

from __future__ import annotations

import re
from typing import Any, Final

INK: Final = "#010203"
QUIET: Final = "#010204"
GRID: Final = "#010205"
PAPER: Final = "#010206"
FOR: Final = "#010207"
AGAINST: Final = "#010208"
REST: Final = "#010209"

_VARIABLES: Final = {
    INK: "var(--ink)",
    QUIET: "var(--quiet)",
    GRID: "var(--grid)",
    PAPER: "var(--paper)",
    FOR: "var(--for)",
    AGAINST: "var(--against)",
    REST: "var(--rest)",
}

RC: Final[dict[Any, Any]] = {
    "svg.fonttype": "none",
    "svg.hashsalt": "tiergate",
    "hatch.linewidth": 0.7,
    "font.size": 9.0,
    "font.family": "sans-serif",
    "text.color": INK,
    "axes.edgecolor": GRID,
    "axes.labelcolor": QUIET,
    "axes.facecolor": "none",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.titlesize": 9.0,
    "axes.titlelocation": "left",
    "axes.titlecolor": QUIET,
    "axes.axisbelow": True,
    "figure.facecolor": "none",
    "grid.color": GRID,
    "grid.linewidth": 0.6,
    "xtick.color": GRID,
    "ytick.color": GRID,
    "xtick.labelcolor": QUIET,
    "ytick.labelcolor": QUIET,
    "legend.frameon": False,
    "legend.labelcolor": INK,
}


_PRINTED: Final = {
    "var(--ink)": "#16191d",
    "var(--quiet)": "#444444",
    "var(--grid)": "#c8ccd2",
    "var(--paper)": "#ffffff",
    "var(--for)": "#0b66a8",
    "var(--against)": "#b35300",
    "var(--rest)": "#777777",
}


def printed(fragment: str) -> str:
    """A fragment as a file of its own, for paper: colours and the font named in it."""
    for variable, colour in _PRINTED.items():
        fragment = fragment.replace(variable, colour)
    return fragment.replace("<svg ", '<svg font-family="DejaVu Sans" ', 1)


def inline(svg: str, prefix: str, label: str) -> str:
    """Make matplotlib's SVG file a fragment for a page: own ids, CSS colours, a spoken label, no metadata."""
    body = svg[svg.index("<svg") :]
    body = re.sub(r"<metadata>.*?</metadata>", "", body, flags=re.DOTALL)
    body = re.sub(r"<!--.*?-->", "", body, flags=re.DOTALL)
    body = re.sub(r'\bid="', f'id="{prefix}-', body)
    body = re.sub(r'(url\(|href=")#', rf"\1#{prefix}-", body)
    # The page decides on the font; a width in the drawing's own points would stop it from shrinking.
    body = re.sub(r"font: [^;\"]*?([0-9.]+px)[^;\"]*", r"font-size: \1", body)
    body = re.sub(r'(<svg[^>]*?) (?:width|height)="[^"]*"', r"\1", body, count=1)
    body = re.sub(r'(<svg[^>]*?) (?:width|height)="[^"]*"', r"\1", body, count=1)
    for stand_in, variable in _VARIABLES.items():
        body = body.replace(stand_in, variable)
    spoken = label.replace("&", "&amp;").replace("<", "&lt;").replace('"', "&quot;")
    return body.replace("<svg ", f'<svg role="img" aria-label="{spoken}" ', 1)
