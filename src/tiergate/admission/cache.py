"""Decisions that were made already, as long as nothing that they rest on has changed.

An entry answers for the very facts it was made from (the same objects, of the same epoch) and for the span of time in
which none of them begins or ends. What changes by the request, credit first of all, is part of the key.
"""

from __future__ import annotations

from typing import Final, NamedTuple

from tiergate.admission.engine import Engine, TierDecision
from tiergate.admission.facts import unchanged_between
from tiergate.admission.known_facts import ModelFact, RequestFact, Standing

CAPACITY: Final = 65_536
"""Entries; some 0.5 KB each."""


class _Entry(NamedTuple):
    since_us: int
    until_us: int
    standing: Standing
    model: ModelFact
    offers: tuple[ModelFact, ...]
    decision: TierDecision


class DecisionCache:
    """Decisions of one engine, at most ``capacity`` of them; the oldest go first. For one thread."""

    def __init__(self, engine: Engine, capacity: int = CAPACITY) -> None:
        self._engine = engine
        self._capacity = capacity
        self._entries: dict[tuple[object, ...], _Entry] = {}
        self.hits = 0
        self.misses = 0

    def __len__(self) -> int:
        return len(self._entries)

    def decide(
        self,
        standing: Standing,
        model: ModelFact,
        request: RequestFact,
        epoch: int,
        offers: tuple[ModelFact, ...] = (),
    ) -> TierDecision:
        """What `Engine.decide` says of these facts. ``epoch`` is raised by whoever sees a fact change."""
        key = (
            standing.credential_id,
            request.model,
            request.project,
            request.surface,
            request.purpose,
            request.asset,
            request.account,
            request.current,
            request.credit_available,
            epoch,
        )
        entry = self._entries.get(key)
        if (
            entry is not None
            and entry.since_us <= request.now_us < entry.until_us
            and entry.standing is standing
            and entry.model is model
            and entry.offers is offers
        ):
            self.hits += 1
            return entry.decision
        self.misses += 1
        decision = self._engine.decide(standing, model, request, offers)
        if decision.failed_to_evaluate:
            return decision
        since, until = unchanged_between(standing, request.now_us)
        if entry is None and len(self._entries) >= self._capacity:
            del self._entries[next(iter(self._entries))]
        self._entries[key] = _Entry(since, until, standing, model, offers, decision)
        return decision
