"""What each step against a case would do, before anybody takes it: whom it touches, and how much of that is innocent.

Exchanges are counted in the log that the newest look read: those that are charged to the case, and all others of the
accounts that a step reaches. These others are innocent as far as anybody knows, and are the price of the step. Where a
step reaches an account's marked requests alone, how many others carry a mark is the share that `case_marks` states,
added up over the marks: the most that it can be.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import msgspec

from tiergate.clock import DAY
from tiergate.ledger.verdicts import Action
from tiergate.response.case_files import CaseFile, Found
from tiergate.response.desk import lapsed, reached_whole, touched_by
from tiergate.response.holdings import sources_of
from tiergate.response.ladder import LADDER, Policy
from tiergate.response.looks import Member
from tiergate.response.people import needed_for
from tiergate.response.worklist import Worklist

MINUTES_A_DAY = 24 * 60


class Effect(msgspec.Struct, frozen=True, kw_only=True):
    """What a step comes to. ``whole``: accounts all of whose requests it reaches; ``part``: those of which it reaches
    requests with a mark of the case; ``left``: members that it does not reach, since they are cleared, not sure enough,
    or nothing tells the case's requests from their others.

    ``charged`` and ``innocent``: exchanges of the log that it would have touched; ``a_day`` and ``innocent_a_day`` the
    same for each of the ``days`` of the log, None where that is not known. ``let_through_a_day``: requests that one
    budget leaves to all accounts together, None where the step has none. ``needed``: people who must agree.
    """

    action: Action
    whole: int
    part: int
    left: int
    charged: int
    innocent: int
    days: float | None
    a_day: float | None
    innocent_a_day: float | None
    let_through_a_day: float | None
    needed: int


def effects(
    file: CaseFile,
    members: Sequence[Member],
    policy: Policy,
    now_us: int,
    *,
    shares: Iterable[float] = (),
    span_us: int | None = None,
) -> list[Effect]:
    """The effect of every step but `watch`, mildest first.

    :param shares: `other_share` of each mark of the case: the part of its accounts' other exchanges that carry it.
    :param span_us: how long the log is, microseconds; None where that is not known.
    """
    marked = min(1.0, sum(shares))
    return [
        _effect(action, file, members, policy, now_us, marked, span_us)
        for action in LADDER
        if action is not Action.WATCH
    ]


def case_effects(
    worklist: Worklist, case_id: str, now_us: int, held: tuple[Found, list[Member]] | None = None
) -> list[Effect]:
    """What each step against a case would do now. Raises `InputError` for an unknown case, and where the look that it
    rests on is gone. ``held``: what the worklist holds of it, where that is known."""
    found, members = worklist.held(case_id) if held is None else held
    files = worklist.index.files()
    file = lapsed(files[case_id], now_us)
    cases = worklist.answers.cases_of(found.digest, sources_of(files, case_id))
    shares = [row["other_share"] for row in worklist.answers.rows(found.digest, "case_marks", cases)]
    span_us = worklist.span_us(found.digest)
    return effects(file, members, worklist.desk.policy, now_us, shares=shares, span_us=span_us)


def _effect(
    action: Action,
    file: CaseFile,
    members: Sequence[Member],
    policy: Policy,
    now_us: int,
    marked: float,
    span_us: int | None,
) -> Effect:
    sure = touched_by(file.stepped(action), members, now_us)
    whole = [one for one in sure if reached_whole(one, policy)]
    part = [one for one in sure if one.marks and not reached_whole(one, policy)]
    others = {one.account_id: max(0, (one.observed or one.charged) - one.charged) for one in sure}
    innocent = sum(others[one.account_id] for one in whole) + marked * sum(others[one.account_id] for one in part)
    charged = sum(one.charged for one in [*whole, *part])
    days = None if span_us is None else max(span_us / DAY, 1 / 24)
    budget = policy.requests_per_minute * MINUTES_A_DAY
    return Effect(
        action=action,
        whole=len(whole),
        part=len(part),
        left=len(members) - len(whole) - len(part),
        charged=charged,
        innocent=round(innocent),
        days=days,
        a_day=None if days is None else (charged + innocent) / days,
        innocent_a_day=None if days is None else innocent / days,
        let_through_a_day=budget if action in (Action.LIMIT, Action.SUMMARISE) else None,
        needed=needed_for(policy, action),
    )
