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
from typing import Final, Literal, NamedTuple

import msgspec

from tiergate.admission.engine import FILES, POLICIES, TierDecision
from tiergate.admission.known_facts import ModelFact, Standing
from tiergate.clock import Clock
from tiergate.errors import InputError, LedgerError, TiergateError
from tiergate.ledger.checkpoints import load_private_key
from tiergate.ledger.decision_log import DecisionLog
from tiergate.ledger.decision_reader import ABOUT, read_about
from tiergate.ledger.decision_records import Decided, Value
from tiergate.ledger.notes import PrivateKey

FOLDER: Final = "decisions"
KEY: Final = "decisions.key"
MOST_WORKERS: Final = 64
SIGN_EVERY_S: Final = 1.0
_log = logging.getLogger(__name__)
_Waiting = tuple[Decided, "asyncio.Future[str]"]


class Judged(NamedTuple):
    """A decision with what it was made from. ``asked``: digest of the request's body."""

    decision: TierDecision
    standing: Standing
    model: ModelFact
    epoch: int
    exchange_id: str
    asked: str
    claims: dict[str, str]
    at_us: int


class DecisionWriter:
    """Writes decisions from a thread of its own, those that wait together as one."""

    def __init__(self, data: Path, name: str, key: bytes, clock: Clock, loop: asyncio.AbstractEventLoop) -> None:
        self._data, self._name, self._key, self._clock, self._loop = data, name, key, clock, loop
        self._opened: tuple[DecisionLog, PrivateKey, str] | None = None
        self._policy = policy_digest()
        self._pending: list[_Waiting] = []
        self._mutex = threading.Lock()
        self._wake = threading.Event()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="tiergate-decisions", daemon=True)
        self._thread.start()

    def digest(self, body: bytes) -> str:
        """Digest of a text under the deployment's key, so that nobody can try short texts."""
        return hashlib.blake2b(body, key=self._key[:64], digest_size=32).hexdigest()

    async def write(self, judged: Judged) -> str:
        """Returns the decision's id once it survives the death of this process. Raises `LedgerError` otherwise."""
        future: asyncio.Future[str] = self._loop.create_future()
        with self._mutex:
            if self._stop.is_set():
                raise LedgerError("the decision log is closed")
            self._pending.append((self._decided(judged), future))
        self._wake.set()
        return await future

    async def close(self) -> None:
        """Write what waits, sign, and release the log."""
        with self._mutex:
            self._stop.set()
        self._wake.set()
        await asyncio.to_thread(self._thread.join)

    def _decided(self, judged: Judged) -> Decided:
        standing, model = judged.standing, judged.model
        who: dict[str, str | None] = {
            "organisation": standing.organisation_id, "person": standing.person_id, "workload": standing.workload_id,
            "credential": standing.credential_id, "model": model.model, "exchange": judged.exchange_id,
        }  # fmt: skip
        personal: dict[str, Value] = {name: value for name, value in (who | judged.claims).items() if value is not None}
        packs = dict(name.partition("@")[::2] for name in model.organisation_packs + model.person_packs)
        return Decided(
            time_us=judged.at_us,
            request=judged.asked,
            inputs=self.digest(msgspec.json.encode([standing, model, judged.claims], order="deterministic")),
            policy=self._policy,
            epoch=judged.epoch,
            outcome=_OUTCOMES[judged.decision.outcome.value],
            reasons=[reason.code for reason in judged.decision.reasons],
            packs=packs,
            personal=personal,
        )

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
        except Exception as error:
            # This thread must outlive any one decision, or the classified tier would never answer again.
            failure = error if isinstance(error, LedgerError) else LedgerError(f"{type(error).__name__}: {error}")
            _log.error("decisions cannot be recorded, so the classified tier refuses: %s", error)
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
            worker = "" if number == 1 else f"worker-{number}"
            folder, name = self._data / FOLDER / worker, f"{self._name}/{worker}".rstrip("/")
            try:
                # A log keeps the name it was made with.
                name = read_about(folder).origin if (folder / ABOUT).exists() else name
                log = DecisionLog.open(folder, origin=name)
            except LedgerError as error:
                if "another process" in str(error) and number < MOST_WORKERS:
                    continue
                raise
            return log, load_private_key(self._data / KEY, name), f"{worker}/" if worker else ""
        raise AssertionError("unreachable")


def policy_digest() -> str:
    """SHA-256 of the policies and their schema."""
    texts = (POLICIES / name for name in (*FILES, "schema.cedarschema"))
    return hashlib.sha256(b"\n".join(text.read_bytes() for text in texts)).hexdigest()


_OUTCOMES: Final[dict[str, Literal["ALLOW", "DENY", "REVIEW"]]] = {"allow": "ALLOW", "deny": "DENY", "review": "REVIEW"}


def _settle(futures: list[asyncio.Future[str]], ids: list[str], failure: LedgerError | None) -> None:
    for place, future in enumerate(futures):
        if future.done():
            continue  # its request was cancelled meanwhile
        if failure is None:
            future.set_result(ids[place])
        else:
            future.set_exception(failure)
