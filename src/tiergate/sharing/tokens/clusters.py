"""Joint clusters: customers of several labs that agree, by two causes, in items that the threshold opened."""

from __future__ import annotations

import hashlib
from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import combinations
from typing import Final

from tiergate.sharing.tokens.items import CAUSES, Cause
from tiergate.sharing.tokens.opening import OpenedItem

LEAST_CAUSES: Final = 2
LEAST_OF_A_LAB: Final = 2
"""Customers that a lab must have in a cluster to count: whoever uses several labs is one customer at each."""

Customer = tuple[int, int]
"""Number of a lab and the handle that it gave."""


@dataclass(frozen=True, slots=True)
class Cluster:
    """Customers of several labs that agree. ``cluster_id``: the same whenever the same items make it up."""

    cluster_id: str
    customers: frozenset[Customer]
    causes: tuple[Cause, ...]
    tags: tuple[bytes, ...]

    @property
    def labs(self) -> set[int]:
        return {lab for lab, _ in self.customers}


def clusters(items: Iterable[OpenedItem], threshold: int) -> list[Cluster]:
    """Groups of customers linked by `LEAST_CAUSES` causes each, with `LEAST_OF_A_LAB` customers or more in each of
    ``threshold`` labs; in order of their ids."""
    held = [(one.tag, frozenset(_customers(one)), _cause(one)) for one in items]
    together: dict[frozenset[Customer], set[Cause]] = defaultdict(set)
    for _, customers, cause in held:
        together[customers].add(cause)
    shared: dict[tuple[Customer, Customer], set[Cause]] = defaultdict(set)
    for customers, causes in together.items():
        for pair in combinations(sorted(customers), 2):
            shared[pair] |= causes
    root = _components(pair for pair, causes in shared.items() if len(causes) >= LEAST_CAUSES)
    members: dict[Customer, set[Customer]] = defaultdict(set)
    for customer in root:
        members[_top(root, customer)].add(customer)
    found = []
    for group in members.values():
        by_lab = Counter(lab for lab, _ in group)
        if sum(count >= LEAST_OF_A_LAB for count in by_lab.values()) < threshold:
            continue
        inside = [(tag, cause) for tag, customers, cause in held if len(customers & group) > 1]
        tags = tuple(sorted(tag for tag, _ in inside))
        name = hashlib.blake2b(b"".join(tags), digest_size=6, person=b"tiergate-joint").hexdigest()
        found.append(Cluster(f"joint-{name}", frozenset(group), tuple(sorted({cause for _, cause in inside})), tags))
    return sorted(found, key=lambda one: one.cluster_id)


def _customers(item: OpenedItem) -> list[Customer]:
    return [(lab, handle) for lab, said in item.said.items() for handle in said.handles]


def _cause(item: OpenedItem) -> Cause:
    """Labs that say different kinds of one item did not derive it alike: the commonest counts."""
    return CAUSES[Counter(said.kind for said in item.said.values()).most_common(1)[0][0]]


def _components(pairs: Iterable[tuple[Customer, Customer]]) -> dict[Customer, Customer]:
    root: dict[Customer, Customer] = {}
    for one, other in pairs:
        root.setdefault(one, one)
        root.setdefault(other, other)
        a, b = _top(root, one), _top(root, other)
        root[max(a, b)] = min(a, b)
    return root


def _top(root: dict[Customer, Customer], customer: Customer) -> Customer:
    while root[customer] != customer:
        root[customer] = root[root[customer]]
        customer = root[customer]
    return customer
