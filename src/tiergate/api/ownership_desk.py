"""Who owns whom and what rule packs say of it, kept in memory as long as the facts of parties stay the same."""

from __future__ import annotations

import threading
from datetime import date
from functools import cached_property
from pathlib import Path
from typing import Final

from tiergate.admission.activations import ActivePack
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
        self._lock = threading.Lock()
        self._world: World | None = None

    def version(self) -> int:
        """The version of the facts, 0 where there are none. Cheap."""
        return self._read(None)[0]

    def world(self, at_us: int) -> World | None:
        """Facts as they are known now, of ``at_us``; None where none were brought in. Takes as long as reading them all
        where they changed, or where they are of another time."""
        with self._lock:
            held = self._world
            version, snapshot = self._read(at_us, held)
            if not version:
                self._world = None
            elif snapshot is not None:
                self._world = World(snapshot)
            return self._world

    def _read(self, at_us: int | None, held: World | None = None) -> tuple[int, Snapshot | None]:
        """The version, and the facts of ``at_us`` where ``held`` has others."""
        if not self._path.is_file():
            return 0, None
        engine = open_database(self._path)
        try:
            store = FactStore(engine)
            version = store.version()
            same = held is not None and held.snapshot.version == version
            if at_us is None or not version or (held is not None and same and held.holds_at(at_us)):
                return version, None
            return version, store.as_of(at_us)
        finally:
            engine.dispose()
