"""The question that is forecast: on a day, how many months until the follower reaches the leader's best score?

Answers are of a later day's data; what is asked, and all that methods see, is what was out on the day. ``strict``: the
follower must reach the score. A question that the newest vintage leaves open is known to have taken longer than that,
and every score of a forecast counts it as that.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import permutations
from typing import Final

import numpy as np

from tiergate.catalog.scores import Vintage
from tiergate.economics.frontiers import Group, group
from tiergate.economics.lag import DAYS_A_MONTH

HEADLINES: Final = (("open", "closed"), ("China", "US"), ("US:open", "closed"))
"""What back-tests report. Parameters are never tuned on these."""
DEVELOPERS: Final = (
    "Alibaba", "Anthropic", "DeepSeek", "Google", "Meta", "Microsoft", "Mistral AI", "Moonshot AI", "OpenAI",
    "xAI", "Z.ai",
)  # fmt: skip
"""Parameters are tuned on questions between these: each behind each of the three that led at some time."""
LEADERS: Final = ("Anthropic", "Google", "OpenAI")


@dataclass(frozen=True)
class Asked:
    """A question on day ``on`` (an ordinal) with both frontiers as of then, and what is known of its answer.

    ``months``: until the follower reached ``score``, or, where ``reached`` is false, for how long it is known not to
    have reached it."""

    follower: str
    leader: str
    on: int
    model: str
    score: float
    behind: Group
    ahead: Group
    months: float
    reached: bool

    @property
    def leader_day(self) -> int:
        """When the leader's model came out."""
        return int(self.ahead.days[-1])

    def known_on(self, day: int) -> Asked:
        """The same question with no more of its answer than was known on ``day``."""
        waited = (day - self.on) / DAYS_A_MONTH
        return self if self.reached and self.months <= waited else replace(self, months=waited, reached=False)


def ask(behind: Group, ahead: Group, names: tuple[str, str], on: int, end: int) -> Asked | None:
    """The question on a day, answered by ``behind``, a whole frontier known until ``end``; none where the follower has
    fewer than two models on its frontier, the leader none, or the follower leads."""
    then, first = behind.until(on), ahead.until(on)
    if len(then.days) < 2 or not len(first.days) or then.scores[-1] >= first.scores[-1]:
        return None
    score = float(first.scores[-1])
    at = int(behind.first_at(np.array([score]))[0])
    reached = at < len(behind.days)
    months = ((int(behind.days[at]) if reached else end) - on) / DAYS_A_MONTH
    return Asked(*names, on, first.models[-1], score, then, first, months, reached)


def ask_often(vintage: Vintage, pairs: Iterable[tuple[str, str]], days: Sequence[int]) -> list[Asked]:
    """The questions of each pair (follower, leader) on each day, answered by the vintage."""
    frontiers: dict[str, Group] = {}
    found = []
    end = vintage.last.toordinal()
    for names in pairs:
        behind, ahead = (
            frontiers[name] if name in frontiers else frontiers.setdefault(name, group(vintage, name).frontier())
            for name in names
        )
        asked = (ask(behind, ahead, names, on, end) for on in days)
        found += [one for one in asked if one is not None]
    return found


def between_developers(vintage: Vintage) -> list[tuple[str, str]]:
    """The pairs of developers, as far as the vintage knows both, that parameters are tuned on."""
    known = {name for name in DEVELOPERS if name in vintage.developers}
    return [(one, other) for one, other in permutations(sorted(known), 2) if other in LEADERS]


def first_of_months(first: dt.date, last: dt.date, step: int = 1) -> list[int]:
    """Ordinals of the first of every ``step``-th month, before ``last``."""
    month = first.year * 12 + first.month - 1
    found = []
    while (on := dt.date(month // 12, month % 12 + 1, 1)) < last:
        found.append(on.toordinal())
        month += step
    return [one for one in found if one >= first.toordinal()]
