"""One attack against the running detector and its response.

At each look the real detection (`tiergate.detection.run.find_cases`) sees what the gateway has recorded by then, honest
customers and attack alike, and what its cases recommend is done at once to every account that more likely than not
belongs to one, as `tiergate.response.policy` does. Nobody reviews, and no verdict expires within the window. The
attacker knows the controls, the looks and the world.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

import pyarrow as pa
import pyarrow.compute as pc

from tiergate.clock import DAY
from tiergate.detection.evidence import gather
from tiergate.detection.intake import take_in
from tiergate.detection.run import Outcome, Parameters, find_cases
from tiergate.ledger.sketches import PUBLIC_KEY
from tiergate.ledger.verdicts import Action
from tiergate.records.schema import TIME
from tiergate.redteam.attack import Attack
from tiergate.redteam.background import Background, Setting, at_us, batches
from tiergate.redteam.campaign import Caps, RunningCampaign
from tiergate.response.policy import LEAST_MEMBERSHIP, REQUESTS_PER_MINUTE
from tiergate.simulation.evasion import Bill, Level


class Control(StrEnum):
    """What stands against an attack: one control alone, both that need no detection, or all."""

    NONE = "none"
    RATE_LIMIT = "rate_limit"
    SIGNUP_CHECK = "signup_check"
    DETECTION = "detection"
    WITHOUT_DETECTION = "without_detection"
    ALL = "all"


DETECTING: Final = frozenset({Control.DETECTION, Control.ALL})
CHECKING: Final = frozenset({Control.SIGNUP_CHECK, Control.WITHOUT_DETECTION, Control.ALL})
LIMITING: Final = frozenset({Control.RATE_LIMIT, Control.WITHOUT_DETECTION, Control.ALL})
_SEVERITY: Final = tuple(Action)


@dataclass(frozen=True, slots=True)
class Trial:
    """What became of an attack. ``answered`` of the exchanges wanted, the last of them after ``days``; accounts bought
    as ``replacements`` and identity checks passed on demand (``step_ups``); ``answered_on``: day of the first verdict
    that touched it, None for none; ``honest``: accounts of honest customers under a verdict; ``looks``: detections."""

    answered: int
    days: float
    replacements: int = 0
    step_ups: int = 0
    answered_on: float | None = None
    honest: int = 0
    looks: int = 0

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
    attack: Attack, background: Background, setting: Setting, *, control: Control, exchanges: int, seed: int
) -> Trial:
    """Let ``attack`` try to get ``exchanges`` out. It stops when it has them, and detection once it cannot."""
    cap = background.cap(setting)
    # The policy's budget is for platforms of full size; on one this small a limited case gets what one account may ask.
    caps = Caps(cap if control in LIMITING else None, min(REQUESTS_PER_MINUTE * 60 * 24, cap))
    campaign = RunningCampaign(attack, setting, seed, exchanges, caps)
    honest: set[str] = set()
    first, looks = None, 0
    for look in sorted(setting.looks) if control in DETECTING else ():
        campaign.advance(at_us(setting, look))
        if campaign.done or campaign.reach() < exchanges:
            break
        looks += 1
        touched, others = _look(campaign, background, setting, look, seed)
        honest |= others
        first = look if touched and first is None else first
        campaign.react()
    campaign.advance(at_us(setting, setting.days) + 1)
    return Trial(
        answered=campaign.answered,
        days=max((campaign.last_us - at_us(setting, 0)) / DAY, 0.0),
        replacements=campaign.replacements,
        step_ups=campaign.step_ups,
        answered_on=first,
        honest=len(honest),
        looks=looks,
    )


def _look(
    campaign: RunningCampaign, background: Background, setting: Setting, look: float, seed: int
) -> tuple[int, set[str]]:
    """Detect at day ``look`` and respond; returns accounts of the attack, and names of honest ones, under a verdict."""
    now = at_us(setting, look)
    traffic = take_in(batches([background.until(now), *campaign.recorded()]), PUBLIC_KEY)
    accounts = pa.concat_tables([_as_of(background.accounts, now), *campaign.accounts()])
    evidence = gather(traffic, accounts, background.releases)
    found = find_cases(traffic, evidence, Parameters(decoys=setting.decoys, seed=seed), _quietly)
    touched, honest = 0, set[str]()
    for case_id, action, names in _verdicts(found, traffic.account_ids):
        hit = campaign.answer(names, case_id, action)
        touched += hit
        if hit < len(names):
            honest |= set(names) - campaign.names
    return touched, honest


def _verdicts(found: Outcome, account_ids: list[str]) -> Iterable[tuple[str, Action, list[str]]]:
    """Case, action and accounts of every case that asks for more than watching; mildest first, so that the strictest
    verdict on an account comes last and holds."""
    cases = [(Action(case.action), case) for case in found.cases if Action(case.action) is not Action.WATCH]
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
