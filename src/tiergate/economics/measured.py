"""What the red team measured of a deployment's controls, read from what `tiergate redteam` writes."""

from __future__ import annotations

import datetime as dt
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import msgspec

from tiergate.catalog.cited import Amount
from tiergate.economics.priors import MOST
from tiergate.errors import InputError

FILE = "redteam.json"


Count = Annotated[int, msgspec.Meta(ge=1)]
Times = Annotated[float, msgspec.Meta(ge=0, le=MOST)]


class _Spec(msgspec.Struct):
    accounts: Count


class _Attack(msgspec.Struct):
    spec: _Spec


class _Trial(msgspec.Struct):
    replacements: Times = 0
    step_ups: Times = 0
    honest: Times = 0
    answered_on: Times | None = None


class _Multiplier(msgspec.Struct):
    low: Times | None = None
    mode: Times | None = None
    high: Times | None = None


class _Assessment(msgspec.Struct):
    control: str
    exchanges: Count
    attack: _Attack | None
    trial: _Trial | None
    multiplier: _Multiplier


class _Setting(msgspec.Struct):
    accounts: Count


class _File(msgspec.Struct):
    tiergate: str
    simulated: bool
    setting: _Setting
    honest_accounts_above_them: Annotated[float, msgspec.Meta(ge=0, le=1)]
    assessments: list[_Assessment]


@dataclass(frozen=True, slots=True)
class Measured:
    """Of one control, against the cheapest attack that got past it, simulated.

    ``multiplier``: times the cost of the cheapest undefended attack, an upper bound as a cleverer attacker pays less;
    None where no attack got past it. ``delay``: days to the first verdict on one of its accounts, None where there was
    none; ``recall``: share of its accounts that were answered; ``honest``: share of honest accounts under a verdict or
    above the limit. ``exchanges``: that it was measured for.
    """

    control: str
    exchanges: int
    multiplier: Amount | None
    delay: float | None
    recall: float
    honest: float


def read_measured(path: Path, exchanges: float) -> Mapping[str, Measured]:
    """The controls by name, of the run nearest to ``exchanges``, from ``path``, a redteam.json or its folder.

    Raises `InputError` when it is not one.
    """
    file = path / FILE if path.is_dir() else path
    try:
        read = msgspec.json.decode(file.read_bytes(), type=_File)
    except FileNotFoundError:
        raise InputError(f"there is no `{file}`: `tiergate redteam --out DIR` writes one") from None
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise InputError(f"`{file}` is not what `tiergate redteam` writes: {error}") from error
    if not read.assessments:
        raise InputError(f"`{file}` holds no assessment: run `tiergate redteam` to its end")
    sizes = {one.exchanges for one in read.assessments}
    nearest = min(sizes, key=lambda size: abs(math.log(size / exchanges)))
    modified = dt.datetime.fromtimestamp(file.stat().st_mtime, dt.UTC).date()
    return {
        one.control: _measured(one, read, f"{file}, `tiergate redteam` {read.tiergate}, simulated", modified)
        for one in read.assessments
        if one.exchanges == nearest
    }


def _measured(one: _Assessment, read: _File, source: str, day: dt.date) -> Measured:
    trial = one.trial or _Trial()
    times = one.multiplier
    multiplier = None
    if one.attack is not None and times.low is not None and times.mode is not None and times.high is not None:
        # The cheapest attacks at low, mode and high prices are several, so that their multipliers need not rise.
        figures = sorted((times.low, times.mode, times.high))
        multiplier = Amount(
            as_of=day,
            source=source,
            licence="own",
            low=max(figures[0], 1.0),
            mode=max(times.mode, 1.0),
            high=max(figures[2], 1.0),
            unit="times the undefended cost",
        )
    accounts = one.attack.spec.accounts if one.attack else 1
    honest = trial.honest / read.setting.accounts
    if one.control not in ("none", "signup_check", "detection"):
        honest += read.honest_accounts_above_them
    recall = min((trial.replacements + trial.step_ups) / accounts, 1.0)
    return Measured(one.control, one.exchanges, multiplier, trial.answered_on, recall, honest)
