"""Capability scores of models: one vintage of Epoch AI's Capabilities Index (ECI), as published on a day.

Epoch revises the index, so a figure computed from it is a figure of one vintage. ECI is an interval scale: differences
mean something, ratios and percentages do not. Its two anchors (Claude 3.5 Sonnet at 130, GPT-5 at 150) have no interval
because they are fixed, not estimated. Intervals are 90% (github.com/epoch-research/eci-public). Data: CC-BY-4.0.
"""

from __future__ import annotations

import csv
import datetime as dt
import io
import math
from collections import Counter
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final, Literal, TypeAlias, get_args

from tiergate.catalog.cited import LICENCES
from tiergate.errors import InputError

Access: TypeAlias = Literal["open", "closed", "unknown"]
"""Whether the weights can be had; ``unknown`` also for models that nobody outside can use."""

SHIPPED: Final = Path(__file__).parent / "facts" / "capability.csv"
"""Models that led a group when they came out (of access, country or developer), and those that questions name. Not the
whole index."""
EPOCH: Final = "Epoch AI, Epoch Capabilities Index, https://epoch.ai/data/eci_scores.csv"
MAX_BYTES: Final = 8_000_000
MAX_SCORE: Final = 1_000

# What each vintage called a column; the first that is there is read.
_COLUMNS: Final = {
    "model": ("Display name", "Model", "Model version", "model"),
    "score": ("eci", "ECI Score"),
    "low": ("eci_ci_low",),
    "high": ("eci_ci_high",),
    "released": ("date", "Release date"),
    "developer": ("Organization",),
    "country": ("Country (of organization)", "Country"),
    "access": ("Model accessibility",),
}
_NEEDED: Final = ("model", "score", "released", "developer", "country", "access")
_CITATION: Final = ("as_of", "source", "licence")
_COUNTRIES: Final = {
    "China": "CN",
    "France": "FR",
    "United Arab Emirates": "AE",
    "United Kingdom of Great Britain and Northern Ireland": "GB",
    "United States of America": "US",
}
# One name for what the index lists under several.
_DEVELOPERS: Final = {
    "Google DeepMind": "Google",
    "Meta AI": "Meta",
    "Microsoft Research": "Microsoft",
    "Moonshot": "Moonshot AI",
    "Z.ai (Zhipu AI)": "Z.ai",
}


@dataclass(frozen=True)
class Score:
    """A model's score in points of ECI, with its 90% interval where one was published."""

    model: str
    score: float
    low: float | None
    high: float | None
    released: dt.date
    developers: tuple[str, ...]
    countries: tuple[str, ...]
    access: Access


@dataclass(frozen=True)
class Vintage:
    """Scores of one publication of the index, by day of release, the best of a day first.

    ``name``: the day of publication where the file says it, else the file's name. ``left_out``: how many rows were not
    taken, by the reason."""

    name: str
    source: str
    licence: str
    scores: tuple[Score, ...]
    left_out: dict[str, int]

    @property
    def last(self) -> dt.date:
        """The newest release it knows of."""
        return self.scores[-1].released

    @property
    def has_intervals(self) -> bool:
        return any(one.low is not None for one in self.scores)

    @property
    def developers(self) -> list[str]:
        return sorted({name for one in self.scores for name in one.developers})

    @property
    def countries(self) -> list[str]:
        return sorted({name for one in self.scores for name in one.countries})

    def until(self, day: dt.date) -> Vintage:
        """What of this vintage was out on a day. Raises `InputError` outside of its days."""
        if day > self.last:
            raise InputError(
                f"vintage `{self.name}` ends on {self.last} and does not know {day}: give a day before, or a newer file"
            )
        known = tuple(one for one in self.scores if one.released <= day)
        if not known:
            raise InputError(
                f"no model of vintage `{self.name}` was out on {day}: give a day from {self.scores[0].released} on"
            )
        return replace(self, scores=known)

    def find(self, model: str) -> Score:
        """The score of a model by its name. Raises `InputError`, which names similar ones."""
        for one in self.scores:
            if one.model.casefold() == model.casefold():
                return one
        like = [one.model for one in self.scores if model.casefold() in one.model.casefold()][:5]
        hint = (
            f"did you mean {', '.join(f'`{name}`' for name in like)}" if like else "give its name as the index has it"
        )
        raise InputError(f"vintage `{self.name}` has no model `{model}`: {hint}")


def shipped() -> Vintage:
    """The frontier rows that come with Tiergate."""
    return read_vintage(SHIPPED)


def read_vintage(path: Path) -> Vintage:
    """A vintage from a CSV file, in any form in which Epoch published it, or in the form of the shipped one.

    Rows without score or day of release, and rows starred as not Epoch's own, are left out and counted. Raises
    `InputError` for a file that is none, naming line and column."""
    try:
        if path.stat().st_size > MAX_BYTES:
            raise InputError(f"`{path.name}` has more than {MAX_BYTES:,} bytes: give one vintage of the index")
        text = path.read_text(encoding="utf-8-sig")
    except FileNotFoundError:
        raise InputError(f"there is no file `{path}`: give a CSV file of Epoch's index") from None
    except UnicodeDecodeError:
        raise InputError(f"`{path.name}` is not text in UTF-8: give a CSV file of Epoch's index") from None
    rows = csv.DictReader(io.StringIO(text, newline=""), strict=True)
    try:
        return _read(path, rows)
    except csv.Error as error:
        raise InputError(f"`{path.name}`, line {rows.line_num}: not CSV: {error}") from error


def without_version(model: str) -> str:
    """`GPT-4o (Nov 2024)` and `GPT-5 (high)` without the version or effort in brackets."""
    return model.rpartition(" (")[0] if model.endswith(")") else model


def _read(path: Path, rows: csv.DictReader[str]) -> Vintage:
    header = rows.fieldnames or []
    column = {field: next((name for name in names if name in header), None) for field, names in _COLUMNS.items()}
    for field in _NEEDED:
        if column[field] is None:
            raise InputError(f"`{path.name}` has no column for the {field}: one of {', '.join(_COLUMNS[field])}")
    cited = all(name in header for name in _CITATION)
    scores: list[Score] = []
    citations: set[tuple[str, str, str]] = set()
    left_out: Counter[str] = Counter()
    for row in rows:
        where = f"`{path.name}`, line {rows.line_num}"
        values = {field: ((row.get(name) or "").strip() if name else "") for field, name in column.items()}
        # Some vintages show only a part of their models by a name.
        values["model"] = next((said for name in _COLUMNS["model"] if (said := (row.get(name) or "").strip())), "")
        reason = _why_not(values)
        if reason:
            left_out[reason] += 1
            continue
        scores.append(_score(values, where))
        if cited:
            citations.add(_citation(row, where))
    if not scores:
        raise InputError(f"`{path.name}` has no model with a score and a day of release")
    if len(citations) > 1:
        raise InputError(f"`{path.name}` mixes {len(citations)} sources: a vintage is one publication")
    name, source, licence = citations.pop() if citations else (path.stem, EPOCH, "CC-BY-4.0")
    scores.sort(key=lambda one: (one.released, -one.score))
    return Vintage(name, source, licence, tuple(scores), dict(left_out))


def _why_not(values: dict[str, str]) -> str:
    if not values["score"]:
        return "without a score"
    if not values["released"]:
        return "without a day of release"
    return "starred as not Epoch's own" if values["model"].endswith("*") else ""


def _score(values: dict[str, str], where: str) -> Score:
    for field in ("model", "developer", "country"):
        if not values[field].isprintable():
            raise InputError(f"{where}: the {field} has characters that cannot be printed")
    low, high = (_number(values[name], where) if values[name] else None for name in ("low", "high"))
    score = _number(values["score"], where)
    if (low is None) != (high is None) or (low is not None and high is not None and low > high):
        raise InputError(f"{where}: an interval has two ends, and the lower one comes first")
    try:
        released = dt.date.fromisoformat(values["released"])
    except ValueError:
        raise InputError(f"{where}: `{values['released'][:40]}` is no day: write 2026-08-11") from None
    if not 2000 <= released.year < 2100:
        raise InputError(f"{where}: no model came out on {released}: give a day from 2000 to 2099")
    developers = dict.fromkeys(_DEVELOPERS.get(name, name) for name in _parts(values["developer"]))
    countries = dict.fromkeys(_COUNTRIES.get(name, name) for name in _parts(values["country"]))
    return Score(
        values["model"], score, low, high, released, tuple(developers), tuple(countries), _access(values["access"])
    )


def _citation(row: dict[str, str], where: str) -> tuple[str, str, str]:
    as_of, source, licence = ((row[name] or "").strip() for name in _CITATION)
    if not as_of or not source or licence not in LICENCES:
        raise InputError(f"{where}: a fact needs as_of, source and a licence of {sorted(LICENCES)}")
    return as_of, source, licence


def _parts(text: str) -> list[str]:
    return [part.strip() for part in text.split(",") if part.strip()]


def _number(text: str, where: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not abs(value) <= MAX_SCORE:
        raise InputError(f"{where}: `{text[:40]}` is no score: a number of at most {MAX_SCORE:,}")
    return value


def _access(text: str) -> Access:
    if text.startswith("Open weights"):
        return "open"
    if text in {"API access", "Hosted access (no API)"}:
        return "closed"
    for known in get_args(Access):
        if text == known:
            return known  # type: ignore[no-any-return]
    return "unknown"
