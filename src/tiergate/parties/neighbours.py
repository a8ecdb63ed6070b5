"""Who holds whom around one party, each stake with the source that says so; found without reading all facts again."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Final

import msgspec
import numpy as np
from numpy.typing import NDArray

from tiergate.parties.fact_rows import PRONGS, shown_id
from tiergate.parties.snapshot import Snapshot

MOST_PARTIES: Final = 40
MOST_HOLDERS: Final = 10
"""Holders of one party that are shown; the largest."""
DEEPEST: Final = 6


class Said(msgspec.Struct, frozen=True, kw_only=True):
    """Who says something, and of which time (microseconds since the epoch, UTC)."""

    source: str
    as_of_us: int


class Party(msgspec.Struct, frozen=True, kw_only=True):
    """A party as its records have it, the first that says something. ``lists``: those it is on."""

    party_id: str
    name: str | None
    kind: str | None
    incorporated_in: str | None
    headquarters: str | None
    lists: tuple[str, ...]
    undisclosed: bool


class Tie(msgspec.Struct, frozen=True, kw_only=True):
    """One stake between two parties, whose ids are given; ``lo_ppm`` and ``hi_ppm`` in parts per million."""

    owner: str
    owned: str
    prong: str
    lo_ppm: int
    hi_ppm: int
    indirect: bool
    said: Said


class Owners(msgspec.Struct, frozen=True, kw_only=True):
    """Parties above one, it first, and the stakes among them. ``steps``: how many lead to each; ``more``: how many
    holders of a party are left out."""

    parties: list[Party]
    steps: dict[str, int]
    ties: list[Tie]
    more: dict[str, int]


class Record(msgspec.Struct, frozen=True, kw_only=True):
    """What one source says of a party, column by column; see `tiergate.parties.fact_rows`."""

    kind: str
    values: dict[str, Any]
    said: Said


class _Rows:
    """Positions of the equal values of an array, sorted once."""

    def __init__(self, values: NDArray[Any]) -> None:
        self._order = np.argsort(values, kind="stable")
        self._sorted = values[self._order]

    def of(self, value: int) -> list[int]:
        begin, end = np.searchsorted(self._sorted, (value, value + 1))
        found: list[int] = self._order[begin:end].tolist()
        return found


class Neighbours:
    """One snapshot, indexed. For any number of threads."""

    def __init__(self, snapshot: Snapshot) -> None:
        self.snapshot = snapshot
        self._in = _Rows(snapshot.stakes.owned)
        self._out = _Rows(snapshot.stakes.owner)
        self._ids = _Rows(snapshot.numbers)
        self._told = {
            kind: (table, _Rows(table["number"].to_numpy()))
            for kind, table in (
                ("party", snapshot.party_facts),
                ("listing", snapshot.listing_facts),
                ("undisclosed", snapshot.undisclosed_facts),
            )
        }
        self._imports = {one.number: Said(source=one.source, as_of_us=one.as_of_us) for one in snapshot.imports}

    def id_of(self, number: int) -> str:
        """The first id of a party, as people see it."""
        return shown_id(self.snapshot.ids[self._ids.of(number)[0]].as_py())

    def party(self, number: int) -> Party:
        """What is known of a party."""
        records = [record.values for record in self._records(number, "party")]
        lists = {record.values["list"] for record in self._records(number, "listing")}

        def first(name: str) -> str | None:
            return next((one[name] for one in records if one[name]), None)

        return Party(
            party_id=self.id_of(number), name=first("name"), kind=first("kind"),
            incorporated_in=first("incorporated_in"), headquarters=first("headquarters"), lists=tuple(sorted(lists)),
            undisclosed=next(self._records(number, "undisclosed"), None) is not None,
        )  # fmt: skip

    def records(self, number: int) -> list[Record]:
        """Everything that sources say of a party by itself: who it is, lists, what is not disclosed."""
        return [record for kind in self._told for record in self._records(number, kind)]

    def held(self, number: int, *, of: bool, most: int) -> list[Tie]:
        """Stakes in a party (``of``) or that it holds, the largest first."""
        rows = self._largest((self._in if of else self._out).of(number))[:most]
        return [self._tie(row) for row in rows]

    def owners(self, number: int) -> Owners:
        """Who holds a party, who holds those, and so on, within bounds."""
        stakes, steps, due = self.snapshot.stakes, {number: 0}, [number]
        rows: list[int] = []
        more: dict[str, int] = {}
        for at in due:
            above = self._largest(self._in.of(at))
            kept = above[:MOST_HOLDERS] if steps[at] < DEEPEST else []
            left = len(above)
            for row in kept:
                owner = int(stakes.owner[row])
                if owner not in steps:
                    if len(steps) == MOST_PARTIES:
                        continue
                    steps[owner] = steps[at] + 1
                    due.append(owner)
                rows.append(row)
                left -= 1
            if left:
                more[self.id_of(at)] = left
        parties = [self.party(one) for one in steps]
        return Owners(
            parties=parties,
            steps={self.id_of(one): step for one, step in steps.items()},
            ties=[self._tie(row) for row in rows],
            more=more,
        )

    def _largest(self, rows: Sequence[int]) -> list[int]:
        stakes = self.snapshot.stakes
        return sorted(rows, key=lambda row: (-int(stakes.hi_ppm[row]), -int(stakes.lo_ppm[row]), row))

    def _tie(self, row: int) -> Tie:
        stakes = self.snapshot.stakes
        told = self.snapshot.stake_facts["import"][int(stakes.fact[row])].as_py()
        return Tie(
            owner=self.id_of(int(stakes.owner[row])), owned=self.id_of(int(stakes.owned[row])),
            prong=PRONGS[stakes.prong[row]], lo_ppm=int(stakes.lo_ppm[row]), hi_ppm=int(stakes.hi_ppm[row]),
            indirect=bool(stakes.indirect[row]), said=self._imports[told],
        )  # fmt: skip

    def _records(self, number: int, kind: str) -> Iterator[Record]:
        table, rows = self._told[kind]
        for row in rows.of(number):
            values = {name: table[name][row].as_py() for name in table.schema.names}
            said = self._imports[values.pop("import")]
            kept = {name: value for name, value in values.items()
                    if name not in ("key", "party", "number", "retracted")}  # fmt: skip
            yield Record(kind=kind, values=kept, said=said)
