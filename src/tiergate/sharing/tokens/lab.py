"""A lab: nominated customers' items become tokens, rows go to the hub, and what is opened leads back to customers."""

from __future__ import annotations

import hashlib
import os
import secrets
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final

import msgspec

from tiergate.errors import InputError, StateError
from tiergate.sharing.tokens.blinding import Blinded
from tiergate.sharing.tokens.clusters import CORE, LEAST_CAUSES
from tiergate.sharing.tokens.hub import MOST_ROWS, Told
from tiergate.sharing.tokens.items import MOST_ITEMS, Cause, Item, Nomination
from tiergate.sharing.tokens.peer import Hub, KeyServer
from tiergate.sharing.tokens.rows import HANDLES, NONCE_BYTES, ROW_BYTES, Context, Described, bucket, seal
from tiergate.sharing.tokens.shares import derive, share

BATCH: Final = 4_096
"""Items blinded together."""
Progress = Callable[[int, int], None]


class Sent(msgspec.Struct, frozen=True):
    """What a lab keeps of an epoch, to read the hub's answer by. ``customers``: by handle; ``holders``: customers by
    tag in hexadecimal. It names customers: it stays at the lab, and goes with the epoch."""

    epoch: int
    customers: dict[int, str]
    holders: dict[str, list[str]]


class Prepared(msgspec.Struct, frozen=True):
    """What is handed in: rows side by side, and the SHA-256 of the public keys that they were made under."""

    sent: Sent
    keys: str
    rows: bytes


class JointCluster(msgspec.Struct, frozen=True):
    """A joint cluster with the lab's own customers in it. ``labs``, ``customers_of_all``: how many there are."""

    cluster_id: str
    labs: int
    customers_of_all: int
    causes: list[Cause]
    customers: list[str]


@dataclass(frozen=True, slots=True)
class Lab:
    """A lab with its number, the group's threshold, and the parties it talks to."""

    number: int
    threshold: int
    key_servers: Sequence[KeyServer]
    hub: Hub

    def epoch(self) -> int:
        """The newest epoch that all key servers serve. Raises `StateError` where there is none."""
        served = [set(one.epochs()) for one in self.key_servers]
        both = set.intersection(*served)
        if not both:
            raise StateError("the key servers serve no epoch in common: their clocks differ", code="epoch_not_served")
        return max(both)

    def prepare(self, nominations: Sequence[Nomination], epoch: int, progress: Progress | None = None) -> Prepared:
        """Nominations as rows. Items of one value are evaluated once.

        Raises `InputError` where a customer has more than `MOST_ITEMS` items or comes twice, `ProofError` where a key
        server's proof does not hold, `StateError` where a quota is used up or the epoch is not served.
        """
        holders = _holders(nominations)
        # Numbers that say nothing of order or count, and are drawn anew for every epoch.
        handles = secrets.SystemRandom().sample(range(1, 1 << 32), len(nominations))
        items = sorted(holders, key=Item.encoded)
        keys = [self._key(one, epoch) for one in self.key_servers]
        context = Context(epoch, self.number, self.threshold).encoded()
        tags: dict[str, list[str]] = {}
        rows: list[bytes] = []
        for start in range(0, len(items), BATCH):
            batch = items[start : start + BATCH]
            for item, outputs in zip(batch, self._outputs(batch, epoch, keys), strict=True):
                tag, coefficients = derive(outputs, self.threshold, epoch)
                who = holders[item]
                described = Described(
                    item.kind,
                    bucket(len(who)),
                    bucket(sum(nominations[at].exchanges for at in who)),
                    tuple(handles[at] for at in who[:HANDLES]),
                )
                sealed = seal(coefficients[0], tag, described, context, os.urandom(NONCE_BYTES))
                rows.append(tag + share(coefficients, self.number) + sealed)
                tags[tag.hex()] = [nominations[at].customer for at in who]
            if progress:
                progress(min(start + BATCH, len(items)), len(items))
        # By tag: in the order that they were made in, rows of one kind would lie side by side.
        rows.sort()
        sent = Sent(epoch, {handles[at]: one.customer for at, one in enumerate(nominations)}, tags)
        return Prepared(sent, hashlib.sha256(b"".join(keys)).hexdigest(), b"".join(rows))

    def hand_in(self, prepared: Prepared) -> None:
        """Give rows to the hub; again after a fault, for what it has is not taken twice. Raises `StateError` where it
        refuses them."""
        step = MOST_ROWS * ROW_BYTES
        for start in range(0, len(prepared.rows), step):
            try:
                self.hub.hand_in(prepared.sent.epoch, prepared.keys, prepared.rows[start : start + step])
            except StateError as error:
                if error.code != "replayed":
                    raise

    def _key(self, server: KeyServer, epoch: int) -> bytes:
        served = server.epochs()
        if epoch not in served:
            raise StateError(f"`{server.url}` does not serve epoch {epoch}", code="epoch_not_served")
        return served[epoch]

    def _outputs(self, batch: Sequence[Item], epoch: int, keys: Sequence[bytes]) -> Iterator[tuple[bytes, ...]]:
        encoded = [item.encoded() for item in batch]
        made = []
        for server, key in zip(self.key_servers, keys, strict=True):
            blinded = Blinded(encoded)
            made.append(blinded.outputs(server.evaluate(epoch, blinded.elements), key))
        return zip(*made, strict=True)

    def read(self, sent: Sent) -> tuple[Told, list[JointCluster]]:
        """What the hub tells of an epoch, and the clusters with this lab's customers in them: those that the handles
        name, and those who hold half of what the cluster does where a row had no room for their handle. Whatever a hub
        says, nobody comes into a cluster with fewer than two of its items."""
        told = self.hub.opened(sent.epoch)
        found = []
        for one in told.clusters:
            named = {sent.customers[handle] for handle in one.handles if handle in sent.customers}
            holders = [sent.holders.get(tag, []) for tag in set(one.tags)]
            holds = Counter(customer for who in holders for customer in who)
            unnamed = {customer for who in holders for customer in who[HANDLES:]}
            named |= {customer for customer in unnamed if holds[customer] >= CORE * len(holders)}
            customers = sorted(customer for customer in named if holds[customer] >= LEAST_CAUSES)
            found.append(JointCluster(one.cluster_id, one.labs, one.customers, one.causes, customers))
        return told, found


def _holders(nominations: Sequence[Nomination]) -> dict[Item, list[int]]:
    """Which nominations, by place, hold each item."""
    if len({one.customer for one in nominations}) != len(nominations):
        raise InputError("a customer is nominated twice: put all of its items into one nomination")
    holders: dict[Item, list[int]] = defaultdict(list)
    for at, one in enumerate(nominations):
        if len(one.items) > MOST_ITEMS:
            raise InputError(f"`{one.customer}` has {len(one.items)} items: {MOST_ITEMS} at the most")
        for item in one.items:
            holders[item].append(at)
    return holders
