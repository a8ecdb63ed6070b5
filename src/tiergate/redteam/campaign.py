"""A running attack: whose requests are answered while accounts are limited, asked to verify, closed and replaced."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from tiergate.clock import DAY, HOUR
from tiergate.ledger.verdicts import Action
from tiergate.records.schema import TIME
from tiergate.redteam.attack import Attack
from tiergate.redteam.background import Limits, Pool, Setting, at_us, created_us, pool, times_us


@dataclass(frozen=True, slots=True)
class Caps:
    """What the gateway lets through in a day: exchanges of one account, None for any number; of one limited case."""

    account: Limits | None
    case: float


@dataclass(slots=True)
class _Account:
    """``created_us``: when it signed up; ``verified``: it passed a check on demand, which is asked for once (one at
    sign-up does not spare it that); ``case``: the limited case whose budget it shares; ``asked``: requests by day, for
    the account's own cap."""

    created_us: int = 0
    verified: bool = False
    gone: bool = False
    replaced: bool = False
    closed_us: int | None = None
    case: str | None = None
    asked: Counter[int] = field(default_factory=Counter)


class RunningCampaign:
    """The state of one attack that is to get ``wanted`` exchanges out. Times are microseconds since the epoch.

    Requests that the gateway refuses are lost and not recorded; an attacker plans a reserve for that.
    """

    def __init__(self, attack: Attack, setting: Setting, seed: int, wanted: int, caps: Caps) -> None:
        self._attack, self._setting, self._seed, self._caps = attack, setting, seed, caps
        self._wanted = wanted
        self.answered = self.replacements = self.step_ups = 0
        self.last_us = self._now = at_us(setting, 0)
        self._pools: list[Pool] = []
        self._accounts: list[_Account] = []
        self._index: dict[str, int] = {}
        self._time = self._owner = np.empty(0, np.int64)
        self._purpose = self._recorded = np.empty(0, bool)
        self._tokens: dict[str, tuple[float, int]] = {}
        self._start(attack.spec.accounts, attack.spec.exchanges_per_account, 0.0, attack.days)

    @property
    def done(self) -> bool:
        """It has what it came for."""
        return self.answered >= self._wanted

    @property
    def names(self) -> set[str]:
        """Ids of all accounts that it ever had."""
        return set(self._index)

    def advance(self, until_us: int) -> None:
        """Ask everything planned before ``until_us``, in order of time; stop when done."""
        some = np.flatnonzero((self._time >= self._now) & (self._time < until_us) & (not self.done))
        for row in some[np.argsort(self._time[some], kind="stable")].tolist():
            account, at = self._accounts[self._owner[row]], int(self._time[row])
            purpose = bool(self._purpose[row])
            if not self._passes(account, at, purpose):
                continue
            self._recorded[row] = True
            if purpose:
                self.answered, self.last_us = self.answered + 1, at
                if self.done:
                    break
        self._now = until_us

    def answer(self, names: Sequence[str], case_id: str, action: Action) -> int:
        """Put a case's verdict on those of ``names`` that are the attack's; returns how many are."""
        mine = [self._accounts[self._index[name]] for name in names if name in self._index]
        for account in mine:
            if account.gone:
                continue
            if action is Action.SUSPEND:
                account.gone, account.closed_us = True, self._now
            elif action is Action.LIMIT:
                account.case = case_id
            elif action is Action.VERIFY and not account.verified:
                account.verified = self._attack.steps_up
                account.gone = not account.verified
                self.step_ups += account.verified
        return len(mine)

    def react(self) -> None:
        """Where the attacker replaces accounts: buy one for each that was closed or limited since, and move the work
        that it had left to the new pool, at the pace of the plan."""
        lost = np.array([(one.gone or one.case is not None) and not one.replaced for one in self._accounts])
        moved = int((self._ahead() & self._purpose & lost[self._owner]).sum())
        hours = self._attack.spec.replaced_after_h
        start = (self._now - at_us(self._setting, 0)) / DAY + (hours or 0) / 24
        room = self._setting.days - start
        if hours is None or not moved or room < HOUR / DAY:
            return
        for at in np.flatnonzero(lost).tolist():
            self._accounts[at].gone = self._accounts[at].replaced = True
        planned = self._attack.spec.accounts * self._attack.spec.exchanges_per_account
        days = min(room, max(self._attack.days * moved / planned, HOUR / DAY))
        count = min(int(lost.sum()), moved)
        self.replacements += count
        self._start(count, moved / count, start, days)

    def reach(self) -> float:
        """Exchanges that it has at the end at most, whatever happens from here on."""
        open_ = np.array([not one.gone for one in self._accounts])
        limited = np.array([one.case is not None for one in self._accounts])
        left = self._ahead() & self._purpose & open_[self._owner]
        if not left.any():
            return float(self.answered)
        # Work of a limited account that will be replaced is not lost.
        shared = left & limited[self._owner] & (self._attack.spec.replaced_after_h is None)
        cases = {one.case for one in self._accounts if one.case is not None and not one.gone}
        days = (int(self._time[left].max()) - self._now) / DAY
        return float(self.answered + (left & ~shared).sum() + min(shared.sum(), len(cases) * self._caps.case * days))

    def recorded(self) -> list[pa.Table]:
        """Its rows of the exchange log so far."""
        ends = np.cumsum([len(one.owner) for one in self._pools])
        parts = np.split(self._recorded, ends[:-1])
        return [one.log.filter(pa.array(part)) for one, part in zip(self._pools, parts, strict=True)]

    def accounts(self) -> list[pa.Table]:
        """Its rows of the accounts table, with when each was closed."""
        tables, first = [], 0
        for table in (one.accounts for one in self._pools):
            own = self._accounts[first : first + table.num_rows]
            first += len(own)
            closed = pa.array([one.closed_us for one in own], pa.int64()).cast(TIME)
            at = table.schema.get_field_index("closed_at")
            tables.append(table.set_column(at, table.schema.field(at), closed))
        return tables

    def _start(self, accounts: int, each: float, start: float, days: float) -> None:
        spec = replace(self._attack.spec, accounts=accounts, exchanges_per_account=each)
        one = pool(spec, self._setting, self._seed, len(self._pools), start, days)
        self._time = np.concatenate([self._time, times_us(one.exchanges)])
        self._owner = np.concatenate([self._owner, one.owner + len(self._accounts)])
        self._purpose = np.concatenate([self._purpose, one.purpose])
        self._recorded = np.concatenate([self._recorded, np.zeros(len(one.owner), bool)])
        signed_up = created_us(one.accounts).tolist()
        for name, created in zip(one.accounts["account_id"].to_pylist(), signed_up, strict=True):
            self._index[name] = len(self._accounts)
            self._accounts.append(_Account(created))
        self._pools.append(one)

    def _ahead(self) -> npt.NDArray[np.bool_]:
        return self._time >= self._now

    def _passes(self, account: _Account, at: int, purpose: bool) -> bool:
        """Whether the gateway serves it now. Under a case's budget the attacker drops its camouflage."""
        if account.gone or (account.case is not None and not purpose):
            return False
        limits = self._caps.account
        if limits is not None:
            day = at // DAY
            # Tiers are told by the age at midnight, as days are what is counted.
            young = day * DAY - account.created_us < limits.newcomer_days * DAY
            if account.asked[day] >= (limits.newcomer if young else limits.account):
                return False
            account.asked[day] += 1
        return account.case is None or self._spend(account.case, at)

    def _spend(self, case_id: str, at: int) -> bool:
        """One request from the case's budget, if there is one. The budget begins empty and what is not used is kept:
        an attacker paces its requests to it."""
        tokens, then = self._tokens.get(case_id, (0.0, self._now))
        tokens += (at - then) / DAY * self._caps.case
        self._tokens[case_id] = (tokens - (tokens >= 1), at)
        return tokens >= 1
