"""How far a thing may go: TLP 2.0 (FIRST, August 2022), as objects of STIX 2.1.

The five objects and their ids are fixed by the extension "TLP 2.0" of OASIS (cti-stix-common-objects,
`extension-definition--60a3c5c5-...`). The markings that STIX 2.1 itself names are those of TLP 1.0, which FIRST has
withdrawn: AMBER did not yet tell an organisation from its clients.
"""

from __future__ import annotations

import enum
from typing import Final

EXTENSION_ID: Final = "extension-definition--60a3c5c5-0d10-413e-aab3-9e08dde9e88d"
CREATED: Final = "2022-10-01T00:00:00.000Z"
"""When OASIS made the five objects; part of what they are."""


class Tlp(enum.StrEnum):
    """How far it may go, the widest first; members compare by ``strictness``, not by their text."""

    CLEAR = "clear"
    GREEN = "green"
    AMBER = "amber"
    AMBER_STRICT = "amber+strict"
    RED = "red"

    @property
    def strictness(self) -> int:
        """0 for CLEAR to 4 for RED."""
        return tuple(Tlp).index(self)

    @property
    def marking_id(self) -> str:
        """Id of the `marking-definition` that says so."""
        return _IDS[self]

    @property
    def label(self) -> str:
        """As FIRST writes it: `TLP:AMBER+STRICT`."""
        return f"TLP:{self.upper()}"


_IDS: Final = {
    Tlp.CLEAR: "marking-definition--94868c89-83c2-464b-929b-a1a8aa3c8487",
    Tlp.GREEN: "marking-definition--bab4a63c-aed9-4cf5-a766-dfca5abac2bb",
    Tlp.AMBER: "marking-definition--55d920b0-5e8b-4f79-9ee9-91f868d9b421",
    Tlp.AMBER_STRICT: "marking-definition--939a9414-2ddd-4d32-a0cd-375ea402b003",
    Tlp.RED: "marking-definition--e828b379-4e03-4974-9ac4-e53a884c97c1",
}
BY_ID: Final = {marking_id: tlp for tlp, marking_id in _IDS.items()}
"""Which marking an id names."""
