"""Dated list prices of models, as providers and their resellers publish them: a CSV file, a row a change.

A row says when a price was first seen in a published price map, and from which day it was in force where that is known.
Maps are looked at monthly and lag behind, so the two may be weeks apart: changes are in the order in which they were
seen, and the last of them that was in force by a day is that day's price.
"""

from __future__ import annotations

import csv
import datetime as dt
import io
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from functools import cache
from importlib.resources import as_file, files
from pathlib import Path
from typing import Final

import msgspec

from tiergate.catalog.cited import Cited
from tiergate.errors import InputError

FILE: Final = "list_prices.csv"
COLUMNS: Final = (
    "provider", "id", "input", "output", "cached_input", "first_seen", "effective", "as_of", "source", "licence",
    "note",
)  # fmt: skip
MAX_USD: Final = 10_000.0
"""US dollars for a million tokens above which a price is taken for a mistake in units."""


class Since(StrEnum):
    """What the day of a price is."""

    EFFECTIVE = "effective"
    SEEN = "first seen"


class ListPrice(Cited, frozen=True, kw_only=True):
    """US dollars for a million tokens that ``provider`` asks for what it calls ``id``; None: no longer listed.

    ``first_seen``: day of the first map that had it; ``effective``: day from which it was in force, if known.
    """

    provider: str
    id: str
    input: float | None
    output: float | None
    cached_input: float | None = None
    first_seen: dt.date
    effective: dt.date | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        if not all(2000 <= day.year < 2100 for day in (self.first_seen, self.since)):
            raise ValueError(f"a price of {self.since} is none: give days from 2000 to 2099")
        if (self.input is None) != (self.output is None):
            raise ValueError("a price has input and output, or neither where it is no longer listed")
        for amount in (self.input, self.output, self.cached_input):
            if amount is not None and not 0 <= amount <= MAX_USD:
                raise ValueError(f"{amount:g} is no price for a million tokens: 0 to {MAX_USD:,.0f} US dollars")

    @property
    def since(self) -> dt.date:
        """The day from which it is taken to be in force."""
        return self.effective or self.first_seen

    @property
    def dated_by(self) -> Since:
        return Since.EFFECTIVE if self.effective else Since.SEEN


@dataclass(frozen=True, slots=True)
class Prices:
    """Price changes by id, in the order in which they were seen."""

    by_id: Mapping[str, tuple[ListPrice, ...]]

    @property
    def first_day(self) -> dt.date:
        """The first map that any price is from: what was in force before is not known of all ids."""
        return min(one.first_seen for changes in self.by_id.values() for one in changes)

    @property
    def last_seen(self) -> dt.date:
        """The newest map that any price is from."""
        return max(one.first_seen for changes in self.by_id.values() for one in changes)

    def changes(self, id: str) -> tuple[ListPrice, ...]:  # noqa: A002, it is called so
        """All prices of an id. Raises `InputError`, which names similar ones, when there is none."""
        found = self.by_id.get(id)
        if found is None:
            raise InputError(f"no price is on file for `{id}`: {_similar(id, self.by_id)}")
        return found

    def periods(self, id: str) -> list[tuple[ListPrice, dt.date]]:  # noqa: A002
        """All prices of an id, each with the day from which it counts: that of the next one where that is earlier, as a
        price may have been replaced before it was seen. Raises as `changes`."""
        until = dt.date.max
        found = []
        for one in reversed(self.changes(id)):
            until = min(until, one.since)
            found.append((one, until))
        return found[::-1]

    def in_force(self, id: str, day: dt.date) -> ListPrice | None:  # noqa: A002
        """The price of an id on ``day``; None where there is none, or none that early."""
        return next((one for one in reversed(self.by_id.get(id, ())) if one.since <= day), None)

    def on(self, id: str, day: dt.date) -> ListPrice:  # noqa: A002
        """The same. Raises `InputError` where the id or a price that early is not on file."""
        changes = self.changes(id)
        found = self.in_force(id, day)
        if found is None:
            first = min(one.since for one in changes)
            raise InputError(f"no price of `{id}` is on file before {first}: give a day from then on")
        return found


def as_prices(rows: Iterable[ListPrice]) -> Prices:
    """Rows in any order, by id."""
    by_id: dict[str, list[ListPrice]] = {}
    for row in sorted(rows, key=lambda one: (one.first_seen, one.since)):
        by_id.setdefault(row.id, []).append(row)
    return Prices({name: tuple(changes) for name, changes in by_id.items()})


@cache
def shipped_prices() -> Prices:
    """The prices that come with Tiergate."""
    with as_file(files("tiergate.catalog") / "facts" / FILE) as path:
        return read_prices(path)


def read_prices(path: Path) -> Prices:
    """A file of price changes. Raises `InputError`, which names the line, when it is not one."""
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise InputError(f"there is no file `{path}`") from None
    except UnicodeDecodeError:
        raise InputError(f"`{path.name}` is not text in UTF-8") from None
    reader = csv.DictReader(io.StringIO(text), strict=True)
    if tuple(reader.fieldnames or ()) != COLUMNS:
        raise InputError(f"`{path.name}` is no file of prices: its columns must be {','.join(COLUMNS)}")
    rows = []
    try:
        for row in reader:
            if None in row:
                raise msgspec.ValidationError("more cells than columns")
            rows.append(_row({name: value for name, value in row.items() if value}))
    except (csv.Error, msgspec.ValidationError) as error:
        raise InputError(f"`{path.name}`, line {reader.line_num}: {error}") from error
    if not rows:
        raise InputError(f"`{path.name}` has no price")
    return as_prices(rows)


def write_prices(rows: Iterable[ListPrice], path: Path) -> None:
    """Write price changes, by id and day: the same rows give the same bytes."""
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(COLUMNS)
        for row in sorted(rows, key=lambda one: (one.id, one.provider, one.first_seen, one.since)):
            cells = (getattr(row, name) for name in COLUMNS)
            writer.writerow(
                "" if cell is None else f"{cell:.12g}" if isinstance(cell, float) else cell for cell in cells
            )


def _row(cells: dict[str, str]) -> ListPrice:
    amounts = {name: _amount(cells.pop(name, None)) for name in ("input", "output", "cached_input")}
    return msgspec.convert(cells | amounts, ListPrice)


def _amount(text: str | None) -> float | None:
    if text is None:
        return None
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if math.isnan(value):
        raise msgspec.ValidationError(f"`{text}` is no amount")
    return value


def _similar(name: str, known: Iterable[str]) -> str:
    import difflib

    near = difflib.get_close_matches(name, list(known), n=3, cutoff=0.5)
    return f"did you mean {' or '.join(f'`{one}`' for one in near)}?" if near else "see `tiergate catalog prices`"
