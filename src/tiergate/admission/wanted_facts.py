"""What would settle a verdict of ownership that is not known: what to obtain, cheapest first.

There are two texts of each fact. Whoever runs the deployment reads ids and shares of everybody in the chain. The
organisation itself is told which kind of fact is missing and how far up its own chain, without any other party, list
or threshold: holders of its holders may have told us in confidence. Of stakes in itself it is told what is on file.
"""

from __future__ import annotations

from typing import Final, NamedTuple
from weakref import WeakKeyDictionary

import numpy as np

from tiergate.admission.eligibility import PackVerdicts, Reason
from tiergate.parties.ownership import Prong
from tiergate.parties.resolving import Verdict
from tiergate.parties.settling import COST, HOP, NODES, Fact, Missing, Settling, settle

SHOWN: Final = 3
"""Facts of one organisation that are shown."""
MOST_SETTLED: Final = 100
"""Organisations that are looked at, of many that are not known: each takes some 5 ms, and 0.1 s at worst."""


class Wanted(NamedTuple):
    """Something to obtain. ``text`` is for whoever runs the deployment, ``told`` for the organisation; ``settles``
    whether it does so whichever way it turns out. ``cost`` compares, see `tiergate.parties.settling`."""

    text: str
    told: str
    settles: bool
    cost: int


def wanted_facts(verdicts: PackVerdicts, organisation: str, *, most: int = SHOWN) -> tuple[Wanted, ...]:
    """What would settle the pack's verdict on an organisation; empty where it is known.

    What settles it for certain comes first, each group cheapest first.
    """
    said = verdicts.of(organisation)
    if said.verdict is not Verdict.NOT_KNOWN:
        return ()
    entity, pack = verdicts.facts.number(organisation), verdicts.pack
    if said.reason is Reason.RULE_UNCONFIRMED:
        text = f"a source that says whether `{pack.name}` is in force: activate it with `--confirm SOURCE`"
        return (Wanted(text, "whether the rule is in force; the provider has to find out", True, 0),)
    if said.reason is Reason.LIST_MISSING:
        assert pack.seeds is not None
        lists = ", ".join(f"`{name}`" for name in pack.seeds.lists if name not in verdicts.facts.listings)
        text = f"the lists {lists}: bring them in with `tiergate parties import`"
        return (Wanted(text, "a list that the rule starts from; the provider has to bring it in", False, 0),)
    if said.reason is Reason.INTEGRATED_SHARE:
        text = f"a corrected stake in the chain above {organisation}: shares multiplied along it meet the threshold"
        return (Wanted(text, "a corrected stake in the chain of its owners: multiplied, they are too many", False, 0),)
    if entity is None:
        text = f"a record of {organisation} and of its owners: import one, and use the `pty_` id it gets everywhere"
        return (Wanted(text, "a record of the organisation itself and of its owners", False, 0),)
    if said.reason is Reason.HEADQUARTERS_NOT_KNOWN:
        return _headquarters(verdicts, entity)[:most]
    assert verdicts.resolution is not None
    return tuple(_of(verdicts, one) for one in settle(verdicts.resolution, entity)[:most])


class Told:
    """What organisations are told, worked out once for a pack's verdicts and for `MOST_SETTLED` organisations."""

    def __init__(self) -> None:
        self._known: WeakKeyDictionary[PackVerdicts, dict[str, tuple[str, ...]]] = WeakKeyDictionary()

    def of(self, verdicts: PackVerdicts, organisation: str) -> tuple[str, ...]:
        """Of an organisation that the pack does not know; empty where it is one too many."""
        known = self._known.setdefault(verdicts, {})
        if organisation not in known and len(known) < MOST_SETTLED:
            known[organisation] = tuple(dict.fromkeys(one.told for one in wanted_facts(verdicts, organisation)))
        return known.get(organisation, ())


def _of(verdicts: PackVerdicts, one: Settling) -> Wanted:
    texts = [_text(verdicts, fact) for fact in one.facts]
    tolds = [_told(verdicts, fact) for fact in one.facts]
    text = ("" if one.settles else "perhaps ") + " and ".join(texts) + _turns(one)
    return Wanted(text, " and ".join(dict.fromkeys(tolds)), one.settles, one.cost)


def _turns(one: Settling) -> str:
    """From which share on it is barred or cleared."""
    clears = None if one.no_up_to is None else f"up to {_percent(one.no_up_to)} clears it"
    bars = None if one.yes_from is None else f"{_percent(one.yes_from)} and more bar it"
    said = [each for each in (clears, bars) if each is not None]
    open_ = "" if one.settles else "anything else leaves it open"
    return f": {', '.join([*said, open_] if open_ else said)}" if said else ""


def _text(verdicts: PackVerdicts, fact: Fact) -> str:
    graph, ids = verdicts.facts.graph, verdicts.facts.ids
    entity = ids[fact.entity]
    owner = ids[graph.owner[fact.stake]] if fact.stake >= 0 else ""
    match fact.kind:
        case Missing.SIZE:
            return f"a record of {owner}'s exact {_kind(verdicts, fact)} of {entity}, on file as {_band(fact)}"
        case Missing.CONTROL:
            return f"a record of whether {owner} controls {entity}"
        case Missing.CHAIN:
            return f"a record of through whom {owner} holds its indirect {_kind(verdicts, fact)} of {entity}"
        case Missing.TOGETHER:
            return f"a record of whether the holders of {entity} act together"
        case Missing.CONTRADICTION:
            return f"a correction of the stakes in {entity}, which are above 100% together"
        case Missing.HOLDERS:
            left = _percent(fact.most)
            return f"a record of who holds the {left} of {entity} that no stake explains, and what those listed hold"


def _told(verdicts: PackVerdicts, fact: Fact) -> str:
    up = (fact.cost - COST[fact.kind]) // HOP
    where = _place(up)
    match fact.kind:
        case Missing.SIZE:
            on_file = _band(fact) if not up else "a band"
            return f"a record of the exact size of a {_kind(verdicts, fact)} of {where} that is on file as {on_file}"
        case Missing.CONTROL:
            return f"a record of whether a holder controls {where}"
        case Missing.CHAIN:
            return f"a record of through whom an indirect {_kind(verdicts, fact)} of {where} is held"
        case Missing.TOGETHER:
            return f"a record of whether the holders of {where} act together"
        case Missing.CONTRADICTION:
            return f"a correction of the stakes in {where}, which are above 100% together"
        case Missing.HOLDERS:
            return f"a record of who holds the part of {where} that no stake explains"


def _headquarters(verdicts: PackVerdicts, entity: int) -> tuple[Wanted, ...]:
    """Owners of whom it is not known where they are at home, and the organisation itself, nearest first."""
    graph, doubtful = verdicts.facts.graph, verdicts.doubtful
    begin, steps, due = graph.incoming.begin, {entity: 0}, [entity]
    found = []
    for at in due:
        if doubtful[at]:
            text = f"perhaps a record of the headquarters of {verdicts.facts.ids[at]}, in a country that the pack knows"
            told = f"a record of the headquarters of {_place(steps[at])}"
            found.append(Wanted(text, told, False, 1 + HOP * steps[at]))
        stakes = graph.incoming.row[begin[at] : begin[at + 1]]
        for owner in np.unique(graph.owner[stakes[graph.hi_ppm[stakes] > 0]]).tolist():
            if owner not in steps and len(steps) < NODES:
                steps[owner] = steps[at] + 1
                due.append(owner)
    return tuple(found)


def _place(up: int) -> str:
    return "the organisation" if not up else f"an owner {up} step{'s' if up > 1 else ''} above it"


def _kind(verdicts: PackVerdicts, fact: Fact) -> str:
    return "share of the votes" if verdicts.facts.graph.prong[fact.stake] == Prong.VOTES else "share"


def _band(fact: Fact) -> str:
    return f"{_percent(fact.least)} to {_percent(fact.most)}"


def _percent(ppm: int) -> str:
    whole, rest = divmod(ppm, 10_000)
    return f"{whole}{f'.{rest:04d}'.rstrip('0') if rest else ''}%"
