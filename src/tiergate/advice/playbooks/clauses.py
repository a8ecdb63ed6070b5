"""Clauses of frameworks, and which control or figure of a playbook is evidence for them: `clauses.toml`.

The words are ours, and say what a clause is about; what it requires is for its own text to say. That there is evidence
does not mean that a clause is met, and what no control here can show is listed as not covered.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from importlib.resources import as_file, files
from typing import Final

import msgspec

from tiergate.advice.playbooks.checking import controls_of
from tiergate.advice.playbooks.findings import Finding
from tiergate.advice.playbooks.kpis import Kpi
from tiergate.advice.playbooks.playbook import Playbook
from tiergate.catalog.cited import Cited, read_facts

FILE: Final = "clauses.toml"
REPORT: Final = "report"
"""Evidence that the go/no-go report itself is."""


class Framework(Cited, frozen=True, kw_only=True):
    """A framework, a standard or a law: whose text the clauses are of, and where it is published."""

    id: str
    name: str


class Clause(Cited, frozen=True, kw_only=True):
    """``evidence``: names of controls, of figures, or `REPORT`; none where nothing here shows anything. ``limit``: what
    the evidence does not show. ``only``: playbooks that it concerns, all if empty."""

    framework: str
    clause: str
    about: str
    evidence: tuple[str, ...] = ()
    limit: str
    only: tuple[str, ...] = ()


class ClausesFile(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`[[framework]]` and `[[clause]]` rows."""

    framework: tuple[Framework, ...]
    clause: tuple[Clause, ...]


class Evidence(msgspec.Struct, frozen=True, kw_only=True):
    """A clause in the pack of a playbook. ``shown``: what is evidence for it and how that stands, control or figure by
    control or figure; none where this playbook has nothing on it."""

    framework: str
    clause: str
    about: str
    shown: dict[str, str]
    limit: str
    source: str
    as_of: str


@cache
def load_clauses() -> ClausesFile:
    """Those that come with Tiergate."""
    with as_file(files("tiergate.advice.playbooks") / FILE) as path:
        return read_facts(path, ClausesFile)


def pack_of(playbook: Playbook, findings: Sequence[Finding], kpis: Sequence[Kpi]) -> list[Evidence]:
    """The evidence pack: every clause that concerns ``playbook``, in the file's order."""
    stands: dict[str, str] = {one.control: one.state for one in findings}
    stands |= {one.name: "not measured" if one.met is None else "met" if one.met else "not met" for one in kpis}
    stands[REPORT] = "this report"
    there = {*controls_of(playbook), *playbook.kpis, REPORT}
    pack = []
    for one in load_clauses().clause:
        if one.only and playbook.id not in one.only:
            continue
        shown = {name: stands.get(name, "not checked") for name in one.evidence if name in there}
        none = f"this playbook asks for none of {', '.join(one.evidence)}"
        pack.append(
            Evidence(
                framework=one.framework,
                clause=one.clause,
                about=one.about,
                shown=shown,
                limit=one.limit if shown or not one.evidence else none,
                source=one.source,
                as_of=one.as_of.isoformat(),
            )
        )
    return pack
