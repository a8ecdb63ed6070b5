"""What an attack costs at its cheapest against each control, and how many times the undefended attack that is."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from tiergate.redteam.attack import KNOBS, Attack, Space
from tiergate.redteam.background import Background, Setting
from tiergate.redteam.journal import Journal, fingerprint
from tiergate.redteam.search import FAILED, Advance, search
from tiergate.redteam.trial import CHECKING, DETECTING, LIMITING, Control, Trial, allowed, run_trial
from tiergate.simulation.evasion import LEVELS

F64 = npt.NDArray[np.float64]
_Best = tuple[F64, float, dict[str, float], int]

CAMPAIGN_SHARE: Final = 3
"""At most one account of the attack for so many honest ones: beyond that the world is no longer the honest one."""
CHEAPEST_FIRST: Final = (
    Control.WITHOUT_DETECTION,
    Control.RATE_LIMIT,
    Control.SIGNUP_CHECK,
    Control.NONE,
    Control.REVIEWED,
    Control.ALL,
    Control.DETECTION,
)
"""Order of the searches: where nothing is detected trials are quick, and what they find is where a search against
detection starts, as it is and disguised. What gets through more controls is a starting point against fewer."""
DISGUISES: Final[dict[str, dict[str, float]]] = {
    "in own words": {"filler_words": 1 / 3},
    "in own words and hours": {"filler_words": 1 / 3, "human_rhythm": 1.0},
}
QUICK_TRIALS: Final = 4
"""Times as many trials where nothing is detected: they are quick, and the undefended attack, which all others are
compared with, must be as cheap as it gets."""
ELSEWHERE: Final = 1_000
"""Added to the seed for the other world in which a best attack is tried again."""


@dataclass(frozen=True, slots=True)
class Assessment:
    """The cheapest attack found that gets ``exchanges`` out against ``control``; None where none did.

    ``usd_per_exchange``: at the mode of all prices, then at their low and high by level, re-priced but not searched for
    again; ``multiplier``: by level, over the cheapest undefended attack. ``by_phase``: what each phase of the search
    reached itself. ``trials``: attacks that its own search tried, within its budget; the same attacks tried first
    without detection, to spare it, and one taken over from another control's search are not among them. ``elsewhere``:
    share of the exchanges that the same attack gets out of a world of another seed.
    """

    control: Control
    exchanges: int
    attack: Attack | None
    trial: Trial | None
    items: dict[str, float]
    usd_per_exchange: dict[str, float]
    multiplier: dict[str, float]
    by_phase: dict[str, float]
    trials: int
    elsewhere: float | None


class Laboratory:
    """Worlds by seed and trials in them, each made once."""

    def __init__(self, setting: Setting, journal: Journal) -> None:
        self.setting, self._journal = setting, journal
        self._worlds: dict[int, Background] = {}

    def world(self, seed: int) -> Background:
        """Honest customers of that seed."""
        if seed not in self._worlds:
            self._worlds[seed] = Background.make(self.setting, seed)
        return self._worlds[seed]

    def trial(self, attack: Attack, control: Control, exchanges: int, seed: int, *, dearest: float = math.inf) -> Trial:
        """That trial; broken off (`Trial.too_dear`) when it has paid ``dearest`` US dollars an exchange."""
        facts: dict[str, Any] = {
            "attack": asdict(attack),
            "control": str(control),
            "exchanges": exchanges,
            "seed": seed,
            "setting": asdict(self.setting),
            "code": fingerprint(),
        }
        broken_off = facts | {"dearest": repr(dearest)}
        known = self._journal.get(facts) or (self._journal.get(broken_off) if dearest < math.inf else None)
        if known is None:
            made = run_trial(
                attack,
                self.world(seed),
                self.setting,
                control=control,
                exchanges=exchanges,
                seed=seed,
                dearest=dearest,
            )
            known = asdict(made)
            self._journal.put(broken_off if made.too_dear else facts, known)
        return Trial(**known)

    def allowed(self, attack: Attack, seed: int) -> int:
        """Exchanges that the rate limit lets it have at the most."""
        return allowed(attack, self.world(seed), self.setting)


@dataclass(frozen=True, slots=True)
class _CostPerExchange:
    """The objective: US dollars for each exchange that got out, where all that were wanted did."""

    laboratory: Laboratory
    space: Space
    control: Control
    seed: int

    def bound(self, point: F64, best: float) -> float:
        attack = self.space.attack(point)
        checked = self.control in CHECKING
        bill = attack.bill(self.space.exchanges, release_day=0.0, days=0.0, identity_checked=checked)
        if self.control not in DETECTING or bill.per_exchange >= best:
            return bill.per_exchange
        # What the other controls defeat by themselves, or make too dear, needs no detection.
        return self._under(attack, Control.WITHOUT_DETECTION if self.control in LIMITING else Control.NONE)

    def value(self, point: F64, best: float) -> float:
        return self._under(self.space.attack(point), self.control, best)

    def _under(self, attack: Attack, control: Control, best: float = math.inf) -> float:
        wanted = self.space.exchanges
        if control in LIMITING:
            most = self.laboratory.allowed(attack, self.seed)
            if most < wanted:
                return FAILED * (2 - most / wanted)
        trial = self.laboratory.trial(attack, control, wanted, self.seed, dearest=best)
        if trial.too_dear:
            return best
        if trial.answered < wanted:
            return FAILED * (2 - trial.answered / wanted)
        return trial.bill(attack, self.laboratory.setting, control).per_exchange


def assess(
    laboratory: Laboratory,
    *,
    exchanges: Sequence[int],
    evaluations: int,
    seed: int,
    advance: Advance,
    controls: Sequence[Control] = CHEAPEST_FIRST,
) -> list[Assessment]:
    """Search for the cheapest attack on each number of ``exchanges`` against each of ``controls`` and undefended.

    :param evaluations: trials that each search may use; `QUICK_TRIALS` times as many where nothing is detected.
    Returns assessments by exchanges, then from no control to all.
    """
    order = [one for one in CHEAPEST_FIRST if one in controls or one is Control.NONE]
    results: list[Assessment] = []
    carried: dict[str, F64] = {}
    searches = len(order) * len(exchanges)
    for number, wanted in enumerate(sorted(set(exchanges))):
        space = Space(wanted, laboratory.setting.days, laboratory.setting.accounts // CAMPAIGN_SHARE)
        found: dict[Control, _Best] = {}
        costs = {control: _CostPerExchange(laboratory, space, control, seed) for control in order}
        for place, control in enumerate(order):
            done = number * len(order) + place

            def told(
                phase: str, share: float, *, what: str = f"{wanted:,} exchanges, {control}", done: int = done
            ) -> None:
                advance(f"{what}: {phase}", (done + share) / searches)

            best = search(
                costs[control],
                space.steps,
                space.known() | carried,
                evaluations=evaluations if control in DETECTING else QUICK_TRIALS * evaluations,
                seed=seed,
                advance=told,
            )
            told("done", 1.0)
            if best.solved:
                carried[f"against {control}"] = best.point
            if best.solved and control in LIMITING and control not in DETECTING:
                carried |= {
                    f"against {control}, {name}": _turned(best.point, knobs) for name, knobs in DISGUISES.items()
                }
            found[control] = best.point, best.value, dict(best.by_phase), best.trials
        _share(found, costs)
        results += _assessments(laboratory, space, found, seed)
    return results


def _turned(point: F64, knobs: dict[str, float]) -> F64:
    moved = point.copy()
    for name, share in knobs.items():
        moved[KNOBS.index(name)] = share
    return moved


def _share(found: dict[Control, _Best], costs: Mapping[Control, _CostPerExchange]) -> None:
    """Where an attack on more controls is the cheapest on fewer as well, it is theirs too: no control alone is to look
    stronger than all together only because its search was lazy."""
    for control, (_, value, by_phase, trials) in list(found.items()):
        for other, (point, reached, _, _) in list(found.items()):
            past_it = control not in DETECTING or other in DETECTING
            if past_it and other is not control and reached < FAILED and costs[control].bound(point, value) < value:
                here = costs[control].value(point, value)
                if here < value:
                    value = here
                    found[control] = point, here, by_phase, trials


def _assessments(laboratory: Laboratory, space: Space, found: dict[Control, _Best], seed: int) -> list[Assessment]:
    free: dict[str, float] = {}
    made = []
    for control in (one for one in Control if one in found):
        point, value, by_phase, trials = found[control]
        if value >= FAILED:
            made.append(Assessment(control, space.exchanges, None, None, {}, {}, {}, by_phase, trials, None))
            continue
        attack = space.attack(point)
        trial = laboratory.trial(attack, control, space.exchanges, seed)
        bills = {level: trial.bill(attack, laboratory.setting, control, level) for level in LEVELS}
        cost: dict[str, float] = {level: bill.per_exchange for level, bill in bills.items()}
        free = free or cost
        again = laboratory.trial(attack, control, space.exchanges, seed + ELSEWHERE)
        made.append(
            Assessment(
                control,
                space.exchanges,
                attack,
                trial,
                dict(bills["mode"].items),
                cost,
                {level: usd / free[level] for level, usd in cost.items()},
                by_phase,
                trials,
                again.answered / space.exchanges,
            )
        )
    return made
