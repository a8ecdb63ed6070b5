"""A recorded world played again through detection and response, on a simulated clock.

Requests come as they were recorded. Those of an account under a verdict are answered or refused as the gateway would;
what is refused is not in the log that detection sees next. Detection and response are those of `tiergate watch`: the
real detector writes an answer at each look, and the real desk turns it into case files and verdicts, as the policy
permits without people.

The campaign reacts, where the world says which exchanges are its own. Some hours after accounts of it were stopped it
has as many fresh ones, made by the simulator under the same plan, and deals what they were refused, and what was still
before them, to those until its end. An honest account that is asked to verify itself does so after some hours.

A real watch looks every few minutes. Looking less often, as here, finds later: leakage is overstated.
"""

from __future__ import annotations

import heapq
import tempfile
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import StrEnum
from functools import partial
from itertools import count
from pathlib import Path
from typing import Final

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from tiergate.admission.decision import admit
from tiergate.clock import DAY, HOUR
from tiergate.database import open_database
from tiergate.detection.intake import TooLittleError
from tiergate.detection.lineage import History
from tiergate.detection.run import DetectionInputs, Parameters, run_detection
from tiergate.gateway.limits import CaseBudgets
from tiergate.ledger.verdicts import Action, Carried, Verdict, applying
from tiergate.parties.registry import Credential
from tiergate.records.refused import RefusedRows
from tiergate.records.schema import TIME
from tiergate.redteam.recorded import Recorded, newcomers
from tiergate.redteam.requests import Requests
from tiergate.response.case_files import CaseFile, Cleared
from tiergate.response.desk import CaseDesk
from tiergate.response.ladder import Policy
from tiergate.response.looks import Look
from tiergate.simulation.evasion import Bill, cost
from tiergate.simulation.world import START_US

Progress = Callable[[str, float], None]
USUAL: Final = 0.99
"""Share of honest accounts that a limit for every account must never stop."""
ACCOUNT_LIMIT: Final = "account_limit"


class Control(StrEnum):
    """What stands between the campaign and the answers."""

    NONE = "none"
    ACCOUNT_LIMIT = "account_limit"
    RESPONSE = "response"
    ALL = "all"


LIMITING: Final = frozenset({Control.ACCOUNT_LIMIT, Control.ALL})
RESPONDING: Final = frozenset({Control.RESPONSE, Control.ALL})


@dataclass(frozen=True, slots=True)
class Setting:
    """How it is played. Hours between looks, with more looks ``close_h`` hours after each pool of the campaign begins;
    until an honest account has verified itself; until an attacker has fresh accounts for those that were stopped, None
    where it gives up. ``account_a_day``: exchanges that one account may ask where accounts are limited; None for what
    `USUAL` of the honest ones never exceed."""

    every_h: float = 6.0
    close_h: tuple[float, ...] = ()
    verified_after_h: float = 24.0
    replaced_after_h: float | None = 24.0
    account_a_day: int | None = None
    decoys: int | None = None
    seed: int = 1


@dataclass(slots=True)
class Wave:
    """Accounts of a campaign that began together, and when half of them were under a step: microseconds."""

    accounts: frozenset[str]
    began_us: int
    stopped_us: int | None = None

    @property
    def stopped_after_h(self) -> float | None:
        """Hours that it lasted, None for one that was not stopped."""
        return None if self.stopped_us is None else (self.stopped_us - self.began_us) / HOUR


@dataclass(slots=True)
class Outcome:
    """What came of it. Exchanges of the campaign: ``planned`` and ``answered``. Those of others: ``asked`` in all, and
    ``refused`` by reason; ``touched``: honest accounts that a step reached. Hours from the campaign's first exchange:
    ``case_h`` to its first case, ``step_h`` to the first step that touched it. ``waves``: its accounts, and those that
    replaced them. ``bill``: what the campaign paid; None where the plan is not known."""

    control: Control
    planned: int
    asked: int
    answered: int = 0
    refused: Counter[str] = field(default_factory=Counter)
    touched: int = 0
    case_h: float | None = None
    step_h: float | None = None
    looks: int = 0
    waves: list[Wave] = field(default_factory=list)
    bill: Bill | None = None


class Replay:
    """One world under one control, played once."""

    def __init__(self, world: Recorded, setting: Setting, policy: Policy, control: Control, progress: Progress) -> None:
        self._world, self._setting, self._policy, self._control = world, setting, policy, control
        self._progress = progress
        self._requests = Requests(world)
        self._begin, self._end = int(world.times[0]), int(world.times[-1]) + 1
        own = world.times[world.purpose]
        self._first, self._last = (int(own[0]), int(own[-1])) if len(own) else (self._begin, self._end)
        self._guilty = set(world.campaign)
        self._lost: set[str] = set()
        self._fresh: list[pa.Table] = []
        self._checking: set[str] = set()
        self._touched: set[str] = set()
        self._verdicts: dict[str, Verdict] = {}
        self._standing: dict[str, tuple[Verdict, ...]] = {}
        self._budgets = CaseBudgets()
        self._asked_on: Counter[tuple[str, int]] = Counter()
        self._history = History.empty()
        self._events: list[tuple[int, int, Callable[[int], None]]] = []
        self._number = count()
        self._looked = self._begin
        waves = [Wave(world.campaign, self._first)] if world.campaign else []
        planned = int(world.purpose.sum())
        self._outcome = Outcome(control, planned, int(world.others.sum()), waves=waves)

    def run(self) -> Outcome:
        """Play it to its end."""
        limit = self._limit() if self._control in LIMITING else None
        gate = partial(self._gate, limit)
        with tempfile.TemporaryDirectory() as scratch:
            engine = open_database(Path(scratch) / "control.sqlite")
            try:
                self._desk, self._scratch = CaseDesk(engine, self._policy), Path(scratch)
                now = self._begin
                if self._control in RESPONDING:
                    every = int(self._setting.every_h * HOUR)
                    for at in range(self._begin + every, self._end, every):
                        self._at(at, self._look)
                    for began in self._pools():
                        self._closely(began)
                while self._events:
                    at, _, act = heapq.heappop(self._events)
                    self._requests.ask(now, at, None if limit is not None else self._verdicts, gate)
                    now = at
                    act(at)
                self._requests.ask(now, self._end, None if limit is not None else self._verdicts, gate)
            finally:
                engine.dispose()
        return self._judged()

    def _pools(self) -> list[int]:
        """When pools of the campaign begin that were planned: the first, and the one after a ban."""
        spec = self._world.spec
        if spec is None or spec.banned_on_day is None or spec.replaced_after_h is None:
            return [self._first]
        return [self._first, START_US + int(spec.banned_on_day * DAY + spec.replaced_after_h * HOUR)]

    def _closely(self, began: int) -> None:
        for hours in self._setting.close_h:
            self._at(began + int(hours * HOUR), self._look)

    def _at(self, at: int, act: Callable[[int], None]) -> None:
        if at < self._end:
            # The number keeps those of one moment in order, and what is done from being compared.
            heapq.heappush(self._events, (at, next(self._number), act))

    def _gate(self, limit: int | None, account: str, at: int, carried: Carried) -> str | None:
        if limit is not None:
            day = account, at // DAY
            if self._asked_on[day] >= limit:
                return ACCOUNT_LIMIT
            self._asked_on[day] += 1
        verdict = applying(self._standing.get(account, ()), at, carried)
        wait_s = None if verdict is None else self._budgets.wait_s(verdict, at / 1e6)
        decision = admit(_credential(account), verdict, case_wait_s=wait_s)
        return None if decision.allowed else decision.code

    def _look(self, now: int) -> None:
        if now == self._looked:
            return
        self._looked = now
        share = (now - self._begin) / (self._end - self._begin)
        self._progress(f"{self._control}, day {(now - self._begin) / DAY:.1f}", share)
        answer = self._scratch / f"{self._outcome.looks:06d}"
        self._outcome.looks += 1
        log = self._requests.recorded()
        inputs = DetectionInputs(
            exchanges=lambda: log.combine_chunks().to_batches(),
            accounts=self._accounts(now),
            model_releases=self._world.releases,
            refused=RefusedRows(None),
            files=[],
        )
        parameters = Parameters(decoys=self._setting.decoys, seed=self._setting.seed)
        try:
            found = run_detection(
                inputs, answer, parameters=parameters, sketch_key=None, progress=_quietly, history=self._history
            )
        except TooLittleError:
            return
        self._history = found.history
        self._desk.take(answer, now)
        members = set(found.case_accounts["account_id"].to_pylist())
        if self._outcome.case_h is None and members & self._guilty:
            self._outcome.case_h = (now - self._first) / HOUR
        self._met(answer, now)

    def _met(self, answer: Path, now: int) -> None:
        """What the verdicts of ``now`` set in motion."""
        self._obey(now)
        under = {name for name, one in self._verdicts.items() if one.action is not Action.WATCH}
        self._touched |= under
        if self._outcome.step_h is None and under & self._guilty:
            self._outcome.step_h = (now - self._first) / HOUR
        for wave in self._outcome.waves:
            if wave.stopped_us is None and 2 * len(wave.accounts & under) >= len(wave.accounts):
                wave.stopped_us = now
        stopped = (under & self._guilty) - self._lost
        self._lost |= stopped
        if stopped and self._setting.replaced_after_h is not None and self._world.spec is not None:
            self._at(now + int(self._setting.replaced_after_h * HOUR), partial(self._replace, stopped))
        asked = {name for name in under if self._verdicts[name].action is Action.VERIFY} - self._guilty - self._checking
        self._checking |= asked
        if asked:
            self._at(now + int(self._setting.verified_after_h * HOUR), partial(self._verified, asked, answer))

    def _replace(self, stopped: set[str], now: int) -> None:
        """Fresh accounts take over what those that were stopped have not got."""
        rows = self._requests.left(stopped)
        self._requests.stop(stopped)
        if not len(rows) or now >= self._last or self._world.spec is None:
            return
        count = min(len(stopped), len(rows))
        seed = self._setting.seed * 1_000 + len(self._outcome.waves)
        days = (self._last - now) / DAY
        accounts, shown = newcomers(self._world.spec, count, now, days, seed)
        times = np.sort(np.random.default_rng(seed).integers(now, self._last, len(rows)))
        self._requests.deal(rows, shown, times)
        self._fresh.append(accounts)
        names = frozenset(shown["account_id"].to_pylist())
        self._guilty |= names
        self._outcome.waves.append(Wave(names, now))
        self._closely(now)

    def _verified(self, accounts: set[str], answer: Path, now: int) -> None:
        """Honest accounts have verified themselves, in every case that asked."""
        seen = Look.read(answer, 0, "").cases
        for case_id in {one.case_id for name, one in self._verdicts.items() if name in accounts}:
            with self._desk.changes.writing("replay", now) as writing:
                file = writing.current(CaseFile, case_id)
                assert file is not None
                cleared = tuple(
                    Cleared(account_id=name, up_to=Action.VERIFY, until_us=None, by="replay", reason="verified itself")
                    for name in sorted(accounts)
                )
                file = msgspec.structs.replace(file, cleared=(*file.cleared, *cleared))
                writing.put(case_id, file, "cleared")
                self._desk.enforce(writing, file, seen[case_id][1] if case_id in seen else [])
        self._obey(now)

    def _obey(self, now: int) -> None:
        self._standing = self._desk.verdicts.every_in_force(now)
        self._verdicts = {name: some[0] for name, some in self._standing.items()}

    def _accounts(self, now: int) -> pa.Table | None:
        """The accounts table as it stands: nobody is closed yet who is closed later."""
        if self._world.accounts is None:
            return None
        table = pa.concat_tables([self._world.accounts, *self._fresh])
        at = table.schema.get_field_index("closed_at")
        closed = table["closed_at"].cast(pa.int64())
        known = pc.if_else(pc.fill_null(pc.less(closed, now), False), closed, None).cast(TIME)
        return table.set_column(at, table.schema.field(at), known)

    def _limit(self) -> int:
        if self._setting.account_a_day is not None:
            return self._setting.account_a_day
        innocent = self._world.log.filter(pc.invert(pa.array(self._world.purpose)))
        day = pa.array(np.asarray(innocent["started_at"].cast(pa.int64())) // DAY)
        counts = pa.table({"account": innocent["account_id"], "day": day, "one": day}).group_by(["account", "day"])
        most = counts.aggregate([("one", "count")]).group_by("account").aggregate([("one_count", "max")])
        return int(np.ceil(np.quantile(np.asarray(most["one_count_max"]), USUAL)))

    def _judged(self) -> Outcome:
        told, spec = self._outcome, self._world.spec
        told.answered, told.refused = self._requests.answered, self._requests.refused
        told.touched = len(self._touched - self._guilty)
        if spec is not None:
            bought = sum(len(wave.accounts) for wave in told.waves[1:])
            days = (self._last - self._first) / DAY
            told.bill = cost(spec, days, exchanges=told.answered, replacements=bought)
        return told


def _credential(account: str) -> Credential:
    return Credential(
        credential_id="replayed", account_id=account, organization_id=None, account_status="active", label="",
        issued_at=0, revoked_at=None,
    )  # fmt: skip


def _quietly(_step: str, _share: float) -> None:
    return None
