"""Which tier a model belongs to: `models.toml` in the data folder.

::

    [models."classified-1"]
    tier = "classified"
    programme = "consortium"            # required of the classified tier, as the next two are: [] says "none"
    organisation_packs = ["ofac_50"]
    person_packs = ["ear_person"]
    retention_needed = "sketches"        # zero (the default), sketches or text
    input_price = 15_000_000             # micro-dollars for a million tokens; the default
    output_price = 75_000_000

    [models."frontier-small"]
    tier = "commodity"
    input_price = 800_000                # where any row states its prices, each must
    output_price = 4_000_000

Without the file, or where no row asks anything and no active pack binds one, no tiers are told apart. Where one does, a
name that is not listed is refused: it may be another name for a model that is.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

import msgspec

from tiergate.admission.known_facts import TIER_RANK, ModelFact
from tiergate.errors import InputError

FILE: Final = "models.toml"
LONGEST_NAME: Final = 256
_CLASSIFIED_NEEDS: Final = ("programme", "organisation_packs", "person_packs")


class _File(msgspec.Struct, forbid_unknown_fields=True):
    models: dict[str, dict[str, Any]] = {}


class Models:
    """The models of a deployment by name. ``offers``: what a refusal may point to, preferred ones first. ``asking``:
    names of those that ask anything of a caller; where there are none, no tiers are told apart."""

    def __init__(self, models: dict[str, ModelFact]) -> None:
        self.by_name = models
        lower = [model for model in models.values() if model.tier != "classified"]
        self.offers = tuple(sorted(lower, key=lambda model: -TIER_RANK[model.tier]))
        self.asking = frozenset(name for name, model in models.items() if _asks(model))
        self.tiers_in_force = bool(self.asking)


def tiers_said(models: Models) -> str:
    """Which tiers are in force, in a line for whoever runs the gateway."""
    if not models.tiers_in_force:
        return "no tiers are in force: all models are alike"
    tiers = [model.tier for model in models.by_name.values()]
    counts = [f"{tiers.count(tier)} {tier}" for tier in TIER_RANK if tier in tiers]
    return f"tiers in force, by number of models: {', '.join(counts)}; no other model is served"


def read_models(path: Path) -> Models:
    """Read `models.toml`. Raises `InputError` when it is there and is not what it should be."""
    try:
        text = path.read_bytes()
    except FileNotFoundError:
        return Models({})
    except OSError as error:
        raise InputError(f"cannot read `{path}`: {error.strerror}") from error
    try:
        rows = msgspec.toml.decode(text, type=_File).models
        return Models({name: _model(name, row) for name, row in rows.items()})
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise InputError(f"`{path}` does not say which models there are: {error}") from error


def _asks(model: ModelFact) -> bool:
    packs = model.organisation_packs or model.person_packs
    return model.tier == "classified" or bool(packs) or model.retention_needed != "zero"


def _model(name: str, row: dict[str, Any]) -> ModelFact:
    fact = msgspec.convert({"model": name} | row, ModelFact)
    if not (name.isascii() and name.isprintable() and 0 < len(name) <= LONGEST_NAME):
        raise msgspec.ValidationError(
            f"the model `{name}` needs a name of 1 to {LONGEST_NAME} printable ASCII characters"
        )
    unknown = row.keys() - (set(ModelFact.__struct_fields__) - {"model"})
    if unknown:
        raise msgspec.ValidationError(f"the model `{name}` has no field `{min(unknown)}`")
    absent = [field for field in _CLASSIFIED_NEEDS if fact.tier == "classified" and field not in row]
    if absent:
        raise msgspec.ValidationError(f"the classified model `{name}` must state `{absent[0]}`")
    return fact


def fingerprint(path: Path) -> int | None:
    """A number that changes with the file: a counter for `tiergate.admission.epochs`. None when it is not there."""
    try:
        status = path.stat()
    except FileNotFoundError:
        return None
    return hash((status.st_mtime_ns, status.st_size, status.st_ino))
