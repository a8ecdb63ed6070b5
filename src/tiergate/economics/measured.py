"""What the red team measured of a deployment's controls, read from what `tiergate redteam` writes."""

from __future__ import annotations

import datetime as dt
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from tiergate.catalog.cited import Amount
from tiergate.errors import InputError

FILE = "redteam.json"


class _Assessment(msgspec.Struct):
    control: str
    exchanges: int
    attack: dict[str, Any] | None
    trial: dict[str, Any] | None
    multiplier: dict[str, float | None]


class _Setting(msgspec.Struct):
    accounts: int


class _File(msgspec.Struct):
    tiergate: str
    simulated: bool
    setting: _Setting
    honest_accounts_above_them: float
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
    trial, attack = one.trial or {}, (one.attack or {}).get("spec", {})
    figures = sorted(value for value in one.multiplier.values() if value is not None)
    multiplier = None
    if one.attack is not None and len(figures) == 3:
        mode = one.multiplier["mode"] or figures[1]
        multiplier = Amount(
            as_of=day,
            source=source,
            licence="own",
            low=max(figures[0], 1.0),
            mode=max(mode, 1.0),
            high=max(figures[2], 1.0),
            unit="times the undefended cost",
        )
    accounts = float(attack.get("accounts") or 1)
    answered = float(trial.get("replacements") or 0) + float(trial.get("step_ups") or 0)
    honest = float(trial.get("honest") or 0) / read.setting.accounts
    if one.control not in ("none", "signup_check", "detection"):
        honest += read.honest_accounts_above_them
    return Measured(
        one.control, one.exchanges, multiplier, trial.get("answered_on"), min(answered / accounts, 1.0), honest
    )
