"""One attack against the running detector and its response.

At each look the real detection (`tiergate.detection.run.find_cases`) sees what the gateway has recorded by then, honest
customers and attack alike, and what its cases recommend is done at once to every account that more likely than not
belongs to one, as `tiergate.response.by_hand` does. Nobody reviews but under `Control.REVIEWED`, and no verdict expires
within the window. The attacker knows the controls, the looks and the world.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from enum import StrEnum
from math import inf
from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from tiergate.clock import DAY
from tiergate.detection.cases import ACTING_Q, SURE
from tiergate.detection.decoys import LEAST_EXPECTED
from tiergate.detection.evidence import Evidence, gather
from tiergate.detection.findings import Finding
from tiergate.detection.intake import Traffic, take_in
from tiergate.detection.run import Parameters, find_cases
from tiergate.detection.search import Outcome
from tiergate.ledger.sketches import PUBLIC_KEY
from tiergate.ledger.verdicts import Action
from tiergate.records.schema import TIME
from tiergate.redteam.attack import Attack
from tiergate.redteam.background import Background, Setting, at_us, batches
from tiergate.redteam.campaign import Caps, RunningCampaign
from tiergate.response.by_hand import LEAST_MEMBERSHIP, REQUESTS_PER_MINUTE
from tiergate.simulation.evasion import Bill, Level


class Control(StrEnum):
    """What stands against an attack: one control alone, both that need no detection, or all; ``REVIEWED``: all, and a
    person who asks the accounts of watched cases to verify themselves where `ACTING_Q` allows more than watching."""

    NONE = "none"
    RATE_LIMIT = "rate_limit"
    SIGNUP_CHECK = "signup_check"
    DETECTION = "detection"
    WITHOUT_DETECTION = "without_detection"
    ALL = "all"
    REVIEWED = "reviewed"


DETECTING: Final = frozenset({Control.DETECTION, Control.ALL, Control.REVIEWED})
CHECKING: Final = frozenset({Control.SIGNUP_CHECK, Control.WITHOUT_DETECTION, Control.ALL, Control.REVIEWED})
LIMITING: Final = frozenset({Control.RATE_LIMIT, Control.WITHOUT_DETECTION, Control.ALL, Control.REVIEWED})
_SEVERITY: Final = tuple(Action)
NEEDED: Final = -float(np.log(1 / (SURE * (1 + 2 * LEAST_EXPECTED)) - 1))
"""Nats of a finding's workload from which it can be acted on, if no decoy speaks against it."""


@dataclass(frozen=True, slots=True)
class Trial:
    """What became of an attack. ``answered`` of the exchanges wanted, the last of them after ``days``; accounts bought
    as ``replacements`` and identity checks passed on demand (``step_ups``); ``answered_on``: day of the first verdict
    that touched it, None for none; ``honest``: accounts of honest customers under a verdict; ``looks``: detections.

    ``nearest``: of the findings that hold its accounts, one a look, that which came nearest to being acted on: how many
    are its accounts (``mine``), of how many, the score, the nats of its workload after prior odds (``queue``), whether
    linked (1 or 0), the least ``queue`` that is acted on (``needed``) and the nats of each test. ``too_dear``: it was
    broken off, as it cost more than was allowed."""

    answered: int
    days: float
    replacements: int = 0
    step_ups: int = 0
    answered_on: float | None = None
    honest: int = 0
    looks: int = 0
    nearest: dict[str, float] = field(default_factory=dict)
    too_dear: bool = False

    def bill(self, attack: Attack, setting: Setting, control: Control, level: Level = "mode") -> Bill:
        """What the attacker paid for it."""
        return attack.bill(
            self.answered,
            release_day=setting.release_day,
            days=self.days,
            replacements=self.replacements,
            step_ups=self.step_ups,
            identity_checked=control in CHECKING,
            level=level,
        )


def run_trial(
    attack: Attack,
    background: Background,
    setting: Setting,
    *,
    control: Control,
    exchanges: int,
    seed: int,
    dearest: float = inf,
) -> Trial:
    """Let ``attack`` try to get ``exchanges`` out. It stops when it has them or can no longer have them, or has paid
    ``dearest`` US dollars an exchange."""
    limits = background.limits(setting)
    # The policy's budget is for platforms of full size; on one this small a limited case gets what one account may ask.
    caps = Caps(limits if control in LIMITING else None, min(REQUESTS_PER_MINUTE * 60 * 24, limits.account))
    campaign = RunningCampaign(attack, setting, seed, exchanges, caps)
    honest: set[str] = set()
    nearest: dict[str, float] = {}
    first, looks, too_dear = None, 0, False
    for look in sorted(setting.looks) if control in DETECTING else ():
        campaign.advance(at_us(setting, look))
        if campaign.done or campaign.reach() < exchanges:
            break
        looks += 1
        touched, others, near = _look(campaign, background, setting, look, seed, reviewed=control is Control.REVIEWED)
        nearest = max(nearest, near, key=lambda one: one.get("queue", -inf))
        honest |= others
        first = look if touched and first is None else first
        campaign.react()
        too_dear = touched > 0 and _least(attack, campaign, exchanges, control) >= dearest
        if too_dear:
            break
    campaign.advance(at_us(setting, setting.days) + 1)
    return Trial(
        answered=campaign.answered,
        days=max((campaign.last_us - at_us(setting, 0)) / DAY, 0.0),
        replacements=campaign.replacements,
        step_ups=campaign.step_ups,
        answered_on=first,
        honest=len(honest),
        looks=looks,
        nearest=nearest,
        too_dear=too_dear,
    )


def _least(attack: Attack, campaign: RunningCampaign, exchanges: int, control: Control) -> float:
    """US dollars an exchange that it will have paid at the least, after what it bought so far."""
    return attack.bill(
        exchanges,
        release_day=0.0,
        days=0.0,
        replacements=campaign.replacements,
        step_ups=campaign.step_ups,
        identity_checked=control in CHECKING,
    ).per_exchange


def allowed(attack: Attack, background: Background, setting: Setting) -> int:
    """Exchanges that the rate limit lets it have at the most, were all its accounts as old as its oldest and kept busy
    day and night."""
    limits = background.limits(setting)
    first = int(setting.warm_up)
    oldest = attack.spec.oldest_days - (setting.warm_up - first)
    # Calendar days, as the limit counts: the window may begin and end within one.
    days = range(int(np.ceil(setting.warm_up + attack.days)) - first)
    each = sum(limits.newcomer if oldest + day < limits.newcomer_days else limits.account for day in days)
    return attack.spec.accounts * each


def _look(
    campaign: RunningCampaign, background: Background, setting: Setting, look: float, seed: int, *, reviewed: bool
) -> tuple[int, set[str], dict[str, float]]:
    """Detect at day ``look`` and respond; returns accounts of the attack, and names of honest ones, under a verdict,
    and the finding that comes nearest to it (see `Trial`)."""
    now = at_us(setting, look)
    traffic = take_in(batches([background.until(now), *campaign.recorded()]), PUBLIC_KEY)
    accounts = pa.concat_tables([_as_of(background.accounts, now), *campaign.accounts()])
    found = _found(traffic, gather(traffic, accounts, background.releases), setting.decoys, seed, reviewed=reviewed)
    touched, honest = 0, set[str]()
    for case_id, action, names in _verdicts(found, traffic.account_ids, reviewed=reviewed):
        hit = campaign.answer(names, case_id, action)
        touched += hit
        if hit < len(names):
            honest |= set(names) - campaign.names
    return touched, honest, _nearest(found.findings, traffic.account_ids, campaign.names)


def _found(traffic: Traffic, evidence: Evidence, decoys: int | None, seed: int, *, reviewed: bool) -> Outcome:
    """What detection finds. Decoys take most of its time and can only make it less sure: where no finding could be
    acted on without any, one has to do."""
    quick = find_cases(traffic, evidence, Parameters(decoys=1, seed=seed), _quietly)
    if decoys == 1 or not any((one.linked or reviewed) and one.queue >= NEEDED for one in quick.findings):
        return quick
    return find_cases(traffic, evidence, Parameters(decoys=decoys, seed=seed), _quietly)


def _nearest(findings: list[Finding], account_ids: list[str], names: set[str]) -> dict[str, float]:
    mine = np.array([name in names for name in account_ids])
    hits = [int(mine[one.cluster.members].sum()) for one in findings]
    # As much of the attack as may be, and as little else.
    best = max(range(len(findings)), key=lambda at: hits[at] ** 2 / len(findings[at].cluster.members), default=None)
    if best is None or not hits[best]:
        return {}
    one = findings[best]
    told = {"mine": hits[best], "accounts": len(one.cluster.members), "score": one.score, "queue": one.queue}
    told |= {"linked": float(one.linked), "needed": NEEDED}
    return {name: round(float(value), 3) for name, value in told.items()} | {
        test.name: round(float(test.log_odds), 3) for test in one.statistics
    }


def _verdicts(found: Outcome, account_ids: list[str], *, reviewed: bool) -> Iterable[tuple[str, Action, list[str]]]:
    """Case, action and accounts of every case that asks for more than watching; mildest first, so that the strictest
    verdict on an account comes last and holds."""
    cases = []
    for case in found.cases:
        action = Action(case.action)
        if action is Action.WATCH and reviewed and case.q_value <= ACTING_Q:
            action = Action.VERIFY
        if action is not Action.WATCH:
            cases.append((action, case))
    for action, case in sorted(cases, key=lambda pair: _SEVERITY.index(pair[0])):
        sure = case.accounts[case.membership >= LEAST_MEMBERSHIP]
        yield case.case_id, action, [account_ids[account] for account in sure.tolist()]


def _as_of(accounts: pa.Table, now_us: int) -> pa.Table:
    """The accounts table as it stood then: no account is closed that is closed later."""
    at = accounts.schema.get_field_index("closed_at")
    closed = accounts["closed_at"].cast(pa.int64())
    known = pc.if_else(pc.fill_null(pc.less(closed, now_us), False), closed, None).cast(TIME)
    return accounts.set_column(at, accounts.schema.field(at), known)


def _quietly(_step: str, _share: float) -> None:
    return None
