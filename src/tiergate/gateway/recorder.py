"""Recording exchanges before their answers end.

Exchanges that end together are written together (group commit), and what was asked is sketched before, while answers
are awaited: many at once cost much less than one by one. A record that only has to survive the death of the process is
a write into the operating system's memory, a few microseconds: it is made in the event loop. One that has to survive
the loss of power waits for the disk, in a thread.
"""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from contextlib import suppress
from typing import Final

from tiergate.errors import LedgerError
from tiergate.ledger.log import ExchangeLog
from tiergate.records.schema import Exchange

TOGETHER: Final = 32
"""So many exchanges are sketched or written without waiting for more: beyond that each costs no less."""

_log = logging.getLogger(__name__)


class Recorder:
    """Appends exchanges to the log, and seals it from a thread. ``durable``: whether appending waits for the disk."""

    def __init__(
        self, log: ExchangeLog, loop: asyncio.AbstractEventLoop, *, seal_every_s: float, durable: bool
    ) -> None:
        self._exchange_log = log
        self._loop = loop
        self._seal_every_s = seal_every_s
        self._durable = durable
        self.failure: str | None = None
        """Why the last exchange could not be written, None where it was."""
        self.sealed_s = time.monotonic()
        """When all that was spooled was last sealed, in seconds of the monotonic clock."""
        self._pending: list[tuple[Exchange, bool, asyncio.Future[None]]] = []
        self._awaited: dict[str, Exchange] = {}
        """Exchanges whose answers are awaited, and that are not sketched yet."""
        self._mutex = threading.Lock()
        self._wake = threading.Event()
        self._stop = threading.Event()
        self._threads = [
            threading.Thread(target=target, name=f"tiergate-{target.__name__.strip('_')}", daemon=True)
            for target in (*([self._write_all] if durable else []), self._seal_often)
        ]
        for thread in self._threads:
            thread.start()

    def awaits(self, exchange: Exchange) -> None:
        """The answer of an exchange is awaited: there is time to sketch it. `ended` is to follow, whatever comes."""
        self._awaited[exchange.exchange_id] = exchange
        if len(self._awaited) == 1:
            self._loop.call_soon(self._sketch_lone)
        elif len(self._awaited) == TOGETHER:
            self._loop.call_soon(self._sketch)

    def ended(self, exchange_id: str) -> None:
        """Nothing more comes of an exchange whose answer was awaited."""
        self._awaited.pop(exchange_id, None)
        self._exchange_log.forget(exchange_id)

    async def record(self, exchange: Exchange) -> None:
        """Returns when the exchange is as safe as it has to be. Raises `LedgerError` when it cannot be."""
        await self._put(exchange, complete=True)

    async def begin(self, exchange: Exchange) -> None:
        """Returns when the beginning of a streamed answer is safe; `record` of the same id completes it."""
        await self._put(exchange, complete=False)

    @property
    def waiting(self) -> int:
        """Exchanges that are yet to be written."""
        return len(self._pending)

    @property
    def unsealed(self) -> int:
        """Exchanges, and beginnings of such, that are in no segment yet."""
        return self._exchange_log.unsealed

    def look(self) -> None:
        """See whether the log can be written now, without an exchange. May be called by any thread."""
        try:
            self._exchange_log.check()
            self.failure = None
        except LedgerError as error:
            self.failure = str(error)

    async def close(self) -> None:
        """Write what is pending, seal, and release the log."""
        await asyncio.to_thread(self._finish)

    def _put(self, exchange: Exchange, *, complete: bool) -> asyncio.Future[None]:
        future: asyncio.Future[None] = self._loop.create_future()
        if self._durable:
            with self._mutex:
                self._pending.append((exchange, complete, future))
            self._wake.set()
            return future
        self._pending.append((exchange, complete, future))
        if len(self._pending) == 1:
            self._loop.call_soon(self._write_pending, 1)
        return future

    def _sketch_lone(self) -> None:
        """Sketch what is awaited by itself. With others it waits for the first answer, to be sketched with them all."""
        if len(self._awaited) == 1:
            self._sketch()

    def _sketch(self) -> None:
        awaited, self._awaited = self._awaited, {}
        # What cannot be sketched is said where it is to be recorded.
        with suppress(Exception):
            self._exchange_log.sketch(list(awaited.values()))

    def _write_pending(self, seen: int) -> None:
        """Write what is pending, once the event loop brings no more."""
        count = len(self._pending)
        if seen < count < TOGETHER:
            self._loop.call_soon(self._write_pending, count)
            return
        batch, self._pending = self._pending, []
        if any(exchange.exchange_id in self._awaited for exchange, _, _ in batch):
            self._sketch()
        failure = self._write([(exchange, complete) for exchange, complete, _ in batch])
        _settle([future for _, _, future in batch], failure)

    def _write_all(self) -> None:
        while True:
            self._wake.wait()
            self._wake.clear()
            with self._mutex:
                batch, self._pending = self._pending, []
            if batch:
                failure = self._write([(exchange, complete) for exchange, complete, _ in batch])
                self._loop.call_soon_threadsafe(_settle, [future for _, _, future in batch], failure)
            elif self._stop.is_set():
                return

    def _write(self, batch: list[tuple[Exchange, bool]]) -> LedgerError | None:
        """What went wrong, if anything: whoever writes must outlive any one exchange."""
        try:
            self._exchange_log.begin([exchange for exchange, complete in batch if not complete])
            self._exchange_log.append([exchange for exchange, complete in batch if complete])
            self.failure = None
        except LedgerError as error:
            _log.error("%s", error)
            self.failure = str(error)
            return error
        except Exception as error:
            _log.exception("exchanges could not be recorded")
            return LedgerError(f"exchanges could not be recorded: {type(error).__name__}")
        return None

    def _seal_often(self) -> None:
        while not self._stop.wait(self._seal_every_s):
            try:
                self._exchange_log.seal()
                self.sealed_s = time.monotonic()
            except LedgerError as error:
                # What is spooled stays spooled: the next round tries again.
                _log.error("%s", error)

    def _finish(self) -> None:
        self._stop.set()
        self._wake.set()
        for thread in self._threads:
            thread.join()
        self._exchange_log.close()


def _settle(futures: list[asyncio.Future[None]], failure: LedgerError | None) -> None:
    for future in futures:
        if future.done():
            continue  # its request was cancelled meanwhile
        if failure is None:
            future.set_result(None)
        else:
            future.set_exception(failure)
