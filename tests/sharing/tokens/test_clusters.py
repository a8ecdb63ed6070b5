"""A joint cluster is several customers of several labs that agree by two causes."""

from __future__ import annotations

import hashlib

from tiergate.sharing.tokens.clusters import clusters
from tiergate.sharing.tokens.items import COMMON, Item, Kind, uncommon
from tiergate.sharing.tokens.opening import OpenedItem
from tiergate.sharing.tokens.rows import Described


def item(kind: Kind, name: str, *customers: tuple[int, int]) -> OpenedItem:
    labs = {lab: tuple(handle for other, handle in customers if other == lab) for lab, _ in customers}
    said = {lab: Described(kind, 0, 0, handles) for lab, handles in labs.items()}
    return OpenedItem(hashlib.md5(name.encode()).digest(), said)


MANY = tuple((lab, handle) for lab in (1, 2, 3) for handle in (1, 2))


def test_customers_that_agree_by_two_causes() -> None:
    found = clusters([item(Kind.PAYMENT, "card", *MANY), item(Kind.NETWORK, "net", *MANY)], 3)
    assert [one.customers for one in found] == [frozenset(MANY)]
    assert found == clusters([item(Kind.NETWORK, "net", *MANY), item(Kind.PAYMENT, "card", *MANY)], 3)


def test_one_cause_is_no_cluster_however_many_items() -> None:
    assert not clusters([item(Kind.TEMPLATE, f"t{n}", *MANY) for n in range(20)] + [item(Kind.CLIENT, "c", *MANY)], 3)


def test_whoever_uses_several_labs_is_no_cluster() -> None:
    once = tuple((lab, 1) for lab in range(1, 6))
    kinds = (Kind.PAYMENT, Kind.NETWORK, Kind.TEMPLATE, Kind.EMAIL)
    assert not clusters([item(kind, str(kind), *once) for kind in kinds], 3)


def test_a_team_that_uses_several_labs_is_no_cluster() -> None:
    team = [item(kind, f"{kind}", *MANY) for kind in (Kind.PAYMENT, Kind.NETWORK, Kind.TEMPLATE)]
    assert clusters(team, 3)
    mails = [item(Kind.EMAIL, f"mail-{n}", *((lab, n) for lab in (1, 2, 3))) for n in (1, 2)]
    assert not clusters(team + mails, 3)


def test_who_holds_what_makes_a_cluster_joins_it() -> None:
    texts = [item(Kind.TEMPLATE, f"t{n}", *MANY, (2, 9)) for n in range(4)]
    found = clusters([item(Kind.PAYMENT, "card", *MANY), *texts], 3)
    assert [one.customers for one in found] == [{*MANY, (2, 9)}]


def test_the_causes_must_agree_of_the_same_customers() -> None:
    cards = item(Kind.PAYMENT, "card", *((lab, 1) for lab in (1, 2, 3)))
    nets = item(Kind.NETWORK, "net", *((lab, 2) for lab in (1, 2, 3)))
    assert not clusters([cards, nets], 3)


def test_two_clusters_are_two() -> None:
    other = tuple((lab, handle + 10) for lab, handle in MANY)
    items = [
        item(kind, f"{kind}{n}", *who) for n, who in enumerate((MANY, other)) for kind in (Kind.PAYMENT, Kind.NETWORK)
    ]
    assert {one.customers for one in clusters(items, 3)} == {frozenset(MANY), frozenset(other)}


def test_what_many_customers_of_a_lab_have_is_no_evidence() -> None:
    popular, rare = Item(Kind.NETWORK, "exit"), Item(Kind.NETWORK, "home")
    held = {f"c{n}": {popular} | ({rare} if n < COMMON else set()) for n in range(COMMON + 1)}
    assert set().union(*uncommon(held).values()) == {rare}
