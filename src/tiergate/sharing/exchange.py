"""What a peer tells is pulled or followed, what we tell is pushed. What was cut off goes on where it stopped."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import chain
from pathlib import Path
from typing import Final

import msgspec

from tiergate.clock import Clock
from tiergate.errors import TiergateError
from tiergate.gateway.connecting import DeliveryError
from tiergate.sharing.check import Fault
from tiergate.sharing.client import Following, Page, RemoteCollection, TaxiiClient
from tiergate.sharing.peers import Peer, Peers
from tiergate.sharing.receiving import Receiving
from tiergate.sharing.selecting import LAST, Reader, Wanted, pages
from tiergate.sharing.store import SharedStore

MOST_PUSHED: Final = 500
"""Objects of one request."""
MOST_BYTES: Final = 512 << 10
MOST_AT_ONCE: Final = 16
"""Peers that rounds are made with at one time."""
_FRAME: Final = (b'{"objects":[', b"]}")


class Round(msgspec.Struct, kw_only=True):
    """What came of a round: how many objects went over, how many of them were new to us (``new``; pulled alone), and
    what was refused, in words."""

    objects: int = 0
    new: int = 0
    refused: list[str] = msgspec.field(default_factory=list)


class Exchange:
    """Rounds of a deployment with its peers. ``folder``: the data folder, where files of tokens are."""

    def __init__(self, store: SharedStore, peers: Peers, receiving: Receiving, folder: Path) -> None:
        self._store, self._peers, self._receiving, self._folder = store, peers, receiving, folder

    def pull(self, peer: Peer, now_us: int, *, again: bool = False) -> Round:
        """Read what a peer added since the last time; ``again``: all that it has.

        Raises `DeliveryError` when it does not answer as it should, `InputError` when we have no address or token.
        """
        client, done = TaxiiClient(peer, self._folder), Round()
        for collection in _readable(client):
            after = None if again else self._peers.read_until(peer, collection.id)
            for page in client.added_after(collection.id, after):
                if self._take(peer, collection, page, now_us, done) is not None:
                    break
        return done

    def follow(
        self, peer: Peer, clock: Clock, begun: Callable[[Following], None], heard: Callable[[Round], None]
    ) -> bool:
        """Read what a peer adds while it adds it, until it or somebody else ends that. Returns whether that can be:
        other servers of TAXII tell nothing by themselves. Raises as `pull`.

        :param begun: called with what is followed, which can be cut off by that. :param heard: called for each event.
        """
        client = TaxiiClient(peer, self._folder)
        collections = _readable(client)
        if len(collections) != 1 or not collections[0].x_tiergate_events:
            return False
        (collection,) = collections
        with client.follow(collection.id, self._peers.read_until(peer, collection.id)) as following:
            begun(following)
            for page in following.pages():
                done = Round()
                whole = self._take(peer, collection, page, clock.now_us(), done)
                heard(done)
                if whole is not None:
                    raise DeliveryError(str(whole))
        return True

    def push(self, peer: Peer) -> Round:
        """Tell a peer what it may have and was not sent yet. One that was ended is still told what is withdrawn of
        what it could have. Raises as `pull`."""
        client, done = TaxiiClient(peer, self._folder), Round()
        due = self._due(peer, peer.sent_us)
        first = next(due, None)
        if first is None:
            return done
        inbox = next((one for one in client.collections() if one.can_write), None)
        if inbox is None:
            raise DeliveryError("it has no collection that we may write into")
        most = min(MOST_BYTES, client.most_bytes() - sum(map(len, _FRAME)))
        for some in _requests(chain([first], due), most):
            status = client.add(inbox.id, _FRAME[0] + b",".join([raw for _, raw in some]) + _FRAME[1])
            done.objects += len(some)
            done.refused += [f"{one.id[:100]}: {one.message[:300]}" for one in status.failures]
            self._peers.sent(peer, some[-1][0])
        return done

    def _take(self, peer: Peer, collection: RemoteCollection, page: Page, now_us: int, done: Round) -> Fault | None:
        """Keep a page. Returns why nothing of it is kept, where that is so: it is asked for again then."""
        arrival = self._receiving.receive(page.body, peer, now_us)
        done.objects += page.objects
        done.new += arrival.new
        done.refused += [str(one) for one in arrival.faults]
        # After it is kept: what is cut off between the two comes once more, and counts as known.
        if arrival.refused_whole is None and page.last is not None and len(page.last) <= 64:
            self._peers.was_read(peer, collection.id, page.last)
        return arrival.refused_whole

    def _due(self, peer: Peer, after_us: int) -> Iterator[tuple[int, bytes]]:
        reader, more = Reader(peer_id=peer.peer_id, clearance=peer.clearance), True
        while more:
            wanted = Wanted(after_us=after_us, versions=(LAST,), withdrawn_of_us=peer.ended_at_us)
            rows, more = pages(self._store.engine, reader, wanted)
            yield from rows
            after_us = rows[-1][0] if rows else after_us


Outcome = Round | TiergateError


def outcome(go: Callable[[Peer], Round], peer: Peer) -> Outcome:
    """What comes of a round with a peer, also where that is a fault: whatever is wrong with one, others are told."""
    try:
        return go(peer)
    except TiergateError as error:
        return error


def with_each(peers: Sequence[Peer], go: Callable[[Peer], Round]) -> list[tuple[Peer, Outcome]]:
    """A round with each of ``peers`` that has an address, at the same time: one that is slow keeps no other waiting."""
    asked = [one for one in peers if one.url is not None]
    with ThreadPoolExecutor(MOST_AT_ONCE) as pool:
        return list(zip(asked, pool.map(lambda one: outcome(go, one), asked), strict=True))


def _readable(client: TaxiiClient) -> list[RemoteCollection]:
    return [one for one in client.collections() if one.can_read and len(one.id) <= 64]


def _requests(due: Iterable[tuple[int, bytes]], most: int) -> Iterator[list[tuple[int, bytes]]]:
    some: list[tuple[int, bytes]] = []
    size = 0
    for at, raw in due:
        if some and (size + len(raw) + 1 > most or len(some) == MOST_PUSHED):
            yield some
            some, size = [], 0
        some.append((at, raw))
        size += len(raw) + 1
    if some:
        yield some
