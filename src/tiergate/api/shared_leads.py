"""What a finding of a peer is called where something is done about it here.

`sharing` and `response` do not know each other: what both need is here.
"""

from __future__ import annotations

from pathlib import Path

from tiergate.parties.tokens import keyed_hash, load_or_create_pepper
from tiergate.sharing.feedback import Heard


def lead_id(data: Path, told_as: str) -> str:
    """What a finding, or a joint cluster, is called in verdicts. Customers read it: it is keyed, so that one who has
    accounts at several labs cannot tell by it what they told each other."""
    return f"shared_{keyed_hash(load_or_create_pepper(data / 'pepper'), told_as)[:16]}"


def lead_of(data: Path, one: Heard) -> str:
    """What that finding is called in verdicts here."""
    return lead_id(data, one.finding.finding_id)


def source_of(one: Heard) -> str:
    """A finding in words, for people here."""
    return f"campaign--{one.finding.finding_id} of {one.peer.name}, {one.finding.tlp.label}"
