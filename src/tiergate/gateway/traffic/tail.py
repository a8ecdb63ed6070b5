"""What is in no sealed segment yet, added up in memory: the spools of running gateways, followed as they grow."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from tiergate.gateway.traffic.sums import Names, Rollup
from tiergate.ledger.spool import Followed, follow


@dataclass
class _File:
    """A file of a writer's spool, as far as it was read. ``first``: the number of its first frame."""

    writer: str
    first: int
    place: Followed = field(default_factory=Followed)
    rollup: Rollup = field(default_factory=Rollup)


class Tail:
    """Spools that one thread follows, while others read the sums."""

    def __init__(self, log: Path) -> None:
        self._folder = log / "spool"
        self._files: dict[str, _File] = {}

    def writers(self) -> Collection[str]:
        """Writers whose spools are there, or were when they were last read."""
        there = {path.name.split(".")[0] for path in self._folder.glob("*.spool")}
        return there | {one.writer for one in self._files.values()}

    def follow(self, names: Names, sealed: Mapping[str, int]) -> None:
        """Read on, and drop what segments have by now: ``sealed`` is the last frame of each writer that they cover.

        Raises `LedgerError` for a spool that cannot be read.
        """
        there = {path.name: path for path in self._folder.glob("*.spool")}
        # A file that is gone was sealed: it is kept until its segment is in the sums.
        files = {name: one for name, one in self._files.items() if name in there or one.place.seen}
        for name, path in sorted(there.items()):
            writer, first, _ = name.rsplit(".", 2)
            held = files.get(name) or _File(writer, int(first))
            if held.first <= sealed.get(writer, 0):
                continue
            batches = follow(path, held.place)
            if batches:
                # Others read meanwhile, and must see all of it or nothing.
                rollup = held.rollup.copy()
                for batch in batches:
                    rollup.add(batch, names)
                held = _File(writer, held.first, held.place, rollup)
            files[name] = held
        self._files = {name: one for name, one in files.items() if one.first > sealed.get(one.writer, 0)}

    def read(self) -> list[Unsealed]:
        """The sums of each file, as far as it was read."""
        return [Unsealed(one.writer, one.first, one.rollup) for one in self._files.values()]


class Unsealed(NamedTuple):
    """Sums of a file whose first frame is number ``first`` of its writer's."""

    writer: str
    first: int
    rollup: Rollup

    def is_beyond(self, sealed: Mapping[str, int]) -> bool:
        """Whether no segment has it, where ``sealed`` is the last frame of each writer that one covers."""
        return self.first > sealed.get(self.writer, 0)
