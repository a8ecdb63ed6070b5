"""Items: what of an account two labs can have in common, by kind, under the ordinary cause that explains it."""

from __future__ import annotations

import enum
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final

from tiergate.errors import InputError

LONGEST: Final = 512
"""Bytes of a value."""
MOST_ITEMS: Final = 40
"""Items of one customer: more are no better evidence, and every item costs quota."""
COMMON: Final = 16
"""Customers of a lab that hold an item at the most: what more of them have is infrastructure and no evidence."""


class Kind(enum.IntEnum):
    """Kinds of items. Numbers go over the wire: they are added, never given a new meaning."""

    PAYMENT = 1
    EMAIL = 2
    PHONE = 3
    NETWORK = 4
    CLIENT = 5
    TEMPLATE = 6
    SYSTEM = 7


class Cause(enum.StrEnum):
    """Why innocent customers may share items of a kind: kinds with one cause are one piece of evidence."""

    CUSTOMER = "customer"
    PLACE = "place"
    TOOL = "tool"


CAUSES: Final[dict[Kind, Cause]] = {
    Kind.PAYMENT: Cause.CUSTOMER,
    Kind.EMAIL: Cause.CUSTOMER,
    Kind.PHONE: Cause.CUSTOMER,
    Kind.NETWORK: Cause.PLACE,
    Kind.CLIENT: Cause.TOOL,
    Kind.TEMPLATE: Cause.TOOL,
    Kind.SYSTEM: Cause.TOOL,
}


@dataclass(frozen=True, slots=True, order=True)
class Item:
    """One thing that a customer has. ``value`` must be written alike at all labs, such as a /24 without its last part.

    Raises `InputError` for a value that is empty or longer than `LONGEST` bytes.
    """

    kind: Kind
    value: str

    def __post_init__(self) -> None:
        if not 0 < len(self.value.encode()) <= LONGEST:
            raise InputError(f"an item has 1 to {LONGEST} bytes, not {len(self.value.encode())}: leave it out")

    def encoded(self) -> bytes:
        """What is blinded. Kinds are kept apart, so that a value means one thing."""
        return b"tiergate item 1\0" + bytes([self.kind]) + self.value.encode()


@dataclass(frozen=True, slots=True)
class Nomination:
    """A customer (declared organisation, else account) that a lab suspects a little, with what it holds.

    ``exchanges``: how many it made; it leaves the lab as a power of two, and only for items that are opened.
    """

    customer: str
    items: frozenset[Item]
    exchanges: int = 0


def uncommon(held: Mapping[str, Iterable[Item]], most: int = COMMON) -> dict[str, frozenset[Item]]:
    """What each customer holds, without what more than ``most`` customers do.

    :param held: items of *all* customers of the lab, not of nominated ones alone: else an exit of a popular network
        looks rare.
    """
    sets = {customer: frozenset(items) for customer, items in held.items()}
    holders = Counter(item for items in sets.values() for item in items)
    return {customer: frozenset(one for one in items if holders[one] <= most) for customer, items in sets.items()}
