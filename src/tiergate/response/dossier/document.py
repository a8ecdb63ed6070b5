"""A dossier as plain blocks, before it is a page: HTML and PDF are made of the same words and figures.

Every section says what kind of thing it holds, and no section holds two: what was `observed` (counted in a log), what
is `inferred` from that (a judgement with a probability), what was `decided` (by whom, when, why).
"""

from __future__ import annotations

from enum import StrEnum

import msgspec


class Kind(StrEnum):
    """What a section holds."""

    ABOUT = "about"
    OBSERVED = "observed"
    INFERRED = "inferred"
    DECIDED = "decided"


class Text(msgspec.Struct, frozen=True, tag="text"):
    """A paragraph. ``note``: set apart, because it must not be read over."""

    text: str
    note: bool = False


class Pairs(msgspec.Struct, frozen=True, tag="pairs"):
    """Names with their values; ``code``: values are ids or hashes."""

    rows: list[tuple[str, str]]
    code: bool = False


class Table(msgspec.Struct, frozen=True, kw_only=True, tag="table"):
    """Rows under a ``head``. ``align``: a letter a column: `l` text, `r` numbers, `c` ids and hashes. ``widths``:
    relative, 0 for as wide as it must be. ``empty``: what is said where there is no row."""

    head: list[str]
    rows: list[list[str]]
    align: str
    widths: list[int]
    caption: str = ""
    empty: str = "none"


class Figure(msgspec.Struct, frozen=True, tag="figure"):
    """A picture by name, which the page's maker draws, and what it shows."""

    name: str
    caption: str


Block = Text | Pairs | Table | Figure


class Section(msgspec.Struct, frozen=True, kw_only=True):
    """A part of the dossier, which holds one kind of thing."""

    title: str
    kind: Kind
    blocks: list[Block]


class Document(msgspec.Struct, frozen=True, kw_only=True):
    """A dossier. ``title`` is what it is, ``subtitle`` of which case; ``foot`` is on every page."""

    title: str
    subtitle: str
    foot: str
    sections: list[Section]
