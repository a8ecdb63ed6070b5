"""Lineages: one case over many looks.

A case's id changes with its accounts; its lineage does not. At each look the cases found are matched, one to one,
with the lineages that earlier looks saw, by how many accounts they have in common with the lineage's last sighting:
the most similar pair (Jaccard) first. A campaign that grows tenfold contains its old self, so containment counts too. A
case that fits none begins a lineage under its own id; of two cases that a split leaves, or two lineages that a merger
joins, the more similar goes on. `looks` says what the e-values of a lineage promise.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Set
from dataclasses import dataclass
from typing import Final

import pyarrow as pa
import pyarrow.compute as pc

from tiergate.detection.looks import calibrated, e_bh, p_value, weight
from tiergate.records.schema import TIME

LEAST_JACCARD: Final = 0.3
LEAST_CONTAINED: Final = 0.5
"""Share of the smaller set that lies in the larger one."""

LOOKS_SCHEMA: Final = pa.schema(
    [
        ("lineage_id", pa.string()),
        ("case_id", pa.string()),
        ("look", pa.int64()),
        ("looked_at", TIME),
        ("accounts", pa.int64()),
        ("score", pa.float64()),
        ("expected", pa.float64()),
        ("p", pa.float64()),
        ("e", pa.float64()),
        ("running_e", pa.float64()),
        ("stands", pa.bool_()),
    ]
)
"""One row a case and look. ``look`` counts from 1; ``looked_at``: last exchange that the look saw; ``running_e``: the
lineage's e-value after it; ``stands``: whether e-BH accepts it among the lineages that began at the same look."""

MEMBERS_SCHEMA: Final = pa.schema([("lineage_id", pa.string()), ("account_id", pa.string())])
"""Accounts of each lineage at its last sighting."""


@dataclass(frozen=True, slots=True)
class Seen:
    """A case of the present look: its accounts, score, and the chance clusters ``expected`` at or above the score."""

    case_id: str
    accounts: frozenset[str]
    score: float
    expected: float


@dataclass(frozen=True, slots=True)
class History:
    """All looks so far. ``count`` of them, with or without cases; tables of `LOOKS_SCHEMA` and `MEMBERS_SCHEMA`."""

    count: int
    looks: pa.Table
    members: pa.Table

    @classmethod
    def empty(cls) -> History:
        return cls(0, LOOKS_SCHEMA.empty_table(), MEMBERS_SCHEMA.empty_table())

    def followed(self, cases: list[Seen], looked_at: int, *, alone: bool = False, again: bool = False) -> History:
        """The history with one look more, which found ``cases`` in a log that ends at ``looked_at`` (microseconds).

        :param alone: no other look will be combined with this one, so it has all the weight.
        :param again: not one look more but the last one once more, at the same data by another seed: ``cases`` take the
            place of those that it found and add nothing to any e-value, which is 0 for a case that no look found.
        """
        look = self.count if again else self.count + 1
        members = self._members()
        born, running = self._born_and_running()
        of_case = matched(members, {one.case_id: one.accounts for one in cases})
        rows: list[dict[str, object]] = []
        for one in {one.case_id: one for one in cases}.values():
            lineage = of_case.get(one.case_id) or _fresh(one.case_id, look, members)
            born.setdefault(lineage, look)
            p = p_value(one.expected)
            e = calibrated(p)
            share = 1.0 if alone else weight(look - born[lineage] + 1)
            running[lineage] = running.get(lineage, 0.0) + (0.0 if again else share * e)
            members[lineage] = one.accounts
            facts = (lineage, one.case_id, look, looked_at, len(one.accounts), one.score, one.expected, p, e)
            rows.append(dict(zip(LOOKS_SCHEMA.names, (*facts, running[lineage]), strict=False)))
        stands = _standing(born, running)
        for row in rows:
            row["stands"] = row["lineage_id"] in stands
        before = self.looks.filter(pc.field("look") < look)
        return History(
            look, pa.concat_tables([before, pa.Table.from_pylist(rows, LOOKS_SCHEMA)]), _member_table(members)
        )

    def latest(self) -> dict[str, dict[str, object]]:
        """By case of the last look, its row of `LOOKS_SCHEMA` with ``first_opened_at`` and ``sightings`` added."""
        first: dict[str, object] = {}
        sightings: Counter[str] = Counter()
        told = {}
        for row in self.looks.to_pylist():
            lineage = row["lineage_id"]
            first.setdefault(lineage, row["looked_at"])
            sightings[lineage] += 1
            if row["look"] == self.count:
                told[row["case_id"]] = row | {"first_opened_at": first[lineage], "sightings": sightings[lineage]}
        return told

    def _born_and_running(self) -> tuple[dict[str, int], dict[str, float]]:
        """By lineage, the look that first saw it and its e-value so far."""
        born: dict[str, int] = {}
        running: dict[str, float] = {}
        columns = (self.looks[name].to_pylist() for name in ("lineage_id", "look", "running_e"))
        for lineage, look, e in zip(*columns, strict=True):
            born.setdefault(lineage, look)
            running[lineage] = e
        return born, running

    def _members(self) -> dict[str, frozenset[str]]:
        grouped: dict[str, set[str]] = {}
        for lineage, account in zip(*(self.members[name].to_pylist() for name in MEMBERS_SCHEMA.names), strict=True):
            grouped.setdefault(lineage, set()).add(account)
        return {lineage: frozenset(accounts) for lineage, accounts in grouped.items()}


def matched(lineages: Mapping[str, Set[str]], cases: Mapping[str, Set[str]]) -> dict[str, str]:
    """The lineage of each case that continues one: pairs one to one, the largest Jaccard index first."""
    holders: dict[str, list[str]] = {}
    for lineage, accounts in lineages.items():
        for account in accounts:
            holders.setdefault(account, []).append(lineage)
    pairs: list[tuple[float, str, str]] = []
    for case, accounts in cases.items():
        common = Counter(lineage for account in accounts for lineage in holders.get(account, ()))
        for lineage, both in common.items():
            one, other = len(accounts), len(lineages[lineage])
            jaccard = both / (one + other - both)
            if jaccard >= LEAST_JACCARD or both / min(one, other) >= LEAST_CONTAINED:
                pairs.append((-jaccard, lineage, case))
    of_case: dict[str, str] = {}
    taken: set[str] = set()
    for _, lineage, case in sorted(pairs):
        if case not in of_case and lineage not in taken:
            of_case[case] = lineage
            taken.add(lineage)
    return of_case


def told(heads: pa.Table, history: History) -> pa.Table:
    """The table of cases with `lineage_id`, `first_opened_at`, `looks` and `e_value` filled from the last look."""
    latest = history.latest()
    rows = [latest[case] for case in heads["case_id"].to_pylist()]
    for name, source in (
        ("lineage_id", "lineage_id"),
        ("first_opened_at", "first_opened_at"),
        ("looks", "sightings"),
        ("e_value", "running_e"),
    ):
        field = heads.schema.field(name)
        heads = heads.set_column(
            heads.schema.get_field_index(name), field, pa.array([row[source] for row in rows], field.type)
        )
    return heads


def _fresh(case_id: str, look: int, members: Mapping[str, Set[str]]) -> str:
    """A new lineage is called after its first case, unless that name's lineage has gone on with other accounts."""
    return case_id if case_id not in members else f"{case_id}-{look}"


def _standing(born: Mapping[str, int], running: Mapping[str, float]) -> set[str]:
    """Lineages that e-BH accepts, each among those that began at the same look."""
    cohorts: dict[int, list[str]] = {}
    for lineage, look in born.items():
        cohorts.setdefault(look, []).append(lineage)
    return {
        lineage
        for cohort in cohorts.values()
        for lineage, good in zip(cohort, e_bh([running[one] for one in cohort]), strict=True)
        if good
    }


def _member_table(members: Mapping[str, Set[str]]) -> pa.Table:
    pairs = [(lineage, account) for lineage, accounts in members.items() for account in sorted(accounts)]
    return pa.table(
        {"lineage_id": [lineage for lineage, _ in pairs], "account_id": [account for _, account in pairs]},
        MEMBERS_SCHEMA,
    )
