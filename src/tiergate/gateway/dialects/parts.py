"""How many parts a body has: each is decoded and looked at while all other requests wait."""

from __future__ import annotations

import re
from typing import Final

from tiergate.errors import InputError

MOST_PARTS: Final = 50_000
"""Objects and lists."""

MOST_TEXTS: Final = 4 * MOST_PARTS
"""Names of fields and texts."""

_TEXT: Final = re.compile(rb'"[^"]*"')


def check_parts(body: bytes) -> None:
    """Raise `InputError` for JSON with more parts than any question has.

    Braces and quotes within a text are none. Where the body is no JSON, all before that place is counted alike.
    """
    if len(body) <= MOST_PARTS or (_parts(body) <= MOST_PARTS and body.count(b'"') <= 2 * MOST_TEXTS):
        return
    plain = body.replace(rb"\\", b"").replace(rb"\"", b"")
    if plain.count(b'"') > 2 * MOST_TEXTS or _parts(_TEXT.sub(b"", plain)) > MOST_PARTS:
        raise InputError(f"the body has more than {MOST_PARTS:,} objects and lists, or {MOST_TEXTS:,} texts: send less")


def _parts(body: bytes) -> int:
    return body.count(b"{") + body.count(b"[")
