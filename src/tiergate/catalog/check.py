"""Whether every row of a file of facts has its day, source and licence, and may be shipped.

Works on any file of facts, TOML or CSV. In TOML a row is a table with values of its own; a row within a row need not
say again what the outer one says. Files of a kind that is known here are also read as that kind.
"""

from __future__ import annotations

import csv
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import msgspec

from tiergate.catalog.access_programmes import AccessProgrammesFile
from tiergate.catalog.allegations import AllegationsFile
from tiergate.catalog.cited import Cited, read_facts
from tiergate.catalog.claims import ClaimsFile
from tiergate.catalog.models import ModelsFile
from tiergate.catalog.origin_rules import OriginRulesFile
from tiergate.catalog.providers import ProvidersFile
from tiergate.errors import InputError

KINDS: Final[Mapping[str, type[msgspec.Struct]]] = {
    "model": ModelsFile,
    "allegation": AllegationsFile,
    "provider": ProvidersFile,
    "claim": ClaimsFile,
    "origin_rule": OriginRulesFile,
    "access_programme": AccessProgrammesFile,
}
"""Kind of a file by the name of its rows."""
_CITATION: Final = tuple(field.name for field in msgspec.structs.fields(Cited))


@dataclass(frozen=True, slots=True)
class Checked:
    """``rows`` looked at, and what is wrong, a sentence each."""

    rows: int
    faults: tuple[str, ...]


def check_file(path: Path) -> Checked:
    """Look at every row. Raises `InputError` when ``path`` is no file, or neither TOML nor CSV."""
    try:
        if path.suffix == ".csv":
            with path.open(encoding="utf-8", newline="") as lines:
                rows = [(f"line {number}", row) for number, row in enumerate(csv.DictReader(lines), 2)]
            kind = None
        elif path.suffix == ".toml":
            document = tomllib.loads(path.read_text(encoding="utf-8"))
            rows = list(_rows(document, "", {}))
            kind = next((KINDS[name] for name in document if name in KINDS), None)
        else:
            raise InputError(f"`{path}` is no file of facts: give one that ends in .toml or .csv")
    except FileNotFoundError:
        raise InputError(f"there is no file `{path}`") from None
    except (tomllib.TOMLDecodeError, csv.Error, UnicodeDecodeError) as error:
        raise InputError(f"`{path}` cannot be read: {error}") from error
    if not rows:
        raise InputError(f"`{path}` has no rows")
    faults = [f"{where}: {fault}" for where, row in rows if (fault := _fault(row))]
    if kind is not None and not faults:
        try:
            read_facts(path, kind)
        except InputError as error:
            faults.append(str(error))
    return Checked(len(rows), tuple(faults))


def _rows(table: Mapping[str, Any], where: str, outer: Mapping[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Rows of a TOML table and of those within it; a table of nothing but tables is only a heading."""
    inner = {name: value for name, value in table.items() if _tables(value)}
    own = {name: value for name, value in table.items() if name not in inner}
    cited = {**outer, **{name: own[name] for name in _CITATION if name in own}}
    # What a row contains by name, such as a range, belongs to the row; below a heading each name is a row.
    if own:
        yield where or "top", {**cited, **own}
    for name, value in inner.items():
        if isinstance(value, list):
            for number, one in enumerate(value, 1):
                called = one.get("id", one.get("name", number))
                yield from _rows(one, f"{where}{'.' if where else ''}{name} {called}", cited)
        elif not own:
            yield from _rows(value, f"{where}{'.' if where else ''}{name}", cited)


def _tables(value: object) -> bool:
    if isinstance(value, list):
        return bool(value) and all(isinstance(one, dict) for one in value)
    return isinstance(value, dict)


def _fault(row: Mapping[str, Any]) -> str | None:
    try:
        msgspec.convert({name: row[name] for name in _CITATION if row.get(name) not in (None, "")}, Cited)
    except msgspec.ValidationError as error:
        return str(error)
    return None
