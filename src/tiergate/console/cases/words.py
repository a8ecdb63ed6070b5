"""What pages about cases say, for code that makes tables of it."""

from __future__ import annotations

from typing import Final

from tiergate.console.words import Words, load_words

WORDS: Final[Words] = load_words().cases
