"""What is assumed of an attack's prices, and how an uncertain amount is drawn.

An amount is a triangle between its low and its high that peaks at its mode, on a log scale where low is above 0: three
figures say no more, and its quantiles have a closed form, so that draws and Sobol's sequences use the same function.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import cache
from importlib.resources import as_file, files
from typing import Final

import numpy as np
import numpy.typing as npt
from msgspec import structs

from tiergate.catalog.attack_prices import load_attack_prices
from tiergate.catalog.cited import Amount, read_facts
from tiergate.catalog.prices import ListPrice
from tiergate.errors import InputError

F64 = npt.NDArray[np.float64]

SHARED: Final = (
    *("phone_code", "mailbox", "payment_instrument", "identity_check", "proxy_traffic", "exchange_traffic"),
    *("input_price", "output_price", "exchange_input", "exchange_output", "account_day"),
)
"""Prices of the catalog that count here; the others price disguises, which the red team's multiplier stands for."""

DIVISORS: Final = frozenset({"campaign_days", "usual_volume", "small_worth", "middle_worth"})
"""What something is divided by, and so is `LEAST` or more."""
LEAST: Final = 1e-6
MOST: Final = 1e12
"""Beyond it no price, number or span of time means anything, and products of a few are no longer numbers."""


@cache
def load_priors() -> Mapping[str, Amount]:
    """All amounts by name: the catalog's that count here, then those of ``attack_costs.toml``."""
    with as_file(files("tiergate.economics") / "attack_costs.toml") as path:
        own = read_facts(path, dict[str, Amount])
    return {name: load_attack_prices()[name] for name in SHARED} | own


def of_models(small: ListPrice, middle: ListPrice, large: ListPrice) -> dict[str, Amount]:
    """The prices of tokens as those of three models, from the least to the greatest; the same one may be given thrice.

    Raises `InputError` for one that is no longer listed, and for prices that fall.
    """
    models = (small, middle, large)
    found = {}
    for name, field in (("input_price", "input"), ("output_price", "output")):
        amounts = [getattr(one, field) for one in models]
        gone = [one.id for one, amount in zip(models, amounts, strict=True) if amount is None]
        if gone:
            raise InputError(f"`{gone[0]}` is no longer listed that day: give an earlier one")
        if amounts != sorted(amounts):
            raise InputError(f"prices must not fall from the small to the large model: {', '.join(map(str, amounts))}")
        found[name] = Amount(
            low=amounts[0],
            mode=amounts[1],
            high=amounts[2],
            unit=load_priors()[name].unit,
            as_of=max(one.as_of for one in models),
            source="; ".join(dict.fromkeys(f"list price of {one.id}: {one.source}" for one in models)),
            licence=models[0].licence,
        )
    return found


def quantile(amount: Amount, share: F64) -> F64:
    """The amount below which lies ``share`` (0 to 1, any shape) of its probability."""
    if amount.low == amount.high:
        return np.full_like(share, amount.mode)
    logs = amount.low > 0
    low, mode, high = np.log((amount.low, amount.mode, amount.high)) if logs else (amount.low, amount.mode, amount.high)
    rising = share * (high - low) < mode - low
    drawn = np.where(
        rising,
        low + np.sqrt(share * (high - low) * (mode - low)),
        high - np.sqrt((1 - share) * (high - low) * (high - mode)),
    )
    return np.exp(drawn) if logs else drawn


def with_changes(changes: Iterable[str], known: Mapping[str, Amount] | None = None) -> dict[str, Amount]:
    """The priors with a user's own figures, each ``NAME=VALUE`` or ``NAME=LOW,MODE,HIGH``.

    Raises `InputError` for a name that there is none of, figures that fall or are no numbers, and a name given twice.
    """
    priors = dict(load_priors() if known is None else known)
    seen: set[str] = set()
    for change in changes:
        name, _, text = change.partition("=")
        if name not in priors:
            raise InputError(f"there is no price `{name}` to set: give one of {', '.join(sorted(priors))}")
        if name in seen:
            raise InputError(f"`{name}` is set twice: give one value")
        seen.add(name)
        figures = _figures(change, text)
        if name in DIVISORS and figures["low"] < LEAST:
            raise InputError(f"`{change}`: {name} is above 0, {LEAST:g} at least")
        priors[name] = structs.replace(
            priors[name], **figures, source="assumption", note="set by the user", licence="own"
        )
    return priors


def _figures(change: str, text: str) -> dict[str, float]:
    try:
        numbers = [float(part) for part in text.split(",")]
    except ValueError:
        numbers = []
    if len(numbers) == 1:
        numbers *= 3
    if len(numbers) != 3 or not all(0 <= one <= MOST for one in numbers) or sorted(numbers) != numbers:
        raise InputError(f"`{change}`: give NAME=VALUE or NAME=LOW,MODE,HIGH, of 0 to {MOST:g}, that do not fall")
    return dict(zip(("low", "mode", "high"), numbers, strict=True))
