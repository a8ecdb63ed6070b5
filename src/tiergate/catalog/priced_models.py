"""Models with a score and a price: which ids of price maps are which model of Epoch's capability index.

A table of ours, `facts/priced_models.csv`: an id counts where the model's own developer sells it. An id that was handed
from one model to the next, such as `deepseek/deepseek-v4-flash`, is the newer one's from its release on.
"""

from __future__ import annotations

import csv
import datetime as dt
import difflib
from collections.abc import Iterable, Mapping
from functools import cache
from importlib.resources import files
from types import MappingProxyType
from typing import Final

import msgspec

from tiergate.catalog.cited import Cited
from tiergate.catalog.scores import Vintage, without_version
from tiergate.errors import InputError

FILE: Final = "priced_models.csv"


class PricedModel(Cited, frozen=True, kw_only=True):
    """A model with its points of the Epoch Capabilities Index, and the ids under which its developer prices it."""

    model: str
    developer: str
    released: dt.date
    eci: float
    ids: tuple[str, ...]


@cache
def priced_models() -> tuple[PricedModel, ...]:
    """All of them, by release."""
    text = (files("tiergate.catalog") / "facts" / FILE).read_text(encoding="utf-8")
    return tuple(
        msgspec.convert({**row, "ids": tuple(row["ids"].split()), "eci": float(row["eci"])}, PricedModel)
        for row in csv.DictReader(text.splitlines())
    )


def scored_by(vintage: Vintage, models: Iterable[PricedModel]) -> tuple[PricedModel, ...]:
    """Those of ``models`` that a vintage has by the same name, with its scores: of several efforts, the best one's.

    Raises `InputError` for a vintage that has none of them."""
    efforts: dict[str, float] = {}
    for one in vintage.scores:
        name = _plain(without_version(one.model))
        efforts[name] = max(one.score, efforts.get(name, one.score))
    scores = efforts | {_plain(one.model): one.score for one in vintage.scores}
    found = tuple(
        msgspec.structs.replace(one, eci=scores[name], source=vintage.source, licence=vintage.licence)
        for one in models
        if (name := _plain(one.model)) in scores
    )
    if not found:
        raise InputError(f"vintage `{vintage.name}` has no model by a name that prices are on file for")
    return found


def find_priced(name: str) -> PricedModel:
    """A model by its name, or one of its ids. Raises `InputError`, which names similar ones."""
    known = _by_name()
    found = known.get(_plain(name))
    if found is None:
        near = difflib.get_close_matches(_plain(name), known, n=3, cutoff=0.5)
        meant = " or ".join(dict.fromkeys(f"`{known[one].model}`" for one in near))
        hint = f"did you mean {meant}?" if near else "see `tiergate catalog prices`"
        raise InputError(f"no price is on file for a model `{name}`: {hint}")
    return found


@cache
def _by_name() -> Mapping[str, PricedModel]:
    rows = priced_models()
    return MappingProxyType({_plain(name): row for row in rows for name in (*row.ids, row.model)})


def _plain(name: str) -> str:
    """Names without case and punctuation: `GPT-5.6 Luna` and `gpt-5.6-luna` are one."""
    return "".join(sign for sign in name.casefold() if sign.isalnum() or sign == ".")
