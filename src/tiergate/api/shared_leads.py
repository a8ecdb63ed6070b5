"""What a finding of a peer is called where something is done about it here.

`sharing` and `response` do not know each other: what both need is here.
"""

from __future__ import annotations

import hashlib

from tiergate.sharing.feedback import Heard


def lead_id(finding_id: str) -> str:
    """What a finding is called in verdicts. Customers read it, and peers' ids are none of theirs."""
    return f"shared_{hashlib.sha256(finding_id.encode()).hexdigest()[:16]}"


def source_of(one: Heard) -> str:
    """A finding in words, for people here."""
    return f"campaign--{one.finding.finding_id} of {one.peer.name}, {one.finding.tlp.label}"
