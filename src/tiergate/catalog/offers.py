"""Where models are sold, in which region, at which list price: a CSV file, a row for each model, provider and region.

What a price map of one day listed, so an offer counts from that day on, and until the day its provider announced as its
end. A model that is not offered here can still be sold somewhere: what is not on file is unknown.
"""

from __future__ import annotations

import csv
import datetime as dt
import io
from collections.abc import Iterable
from functools import cache
from importlib.resources import as_file, files
from pathlib import Path
from typing import Any, Final

import msgspec

from tiergate.catalog.cited import Cited
from tiergate.errors import InputError

FILE: Final = "offers.csv"


class Offer(Cited, frozen=True, kw_only=True):
    """``provider`` sells ``model`` (an id of the catalog) by what it calls ``id``.

    ``region``: `EU`, `US` and so on where the id is of one region alone, empty where it does not say. Prices are US
    dollars for a million tokens. ``context_tokens`` and ``output_tokens``: the most of a request and of an answer.
    ``capabilities``: what the map says it can, `tools`, `vision`, `structured_output`. ``ends``: the first day on which
    it is no longer sold, as announced.
    """

    model: str
    provider: str
    region: str
    id: str
    input: float
    output: float
    cached_input: float | None = None
    context_tokens: int | None = None
    output_tokens: int | None = None
    capabilities: tuple[str, ...] = ()
    ends: dt.date | None = None

    def holds_on(self, day: dt.date) -> bool:
        return self.as_of <= day and (self.ends is None or day < self.ends)


COLUMNS: Final = (
    "model", "provider", "region", "id", "input", "output", "cached_input", "context_tokens", "output_tokens",
    "capabilities", "ends", "as_of", "source", "licence", "note",
)  # fmt: skip
_NUMBERS: Final = {"input": float, "output": float, "cached_input": float, "context_tokens": int, "output_tokens": int}


@cache
def shipped_offers() -> tuple[Offer, ...]:
    """The offers that come with Tiergate, by model, provider and region."""
    with as_file(files("tiergate.catalog") / "facts" / FILE) as path:
        return read_offers(path)


def read_offers(path: Path) -> tuple[Offer, ...]:
    """A file of offers. Raises `InputError`, which names the line, when it is not one."""
    try:
        reader = csv.DictReader(io.StringIO(path.read_text(encoding="utf-8")), strict=True)
    except FileNotFoundError:
        raise InputError(f"there is no file `{path}`") from None
    if tuple(reader.fieldnames or ()) != COLUMNS:
        raise InputError(f"`{path.name}` is no file of offers: its columns must be {','.join(COLUMNS)}")
    rows = []
    try:
        for row in reader:
            cells: dict[str, Any] = {name: cell for name, cell in row.items() if cell}
            cells |= {name: kind(cells[name]) for name, kind in _NUMBERS.items() if name in cells}
            cells["capabilities"] = tuple(cells.get("capabilities", "").split())
            rows.append(msgspec.convert({"region": "", **cells}, Offer))
    except (csv.Error, ValueError, TypeError, AttributeError) as error:
        raise InputError(f"`{path.name}`, line {reader.line_num}: {error}") from error
    return tuple(rows)


def write_offers(offers: Iterable[Offer], path: Path) -> None:
    """Write offers by model, provider and region: the same offers give the same bytes."""
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(COLUMNS)
        for one in sorted(offers, key=lambda one: (one.model, one.provider, one.region)):
            writer.writerow(_cell(getattr(one, name)) for name in COLUMNS)


def _cell(value: object) -> object:
    if isinstance(value, tuple):
        return " ".join(value)
    return "" if value is None else f"{value:.12g}" if isinstance(value, float) else value
