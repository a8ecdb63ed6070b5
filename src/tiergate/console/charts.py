"""Charts: numbers that a browser draws, and the table of the same numbers that stands below each."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import msgspec
from markupsafe import Markup

from tiergate.console.tables import Column, Kind, Table

Style = Literal["line", "bars", "points", "step", "dashed", "band", "range"]


@dataclass(frozen=True, kw_only=True)
class Series:
    """One line, set of bars or points: a value for each ``x`` of the chart, None where there is none. A `band` is
    filled between itself and the series before it; a `range` is a bar between them, each narrower than the last."""

    name: str
    title: str
    values: Sequence[float | int | None]
    style: Style = "line"
    kind: Kind = "number"


@dataclass(frozen=True, kw_only=True)
class Chart:
    """``x`` ascends; with ``kind`` `time` it is seconds since the epoch (UTC). ``labels`` name each x in place of a
    number. ``title`` says what one sees, for those who cannot."""

    name: str
    title: str
    x_title: str
    y_title: str
    x: Sequence[float | int]
    series: Sequence[Series]
    time: bool = False
    log: bool = False
    labels: Sequence[str] | None = None

    def table(self) -> Table:
        """The chart's data."""
        first = Column("x", self.x_title, "text" if self.labels else "time" if self.time else "number")
        rows = []
        for place, x in enumerate(self.x):
            shown: object = self.labels[place] if self.labels else round(x * 1_000_000) if self.time else x
            rows.append({"x": shown} | {one.name: one.values[place] for one in self.series})
        columns = [first, *(Column(one.name, one.title, one.kind) for one in self.series)]
        return Table(name=self.name, columns=columns, rows=rows)

    def json(self) -> Markup:
        """What `charts.js` draws, safe within a `script` element of a kind that no browser runs."""
        drawn: dict[str, Any] = {
            "x": list(self.x),
            "xTitle": self.x_title,
            "yTitle": self.y_title,
            "time": self.time,
            "log": self.log,
            "labels": list(self.labels) if self.labels else None,
            "series": [
                {"title": one.title, "style": one.style, "kind": one.kind, "values": [_drawn(v) for v in one.values]}
                for one in self.series
            ],
        }
        text = msgspec.json.encode(drawn).decode()
        # The three signs with which HTML could end the element or begin another.
        safe = text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")
        return Markup(safe)  # noqa: S704 - escaped above


def _drawn(value: float | None) -> float | None:
    return None if value is None or not math.isfinite(value) else value
