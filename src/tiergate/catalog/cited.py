"""Facts that say when they held, where they were published and under which licence; others are refused.

A fact is a `Cited` record; a file of facts is TOML with arrays of tables, read by `read_facts`. Single figures and
dates are facts and carry no copyright: typed in by us they have the licence ``fact``. Tables of others keep theirs,
which must let anybody use, change and pass on the data; a licence for non-commercial use only, or none, does not.
"""

from __future__ import annotations

import datetime as dt
from pathlib import Path
from typing import Final, TypeVar

import msgspec

from tiergate.errors import InputError

LICENCES: Final = frozenset({"fact", "own", "Apache-2.0", "BSD-3-Clause", "CC-BY-4.0", "CC0-1.0", "MIT"})
"""What may be shipped: SPDX identifiers, ``fact`` for single published figures, ``own`` for assumptions of ours."""


class Cited(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A fact. ``as_of``: the day it was true, or read; ``source``: an address or a citation, or ``assumption`` where
    ``note`` gives the reason; ``licence``: one of `LICENCES`."""

    as_of: dt.date
    source: str
    licence: str
    note: str = ""

    def __post_init__(self) -> None:
        if not self.source.strip():
            raise ValueError("a fact needs a source: an address or a citation")
        if self.source == "assumption" and not self.note.strip():
            raise ValueError("an assumption needs its reason in `note`")
        if self.licence not in LICENCES:
            raise ValueError(f"the licence `{self.licence}` does not let data be shipped: one of {sorted(LICENCES)}")


class Amount(Cited, frozen=True, kw_only=True):
    """A figure that is not exactly known: ``low`` <= ``mode`` <= ``high`` in ``unit``."""

    low: float
    mode: float
    high: float
    unit: str

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.low <= self.mode <= self.high:
            raise ValueError(f"low, mode and high must not fall: {self.low}, {self.mode}, {self.high}")


File = TypeVar("File")


def read_facts(path: Path, kind: type[File]) -> File:
    """A file of facts. Raises `InputError`, which names the file and the field, when it is not one."""
    try:
        return msgspec.toml.decode(path.read_bytes(), type=kind)
    except FileNotFoundError:
        raise InputError(f"there is no file `{path}`") from None
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise InputError(f"`{path.name}` is not a file of facts: {error}") from error
