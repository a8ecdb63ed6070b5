"""Text that can be read: a character that nobody would see, or that a font lacks, is shown by its number."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import matplotlib as mpl
import msgspec
from matplotlib.ft2font import FT2Font

from tiergate.response.dossier.document import Document


def font_folder() -> Path:
    """Where the fonts lie that a PDF is set in; matplotlib brings them."""
    return Path(mpl.get_data_path()) / "fonts" / "ttf"


def visible(text: str) -> str:
    """U+202E becomes `u{202e}` behind a backslash, and so its like: an id or a reason must read as it is written."""
    return "".join(one if one.isprintable() else _number(one) for one in text)


def legible(text: str) -> str:
    """The same, for all that the fonts lack too."""
    return "".join(one if one.isprintable() and ord(one) in _known() else _number(one) for one in text)


def through(document: Document, change: Callable[[str], str]) -> Document:
    """The document with all its text changed."""
    return msgspec.convert(_through(msgspec.to_builtins(document), change), Document)


def _through(value: Any, change: Callable[[str], str]) -> Any:
    if isinstance(value, str):
        return change(value)
    if isinstance(value, dict):
        return {name: _through(one, change) for name, one in value.items()}
    return [_through(one, change) for one in value] if isinstance(value, list | tuple) else value


def _number(character: str) -> str:
    return f"\\u{{{ord(character):x}}}"


@cache
def _known() -> frozenset[int]:
    """Characters of all fonts in use."""
    fonts = [
        FT2Font(str(font_folder() / f"{name}.ttf")) for name in ("DejaVuSans", "DejaVuSans-Bold", "DejaVuSansMono")
    ]
    return frozenset.intersection(*(frozenset(font.get_charmap()) for font in fonts))
