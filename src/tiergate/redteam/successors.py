"""What a campaign does about accounts that were stopped: fresh ones go on, as many and as fast as it can make them.

Requests that were refused wait in one queue. Every hour they are dealt to fresh accounts that are under no step, no
faster than one account may ask. Fresh accounts begin one after another, at the pace at which the campaign can sign them
up, until it has as many at work as it planned. An account whose step has ended works again.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from math import ceil, inf
from typing import Final

import numpy as np
import pyarrow as pa

from tiergate.clock import DAY, HOUR
from tiergate.errors import InputError
from tiergate.redteam.recorded import Recorded, newcomers
from tiergate.redteam.requests import AHEAD, I64, Requests

DEALT_US: Final = HOUR
"""How often waiting requests are dealt."""
FEWEST_MADE: Final = 8


@dataclass(frozen=True, slots=True)
class Means:
    """What the campaign has at hand. ``fresh_a_day``: accounts that it can sign up, None for the pace at which it
    signed up those it planned, 0 where it gives up; ``after_h``: hours from the first stop until the first of them
    works; ``reserve``: accounts that work at once then, as a share of those it planned; ``pace``: what a fresh account
    asks in a day, in terms of what one asked that it planned; ``verifies``: it passes the check where an account is
    asked to verify itself, and pays for that."""

    fresh_a_day: float | None = None
    after_h: float = 24.0
    reserve: float = 0.0
    pace: float = 1.0
    verifies: bool = False

    def __post_init__(self) -> None:
        for name in ("fresh_a_day", "after_h", "reserve"):
            if not (getattr(self, name) or 0.0) >= 0:
                raise InputError(f"`{getattr(self, name)}` is less than nothing: give `{name}` 0 or more")
        if not self.pace > 0:
            raise InputError(f"a pace of `{self.pace:g}` asks nothing: give a number above 0")


@dataclass(slots=True)
class Fresh:
    """A fresh account: its first request, and the first step on it; microseconds."""

    began_us: int
    stopped_us: int | None = None

    @property
    def lasted_h(self) -> float | None:
        """Hours until it was stopped, None where it was not."""
        return None if self.stopped_us is None else (self.stopped_us - self.began_us) / HOUR


class Successors:
    """Fresh accounts of the campaign of ``world``. ``at_work``: by name, those that have asked; ``tables``: their rows
    of the accounts table."""

    def __init__(self, world: Recorded, requests: Requests, means: Means, seed: int) -> None:
        assert world.spec is not None
        self._world, self._spec, self._requests, self._means = world, world.spec, requests, means
        self._rng, self._seed = np.random.default_rng([seed, 5]), seed
        own = np.flatnonzero(world.purpose)
        self._last = int(world.times[own[-1]])
        self._each_a_day = means.pace * _pace(requests.owner[own], world.times[own])
        usual = self._spec.accounts / max(self._spec.signup_spread_days, 1.0)
        self.a_day = usual if means.fresh_a_day is None else means.fresh_a_day
        self._able = self._reserve = means.reserve * self._spec.accounts
        # By number among the requests' names: those made in advance, and since when others have been ready.
        self._waiting: list[int] = []
        self._since: dict[int, int] = {}
        self.at_work: dict[str, Fresh] = {}
        self.tables: list[pa.Table] = []

    def deal(self, now: int, under: Collection[str]) -> bool:
        """Deal what waits from ``now`` until `DEALT_US` later; returns whether there is a later.

        :param under: accounts that are under a step.
        """
        until = min(now + DEALT_US, self._last)
        if until <= now:
            return False
        self._begin(now, until, under)
        working = [number for number in self._since if self._requests.names[number] not in under]
        since = np.array([max(now, self._since[number]) for number in working], np.int64)
        may = self._each_a_day * (until - since) / DAY
        some = np.floor(may + self._rng.random(len(may))).astype(np.int64)
        rows = self._requests.waiting(int(some.sum()))
        owners, begins = np.repeat(np.array(working, np.int64), some), np.repeat(since, some)
        chosen = self._rng.permutation(len(owners))[: len(rows)]
        times = begins[chosen] + (self._rng.random(len(rows)) * (until - begins[chosen])).astype(np.int64)
        self._requests.deal(rows, owners[chosen], times)
        for at in np.argsort(times).tolist():
            self.at_work.setdefault(self._requests.names[owners[chosen[at]]], Fresh(int(times[at])))
        return until < self._last

    def _begin(self, now: int, until: int, under: Collection[str]) -> None:
        """Have fresh accounts begin until then: no more than are lacking, or have something to ask."""
        requests = self._requests
        ahead = requests.owner[requests.purpose & (requests.state == AHEAD)]
        planned = np.intersect1d(ahead, requests.owner[requests.purpose & (requests.time < until)]).tolist()
        able = {requests.names[number] for number in [*planned, *self._since]}
        lacking = min(self._spec.accounts - len(able.difference(under)), len(requests.waiting(self._spec.accounts)))
        self._able += self.a_day * (until - now) / DAY
        count = max(int(min(lacking, self._able)), 0)
        # What it does not need is not saved up, but for the reserve, which waits.
        self._able -= count
        if lacking <= count:
            self._able = min(self._able, self._reserve)
        self._reserve = min(self._reserve, self._able)
        while len(self._waiting) < count:
            self._make(now, count)
        begun, self._waiting = self._waiting[:count], self._waiting[count:]
        self._since |= dict(zip(begun, self._rng.integers(now, until, count).tolist(), strict=True))

    @property
    def bought(self) -> int:
        """Fresh accounts that were ready to ask, whether they did or not."""
        return len(self._since)

    def _make(self, now: int, count: int) -> None:
        many = max(count, FEWEST_MADE, ceil(self.a_day) if self.a_day < inf else 0)
        days = max((self._last - now) / DAY, 0.5)
        accounts, shown = newcomers(self._world, self._spec, many, now, days, self._seed * 10_000 + len(self.tables))
        first = len(self._requests.names)
        self._requests.add(shown)
        self.tables.append(accounts)
        self._waiting += range(first, first + shown.num_rows)


def _pace(owner: I64, times: I64) -> float:
    """Exchanges that an account asks in a day between its first and its last."""
    order = np.lexsort((times, owner))
    owner, times = owner[order], times[order]
    first = np.flatnonzero(np.diff(owner, prepend=-1))
    last = np.append(first[1:], len(owner)) - 1
    days = (times[last] - times[first]).sum() / DAY
    return (len(owner) - len(first)) / days if days > 0 else float(len(owner)) / len(first)
