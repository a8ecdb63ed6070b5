"""Joint clusters: customers of several labs that agree, by two causes, in items that the threshold opened."""

from __future__ import annotations

import hashlib
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import combinations
from typing import Final

from tiergate.sharing.tokens.items import CAUSES, Cause, Kind
from tiergate.sharing.tokens.opening import OpenedItem

LEAST_CAUSES: Final = 2
LEAST_OF_A_LAB: Final = 2
"""Persons that a lab must have in a cluster to count, of those who are at no other lab: whoever uses several labs has
the same mail and phone at each, and a team that does is no campaign."""
CORE: Final = 0.5
"""Share of a cluster that holds an item of its core, and of the core that whoever joins it holds."""
_PERSONAL: Final = frozenset({Kind.EMAIL, Kind.PHONE})

Customer = tuple[int, int]
"""Number of a lab and the handle that it gave."""


@dataclass(frozen=True, slots=True)
class Cluster:
    """Customers of several labs that agree. ``cluster_id``: the same whenever the same items make it up; ``tags``: of
    items that two of them hold."""

    cluster_id: str
    customers: frozenset[Customer]
    causes: tuple[Cause, ...]
    tags: tuple[bytes, ...]

    @property
    def labs(self) -> set[int]:
        return {lab for lab, _ in self.customers}


@dataclass(frozen=True, slots=True)
class _Held:
    tag: bytes
    kind: Kind
    customers: frozenset[Customer]


def clusters(items: Iterable[OpenedItem], threshold: int) -> list[Cluster]:
    """Groups of customers linked by `LEAST_CAUSES` causes each, with those who hold what makes the group; by their ids.

    A group has `LEAST_OF_A_LAB` persons or more in each of ``threshold`` labs that are at no other.
    """
    held = [_Held(one.tag, _kind(one), frozenset(_customers(one))) for one in items]
    person = _components(
        pair for one in held if one.kind in _PERSONAL for pair in combinations(sorted(one.customers), 2)
    )
    found = []
    for linked in _groups(_components(_agreeing(held))):
        persons: dict[Customer, set[int]] = defaultdict(set)
        for one in linked:
            persons[_top(person, one) if one in person else one].add(one[0])
        by_lab = Counter(next(iter(labs)) for labs in persons.values() if len(labs) == 1)
        if sum(count >= LEAST_OF_A_LAB for count in by_lab.values()) < threshold:
            continue
        group = linked | _joining(held, linked)
        inside = [one for one in held if len(one.customers & group) > 1]
        tags = tuple(sorted(one.tag for one in inside))
        name = hashlib.blake2b(b"".join(tags), digest_size=6, person=b"tiergate-joint").hexdigest()
        causes = tuple(sorted({CAUSES[one.kind] for one in inside}))
        found.append(Cluster(f"joint-{name}", frozenset(group), causes, tags))
    return sorted(found, key=lambda one: one.cluster_id)


def _agreeing(held: Iterable[_Held]) -> list[tuple[Customer, Customer]]:
    """Pairs that agree by enough causes."""
    together: dict[frozenset[Customer], set[Cause]] = defaultdict(set)
    for one in held:
        together[one.customers].add(CAUSES[one.kind])
    shared: dict[tuple[Customer, Customer], set[Cause]] = defaultdict(set)
    for customers, causes in together.items():
        for pair in combinations(sorted(customers), 2):
            shared[pair] |= causes
    return [pair for pair, causes in shared.items() if len(causes) >= LEAST_CAUSES]


def _joining(held: Iterable[_Held], linked: set[Customer]) -> set[Customer]:
    """Customers that hold half or more, and two at the least, of the items that half of a group holds."""
    core = [one for one in held if len(one.customers & linked) >= CORE * len(linked)]
    holds = Counter(customer for one in core for customer in one.customers)
    return {customer for customer, count in holds.items() if count >= max(2, CORE * len(core))}


def _customers(item: OpenedItem) -> list[Customer]:
    return [(lab, handle) for lab, said in item.said.items() for handle in said.handles]


def _kind(item: OpenedItem) -> Kind:
    """Labs that say different kinds of one item did not derive it alike: the commonest counts."""
    return Counter(said.kind for said in item.said.values()).most_common(1)[0][0]


def _groups(root: Mapping[Customer, Customer]) -> list[set[Customer]]:
    groups: dict[Customer, set[Customer]] = defaultdict(set)
    for customer in root:
        groups[_top(root, customer)].add(customer)
    return list(groups.values())


def _components(pairs: Iterable[tuple[Customer, Customer]]) -> dict[Customer, Customer]:
    root: dict[Customer, Customer] = {}
    for one, other in pairs:
        root.setdefault(one, one)
        root.setdefault(other, other)
        a, b = _top(root, one), _top(root, other)
        root[max(a, b)] = min(a, b)
        root[one] = root[other] = min(a, b)
    return root


def _top(root: Mapping[Customer, Customer], customer: Customer) -> Customer:
    while root[customer] != customer:
        customer = root[customer]
    return customer
