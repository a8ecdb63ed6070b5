"""Scores and list prices of one model of the catalog, found by its names.

Indices list a model by version, such as `GPT-4o (Nov 2024)`: every version of a name counts. Price maps list it by ids
of APIs, with the provider before them.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable
from dataclasses import dataclass

from tiergate.catalog.models import Catalog, Model
from tiergate.catalog.price_events import bare
from tiergate.catalog.priced_models import priced_models
from tiergate.catalog.prices import ListPrice, Prices
from tiergate.catalog.scores import Vintage, without_version


@dataclass(frozen=True, slots=True)
class ModelScore:
    """Points of ECI of one ``version`` in one ``vintage``, with its 90% interval where one was published."""

    version: str
    eci: float
    low: float | None
    high: float | None
    vintage: str
    source: str
    licence: str


def scores_of(catalog: Catalog, model: Model, vintages: Iterable[Vintage]) -> list[ModelScore]:
    """Every score of ``model``: by vintage in the order given, then by version, the best first."""
    return [
        ModelScore(one.model, one.score, one.low, one.high, vintage.name, vintage.source, vintage.licence)
        for vintage in vintages
        for one in sorted(vintage.scores, key=lambda one: -one.score)
        if _is(catalog, model, one.model)
    ]


def prices_of(catalog: Catalog, model: Model, prices: Prices, day: dt.date) -> list[ListPrice]:
    """The list price on ``day`` of every id that ``model`` is sold by; ids that are no longer listed are left out."""
    ids = {name for one in priced_models() if _is(catalog, model, one.model) for name in one.ids}
    ids |= {name for name in prices.by_id if catalog.named(bare(name)) is model}
    found = (prices.in_force(name, day) for name in sorted(ids) if model.released <= day)
    return [one for one in found if one is not None and one.input is not None]


def _is(catalog: Catalog, model: Model, name: str) -> bool:
    return model in (catalog.named(name), catalog.named(without_version(name)))
