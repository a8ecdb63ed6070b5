"""The families of evidence, under the causes that make them: what agrees for one cause is counted once."""

from __future__ import annotations

from typing import Final

CAUSES: Final[dict[str, tuple[str, ...]]] = {
    "customer": ("identity",),
    "place": ("network",),
    "tool": ("template", "client", "capability"),
    "conduct": ("timing", "lifecycle", "subjects"),
}
FAMILIES: Final = tuple(family for families in CAUSES.values() for family in families)
