"""Tables: a page's rows as people read them, and the same rows as CSV (RFC 4180)."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final, Literal

from tiergate.clock import SECOND

Kind = Literal["text", "code", "count", "number", "share", "usd", "time", "seconds", "badge", "source", "prose"]
NUMBERS: Final = frozenset({"count", "number", "share", "usd", "seconds"})
_FORMULAS: Final = ("=", "+", "-", "@", "\t", "\r", "\n", "\uff1d", "\uff0b", "\uff0d", "\uff20")
"""What a formula begins with, also as some keyboards write it."""


@dataclass(frozen=True)
class Link:
    """A value that leads somewhere. ``tone`` of a badge: `good`, `warn`, `bad`, or nothing."""

    value: object
    href: str | None = None
    tone: str = ""


@dataclass(frozen=True)
class Column:
    """``title`` is what people read, ``name`` what machines do. ``kind`` says how a value is written: `share` is a part
    of one, `usd` micro-dollars, `time` microseconds since the epoch (UTC), `source` a citation whose addresses become
    links, `prose` a sentence or more."""

    name: str
    title: str
    kind: Kind = "text"


@dataclass(frozen=True, kw_only=True)
class Table:
    """``rows`` map names of columns to values, None where unknown, or to a `Link`. ``name`` is unique on the page.

    ``next_page`` is the address of the rows after these. The CSV has the rows that the handler gave for `?csv=`, so a
    handler gives them all there.
    """

    name: str
    columns: Sequence[Column]
    rows: Iterable[Mapping[str, object]]
    next_page: str | None = None
    empty: str = ""


def instant(value: int) -> datetime:
    """A time (microseconds since the epoch), or the last or first that can be written, for one beyond: others say it,
    and one who says nonsense must not take the page away."""
    try:
        return datetime.fromtimestamp(value / SECOND, UTC)
    except (ValueError, OverflowError, OSError):
        return datetime.max.replace(tzinfo=UTC) if value > 0 else datetime.min.replace(tzinfo=UTC)


def csv_lines(table: Table) -> Iterator[str]:
    """The table as CSV, a line at a time; the header has the columns' names."""
    yield _line(column.name for column in table.columns)
    for row in table.rows:
        yield _line(_plain(row.get(column.name), column.kind) for column in table.columns)


def _line(values: Iterable[object]) -> str:
    out = io.StringIO()
    csv.writer(out).writerow(list(values))
    return out.getvalue()


def _plain(value: object, kind: Kind) -> object:
    if isinstance(value, Link):
        value = value.value
    if value is None:
        return ""
    if kind == "time" and isinstance(value, int):
        return instant(value).isoformat()
    if isinstance(value, str) and (value.startswith(_FORMULAS) or value.lstrip().startswith(_FORMULAS)):
        # A spreadsheet would compute it, and whoever chose a name would have chosen what.
        return f"'{value}"
    return value
