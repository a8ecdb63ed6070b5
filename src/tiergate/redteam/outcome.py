"""What came of a world that was played again."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from enum import StrEnum

from tiergate.clock import HOUR
from tiergate.redteam.successors import Fresh
from tiergate.simulation.evasion import Bill


class Control(StrEnum):
    """What stands between the campaign and the answers; `people`: response, with people who answer its proposals."""

    NONE = "none"
    ACCOUNT_LIMIT = "account_limit"
    RESPONSE = "response"
    PEOPLE = "people"
    ALL = "all"


@dataclass(slots=True)
class Wave:
    """Accounts of a campaign that were planned to begin together, and when half of them were under a step:
    microseconds."""

    accounts: frozenset[str]
    began_us: int
    stopped_us: int | None = None

    @property
    def stopped_after_h(self) -> float | None:
        """Hours that it lasted, None for one that was not stopped."""
        return None if self.stopped_us is None else max(0.0, (self.stopped_us - self.began_us) / HOUR)


@dataclass(slots=True)
class Outcome:
    """What came of it. Exchanges of the campaign: ``planned`` and ``answered``. Those of others: ``asked`` in all, and
    ``refused`` by reason; ``touched``: honest accounts that a step reached. Hours from the campaign's first exchange:
    ``case_h`` to its first case, ``step_h`` to the first step that touched it. ``waves``: its accounts as planned;
    ``fresh``: those that went on for them; ``step_ups``: those that passed a check. ``looks``: by what they needed (see
    `lookout`). ``bill``: what the campaign paid; None where the plan is not known. ``complete``: it was played to its
    end, else ``until`` that share of its time."""

    control: Control
    planned: int
    asked: int
    answered: int = 0
    refused: Counter[str] = field(default_factory=Counter)
    touched: int = 0
    case_h: float | None = None
    step_h: float | None = None
    looks: Counter[str] = field(default_factory=Counter)
    waves: list[Wave] = field(default_factory=list)
    fresh: list[Fresh] = field(default_factory=list)
    step_ups: int = 0
    bill: Bill | None = None
    complete: bool = False
    until: float = 0.0

    @property
    def out(self) -> float | None:
        """Share of the planned exchanges that was answered; None where nothing was planned."""
        return self.answered / self.planned if self.planned else None
