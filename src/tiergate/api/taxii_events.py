"""What is added to a collection, told at once to peers that stay connected: server-sent events (WHATWG HTML, 9.2).

An event is a page of GET objects, and its id the time at which the last object of it was added. So whoever was cut off
goes on where it stood, here by `Last-Event-ID` or by polling with `added_after`, and nothing is remembered for it.
What a peer may have is asked of the store and of its token for every event, as for every page.
"""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Callable
from typing import Final

import anyio
from starlette.concurrency import run_in_threadpool

from tiergate.api.taxii_resources import time_of
from tiergate.database import Commits
from tiergate.sharing.peers import Peer
from tiergate.sharing.selecting import Reader, Wanted, pages
from tiergate.sharing.store import SharedStore

EVENTS_KIND: Final = "text/event-stream"
HEARTBEAT_S: Final = 5.0
"""Silence after which a comment is sent: it keeps the connection alive, and shows that it is."""
LOOK_S: Final = 0.05
"""How often it is looked whether something was added, which takes some microseconds."""
MOST_STREAMS: Final = 4
"""Streams that a peer has at once; with one more its oldest ends, which may be one that nobody reads any more."""
EVENT_OBJECTS: Final = 200
EVENT_BYTES: Final = 1 << 20
"""Of objects in one event; a larger object has one of its own."""


class Streams:
    """Streams of a deployment. All but `end` is for the one event loop that serves them."""

    def __init__(self, store: SharedStore, commits: Commits) -> None:
        self._store, self._commits = store, commits
        self._open: dict[str, list[object]] = {}
        self._ending = False

    def end(self) -> None:
        """End all of them once they have told what is there, so that the server can end. For any thread."""
        self._ending = True

    async def follow(self, peer_id: str, after_us: int, known: Callable[[], Peer | None]) -> AsyncIterator[bytes]:
        """What a peer reads: all that was added after a time, then what is added, until it may not read any more.

        :param known: who it is now, None when its token or the peer ended.
        """
        mine, held = object(), self._open.setdefault(peer_id, [])
        held.append(mine)
        del held[:-MOST_STREAMS]
        try:
            yield b"retry: 1000\n\n"
            seen, said = -1, time.monotonic()
            while mine in held:
                ending, mark = self._ending, self._commits.mark()
                if mark != seen or time.monotonic() - said >= HEARTBEAT_S:
                    more, pieces = True, 0
                    while more:
                        if (peer := await run_in_threadpool(known)) is None:
                            return
                        after_us, event, more = await run_in_threadpool(self._event, peer, after_us)
                        if event:
                            pieces += 1
                            yield event
                    if not pieces:
                        yield b":\n\n"
                    seen, said = mark, time.monotonic()
                if ending:
                    return
                await anyio.sleep(LOOK_S)
        finally:
            if mine in held:
                held.remove(mine)
            if not held and self._open.get(peer_id) is held:
                del self._open[peer_id]

    def _event(self, peer: Peer, after_us: int) -> tuple[int, bytes, bool]:
        """The next event, empty where there is none; how far it goes, and whether there is more."""
        reader = Reader(peer_id=peer.peer_id, clearance=peer.clearance)
        rows, more = pages(self._store.engine, reader, Wanted(after_us=after_us, limit=EVENT_OBJECTS))
        size, count = 0, 0
        for _, raw in rows:
            size += len(raw)
            if count and size > EVENT_BYTES:
                more = True
                break
            count += 1
        if not count:
            return after_us, b"", False
        last_us = rows[count - 1][0]
        objects = b",".join([raw for _, raw in rows[:count]])
        return last_us, b'id: %s\ndata: {"objects":[%s]}\n\n' % (time_of(last_us).encode(), objects), more
