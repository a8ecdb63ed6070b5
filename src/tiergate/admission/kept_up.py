"""The newest states of some kinds in memory, kept up by the number of the last change: lists need not read all anew."""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from typing import TypeVar, cast

import msgspec
import sqlalchemy as sa

from tiergate.admission.changes import Changes

S = TypeVar("S", bound=msgspec.Struct)
States = Mapping[type[msgspec.Struct], Mapping[str, msgspec.Struct]]


class KeptUp:
    """States of a deployment, read when they are first asked for. Any number of threads may share it.

    :param kinds: Structs of changes, whose ids are called after their tag: `line_id` of a `line`.
    """

    def __init__(self, engine: sa.Engine, kinds: Sequence[type[msgspec.Struct]]) -> None:
        self._changes = Changes(engine)
        self._kinds = kinds
        self._lock = threading.Lock()
        self._number = 0
        self._held: States = {kind: {} for kind in kinds}

    def every(self, kind: type[S]) -> list[S]:
        """The newest state of every subject of a kind."""
        return list(cast("Mapping[str, S]", self.now()[kind]).values())

    def now(self) -> States:
        """The newest states of all kinds at one moment, by kind and id. What was returned stays as it is."""
        if self._changes.version() != self._number:
            with self._lock:
                self._read_on()
        return self._held

    def _read_on(self) -> None:
        number, states = self._changes.since(self._number, self._kinds)
        if states:
            held = {kind: dict(before) for kind, before in self._held.items()}
            for state in states:
                held[type(state)][getattr(state, f"{state.__struct_config__.tag}_id")] = state
            self._held = held
        # Last: whoever sees the number must see the states.
        self._number = number
