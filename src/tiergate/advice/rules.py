"""What a rule says of a candidate: a verdict with its words and its sources; and the form of a rule.

A rule looks at one thing that is asked. What is not on file is unknown, never met: a candidate of which something is
unknown is not short-listed, and is shown with what has to be found out.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable
from dataclasses import dataclass
from enum import IntEnum
from typing import Any, NamedTuple

from tiergate.advice.candidates import Candidate, Market
from tiergate.advice.requirements import Requirements
from tiergate.catalog.cited import Cited


class Verdict(IntEnum):
    """Mildest first: the worst of all rules counts."""

    MET = 0
    ASK = 1
    """Met once a contract, an approval or work of one's own says so."""
    UNKNOWN = 2
    BROKEN = 3


class Finding(NamedTuple):
    """What one rule says of one candidate. ``sources``: the facts it rests on, none where that is what was asked."""

    verdict: Verdict
    text: str
    sources: tuple[Cited, ...] = ()


@dataclass(frozen=True)
class Rule:
    """``asks``: what of the requirements it looks at, None where nothing of it is asked; ``fields``: where that stands
    in the file; ``judge``: what it says of a candidate, from that and from what is on file alone."""

    id: str
    fields: tuple[str, ...]
    asks: Callable[[Requirements], Hashable | None]
    judge: Callable[[Candidate, Any, Market], Finding]


def met(text: str, *sources: Cited) -> Finding:
    return Finding(Verdict.MET, text, sources)


def ask(text: str, *sources: Cited) -> Finding:
    return Finding(Verdict.ASK, text, sources)


def unknown(text: str, *sources: Cited) -> Finding:
    return Finding(Verdict.UNKNOWN, text, sources)


def broken(text: str, *sources: Cited) -> Finding:
    return Finding(Verdict.BROKEN, text, sources)


def worst(findings: Iterable[Finding]) -> Finding:
    """The first of the worst. Raises `ValueError` for none."""
    return max(findings, key=lambda one: one.verdict)


def listed(names: Iterable[object]) -> str:
    """`a, b and c`."""
    texts = [str(name) for name in names]
    return " and ".join([", ".join(texts[:-1]), texts[-1]]) if len(texts) > 1 else "".join(texts)
