"""What is known from peers, read once after every addition: all findings, with what labs said of each."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from tiergate.console.visits import Visit
from tiergate.sharing.feedback import Heard, heard
from tiergate.sharing.finding import Opinion, Sighting
from tiergate.sharing.listing import last_added, said


@dataclass(frozen=True, slots=True)
class Known:
    """Findings by their id, the newest first, and what was said of each, by its id."""

    findings: Mapping[str, Heard]
    said: Mapping[str, Sequence[Sighting | Opinion]]


def known(visit: Visit) -> tuple[Known | None, bool]:
    """What is known, and whether it is what is known now; None where it is still read for the first time."""
    shared, peers = visit.services.shared, visit.services.peers

    def read() -> Known:
        found = sorted(heard(shared, peers), key=lambda one: (-one.finding.modified_us, one.finding.finding_id))
        about: dict[str, list[Sighting | Opinion]] = {}
        for one in said(shared.engine, peers.every()):
            about.setdefault(one.about, []).append(one)
        return Known({one.finding.finding_id: one for one in found}, about)

    labs = tuple((one.peer_id, one.clearance, one.ended_at_us) for one in peers.every())
    return visit.reading("known", (last_added(shared.engine), labs), read)
