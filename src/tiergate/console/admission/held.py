"""Programmes, memberships, purposes, appeals and credit lines by their ids, as they stand at one moment.

There are few of them beside accounts, and people want them counted and sorted in every way. Grants and holders, of
which there can be as many as accounts, stay in the database.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import cast

from tiergate.admission.appeals import Appeal
from tiergate.admission.credit_rows import CreditLine
from tiergate.admission.kept_up import States
from tiergate.admission.programmes import Programme
from tiergate.admission.purposes import Purpose
from tiergate.admission.standing import Membership, Standing, standing_of
from tiergate.console.visits import Visit


class Held:
    """The newest states by their ids: a page reads one moment."""

    def __init__(self, states: States) -> None:
        self.programmes = cast("Mapping[str, Programme]", states[Programme])
        self.memberships = cast("Mapping[str, Membership]", states[Membership])
        self.purposes = cast("Mapping[str, Purpose]", states[Purpose])
        self.appeals = cast("Mapping[str, Appeal]", states[Appeal])
        self.lines = cast("Mapping[str, CreditLine]", states[CreditLine])

    def standing(self, membership: Membership, now_us: int) -> Standing:
        """Where a membership stands."""
        return standing_of(membership, self.programmes[membership.programme_id], now_us)


def held(visit: Visit) -> Held:
    """What the deployment holds now."""
    return Held(visit.services.standing.now())
