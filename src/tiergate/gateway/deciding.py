"""The decision log as the gateway writes it: every decision on the classified tier, before it is acted upon.

A log has one writer. Each worker therefore takes the first log that no other process writes: `decisions` itself, then
`decisions/worker-2`, and so on. That needs no process more, no port and no name in anybody's settings; a worker that
dies lets go of its log, and the next that starts goes on with it. The price is that decisions of several workers are in
several logs, each with its own checkpoints, and are put in order by their times.
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
import threading
from pathlib import Path
from typing import Final

from tiergate.admission.engine import policies_of_today
from tiergate.admission.kept_policies import keep_policies
from tiergate.admission.replay import RECORDED, facts_text
from tiergate.clock import Clock
from tiergate.errors import InputError, LedgerError, TiergateError
from tiergate.gateway.tiers import Ruling
from tiergate.ledger.checkpoints import load_private_key
from tiergate.ledger.decision_log import DecisionLog
from tiergate.ledger.decision_logs import KEY, MOST_WORKERS, place_of
from tiergate.ledger.decision_reader import ABOUT, read_about
from tiergate.ledger.decision_records import FACTS, Decided, Value
from tiergate.ledger.notes import PrivateKey

SIGN_EVERY_S: Final = 1.0
_log = logging.getLogger(__name__)
_Waiting = tuple[Decided, "asyncio.Future[str]"]


class DecisionWriter:
    """Writes decisions from a thread of its own, those that wait together as one."""

    def __init__(self, data: Path, name: str, key: bytes, clock: Clock, loop: asyncio.AbstractEventLoop) -> None:
        self._data, self._name, self._key, self._clock, self._loop = data, name, key, clock, loop
        self._opened: tuple[DecisionLog, PrivateKey, str] | None = None
        self.failure: str | None = None
        """Why the last decision could not be recorded, None where it was."""
        self._policies = policies_of_today()
        self._policy = self._policies.digest
        self._pending: list[_Waiting] = []
        self._mutex = threading.Lock()
        self._wake = threading.Event()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="tiergate-decisions", daemon=True)
        self._thread.start()

    async def write(self, ruling: Ruling, exchange_id: str, body: bytes) -> str:
        """Record a ruling on the request with this ``body``; returns the decision's id once it survives the death of
        this process. Raises `LedgerError` otherwise."""
        future: asyncio.Future[str] = self._loop.create_future()
        with self._mutex:
            if self._stop.is_set():
                raise LedgerError("the decision log is closed")
            self._pending.append((as_decided(ruling, exchange_id, body, self._policy, self._key), future))
        self._wake.set()
        return await future

    async def close(self) -> None:
        """Write what waits, sign, and release the log."""
        with self._mutex:
            self._stop.set()
        self._wake.set()
        await asyncio.to_thread(self._thread.join)

    def _run(self) -> None:
        while True:
            self._wake.wait(SIGN_EVERY_S)
            self._wake.clear()
            with self._mutex:
                batch, self._pending = self._pending, []
            if batch:
                self._append(batch)
            self._sign(last=False)
            if self._stop.is_set() and not batch:
                break
        self._sign(last=True)
        if self._opened is not None:
            self._opened[0].close()

    def _append(self, batch: list[_Waiting]) -> None:
        ids: list[str] = []
        failure: LedgerError | None = None
        try:
            log, _, prefix = self._opened = self._opened or self._open()
            ids = [f"{prefix}{index}" for index in log.append([decided for decided, _ in batch])]
            self.failure = None
        except Exception as error:
            # This thread must outlive any one decision, or the classified tier would never answer again.
            failure = error if isinstance(error, LedgerError) else LedgerError(f"{type(error).__name__}: {error}")
            _log.error("decisions cannot be recorded, so the classified tier refuses: %s", error)
            self.failure = str(error)
            self._let_go()
        self._loop.call_soon_threadsafe(_settle, [future for _, future in batch], ids, failure)

    def _let_go(self) -> None:
        """Open the log anew for the next decision: what broke it may have passed."""
        opened, self._opened = self._opened, None
        if opened is not None:
            try:
                opened[0].close()
            except (OSError, TiergateError) as error:
                _log.error("the decision log was not closed well: %s", error)

    def _sign(self, *, last: bool) -> None:
        if self._opened is None:
            return
        log, key, _ = self._opened
        now_us = self._clock.now_us()
        try:
            if log.checkpoint_due(now_us) or (last and log.size):
                log.sign(key, now_us)
        except (InputError, LedgerError) as error:
            _log.error("a checkpoint could not be signed: %s", error)

    def _open(self) -> tuple[DecisionLog, PrivateKey, str]:
        for number in range(1, MOST_WORKERS + 1):
            folder, prefix = place_of(self._data, number)
            try:
                # A log keeps the name it was made with.
                made = (folder / ABOUT).exists()
                name = read_about(folder).origin if made else f"{self._name}/{prefix}".rstrip("/")
                log = DecisionLog.open(folder, origin=name)
            except LedgerError as error:
                if "another process" in str(error) and number < MOST_WORKERS:
                    continue
                raise
            try:
                keep_policies(folder, self._policies)
                return log, load_private_key(self._data / KEY, name), prefix
            except BaseException:
                log.close()
                raise
        raise AssertionError("unreachable")


def as_decided(ruling: Ruling, exchange_id: str, body: bytes, policy: str, key: bytes) -> Decided:
    """A ruling as it is recorded. ``policy`` is the digest of the policies; digests of texts are made under ``key``, so
    that nobody can try short ones."""

    def digest(text: bytes) -> str:
        return hashlib.blake2b(text, key=key[:64], digest_size=32).hexdigest()

    decision, standing, model, asked, epoch = ruling
    facts = facts_text(standing, model, asked.fact)
    who: dict[str, str | None] = {
        "organisation": standing.organisation_id, "person": standing.person_id, "workload": standing.workload_id,
        "credential": standing.credential_id, "model": model.model, "exchange": exchange_id, FACTS: facts,
    }  # fmt: skip
    personal: dict[str, Value] = {name: value for name, value in (who | asked.claims).items() if value is not None}
    return Decided(
        time_us=asked.fact.now_us,
        request=digest(body),
        inputs=digest(facts.encode()),
        policy=policy,
        epoch=epoch,
        outcome=RECORDED[decision.outcome],
        reasons=[reason.code for reason in decision.reasons],
        packs=dict(name.partition("@")[::2] for name in model.organisation_packs + model.person_packs),
        personal=personal,
    )


def _settle(futures: list[asyncio.Future[str]], ids: list[str], failure: LedgerError | None) -> None:
    for place, future in enumerate(futures):
        if future.done():
            continue  # its request was cancelled meanwhile
        if failure is None:
            future.set_result(ids[place])
        else:
            future.set_exception(failure)
