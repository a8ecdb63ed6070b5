"""Text that can be read: a character that nobody would see, or that a font lacks, is shown by its number."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import matplotlib as mpl
import msgspec
from matplotlib.ft2font import FT2Font

from tiergate.cli.terminal import visible
from tiergate.response.dossier.document import Document


def font_folder() -> Path:
    """Where the fonts lie that a PDF is set in; matplotlib brings them."""
    return Path(mpl.get_data_path()) / "fonts" / "ttf"


def legible(text: str) -> str:
    """Text that is `visible`, and shows by its number what the fonts lack too."""
    return "".join(one if ord(one) in _known() else f"\\u{{{ord(one):x}}}" for one in visible(text))


def through(document: Document, change: Callable[[str], str]) -> Document:
    """The document with all its text changed."""
    return msgspec.convert(_through(msgspec.to_builtins(document), change), Document)


def _through(value: Any, change: Callable[[str], str]) -> Any:
    if isinstance(value, str):
        return change(value)
    if isinstance(value, dict):
        return {name: _through(one, change) for name, one in value.items()}
    return [_through(one, change) for one in value] if isinstance(value, list | tuple) else value


@cache
def _known() -> frozenset[int]:
    """Characters of all fonts in use."""
    fonts = [
        FT2Font(str(font_folder() / f"{name}.ttf")) for name in ("DejaVuSans", "DejaVuSans-Bold", "DejaVuSansMono")
    ]
    return frozenset.intersection(*(frozenset(font.get_charmap()) for font in fonts))
