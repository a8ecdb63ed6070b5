"""Claims that people of a deployment see otherwise than the sources: appended, with author, time and reason.

What the essay claims and what sources say stay as they are; an override stands beside them until it is withdrawn, and
whatever is computed from the claim moves with it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import msgspec
import sqlalchemy as sa

from tiergate.admission.changes import Change, Changes
from tiergate.catalog.claim_figures import figures
from tiergate.catalog.claims import Ledger, load_claims
from tiergate.errors import InputError, StateError

LONGEST: Final = 2_000
"""Characters of a reason."""


class ClaimOverride(msgspec.Struct, frozen=True, kw_only=True, tag="claim_override", forbid_unknown_fields=True):
    """``value``: a figure as typed (`5`, or `low,mode,high`) or a status; None once it is withdrawn."""

    claim: str
    value: str | None


@dataclass(frozen=True, slots=True)
class Override:
    """One that stands: whose it is, since when (microseconds since the epoch) and why."""

    claim: str
    value: str
    author: str
    at_us: int
    reason: str


class ClaimOverrides:
    """The overrides of a deployment. Any number of processes may share them."""

    def __init__(self, engine: sa.Engine) -> None:
        self._changes = Changes(engine)

    def standing(self) -> dict[str, Override]:
        """Those that stand, by claim. One of a claim that a newer catalog no longer has is left out."""
        known = load_claims().claims
        found = {}
        for one in self._changes.every(ClaimOverride):
            if one.value is not None and one.claim in known:
                last, _ = self.history(one.claim)[-1]
                found[one.claim] = Override(one.claim, one.value, last.author, last.at_us, last.reason)
        return found

    def ledger(self) -> Ledger:
        """The claims as this deployment has them."""
        return _with(self.standing())

    def history(self, claim: str) -> list[tuple[Change, ClaimOverride]]:
        """Every change of a claim's override, oldest first, each with what it was then."""
        changes = self._changes.history(ClaimOverride, claim)
        return [(one, msgspec.json.decode(one.state, type=ClaimOverride)) for one in changes]

    def preview(self, claim: str, value: str | None) -> Ledger:
        """The claims as they would be with an override, or with None without it. Raises `InputError` for an unknown
        claim, what is no value of it, or one with which nothing can be computed."""
        wanted = {name: one.value for name, one in self.standing().items()}
        wanted.pop(load_claims().find(claim).id, None)
        if value is not None:
            wanted[claim] = value
        after = load_claims().with_overrides(f"{name}={one}" for name, one in wanted.items())
        figures(after)
        return after

    def put(self, claim: str, value: str, *, author: str, now_us: int, reason: str) -> Override:
        """Override a claim, in place of what was said before. Raises as `preview`, and without a reason."""
        _check(reason)
        value = value.strip()
        self.preview(claim, value)
        with self._changes.writing(author, now_us) as writing:
            writing.put(claim, ClaimOverride(claim=claim, value=value), "override", reason)
        return Override(claim, value, author, now_us, reason)

    def withdraw(self, claim: str, *, author: str, now_us: int, reason: str) -> None:
        """Let the sources count again. Raises `InputError` for an unknown claim or without a reason, `StateError` where
        no override stands."""
        _check(reason)
        load_claims().find(claim)
        self.preview(claim, None)
        with self._changes.writing(author, now_us) as writing:
            held = writing.current(ClaimOverride, claim)
            if held is None or held.value is None:
                raise StateError(f"`{claim}` is not overridden: there is nothing to withdraw", code="not_overridden")
            writing.put(claim, ClaimOverride(claim=claim, value=None), "withdraw", reason)


def _with(standing: dict[str, Override]) -> Ledger:
    return load_claims().with_overrides(f"{one.claim}={one.value}" for one in standing.values())


def _check(reason: str) -> None:
    if not 0 < len(reason.strip()) <= LONGEST:
        raise InputError(f"say why, in {LONGEST:,} characters at most")
