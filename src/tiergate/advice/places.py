"""Whether data that stay in one place stay within others: countries, the European Union, and a provider's regions."""

from __future__ import annotations

from collections.abc import Collection
from typing import Final

EU: Final = frozenset(
    "AT BE BG CY CZ DE DK EE ES FI FR GR HR HU IE IT LT LU LV MT NL PL PT RO SE SI SK".split()  # noqa: SIM905, a list is 27 lines
)
"""Members of the European Union, ISO 3166-1 alpha-2."""
_WITHIN: Final = {"US-GOV": "US"}


def inside(place: str, allowed: Collection[str]) -> bool | None:
    """Whether ``place`` lies within ``allowed``, codes of countries or `EU`; None where it may or may not, such as a
    region of the `EU` where one country is allowed, or `APAC`."""
    place = _WITHIN.get(place, place)
    if place in allowed or (place in EU and "EU" in allowed):
        return True
    if place == "EU":
        return None if set(allowed) & EU else False
    return None if place == "APAC" else False
