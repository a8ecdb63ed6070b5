"""Figures that follow from claims by arithmetic, as claimed and as evidenced: what moves when a claim is overridden.

A quotient of two ranges runs from the least by the greatest to the greatest by the least: the widest that they allow.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, Literal

from tiergate.catalog.claims import Claim, Ledger, Range
from tiergate.errors import InputError

Layer = Literal["claimed", "evidence"]


@dataclass(frozen=True, slots=True)
class Figure:
    """A figure in ``unit`` from the claims ``of``; None where one of them has no value in a layer."""

    id: str
    means: str
    unit: str
    of: tuple[str, ...]
    claimed: Range | None
    evidence: Range | None


def figures(ledger: Ledger) -> list[Figure]:
    """All of them. Raises `InputError` where an override would divide by nothing."""
    return [
        Figure(id, means, unit, of, *(_value(ledger, layer, of, formula) for layer in ("claimed", "evidence")))
        for id, means, unit, of, formula in _FORMULAS  # noqa: A001
    ]


def moved(before: Ledger, after: Ledger) -> list[tuple[Figure, Figure]]:
    """Figures that overrides changed: as they were, and as they are."""
    pairs = zip(figures(before), figures(after), strict=True)
    return [(old, new) for old, new in pairs if old.evidence != new.evidence]


def of_layer(claim: Claim, layer: Layer) -> Range | None:
    """The claim's figure of a layer."""
    return claim.claimed if layer == "claimed" else claim.evidence


def _value(ledger: Ledger, layer: str, of: tuple[str, ...], formula: Callable[..., Range]) -> Range | None:
    values = [of_layer(ledger.find(name), "claimed" if layer == "claimed" else "evidence") for name in of]
    return None if None in values else formula(*values)


def _quotient(over: Range, under: Range) -> Range:
    if under.low <= 0:
        raise InputError("what is divided by must be more than 0: set its claim to a figure above 0")
    return Range(over.low / under.high, over.high / under.low, _best(lambda a, b: a / b, over, under))


def _percent_of(share: Range, whole: Range) -> Range:
    return Range(
        share.low * whole.low / 100, share.high * whole.high / 100, _best(lambda a, b: a * b / 100, share, whole)
    )


def _tokens(usd: Range, exchanges: Range) -> Range:
    each = _quotient(usd, exchanges)
    return Range(each.low / OUTPUT_USD, each.high / OUTPUT_USD, None if each.mode is None else each.mode / OUTPUT_USD)


def _best(formula: Callable[..., float], *values: Range) -> float | None:
    """The figure of the best figures, where each has one."""
    modes = [one.mode for one in values if one.mode is not None]
    return formula(*modes) if len(modes) == len(values) else None


OUTPUT_USD: Final = 15 / 1e6
"""US dollars for a token of answer at 15 for a million, the list price of a middle model (Claude Sonnet)."""

_Formula = tuple[str, str, str, tuple[str, ...], Callable[..., Range]]
_FORMULAS: Final[tuple[_Formula, ...]] = (
    ("usd_per_exchange", "what an exchange cost", "USD", ("extraction_cost", "campaign_exchanges"), _quotient),
    ("usd_per_account", "what an account cost", "USD", ("extraction_cost", "campaign_accounts"), _quotient),
    ("exchanges_per_account", "what an account was asked", "exchanges", ("campaign_exchanges", "campaign_accounts"),
     _quotient),
    ("tokens_per_exchange", "tokens of answer that an exchange's cost buys at 15 dollars a million, its question free",
     "tokens", ("extraction_cost", "campaign_exchanges"), _tokens),
    ("training_to_extraction", "training by extraction", "times", ("training_cost", "extraction_cost"), _quotient),
    ("student_budget", "the claimed share of the cost of training, in money", "USD", ("cost_share", "training_cost"),
     _percent_of),
)  # fmt: skip
