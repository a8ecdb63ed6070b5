"""Who flips if a pack is activated or deactivated on a day: every organisation and person, before and after.

Nothing is changed and no clock is read: the same packs, facts and moment give the same preview, byte for byte.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date
from typing import Any

import msgspec
import numpy as np

from tiergate.admission.activations import Action, ActivePack, day_of
from tiergate.admission.binding import verdict_on
from tiergate.admission.eligibility import Eligibility, Outcome, PackVerdicts, judge
from tiergate.admission.ownership_facts import OwnershipFacts
from tiergate.admission.person_classes import SignedStatement, TrustedIssuer, person_class
from tiergate.admission.rule_packs import RulePack, Standing
from tiergate.admission.wanted_facts import MOST_SETTLED, wanted_facts
from tiergate.errors import InputError


class Person(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Somebody with access. ``organisation``: the member through which; ``employer``: the employer of record, another
    one for a contractor. Ids are content-free."""

    subject: str
    organisation: str
    employer: str
    statements: tuple[SignedStatement, ...] = ()


class Row(msgspec.Struct, frozen=True, kw_only=True):
    """One organisation or person whom the pack's change concerns.

    ``before`` and ``after`` are outcomes under all active packs together; ``pack_before`` and ``pack_after`` under
    the changed pack alone. ``flips``: the outcome changes. ``reason``: why the pack says so, a code; for a person who
    is judged by an organisation, with that organisation's part (`employer:ownership`). ``proof`` names one of the
    preview's proofs. ``would_settle``: what to obtain where the pack does not know, of the first `MOST_SETTLED`.
    """

    kind: str
    id: str
    before: str
    after: str
    pack_before: str
    pack_after: str
    flips: bool
    reason: str
    proof: str | None
    notes: tuple[str, ...]
    would_settle: tuple[str, ...] = ()


@dataclass(frozen=True)
class Preview:
    """Answer of `preview`. ``counts``: by kind, how many have which outcome before and after, `clear->deny`.
    ``proofs``: documents by reference. ``not_known``: organisations among the rows whom the pack does not know."""

    pack: str
    action: Action
    at_us: int
    standing: str
    facts: str
    counts: dict[str, dict[str, int]]
    rows: list[Row]
    proofs: dict[str, dict[str, Any]] = field(default_factory=dict)
    not_known: int = 0

    @property
    def flips(self) -> int:
        """How many outcomes change."""
        return sum(row.flips for row in self.rows)

    def document(self) -> dict[str, Any]:
        """The preview as JSON can hold it."""
        return {
            "pack": self.pack,
            "action": self.action,
            "day": day_of(self.at_us).isoformat(),
            "at_us": self.at_us,
            "standing": self.standing,
            "facts": self.facts,
            "flips": self.flips,
            "counts": self.counts,
            "not_known": self.not_known,
            "rows": [msgspec.to_builtins(row) for row in self.rows],
            "proofs": self.proofs,
        }

    def table(self) -> str:
        """The rows as text, one a line, columns aligned."""
        head = ("kind", "id", "before", "after", "pack says", "reason", "proof")
        lines = [head, *((row.kind, row.id, row.before, row.after, row.pack_after, row.reason, row.proof or "-")
                         for row in self.rows)]  # fmt: skip
        widths = [max(len(line[at]) for line in lines) for at in range(len(head))]
        pairs = (zip(line, widths, strict=True) for line in lines)
        return "\n".join("  ".join(cell.ljust(width) for cell, width in pair).rstrip() for pair in pairs)


def preview(
    change: RulePack,
    action: Action,
    active: Sequence[ActivePack],
    facts: OwnershipFacts,
    at_us: int,
    *,
    confirmed: bool = False,
    organisations: Iterable[str] | None = None,
    also: Iterable[str] = (),
    persons: Iterable[Person] = (),
    issuers: Mapping[str, TrustedIssuer] | None = None,
    signatures_checked: bool = False,
) -> Preview:
    """What changes at ``at_us`` (microseconds since the epoch) if ``change`` is activated or deactivated.

    :param active: the packs that bind then; another version of ``change`` among them is replaced. Packs that gate no
        model that ``change`` gates are left out.
    :param confirmed: whether an unconfirmed period of ``change`` is taken as confirmed.
    :param organisations: ids of those to look at; all of ``facts`` and ``also`` when None.
    :param signatures_checked: statements fitted the keys of ``issuers`` when they were taken on file.

    Raises InputError where a pack that is not active is deactivated.
    """
    before = [one for one in active if one.pack.applies_to.meets(change.applies_to)]
    if action == "deactivate" and all(one.pack.name != change.name for one in before):
        raise InputError(f"`{change.name}` is not active then: nothing would change")
    after = [one for one in before if one.pack.id != change.id]
    after += [ActivePack(change, confirmed)] if action == "activate" else []
    world = _World(facts, at_us, issuers or {}, [*before, *after], signatures_checked)
    names = sorted({*facts.ids, *also} if organisations is None else set(organisations))
    counts: dict[str, Counter[str]] = {"organisations": Counter(), "persons": Counter()}
    rows = [
        world.row(change.id, "organisation", name, world.organisation(name, before), world.organisation(name, after))
        for name in _concerned(world, names, before, after, counts["organisations"], whole=organisations is None)
    ]
    for person in sorted(persons, key=lambda person: (person.subject, person.organisation, person.employer)):
        said = world.person(person, before), world.person(person, after)
        counts["persons"][f"{_worst(said[0]).name}->{_worst(said[1]).name}".lower()] += 1
        rows.append(world.row(change.id, "person", person.subject, *said))
    shown = [row for row in rows if row is not None]
    shown.sort(key=lambda row: (not row.flips, row.kind, row.id))
    changed = [one for one in (after if action == "activate" else before) if one.pack.name == change.name]
    shown, not_known = _with_facts_wanted(shown, world.verdicts(changed))
    used = {row.proof for row in shown}
    return Preview(
        change.name,
        action,
        at_us,
        ActivePack(change, confirmed).standing(day_of(at_us)).value,
        facts.reference,
        {kind: dict(sorted(counted.items())) for kind, counted in counts.items()},
        shown,
        {name: document for name, document in sorted(world.proofs.items()) if name in used},
        not_known,
    )


@dataclass(frozen=True, slots=True)
class _Said:
    """What one pack says of somebody."""

    pack: str
    outcome: Outcome
    reason: str
    proof: str | None = None
    notes: tuple[str, ...] = ()


class _World:
    """Packs judged on one set of facts, each once."""

    def __init__(
        self,
        facts: OwnershipFacts,
        at_us: int,
        issuers: Mapping[str, TrustedIssuer],
        packs: list[ActivePack],
        signatures_checked: bool,
    ) -> None:
        self.facts, self.at_us, self.issuers, self.checked = facts, at_us, issuers, signatures_checked
        self.day: date = day_of(at_us)
        self.judged: dict[tuple[str, bool], PackVerdicts] = {}
        for one in packs:
            if one.pack.kind == "ownership" and (one.pack.name, one.confirmed) not in self.judged:
                self.judged[one.pack.name, one.confirmed] = judge(one, facts, self.day)
        self.proofs: dict[str, dict[str, Any]] = {}
        self._known: dict[tuple[PackVerdicts, str], _Said] = {}

    def verdicts(self, packs: list[ActivePack]) -> list[PackVerdicts]:
        return [self.judged[one.pack.name, one.confirmed] for one in packs if one.pack.kind == "ownership"]

    def organisation(self, name: str, packs: list[ActivePack]) -> list[_Said]:
        said = []
        for judged in self.verdicts(packs):
            if (judged, name) not in self._known:
                self._known[judged, name] = self._said(judged, judged.of(name))
            said.append(self._known[judged, name])
        return said

    def person(self, person: Person, packs: list[ActivePack]) -> list[_Said]:
        """The person's own classes, the member's verdicts and, for a contractor, the employer's."""
        parts = [("organisation", person.organisation)]
        if person.employer != person.organisation:
            parts.append(("employer", person.employer))
        said = [
            replace(one, reason=f"{part}:{one.reason}")
            for part, name in parts
            for one in self.organisation(name, packs)
        ]
        return said + [self._class(person, one) for one in packs if one.pack.kind == "person"]

    def row(self, pack: str, kind: str, name: str, before: list[_Said], after: list[_Said]) -> Row | None:
        """A row where the changed pack says something else than before, or the outcome changes."""
        mine = [_worst_said([one for one in said if one.pack == pack]) for said in (before, after)]
        outcomes = _worst(before), _worst(after)
        if mine[0].outcome == mine[1].outcome and outcomes[0] == outcomes[1]:
            return None
        telling = mine[1] if mine[1].outcome >= mine[0].outcome else mine[0]
        return Row(
            kind=kind,
            id=name,
            before=outcomes[0].name.lower(),
            after=outcomes[1].name.lower(),
            pack_before=mine[0].outcome.name.lower(),
            pack_after=mine[1].outcome.name.lower(),
            flips=outcomes[0] != outcomes[1],
            reason=telling.reason,
            proof=telling.proof,
            notes=telling.notes,
        )

    def _said(self, judged: PackVerdicts, one: Eligibility) -> _Said:
        if one.proof is not None and one.proof not in self.proofs:
            entity = self.facts.number(one.organisation)
            assert entity is not None
            document = judged.proof(entity)
            assert document is not None
            self.proofs[one.proof] = document
        return _Said(judged.pack.id, one.outcome, one.reason.value, one.proof, one.notes)

    def _class(self, person: Person, active: ActivePack) -> _Said:
        pack = active.pack
        said = active.standing(self.day)
        if said not in (Standing.IN_FORCE, Standing.UNCONFIRMED):
            return _Said(pack.id, Outcome.CLEAR, "not_in_force")
        found = person_class(
            person.statements,
            pack=pack,
            subject=person.subject,
            employer=person.employer,
            issuers=self.issuers,
            now_us=self.at_us,
            signature_checked=self.checked,
        )
        unknown = Outcome[pack.unknown.upper()]
        if found.value == "eligible":
            return _Said(pack.id, Outcome.CLEAR, "eligible")
        if found.value == "ineligible":
            return _Said(pack.id, Outcome.DENY if said is Standing.IN_FORCE else unknown, "ineligible")
        return _Said(pack.id, unknown, "class_missing", notes=tuple(f"refused: {code}" for code in found.refused))


def _concerned(
    world: _World,
    names: list[str],
    before: list[ActivePack],
    after: list[ActivePack],
    counts: Counter[str],
    *,
    whole: bool,
) -> list[str]:
    """Organisations for which any pack says something else afterwards; all are counted. Arrays first: of millions of
    entities only those concerned are worth a row."""
    facts = world.facts
    arrays = []
    for packs in (before, after):
        columns = [judged.outcome for judged in world.verdicts(packs)]
        arrays.append(np.max(columns, axis=0) if columns else np.zeros(len(facts.ids), np.int8))
    changed = np.zeros(len(facts.ids), np.bool_)
    single = [{judged.pack.id: judged.outcome for judged in world.verdicts(packs)} for packs in (before, after)]
    for pack in single[0].keys() | single[1].keys():
        zero = np.zeros(len(facts.ids), np.int8)
        changed |= single[0].get(pack, zero) != single[1].get(pack, zero)
    numbers = [facts.number(name) for name in names]
    known = np.arange(len(facts.ids)) if whole else np.array([at for at in numbers if at is not None], np.int64)
    pairs, times = np.unique(arrays[0][known] * 3 + arrays[1][known], return_counts=True)
    for pair, count in zip(pairs.tolist(), times.tolist(), strict=True):
        counts[f"{Outcome(pair // 3).name}->{Outcome(pair % 3).name}".lower()] += count
    concerned = []
    for name, number in zip(names, numbers, strict=True):
        if number is None:
            said = (_worst(world.organisation(name, packs)).name for packs in (before, after))
            counts["->".join(said).lower()] += 1
        if number is None or changed[number]:
            concerned.append(name)
    return concerned


def _with_facts_wanted(rows: list[Row], verdicts: Sequence[PackVerdicts]) -> tuple[list[Row], int]:
    """The rows, with what would settle organisations of whom the changed pack does not know; how many those are."""
    rows, not_known = list(rows), 0
    for judged in verdicts:
        for at, row in enumerate(rows):
            if row.kind == "organisation" and verdict_on(judged, row.id) == "not_known":
                not_known += 1
                if not_known <= MOST_SETTLED:
                    texts = tuple(one.text for one in wanted_facts(judged, row.id))
                    rows[at] = msgspec.structs.replace(row, would_settle=texts)
    return rows, not_known


def _worst(said: Sequence[_Said]) -> Outcome:
    return max((one.outcome for one in said), default=Outcome.CLEAR)


def _worst_said(said: Sequence[_Said]) -> _Said:
    """The first of the worst."""
    return max(said, key=lambda one: one.outcome, default=_Said("", Outcome.CLEAR, "not_active"))
