"""The claim ledger: what the project's founding essay says, what sources say of it, and where it is used.

What the essay said stays as it is. An override replaces what the evidence says, and every figure that rests on it moves
(`tiergate.catalog.claim_figures`).
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from functools import cache
from importlib.resources import as_file, files
from types import MappingProxyType
from typing import Final

import msgspec

from tiergate.catalog.cited import Cited, read_facts
from tiergate.errors import InputError

FILE: Final = "claims.toml"
MOST: Final = 1e15
LEAST: Final = 1e-9
"""The greatest figure that an override may be, and the least but 0."""


class Status(StrEnum):
    """What sources make of a claim."""

    CORROBORATED = "corroborated"
    DISPUTED = "disputed"
    REFUTED = "refuted"
    UNCORROBORATED = "uncorroborated"


def short(value: float) -> str:
    """A figure for people: `0.003`, `666.7`, `20,833`, `16M`, `1.5B`."""
    for size, letter in ((1e12, "T"), (1e9, "B"), (1e6, "M")):
        if abs(value) >= size:
            return f"{value / size:.4g}{letter}"
    return f"{value:,.0f}" if abs(value) >= 1_000 else f"{value:.4g}"


class Range(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A figure that is not exactly known: ``low`` <= ``mode`` <= ``high``; without ``mode``, none in it is the best."""

    low: float
    high: float
    mode: float | None = None

    def __post_init__(self) -> None:
        if not self.low <= (self.low if self.mode is None else self.mode) <= self.high or self.low > self.high:
            raise ValueError("low, mode and high must not fall: " + ", ".join(f"{one:g}" for one in self.parts))

    @property
    def parts(self) -> tuple[float, ...]:
        """Low, mode if there is one, and high."""
        return tuple(one for one in (self.low, self.mode, self.high) if one is not None)

    def __str__(self) -> str:
        ends = f"{short(self.low)} to {short(self.high)}"
        if self.mode is None:
            return ends
        return short(self.mode) if self.low == self.high else f"{short(self.mode)} ({ends})"


class Claim(Cited, frozen=True, kw_only=True):
    """One claim. ``claimed``: the essay's figure; ``evidence``: that of the sources, in the same ``unit``; ``finding``:
    what is known; ``alleged_by``: whose word it rests on, where it is a party's own; ``used_by``: commands."""

    id: str
    topic: str
    says: str
    status: Status
    finding: str
    unit: str = ""
    claimed: Range | None = None
    evidence: Range | None = None
    alleged_by: str = ""
    used_by: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        super().__post_init__()
        if (self.claimed or self.evidence) and not self.unit:
            raise ValueError(f"the figures of `{self.id}` need a unit")
        if self.unit and not (self.claimed or self.evidence):
            raise ValueError(f"`{self.id}` has a unit and no figure")


class ClaimsFile(msgspec.Struct, forbid_unknown_fields=True):
    """The file of claims."""

    claim: list[Claim]


@dataclass(frozen=True)
class Ledger:
    """Claims by id. ``overridden``: ids whose evidence or status the user set."""

    claims: Mapping[str, Claim]
    overridden: frozenset[str] = field(default_factory=frozenset)

    def find(self, id: str) -> Claim:  # noqa: A002, it is called so
        """Raises `InputError`, which names similar ones, for an id that is not there."""
        found = self.claims.get(id)
        if found is None:
            near = difflib.get_close_matches(id, self.claims, n=3, cutoff=0.4)
            hint = (
                f"did you mean {' or '.join(f'`{one}`' for one in near)}?" if near else "see `tiergate catalog claims`"
            )
            raise InputError(f"there is no claim `{id}`: {hint}")
        return found

    def with_overrides(self, given: Iterable[str]) -> Ledger:
        """The ledger with overrides as typed: ``extraction_cost=120000``, ``open_lag=3,5,9`` (low, mode and high) or
        ``not_for_sale=refuted``.

        Raises `InputError` for what is no override, an unknown claim, or two overrides of one claim.
        """
        changed: dict[str, Claim] = {}
        for text in given:
            name, equals, value = (part.strip() for part in text.partition("="))
            if not equals or not value:
                raise InputError(f"`{text}` sets nothing: write claim=value, such as extraction_cost=120000")
            if name in changed:
                raise InputError(f"`{name}` is set twice: leave one of them out")
            changed[name] = _override(self.find(name), value)
        return Ledger(MappingProxyType({**self.claims, **changed}), self.overridden | set(changed))


def _override(claim: Claim, value: str) -> Claim:
    if value in list(Status):
        return msgspec.structs.replace(claim, status=Status(value))
    if not claim.unit:
        raise InputError(f"`{claim.id}` has no figure: set it to one of {', '.join(Status)}, not to `{value}`")
    try:
        parts = [float(part) for part in value.split(",")]
        low, mode, high = parts if len(parts) == 3 else parts * 3
        evidence = Range(low, high, mode)
    except ValueError as error:
        said = str(error) if "must not fall" in str(error) else f"`{value}` is no figure"
        raise InputError(f"`{claim.id}`: {said}; write 5 or low,mode,high, in {claim.unit}") from None
    # A lead in points may be one of the others; of dollars, times or months there are none below 0.
    least = -MOST if "points" in claim.unit else 0.0
    if not all(least <= part <= MOST and (part == 0 or abs(part) >= LEAST) for part in (low, mode, high)):
        raise InputError(
            f"`{claim.id}`: `{value}` cannot be; write 5 or low,mode,high, in {claim.unit}, from {least:g} to {MOST:g}"
        )
    return msgspec.structs.replace(claim, evidence=evidence)


@cache
def load_claims() -> Ledger:
    """The claims that come with Tiergate."""
    with as_file(files("tiergate.catalog") / "facts" / FILE) as path:
        rows = read_facts(path, ClaimsFile).claim
    return Ledger(MappingProxyType({row.id: row for row in rows}))
