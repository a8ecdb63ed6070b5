"""What rules of ownership are judged on: a graph of stakes, who is listed, and where companies are at home."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Self

import msgspec
import numpy as np

from tiergate.parties.fact_rows import shown_id
from tiergate.parties.ownership import I32, Bools, StakeGraph
from tiergate.parties.snapshot import Snapshot


@dataclass(frozen=True, eq=False)
class Places:
    """Countries of entities, as pairs: ``country[k]`` is one of ``entity[k]``'s, as ISO 3166-1 alpha-2 (`US`) or with a
    subdivision (ISO 3166-2, `US-DE`) where the source has it so. Sources may differ, so an entity may have several; one
    without any has no row."""

    entities: int
    entity: I32
    country: Sequence[str]

    @classmethod
    def of(cls, entities: int, pairs: Iterable[tuple[int, str | None]]) -> Self:
        """From pairs of entity and country; those without a country are left out."""
        known = [(entity, country.strip().upper()) for entity, country in pairs if country and country.strip()]
        return cls(entities, np.array([one for one, _ in known], np.int32), [country for _, country in known])

    @cached_property
    def known(self) -> Bools:
        """Entities (n,) with any country."""
        known = np.zeros(self.entities, np.bool_)
        known[self.entity] = True
        return known

    def only_in(self, countries: Collection[str]) -> Bools:
        """Entities (n,) all of whose countries, one at least, are among ``countries`` or subdivisions of one."""
        within = {code for code in set(self.country) if code in countries or code.partition("-")[0] in countries}
        outside = np.array([code not in within for code in self.country], np.bool_)
        only = self.known.copy()
        only[self.entity[outside]] = False
        return only


@dataclass(frozen=True, eq=False)
class OwnershipFacts:
    """Facts of one moment on entities 0..n-1.

    ``ids`` (n,) are content-free. ``listings``: entities by the name of the list they are on; a list that is not
    there was never imported, which is not the same as an empty one. ``people`` (n,): natural persons, who have no
    headquarters. ``reference`` is a digest that names the facts, so that a verdict can be made again.
    """

    graph: StakeGraph
    ids: Sequence[str]
    listings: Mapping[str, I32]
    headquarters: Places
    incorporated: Places
    people: Bools
    reference: str
    _number: dict[str, int] = field(default_factory=dict)

    def number(self, party: str) -> int | None:
        """Entity with this id; None when there is none."""
        if not self._number:
            self._number.update((one, number) for number, one in enumerate(self.ids))
        return self._number.get(party)

    def lists_of(self, entity: int) -> list[str]:
        """Names of the lists an entity is on, sorted."""
        return sorted(name for name, listed in self.listings.items() if (listed == entity).any())


def no_facts() -> OwnershipFacts:
    """Facts of nobody, for rules that ask for none."""
    nowhere = Places.of(0, [])
    return OwnershipFacts(StakeGraph.build(0, [], [], []), [], {}, nowhere, nowhere, np.zeros(0, np.bool_), "none")


def facts_of(snapshot: Snapshot) -> OwnershipFacts:
    """Facts of a snapshot. An entity's id is the first of its party's ids."""
    columns, _ = snapshot.graph_columns()
    graph = StakeGraph.build(snapshot.size, **columns)
    # Read backwards, so that the first id of a party is the one that stays.
    ids = [""] * snapshot.size
    for party, number in zip(reversed(snapshot.ids.to_pylist()), snapshot.numbers[::-1].tolist(), strict=True):
        ids[number] = shown_id(party)
    table = snapshot.party_facts
    number = table["number"].to_pylist()
    people = np.zeros(snapshot.size, np.bool_)
    for entity, kind in zip(number, table["kind"].to_pylist(), strict=True):
        people[entity] |= kind == "person"
    return OwnershipFacts(
        graph,
        ids,
        snapshot.seeds,
        Places.of(snapshot.size, zip(number, table["headquarters"].to_pylist(), strict=True)),
        Places.of(snapshot.size, zip(number, table["incorporated_in"].to_pylist(), strict=True)),
        people,
        _reference(snapshot),
    )


def _reference(snapshot: Snapshot) -> str:
    """The same for the same imports as long as no fact of theirs begins or ends: no clock goes in."""
    told = msgspec.json.encode((snapshot.imports, snapshot.until_us), order="deterministic")
    return f"facts@{snapshot.version}/{hashlib.sha256(told).hexdigest()[:32]}"
