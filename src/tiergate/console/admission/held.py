"""Programmes, memberships, purposes, appeals and credit lines in memory, kept up change by change.

There are few of them beside accounts, and people want them counted and sorted in every way. Grants and holders, of
which there can be as many as accounts, stay in the database.
"""

from __future__ import annotations

import threading
from functools import lru_cache
from typing import Final

import msgspec

from tiergate.admission.appeals import Appeal
from tiergate.admission.changes import Changes
from tiergate.admission.credit_rows import CreditLine
from tiergate.admission.programmes import Programme
from tiergate.admission.purposes import Purpose
from tiergate.admission.standing import Membership, Standing, standing_of
from tiergate.console.visits import Visit

KINDS: Final = (Programme, Membership, Purpose, Appeal, CreditLine)


class Held:
    """The newest states by their ids. Replaced, never changed: a page reads one moment."""

    def __init__(self, number: int, states: dict[type[msgspec.Struct], dict[str, msgspec.Struct]]) -> None:
        self.number = number
        self._states = states
        self.programmes: dict[str, Programme] = states[Programme]  # type: ignore[assignment]
        self.memberships: dict[str, Membership] = states[Membership]  # type: ignore[assignment]
        self.purposes: dict[str, Purpose] = states[Purpose]  # type: ignore[assignment]
        self.appeals: dict[str, Appeal] = states[Appeal]  # type: ignore[assignment]
        self.lines: dict[str, CreditLine] = states[CreditLine]  # type: ignore[assignment]

    def standing(self, membership: Membership, now_us: int) -> Standing:
        """Where a membership stands."""
        return standing_of(membership, self.programmes[membership.programme_id], now_us)

    def later(self, number: int, states: list[msgspec.Struct]) -> Held:
        """With further states."""
        merged = {kind: dict(held) for kind, held in self._states.items()}
        for one in states:
            merged[type(one)][_id(one)] = one
        return Held(number, merged)


class _Keeper:
    def __init__(self, changes: Changes) -> None:
        self._changes = changes
        self._lock = threading.Lock()
        self._held = Held(0, {kind: {} for kind in KINDS})

    def held(self) -> Held:
        with self._lock:
            if not self._held.number:
                # What is put while this reads comes again with what changed since.
                number = self._changes.version()
                self._held = self._held.later(number, [one for kind in KINDS for one in self._changes.every(kind)])
            if self._changes.version() != self._held.number:
                number, states = self._changes.since(self._held.number, KINDS)
                self._held = self._held.later(number, states)
            return self._held


def held(visit: Visit) -> Held:
    """What the deployment holds now."""
    return _keeper(visit.services.changes).held()


@lru_cache(4)
def _keeper(changes: Changes) -> _Keeper:
    return _Keeper(changes)


def _id(one: msgspec.Struct) -> str:
    names = {Programme: "programme_id", Membership: "membership_id", Purpose: "purpose_id", Appeal: "appeal_id",
             CreditLine: "line_id"}  # fmt: skip
    return str(getattr(one, names[type(one)]))
