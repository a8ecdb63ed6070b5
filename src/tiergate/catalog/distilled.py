"""Which models are believed to be distilled from others, and how surely: a table of ours after Epoch AI's,
`facts/distilled.csv`. A belief of its authors, not a finding; a model that is not in it is unknown."""

from __future__ import annotations

import csv
from collections.abc import Mapping
from functools import cache
from importlib.resources import files
from types import MappingProxyType
from typing import Final, Literal

import msgspec

from tiergate.catalog.cited import Cited

FILE: Final = "distilled.csv"


class Distilled(Cited, frozen=True, kw_only=True):
    """What is believed of ``model``, an id of the catalog."""

    model: str
    distilled: Literal["yes", "no"]
    confidence: Literal["high", "medium", "low"]


@cache
def believed() -> Mapping[str, Distilled]:
    """All of them, by model."""
    text = (files("tiergate.catalog") / "facts" / FILE).read_text(encoding="utf-8")
    rows = (msgspec.convert(row, Distilled, strict=False) for row in csv.DictReader(text.splitlines()))
    return MappingProxyType({one.model: one for one in rows})
