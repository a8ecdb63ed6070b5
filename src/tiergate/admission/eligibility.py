"""What a rule of ownership says of organisations on a day: barred, not barred or not known, and why.

YES means barred. What a missing fact leaves open is never a NO: a list that was not imported, an owner whose
headquarters nobody recorded, or a rule of which nobody has confirmed that it is in force make the answer NOT KNOWN,
and the pack says whether that denies or goes to review.
"""

from __future__ import annotations

import enum
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt
import rfc8785

from tiergate.admission.activations import ActivePack
from tiergate.admission.ownership_facts import OwnershipFacts
from tiergate.admission.rule_packs import RulePack, Standing
from tiergate.errors import InputError
from tiergate.parties.integrated import review_by_integrated
from tiergate.parties.ownership import Bools, Prong
from tiergate.parties.proofs import prove
from tiergate.parties.resolving import Ground, Resolution, Verdict, resolve


class Outcome(enum.IntEnum):
    """What follows for an organisation or a person, mildest first: the worst of several packs counts."""

    CLEAR = 0
    REVIEW = 1
    DENY = 2


class Reason(enum.StrEnum):
    """Why a verdict is what it is. Codes are public: rules in `docs/rule-packs.md`."""

    NOT_IN_FORCE = "not_in_force"
    NOT_COVERED = "not_covered"
    NOT_OWNED = "not_owned"
    STAKES_NOT_KNOWN = "stakes_not_known"
    HEADQUARTERS_NOT_KNOWN = "headquarters_not_known"
    INTEGRATED_SHARE = "integrated_share"
    LIST_MISSING = "list_missing"
    RULE_UNCONFIRMED = "rule_unconfirmed"
    ORGANISATION_UNKNOWN = "organisation_unknown"
    LISTED = "listed"
    OWNERSHIP = "ownership"
    PRESUMED_CONTROL = "presumed_control"
    CONTROL = "control"


_REASONS = tuple(Reason)
_GROUNDS = {
    Ground.LISTED: Reason.LISTED,
    Ground.OWNERSHIP: Reason.OWNERSHIP,
    Ground.PRESUMED: Reason.PRESUMED_CONTROL,
    Ground.CONTROL: Reason.CONTROL,
}


@dataclass(frozen=True, slots=True)
class Eligibility:
    """One organisation under one pack on one day. ``proof``: reference of the proof document, where there is a chain
    of stakes to show. ``notes``: what a person should know and no verdict rests on."""

    organisation: str
    pack: str
    day: date
    verdict: Verdict
    reason: Reason
    outcome: Outcome
    proof: str | None = None
    notes: tuple[str, ...] = ()


class PackVerdicts:
    """One pack judged on all entities of ``facts``; make it with `judge`. ``verdict`` int8 (`Verdict`), (n,);
    ``doubtful``: who may be one of those whom the pack lists, (n,)."""

    def __init__(self, pack: RulePack, facts: OwnershipFacts, day: date, standing: Standing) -> None:
        self.pack, self.facts, self.day, self.standing = pack, facts, day, standing
        self.verdict = np.zeros(facts.graph.entities, np.int8)
        self._reason = np.full(facts.graph.entities, _REASONS.index(Reason.NOT_IN_FORCE), np.int8)
        self.resolution: Resolution | None = None
        self.doubtful: Bools = np.zeros(facts.graph.entities, np.bool_)
        self._fingerprint = pack.fingerprint()
        if standing in (Standing.IN_FORCE, Standing.UNCONFIRMED):
            self._judge()

    @cached_property
    def outcome(self) -> npt.NDArray[np.int8]:
        """`Outcome` of every entity, (n,)."""
        unknown = np.int8(Outcome[self.pack.unknown.upper()])
        by_verdict = np.array([Outcome.CLEAR, unknown, Outcome.DENY], np.int8)
        outcome: npt.NDArray[np.int8] = by_verdict[self.verdict]
        return outcome

    def of(self, organisation: str) -> Eligibility:
        """What the pack says of the organisation with this id. One that the facts do not have is not known."""
        entity = self.facts.number(organisation)
        if entity is None:
            applies = self.resolution is not None
            verdict = Verdict.NOT_KNOWN if applies else Verdict.NO
            reason = Reason.ORGANISATION_UNKNOWN if applies else Reason.NOT_IN_FORCE
            outcome = Outcome[self.pack.unknown.upper()] if applies else Outcome.CLEAR
            return Eligibility(organisation, self.pack.name, self.day, verdict, reason, outcome)
        document = self.proof(entity)
        return Eligibility(
            organisation,
            self.pack.name,
            self.day,
            Verdict(int(self.verdict[entity])),
            _REASONS[self._reason[entity]],
            Outcome(int(self.outcome[entity])),
            None if document is None else proof_reference(document),
            self._notes(entity),
        )

    def proof(self, entity: int) -> dict[str, Any] | None:
        """Document that proves that the pack's test is met: steps with their stakes, premises first. None where it is
        not met on what is known."""
        resolution = self.resolution
        if resolution is None or resolution.verdict[entity] != Verdict.YES or self.verdict[entity] == Verdict.NO:
            return None
        steps = []
        for step in prove(resolution, entity).steps:
            shown: dict[str, Any] = {"entity": self.facts.ids[step.entity], "reason": step.reason}
            if step.stakes:
                shown["stakes"] = [self._stake(stake) for stake in step.stakes]
            else:
                shown["seed_of"] = self._seed_of(step.entity)
            steps.append(shown)
        return {
            "organisation": self.facts.ids[entity],
            "pack": self.pack.name,
            "pack_fingerprint": self._fingerprint,
            "day": self.day.isoformat(),
            "facts": self.facts.reference,
            "steps": steps,
        }

    def _judge(self) -> None:
        pack, facts = self.pack, self.facts
        assert pack.test is not None
        assert pack.seeds is not None
        seeds, doubtful = self._seeds()
        self.doubtful = doubtful
        low = self.resolution = resolve(facts.graph, np.flatnonzero(seeds), pack.test.test())
        self.verdict = low.verdict.copy()
        self._reason[:] = _REASONS.index(Reason.NOT_OWNED)
        for ground, reason in _GROUNDS.items():
            self._reason[low.ground == ground] = _REASONS.index(reason)
        self._reason[low.verdict == Verdict.NOT_KNOWN] = _REASONS.index(Reason.STAKES_NOT_KNOWN)
        if doubtful.any():
            # As if every owner of whom it is not known were a seed: who is a NO even so is one for certain.
            high = resolve(facts.graph, np.flatnonzero(seeds | doubtful), pack.test.test())
            self._doubt(high.verdict != Verdict.NO, Reason.HEADQUARTERS_NOT_KNOWN)
        if pack.test.integrated_review:
            flagged = np.zeros(facts.graph.entities, np.bool_)
            flagged[review_by_integrated(low)] = True
            self._doubt(flagged, Reason.INTEGRATED_SHARE)
        if any(name not in facts.listings for name in pack.seeds.lists):
            self._doubt(np.ones(facts.graph.entities, np.bool_), Reason.LIST_MISSING)
        if pack.test.only_outside:
            within = facts.incorporated.only_in(pack.test.only_outside) & ~seeds
            self.verdict[within] = Verdict.NO
            self._reason[within] = _REASONS.index(Reason.NOT_COVERED)
        if self.standing is Standing.UNCONFIRMED:
            met = self.verdict == Verdict.YES
            self.verdict[met] = Verdict.NOT_KNOWN
            self._reason[met] = _REASONS.index(Reason.RULE_UNCONFIRMED)

    def _seeds(self) -> tuple[Bools, Bools]:
        """Masks (n,) of seeds, and of entities that may be seeds."""
        seeds, doubtful = np.zeros((2, self.facts.graph.entities), np.bool_)
        rule = self.pack.seeds
        assert rule is not None
        for name in rule.lists:
            seeds[self.facts.listings.get(name, np.zeros(0, np.int32))] = True
        if rule.headquarters:
            places = self.facts.headquarters
            companies = ~self.facts.people
            seeds |= places.only_in(rule.headquarters) & companies
            clear = places.only_in(rule.headquarters_clear)
            doubtful = companies & ~seeds & ~clear
        return seeds, doubtful

    def _doubt(self, where: Bools, reason: Reason) -> None:
        doubted = where & (self.verdict == Verdict.NO)
        self.verdict[doubted] = Verdict.NOT_KNOWN
        self._reason[doubted] = _REASONS.index(reason)

    def _stake(self, stake: int) -> dict[str, Any]:
        graph = self.facts.graph
        return {
            "number": stake,
            "owner": self.facts.ids[graph.owner[stake]],
            "owned": self.facts.ids[graph.owned[stake]],
            "lo_ppm": int(graph.lo_ppm[stake]),
            "hi_ppm": int(graph.hi_ppm[stake]),
            "prong": Prong(int(graph.prong[stake])).name.lower(),
        }

    def _seed_of(self, entity: int) -> list[str]:
        rule = self.pack.seeds
        assert rule is not None
        named = [name for name in self.facts.lists_of(entity) if name in rule.lists]
        return named or ["headquarters"]

    def _notes(self, entity: int) -> tuple[str, ...]:
        pack, resolution = self.pack, self.resolution
        if resolution is None or pack.test is None or (self.verdict[entity] == Verdict.NO and not _red(pack)):
            return ()
        notes = []
        owners = self._listed_owners(entity)
        if pack.test.most_restrictive_owner and resolution.verdict[entity] == Verdict.YES:
            lists = sorted({name for owner in owners for name in self._seed_of(owner)})
            if len(owners) > 1:
                notes.append(
                    f"most restrictive owner: {len(owners)} listed owners on {', '.join(lists)}; the harshest of "
                    "their regimes applies, whatever each one's share"
                )
        if pack.test.minority_is_red_flag and resolution.verdict[entity] != Verdict.YES and owners:
            notes.append("red flag: a listed party, or one that it owns, holds a minority share")
        return tuple(notes)

    def _listed_owners(self, entity: int) -> Sequence[int]:
        """Seeds that hold a part of ``entity``, directly or through entities that meet the test; not itself."""
        resolution = self.resolution
        assert resolution is not None
        graph, owners, due, seen = resolution.graph, set(), [entity], {entity}
        begin = graph.incoming.begin
        while due:
            at = due.pop()
            for stake in graph.incoming.row[begin[at] : begin[at + 1]].tolist():
                owner = int(graph.owner[stake])
                if owner in seen or graph.hi_ppm[stake] == 0 or resolution.verdict[owner] != Verdict.YES:
                    continue
                seen.add(owner)
                if resolution.listed[owner]:
                    owners.add(owner)
                due.append(owner)
        return sorted(owners)


def judge(active: ActivePack, facts: OwnershipFacts, day: date) -> PackVerdicts:
    """Verdicts of an ownership pack on ``day``. Raises InputError for a pack about persons."""
    if active.pack.kind != "ownership":
        raise InputError(
            f"rule pack `{active.pack.name}` is about persons: it says nothing of who owns an organisation"
        )
    return PackVerdicts(active.pack, facts, day, active.standing(day))


def proof_reference(document: dict[str, Any]) -> str:
    """Short name of a proof: SHA-256 of its canonical JSON (RFC 8785), the first 128 bits."""
    return f"prf_{hashlib.sha256(rfc8785.dumps(document)).hexdigest()[:32]}"


def _red(pack: RulePack) -> bool:
    return pack.test is not None and pack.test.minority_is_red_flag
