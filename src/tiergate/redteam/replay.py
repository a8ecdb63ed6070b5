"""A recorded world played again through detection and response, on a simulated clock.

Requests come as they were recorded. Those of an account under a verdict are answered or refused as the gateway would;
what is refused is not in the log that detection sees next. Detection and response are those of `tiergate watch`: the
real detector writes an answer at each look (`lookout`), and the real desk turns it into case files and verdicts, as the
policy permits, and where people take part as they agree (`reviewers`).

The campaign reacts (`successors`), where the world says which exchanges are its own. An honest account that is asked to
verify itself does so after some hours.

A real watch looks every few minutes. Looking less often, as here, finds later: leakage is overstated.
"""

from __future__ import annotations

import heapq
import tempfile
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from itertools import count
from pathlib import Path
from typing import Final

import msgspec
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from tiergate.admission.decision import admit
from tiergate.clock import DAY, HOUR
from tiergate.database import open_database
from tiergate.detection.run import Parameters
from tiergate.gateway.limits import CaseBudgets
from tiergate.ledger.verdicts import Action, Carried, Verdict, applying
from tiergate.parties.registry import Credential
from tiergate.records.schema import TIME
from tiergate.redteam.lookout import Asked, Lookout
from tiergate.redteam.outcome import Control, Outcome, Wave
from tiergate.redteam.recorded import Recorded
from tiergate.redteam.requests import Requests
from tiergate.redteam.reviewers import agree, office_hours_later
from tiergate.redteam.successors import DEALT_US, Means, Successors
from tiergate.response.case_files import CaseFile, Cleared
from tiergate.response.desk import CaseDesk
from tiergate.response.ladder import Policy
from tiergate.response.looks import Look
from tiergate.response.worklist import Worklist
from tiergate.simulation.evasion import cost
from tiergate.simulation.world import START_US

Progress = Callable[[str, float], None]
ACCOUNT_LIMIT: Final = "account_limit"
CLOSE_H: Final = (0.5, 1.0, 1.5, 2.0, 3.0, 4.0, 6.0, 8.0, 12.0, 18.0)
"""Hours after the first exchange of a planned pool, and after a verdict's end, at which is looked too."""

ENDED_US: Final = 5 * 60 * 1_000_000
"""How soon after the end of a verdict that nothing renewed is looked, as a watch that looks every few minutes does."""

LIMITING: Final = frozenset({Control.ACCOUNT_LIMIT, Control.ALL})
REVIEWING: Final = frozenset({Control.PEOPLE, Control.ALL})
RESPONDING: Final = REVIEWING | {Control.RESPONSE}


@dataclass(frozen=True, slots=True)
class Setting:
    """How it is played. Hours between looks, with more looks ``close_h`` hours after each planned pool of the campaign
    begins, and `ENDED_US` and ``close_h`` after a verdict's end; until an honest account has verified itself; office
    hours until people answer a proposal. ``means``: of the campaign. ``account_a_day``: exchanges that one account may
    ask where accounts are limited; None for what is usual (`Recorded.usual_most`)."""

    every_h: float = 12.0
    close_h: tuple[float, ...] = CLOSE_H
    verified_after_h: float = 24.0
    people_after_h: float = 4.0
    means: Means = field(default_factory=Means)
    account_a_day: int | None = None
    decoys: int | None = None
    seed: int = 1


class Replay:
    """One world under one control, played once. ``answers``: a folder that keeps the answers of looks, which others of
    the same world take up; None for none."""

    def __init__(
        self,
        world: Recorded,
        setting: Setting,
        policy: Policy,
        control: Control,
        progress: Progress,
        answers: Path | None = None,
    ) -> None:
        self._world, self._setting, self._policy, self._control = world, setting, policy, control
        self._progress, self._answers = progress, answers
        self._requests = Requests(world)
        self._begin, self._end = int(world.times[0]), int(world.times[-1]) + 1
        self._now = self._looked = self._begin
        own = world.times[world.purpose]
        self._first, self._last = (int(own[0]), int(own[-1])) if len(own) else (self._begin, self._end)
        # A campaign may be named with nothing of it in the log.
        reacts = world.spec is not None and len(own) > 0
        self._successors = Successors(world, self._requests, setting.means, setting.seed) if reacts else None
        self._dealing = False
        self._ends: set[int] = set()
        self._checking: set[tuple[str, str]] = set()
        self._proposed: set[tuple[str, Action]] = set()
        self._touched: set[str] = set()
        self._verdicts: dict[str, Verdict] = {}
        self._standing: dict[str, tuple[Verdict, ...]] = {}
        self._budgets = CaseBudgets()
        self._asked_on: Counter[tuple[str, int]] = Counter()
        self._events: list[tuple[int, int, Callable[[int], None]]] = []
        self._number = count()
        self._outcome = Outcome(control, int(world.purpose.sum()), int(world.others.sum()), waves=self._planned())

    @property
    def outcome(self) -> Outcome:
        """What has come of it so far."""
        told, spec = self._outcome, self._world.spec
        told.answered, told.refused = self._requests.answered, self._requests.refused
        told.touched = len(self._touched - self._guilty)
        told.until = (self._now - self._begin) / (self._end - self._begin)
        bought = 0
        if self._successors is not None:
            told.fresh, bought = list(self._successors.at_work.values()), self._successors.bought
        if spec is not None:
            days = (self._last - self._first) / DAY
            told.bill = cost(spec, days, exchanges=told.answered, replacements=bought, step_ups=told.step_ups)
        return told

    def run(self) -> Outcome:
        """Play it to its end."""
        limit = (self._setting.account_a_day or self._world.usual_most) if self._control in LIMITING else None
        with tempfile.TemporaryDirectory() as scratch:
            engine = open_database(Path(scratch) / "control.sqlite")
            try:
                self._desk = CaseDesk(engine, self._policy)
                self._worklist = Worklist(self._desk, Path(scratch))
                parameters = Parameters(decoys=self._setting.decoys, seed=self._setting.seed)
                answers = self._answers or Path(scratch) / "answers"
                self._lookout = Lookout(self._world, parameters, self._desk, answers, Path(scratch))
                self._outcome.looks = self._lookout.looks
                if self._control in RESPONDING:
                    self._plan_looks()
                while self._events:
                    at, _, act = heapq.heappop(self._events)
                    self._ask(at, limit)
                    act(at)
                self._ask(self._end, limit)
            finally:
                engine.dispose()
        self._outcome.complete = True
        return self.outcome

    @property
    def _guilty(self) -> frozenset[str]:
        fresh = self._successors.at_work if self._successors is not None else {}
        return self._world.campaign | fresh.keys()

    def _plan_looks(self) -> None:
        every = int(self._setting.every_h * HOUR)
        for at in range(self._begin + every, self._end, every):
            self._at(at, self._look)
        for wave in self._outcome.waves or [Wave(frozenset(), self._first)]:
            for hours in self._setting.close_h:
                self._at(wave.began_us + int(hours * HOUR), self._look)

    def _planned(self) -> list[Wave]:
        """The pools of the campaign as it was planned: the first, and the one after a ban."""
        spec = self._world.spec
        if not self._world.campaign or spec is None or spec.banned_on_day is None or spec.replaced_after_h is None:
            return [Wave(self._world.campaign, self._first)] if self._world.campaign else []
        after = START_US + int((spec.banned_on_day + spec.replaced_after_h / 24) * DAY)
        own = pc.and_(pa.array(self._world.purpose), pc.less(pa.array(self._world.times), after))
        early = frozenset(pc.unique(self._world.log.filter(own)["account_id"]).to_pylist())
        pools = (Wave(early, self._first), Wave(self._world.campaign - early, after))
        return [one for one in pools if one.accounts]

    def _at(self, at: int, act: Callable[[int], None]) -> None:
        if at < self._end:
            # The number keeps those of one moment in order, and what is done from being compared.
            heapq.heappush(self._events, (at, next(self._number), act))

    def _ask(self, until: int, limit: int | None) -> None:
        gated = None if limit is not None else self._verdicts
        self._requests.ask(self._now, until, gated, partial(self._gate, limit))
        self._now = until

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
        asked = Asked(now, self._requests.digest, self._requests.recorded, partial(self._accounts, now))
        answer = self._lookout.look(asked)
        if answer is not None:
            members = set(pq.read_table(answer / "case_accounts.parquet", columns=["account_id"])[0].to_pylist())
            if self._outcome.case_h is None and members & self._guilty:
                self._outcome.case_h = (now - self._first) / HOUR
            self._checked(answer, now)
            self._reviewed(now)
        self._met(now)
        told = self.outcome
        out = "" if told.out is None else f", {told.out:.2%} out"
        self._progress(f"{self._control}, day {(now - self._begin) / DAY:.1f}{out}", told.until)

    def _met(self, now: int) -> None:
        """What the verdicts that stand from ``now`` on set in motion."""
        over = {name for name, one in self._verdicts.items() if one.expires_at is not None and one.expires_at <= now}
        self._standing = self._desk.verdicts.every_in_force(now)
        self._verdicts = {name: some[0] for name, some in self._standing.items()}
        if over - self._verdicts.keys():
            for hours in (0.0, *self._setting.close_h):
                self._at(now + ENDED_US + int(hours * HOUR), self._look)
        ends = {one.expires_at for one in self._verdicts.values() if one.expires_at is not None} - self._ends
        self._ends |= ends
        for at in sorted(ends):
            self._at(at, self._met)
        under = self._under
        self._touched |= under
        stopped = under & self._guilty
        if self._outcome.step_h is None and stopped:
            self._outcome.step_h = (now - self._first) / HOUR
        for wave in self._outcome.waves:
            if wave.stopped_us is None and 2 * len(wave.accounts & under) >= len(wave.accounts):
                wave.stopped_us = now
        if self._successors is not None:
            for name in under & self._successors.at_work.keys():
                one = self._successors.at_work[name]
                one.stopped_us = one.stopped_us or now
            if stopped and not self._dealing and self._successors.a_day > 0:
                self._dealing = True
                self._at(now + int(self._setting.means.after_h * HOUR), self._deal)

    def _deal(self, now: int) -> None:
        assert self._successors is not None
        # A step that is over by now holds nobody.
        self._met(now)
        if self._successors.deal(now, self._under):
            self._at(now + DEALT_US, self._deal)

    @property
    def _under(self) -> set[str]:
        return {name for name, one in self._verdicts.items() if one.action is not Action.WATCH}

    def _reviewed(self, now: int) -> None:
        """Proposals come before people."""
        if self._control not in REVIEWING:
            return
        for file in self._worklist.every():
            if file.proposal is not None and (file.case_id, file.proposal.action) not in self._proposed:
                self._proposed.add((file.case_id, file.proposal.action))
                later = office_hours_later(now, self._setting.people_after_h)
                self._at(later, partial(self._agreed, file.case_id, file.proposal.action))

    def _agreed(self, case_id: str, action: Action, now: int) -> None:
        agree(self._worklist, case_id, action, now)
        self._proposed.discard((case_id, action))
        self._met(now)

    def _checked(self, answer: Path, now: int) -> None:
        """Who is asked to verify itself does so, for each case anew; an account of the campaign where it can."""
        standing = self._desk.verdicts.in_force(now)
        asked = {(name, one.case_id) for name, one in standing.items() if one.action is Action.VERIFY} - self._checking
        if not self._setting.means.verifies:
            asked = {pair for pair in asked if pair[0] not in self._guilty}
        self._checking |= asked
        if asked:
            names = {name for name, _ in asked}
            self._at(now + int(self._setting.verified_after_h * HOUR), partial(self._verified, names, answer))

    def _verified(self, accounts: set[str], answer: Path, now: int) -> None:
        """Accounts have verified themselves, in every case that asked."""
        self._outcome.step_ups += len(accounts & self._guilty)
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
        self._met(now)

    def _accounts(self, now: int) -> pa.Table | None:
        """The accounts table as it stands: nobody is closed yet who is closed later."""
        if self._world.accounts is None:
            return None
        fresh = [] if self._successors is None else self._successors.tables
        table = pa.concat_tables([self._world.accounts, *fresh])
        at = table.schema.get_field_index("closed_at")
        closed = table["closed_at"].cast(pa.int64())
        known = pc.if_else(pc.fill_null(pc.less(closed, now), False), closed, None).cast(TIME)
        return table.set_column(at, table.schema.field(at), known)


def _credential(account: str) -> Credential:
    return Credential(
        credential_id="replayed", account_id=account, organization_id=None, account_status="active", label="",
        issued_at=0, revoked_at=None,
    )  # fmt: skip
