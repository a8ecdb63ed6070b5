"""The policy of response: which evidence permits which step by itself, and which needs people.

A policy is a file, `response.toml` in the data folder, else ours. A step is permitted when the case reaches all that
the step asks for and detection recommends no less. Of the permitted steps the strictest that needs no approval is taken
at once; the strictest of all, if that is another, is proposed and waits for as many different people as it says.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

import msgspec

from tiergate.clock import HOUR
from tiergate.errors import InputError
from tiergate.ledger.verdicts import Action

FILE: Final = "response.toml"
MOST_APPROVALS: Final = 5
LEAST_FOR_SUSPENSION: Final = 2
"""Nobody is shut out by one person alone, or by a program."""
LADDER: Final = tuple(Action)
"""Steps, mildest first."""


class Step(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A step and what a case must reach for it: ``confidence`` at least and ``q_value`` at most, both from 0 to 1,
    ``value_usd`` at least; ``approvals``: people who must agree, 0 for none."""

    action: Action
    confidence: float = 0.0
    q_value: float = 1.0
    value_usd: float = 0.0
    approvals: int = 0


class SharedSignals(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What peers' findings may do by themselves: `verify` and never more, where ``verify`` permits it.

    ``lab``: our domain; ``labs``: the corroboration that a finding needs; ``most_accounts``: a finding that touches
    more of ours waits for people; ``epoch_keys``: folder of keys, relative to the data folder.
    """

    verify: bool = False
    lab: str | None = None
    labs: int = 2
    most_accounts: int = 100
    epoch_keys: str = "epochs"


class Policy(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What is done about a case. See `response.toml` for what each field means."""

    steps: tuple[Step, ...]
    expires_after_hours: float = 168.0
    requests_per_minute: float = 0.1
    verify_first: bool = True
    whole_account_from: float = 0.5
    heir_expires_after_hours: float = 72.0
    due_hours: float = 72.0
    appeal_days: int = 5
    outcomes_needed: int = 20
    sharing: SharedSignals = SharedSignals()

    @property
    def expires_after_us(self) -> int:
        """How long a step lasts that nobody renews, in microseconds."""
        return int(self.expires_after_hours * HOUR)

    @property
    def heir_expires_after_us(self) -> int:
        """How long a step lasts that was inherited and that no look renews, in microseconds; no longer than others."""
        return int(min(self.heir_expires_after_hours, self.expires_after_hours) * HOUR)

    def approvals(self, action: Action) -> int:
        """People who must agree to a step by hand: what the policy says, two where it does not list the step."""
        if action is Action.WATCH:
            return 0
        return next((step.approvals for step in self.steps if step.action is action), LEAST_FOR_SUSPENSION)


class Permitted(msgspec.Struct, frozen=True):
    """The step that a case permits by itself, and a stricter one that people may take, None where there is none.
    ``inherited``: by what it permits the step, where that is because another case was stopped; ``why``: people are
    asked, where it is not by the figures."""

    alone: Action
    proposed: Action | None = None
    inherited: str | None = None
    why: str | None = None


def permitted(
    policy: Policy, *, confidence: float, q_value: float, value_usd: float | None, recommended: Action
) -> Permitted:
    """What a case with these figures permits. ``value_usd``: None where it is not known, which reaches no bound."""
    carries = Action.SUMMARISE if recommended is Action.LIMIT else recommended
    reached = [
        step
        for step in policy.steps
        if confidence >= step.confidence
        and q_value <= step.q_value
        and (step.value_usd <= 0 or (value_usd is not None and value_usd >= step.value_usd))
        and LADDER.index(step.action) <= LADDER.index(carries)
    ]
    alone = max((step.action for step in reached if not step.approvals), key=LADDER.index, default=Action.WATCH)
    most = max((step.action for step in reached), key=LADDER.index, default=Action.WATCH)
    return Permitted(alone, most if LADDER.index(most) > LADDER.index(alone) else None)


def load_policy(path: Path | None = None) -> Policy:
    """Read a policy; ours where ``path`` is None or not there. Raises `InputError` for a file that is not one."""
    where = path if path is not None and path.exists() else Path(__file__).with_name(FILE)
    try:
        policy = msgspec.toml.decode(where.read_bytes(), type=Policy)
    except OSError as error:
        raise InputError(f"cannot read `{where}`: {error.strerror}") from error
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise InputError(f"`{where}` is no policy of response: {error}") from error
    fault = _fault(policy)
    if fault is not None:
        raise InputError(f"`{where}`: {fault}")
    return policy


def _fault(policy: Policy) -> str | None:
    actions = [step.action for step in policy.steps]
    if len(set(actions)) < len(actions):
        return f"the step `{next(one for one in actions if actions.count(one) > 1)}` is there twice"
    if actions != sorted(actions, key=LADDER.index):
        return f"steps go from mild to strict: {', '.join(sorted(actions, key=LADDER.index))}"
    for step in policy.steps:
        if not (0 <= step.confidence <= 1 and 0 <= step.q_value <= 1):
            return f"`{step.action}`: `confidence` and `q_value` go from 0 to 1"
        if not 0 <= step.approvals <= MOST_APPROVALS:
            return f"`{step.action}`: `approvals` goes from 0 to {MOST_APPROVALS}"
        if step.action is Action.SUSPEND and step.approvals < LEAST_FOR_SUSPENSION:
            return f"`suspend`: `approvals` is {LEAST_FOR_SUSPENSION} at least, nobody is shut out by one person alone"
    if not 1 <= policy.expires_after_hours <= 24 * 365:
        return "`expires_after_hours` goes from 1 to 8760: a step that never ends outlives its reason"
    if not 1 <= policy.heir_expires_after_hours <= 24 * 365:
        return "`heir_expires_after_hours` goes from 1 to 8760: a step that never ends outlives its reason"
    if not 0 < policy.requests_per_minute <= 1e6:
        return "`requests_per_minute` goes from above 0 to a million"
    if not 0 <= policy.whole_account_from <= 1:
        return "`whole_account_from` goes from 0 to 1"
    if not 1 <= policy.due_hours <= 24 * 365:
        return "`due_hours` goes from 1 to 8760"
    if not 1 <= policy.appeal_days <= 365:
        return "`appeal_days` goes from 1 to 365"
    if policy.outcomes_needed < 0:
        return "`outcomes_needed` is 0 or more; with 0 outcomes change nothing"
    if policy.sharing.verify and policy.sharing.lab is None:
        return "`sharing`: `verify` needs `lab`, your domain as peers know it"
    if policy.sharing.labs < 1 or policy.sharing.most_accounts < 1:
        return "`sharing`: `labs` and `most_accounts` are 1 at least"
    return None
