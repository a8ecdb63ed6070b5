"""Staying in touch with peers: what each tells is read while it tells it, and what it was not sent yet is sent.

Each peer has two threads, so that one that is slow or away delays nobody else. What goes wrong is said once and tried
again, more and more seldom, until it goes well.
"""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable
from functools import partial
from typing import Final

import msgspec

from tiergate.clock import Clock
from tiergate.errors import TiergateError
from tiergate.sharing.client import Following
from tiergate.sharing.exchange import Exchange, Round
from tiergate.sharing.peers import Peer, Peers
from tiergate.sharing.store import SharedStore

AGAIN_S: Final = 1.0
"""After an end without a fault, and after a first fault; twice as long after each more, and not just so long, lest all
that were cut off by one server come back to it together."""
MOST_S: Final = 60.0
STEADY_S: Final = 30.0
"""What went well for so long waits from the start again."""
LOOK_S: Final = 0.5
"""How often it is looked whether there is something to send."""
PATIENCE_S: Final = 2.0

READING, SENDING = "reading", "sending"
Told = Callable[[str, str, Round | str], None]
"""Called, from any thread, with the name of a peer, what is done, and what came of it or is wrong."""


class InTouch:
    """A deployment in touch with its peers, from the first `refresh` to `stop`."""

    def __init__(
        self,
        exchange: Exchange,
        store: SharedStore,
        peers: Peers,
        clock: Clock,
        rng: random.Random,
        told: Told,
        *,
        every_s: float,
    ) -> None:
        """``every_s``: how often peers are asked that tell nothing by themselves."""
        self._exchange, self._store, self._peers = exchange, store, peers
        self._clock, self._rng, self._told, self._every_s = clock, rng, told, every_s
        self._work: dict[Peer, list[_Work]] = {}

    def refresh(self) -> None:
        """Begin with peers that are new, and anew with those that are not as they were."""
        known = {msgspec.structs.replace(one, sent_us=0) for one in self._peers.every() if one.url is not None}
        for peer in self._work.keys() - known:
            _end(self._work.pop(peer))
        for peer in known - self._work.keys():
            # One that was ended is told what is withdrawn, and asked nothing.
            doing = {SENDING: self._send} | ({READING: self._read} if peer.ended_at_us is None else {})
            self._work[peer] = [_Work(name, do, peer, self._rng, self._told) for name, do in doing.items()]
            for one in self._work[peer]:
                one.start()

    def stop(self) -> None:
        """End all of it; whoever waits for a peer is not waited for."""
        _end([one for some in self._work.values() for one in some])
        self._work.clear()

    def _read(self, work: _Work) -> float:
        peer = work.peer
        if self._exchange.follow(peer, self._clock, work.hold, work.told):
            return AGAIN_S
        done = self._exchange.pull(peer, self._clock.now_us())
        if done.objects:
            work.told(done)
        return self._every_s

    def _send(self, work: _Work) -> float:
        place = self._store.place()
        if place != work.place:
            peer = next(one for one in self._peers.every() if one.peer_id == work.peer.peer_id)
            done = self._exchange.push(peer)
            if done.objects:
                work.told(done)
            work.place = place
        return LOOK_S


class _Work(threading.Thread):
    """Something done for a peer again and again: ``do`` returns after how many seconds it is to be done next."""

    def __init__(self, doing: str, do: Callable[[_Work], float], peer: Peer, rng: random.Random, told: Told) -> None:
        super().__init__(name=f"{doing}: {peer.name}", daemon=True)
        self.peer, self.place = peer, -1
        self.told: Callable[[Round | str], None] = partial(told, peer.name, doing)
        self._do, self._rng = do, rng
        self._ending = threading.Event()
        self._following: Following | None = None

    def hold(self, following: Following) -> None:
        """What is cut off at the end."""
        self._following = following
        if self._ending.is_set():
            following.cut()

    def end(self) -> None:
        self._ending.set()
        if self._following is not None:
            self._following.cut()

    def run(self) -> None:
        faults, said = 0, ""
        while not self._ending.is_set():
            began, fault = time.monotonic(), ""
            try:
                wait_s = self._do(self)
            except TiergateError as error:
                fault = str(error)
            except Exception as error:
                # Whatever is wrong with the disk, the database or one answer, this must be alive when it is over.
                fault = f"internal error: {type(error).__name__}"
            if fault:
                faults = 1 if time.monotonic() - began > STEADY_S else faults + 1
                wait_s = min(MOST_S, AGAIN_S * 2.0 ** min(faults - 1, 10)) * self._rng.uniform(0.5, 1.0)
                if fault != said and not self._ending.is_set():
                    self.told(fault)
            else:
                faults = 0
            said = fault
            self._ending.wait(wait_s)


def _end(some: list[_Work]) -> None:
    for one in some:
        one.end()
    until = time.monotonic() + PATIENCE_S
    for one in some:
        one.join(max(0.0, until - time.monotonic()))
