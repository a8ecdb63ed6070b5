"""The cheapest list price of a capability, month by month.

A month's cell is the lowest blended price, on its last day, among models whose score reaches the threshold and that
were out by then. What is not counted:

- a price of zero: a free preview, or a price that a map could not express;
- a price that was first seen before the model came out: its id was another model's then, and nobody knows whether the
  price outlived it. Such cells are named in `Cell.caution`; ``count_earlier`` counts them after all.
"""

from __future__ import annotations

import datetime as dt
import math
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from tiergate.catalog.priced_models import PricedModel
from tiergate.catalog.prices import ListPrice, Prices, Since
from tiergate.errors import InputError

THRESHOLDS: Final = (130.0, 135.0, 140.0, 145.0, 150.0, 153.0, 156.0)
"""Points of ECI. 130 is Claude 3.5 Sonnet, 150 is GPT-5: the anchors of the scale."""
INPUT_PARTS: Final = 3.0
"""Input tokens for one of output in a blended price, as Epoch and others blend."""


@dataclass(frozen=True, slots=True)
class Cell:
    """The cheapest way to a score of ``threshold`` in a month: ``usd`` for a million tokens, blended; None: no model of
    the table reached it, or none that did had a price. ``caution``: a price that would be lower but is not counted."""

    month: dt.date
    threshold: float
    usd: float | None
    model: str | None
    price: ListPrice | None
    caution: str = ""


def blended(price: ListPrice, input_parts: float = INPUT_PARTS) -> float:
    """US dollars for a million tokens of which ``input_parts`` are sent for each one that is answered."""
    assert price.input is not None
    assert price.output is not None
    return (input_parts * price.input + price.output) / (input_parts + 1)


def cheapest(
    prices: Prices,
    models: Iterable[PricedModel],
    *,
    months: Sequence[dt.date],
    thresholds: Sequence[float] = THRESHOLDS,
    input_parts: float = INPUT_PARTS,
    without: Collection[str] = (),
    count_earlier: bool = False,
) -> list[Cell]:
    """A cell for each month, in their order, and threshold.

    :param months: last days of months.
    :param without: names of models to leave out.
    Raises `InputError` for a blend or a threshold that is none, an unknown name in ``without``, or a month before any
    price.
    """
    known = list(models)
    unknown = sorted(set(without) - {one.model for one in known})
    if unknown:
        raise InputError(f"there is no model `{unknown[0]}` to leave out: give a name as the table shows it")
    if not 0 <= input_parts < math.inf:
        raise InputError(f"{input_parts:g} parts of input are no blend: give 0 or more")
    if not all(math.isfinite(one) for one in thresholds):
        raise InputError("a threshold is a number of points of ECI, such as 150")
    if months and months[0] < prices.first_day:
        raise InputError(f"no price is on file before {prices.first_day}: give a month from then on")
    taken = [one for one in known if one.model not in without]
    cells: list[Cell] = []
    for month in months:
        offers = [offer for one in taken if one.released <= month for offer in _offers(one, prices, month, input_parts)]
        cells += [
            _cell(month, threshold, [one for one in offers if one.model.eci >= threshold], count_earlier)
            for threshold in thresholds
        ]
    return cells


@dataclass(frozen=True, slots=True)
class _Offer:
    model: PricedModel
    price: ListPrice
    usd: float
    early: bool


def _offers(model: PricedModel, prices: Prices, month: dt.date, input_parts: float) -> list[_Offer]:
    found = [prices.in_force(name, month) for name in model.ids]
    return [
        _Offer(model, price, blended(price, input_parts), _is_early(price, model.released))
        for price in found
        if price is not None and price.output
    ]


def _is_early(price: ListPrice, released: dt.date) -> bool:
    """Whether the price was there before the model. A map of a month's end cannot be early within the month."""
    if price.dated_by is Since.EFFECTIVE:
        return price.since < released
    return (price.first_seen.year, price.first_seen.month) < (released.year, released.month)


def _cell(month: dt.date, threshold: float, offers: list[_Offer], count_earlier: bool) -> Cell:
    ranked = sorted(offers, key=lambda one: (one.usd, one.model.model))
    best = next((one for one in ranked if count_earlier or not one.early), None)
    passed = next((one for one in ranked if one.early), None)
    caution = ""
    if passed is not None and (best is None or passed.usd <= best.usd):
        price = passed.price
        caution = (
            f"{'counted though' if count_earlier else 'not counted:'} {passed.model.model} at {passed.usd:.3g} is a "
            f"price of `{price.id}` from {price.since}, before the model came out on {passed.model.released}"
        )
    if best is None:
        return Cell(month, threshold, None, None, None, caution)
    return Cell(month, threshold, best.usd, best.model.model, best.price, caution)
