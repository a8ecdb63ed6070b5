"""Who owns whom and what rule packs say of it, kept in memory as long as the facts of parties stay the same."""

from __future__ import annotations

import threading
from datetime import date
from functools import cached_property
from pathlib import Path
from typing import Final

from tiergate.admission.activations import ActivePack
from tiergate.admission.binding import Ownership
from tiergate.admission.eligibility import PackVerdicts, judge
from tiergate.admission.ownership_facts import OwnershipFacts, facts_of
from tiergate.database import open_database
from tiergate.parties.facts import FactStore
from tiergate.parties.neighbours import Neighbours
from tiergate.parties.snapshot import Snapshot

FACTS: Final = "parties.sqlite"


class World:
    """Facts of a moment, and what packs say of them, each judged once."""

    def __init__(self, snapshot: Snapshot) -> None:
        self.snapshot = snapshot
        self.facts: OwnershipFacts = facts_of(snapshot)
        self._judged: dict[tuple[str, bool, date], PackVerdicts] = {}
        self._lock = threading.Lock()

    @cached_property
    def neighbours(self) -> Neighbours:
        return Neighbours(self.snapshot)

    def judged(self, pack: ActivePack, day: date) -> PackVerdicts:
        """What a pack of ownership says of everybody on a day."""
        key = pack.pack.fingerprint(), pack.confirmed, day
        with self._lock:
            if key not in self._judged:
                # Of other days nothing is asked again.
                self._judged = {old: held for old, held in self._judged.items() if old[2] == day}
                self._judged[key] = judge(pack, self.facts, day)
            return self._judged[key]

    def holds_at(self, at_us: int) -> bool:
        """Whether no fact begins or ends between the moment that was read and ``at_us``."""
        return self.snapshot.valid_us <= at_us < self.snapshot.until_us


class OwnershipDesk:
    """The world of a deployment. For any number of threads: one reads, the others wait."""

    def __init__(self, data: Path) -> None:
        self._path = data / FACTS
        self._versions = Ownership(self._path)
        self._asking = threading.Lock()
        self._reading = threading.Lock()
        self._world: World | None = None

    def version(self) -> int:
        """The version of the facts, 0 where there are none. Cheap, and waits for nobody who reads."""
        with self._asking:
            return self._versions.version()

    def world(self, at_us: int) -> World | None:
        """Facts as they are known now, of ``at_us``; None where none were brought in. Takes as long as reading them all
        where they changed, or where they are of another time."""
        with self._reading:
            version, held = self.version(), self._world
            if not version:
                self._world = None
            elif held is None or held.snapshot.version != version or not held.holds_at(at_us):
                engine = open_database(self._path)
                try:
                    self._world = World(FactStore(engine).as_of(at_us))
                finally:
                    engine.dispose()
            return self._world

    def close(self) -> None:
        """Let go of the database; it is opened again when it is asked."""
        with self._asking:
            self._versions.close()
