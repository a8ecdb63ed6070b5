"""Trials written down as they end, so that an interrupted search goes on where it was."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from functools import cache
from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Any, Final

import msgspec

from tiergate.errors import InputError

DECIDING_ROOMS: Final = ("detection", "response", "simulation", "ledger", "redteam")
PRICES: Final = "catalog/facts/attack_prices.toml"


class Journal:
    """Results by what they are of, kept in a JSONL file that is only ever appended to; in memory where ``path`` is
    None. A last line that was cut short is ignored. Raises `InputError` when the file is something else."""

    def __init__(self, path: Path | None) -> None:
        self._path = path
        self._known: dict[str, dict[str, Any]] = {}
        self.reused = self.added = 0
        if path is None:
            return
        path.parent.mkdir(parents=True, exist_ok=True)
        lines = path.read_bytes().split(b"\n") if path.exists() else [b""]
        for number, line in enumerate(lines[:-1], 1):
            try:
                row = msgspec.json.decode(line)
                self._known[row["key"]] = row["result"]
            except (msgspec.DecodeError, KeyError, TypeError):
                raise InputError(
                    f"`{path}` line {number} is no trial: give another folder, or take the file away"
                ) from None
        if lines[-1]:
            with path.open("r+b") as file:
                file.truncate(sum(len(line) + 1 for line in lines[:-1]))

    def get(self, facts: Mapping[str, Any]) -> dict[str, Any] | None:
        """The result of the trial that ``facts`` describe, if it was made before."""
        found = self._known.get(_key(facts))
        self.reused += found is not None
        return found

    def put(self, facts: Mapping[str, Any], result: dict[str, Any]) -> None:
        """Write down a result."""
        key = _key(facts)
        self._known[key] = result
        self.added += 1
        if self._path is not None:
            with self._path.open("ab") as file:
                file.write(msgspec.json.encode({"key": key, **facts, "result": result}) + b"\n")


@cache
def fingerprint() -> str:
    """Hash of the code and prices that a trial's result depends on: a changed detector has no old results."""
    digest = hashlib.blake2b(digest_size=8)
    for room in DECIDING_ROOMS:
        for path in sorted(_files(files("tiergate") / room), key=lambda one: str(one)):
            digest.update(path.read_bytes())
    digest.update((files("tiergate") / PRICES).read_bytes())
    return digest.hexdigest()


def _files(folder: Traversable) -> list[Traversable]:
    return [one for one in folder.iterdir() if one.is_file() and one.name.endswith((".py", ".toml"))]


def _key(facts: Mapping[str, Any]) -> str:
    return hashlib.blake2b(json.dumps(facts, sort_keys=True).encode(), digest_size=12).hexdigest()
