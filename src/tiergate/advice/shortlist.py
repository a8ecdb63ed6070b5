"""Every rule on every candidate: who is short-listed, of whom something is unknown, who is excluded, and why."""

from __future__ import annotations

from collections.abc import Hashable
from functools import cached_property
from typing import Any, Final, NamedTuple

import numpy as np
import numpy.typing as npt

from tiergate.advice import access_rules, data_rules, fitness_rules, origin_rules
from tiergate.advice.candidates import Candidate, Market
from tiergate.advice.requirements import Asked, Requirements
from tiergate.advice.rules import Finding, Rule, Verdict

RULES: Final = (*access_rules.RULES, *data_rules.RULES, *origin_rules.RULES, *fitness_rules.RULES)
MOST_KEPT: Final = 1_024
"""Answers of rules that are kept, for as many different questions."""


class Judged(NamedTuple):
    """One rule on all candidates: ``findings`` (n,), and their verdicts as int8, (n,)."""

    rule: Rule
    findings: tuple[Finding, ...]
    verdicts: npt.NDArray[np.int8]


class Judge:
    """Rules on a market. The same question is answered once, whoever asks it."""

    def __init__(self, market: Market) -> None:
        self.market = market
        self._kept: dict[tuple[str, Hashable], Judged] = {}

    def judge(self, told: Requirements) -> Shortlist:
        """All that is asked, on all candidates."""
        asked = ((rule, rule.asks(told)) for rule in RULES)
        return Shortlist(self.market, [self._judged(rule, what) for rule, what in asked if what is not None])

    def _judged(self, rule: Rule, what: Any) -> Judged:
        key = (rule.id, what)
        if key not in self._kept:
            if len(self._kept) >= MOST_KEPT:
                self._kept.clear()
            findings = tuple(rule.judge(one, what, self.market) for one in self.market.candidates)
            self._kept[key] = Judged(rule, findings, np.array([one.verdict for one in findings], np.int8))
        return self._kept[key]


class Reason(NamedTuple):
    """Why a rule stands against a candidate, or what it asks."""

    rule: Rule
    finding: Finding

    def line(self, asked: Asked) -> int | None:
        """The line of the requirements that it is about."""
        return asked.line(*self.rule.fields)


class Shortlist:
    """``judged``: the rules that were asked. ``verdict`` (n,): the worst of them, of every candidate of the market."""

    def __init__(self, market: Market, judged: list[Judged]) -> None:
        self.market, self.judged = market, judged
        self.verdict: npt.NDArray[np.int8] = np.max([one.verdicts for one in judged], axis=0)

    def with_verdict(self, *verdicts: Verdict) -> list[Candidate]:
        """Candidates whose worst is one of these, in the order of the market."""
        places = np.flatnonzero(np.isin(self.verdict, verdicts))
        return [self.market.candidates[place] for place in places.tolist()]

    @cached_property
    def short(self) -> list[Candidate]:
        """Those by which nothing is broken and of which nothing asked is unknown."""
        return self.with_verdict(Verdict.MET, Verdict.ASK)

    @cached_property
    def to_find_out(self) -> list[Candidate]:
        """Those of which something is unknown and nothing broken."""
        return self.with_verdict(Verdict.UNKNOWN)

    @cached_property
    def excluded(self) -> list[Candidate]:
        return self.with_verdict(Verdict.BROKEN)

    def reasons(self, one: Candidate, verdict: Verdict) -> list[Reason]:
        """Every rule that says ``verdict`` of a candidate."""
        place = self._places[one.id]
        found = (Reason(each.rule, each.findings[place]) for each in self.judged if each.verdicts[place] == verdict)
        return list(found)

    def broken_rules(self, one: Candidate) -> set[str]:
        return {reason.rule.id for reason in self.reasons(one, Verdict.BROKEN)}

    @cached_property
    def _places(self) -> dict[str, int]:
        return {one.id: place for place, one in enumerate(self.market.candidates)}
