"""How far two names are from each other, part by part, and why.

Tokens of the two names are paired, what saves most first; what is left over on both sides contradicts, what is left
over on one side is missing on the other. Every pair and every left-over has a cost, costs add up, and the score is
2 ** -cost: 1 when nothing differs, `THRESHOLD` at a cost of 1. So a reviewer can read off which part spoke against a
match and by how much. Both names are treated alike: the score is symmetric. The order of tokens is not looked at.

The costs in `PERSON` and `ORGANISATION` are learnt, by `benchmarks/names.py --fit`, from the tuning half of the
labelled pairs of the data collection (`name_match_cases`, opensanctions/nomenklatura); that script states the split.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from rapidfuzz.distance import OSA

from tiergate.parties.names import WEAK, Kind, Name, Token, one_person

THRESHOLD: Final = 0.5
"""Score from which two names are worth a reviewer's look."""


@dataclass(frozen=True, slots=True)
class Costs:
    """What differences cost; a sum of 1 is the limit.

    An edit is an insertion, deletion, substitution or transposition of neighbours (optimal string alignment).
    """

    edit: float
    """each edit between two tokens"""
    power: float
    """to which edits are raised, >= 1: the third weighs more than the first"""
    share: float
    """edits as a share of the longer token, times this"""
    heard: float
    """factor on both where the tokens sound alike"""
    consonants: float
    """added where vowels are missing in one token, so that consonants alone are compared"""
    initial: float
    short_form: float
    acronym: float
    joined: float
    """two or three tokens of one name written as one in the other"""
    conflict: float
    """for each token's worth that is left over on both sides"""
    missing: float
    """for each rare token's value that is left over on one side; common words count by their value alone"""
    thin: float
    """added to ``missing`` where more is missing than agrees: `Origin Bancorp` is no `Bancorp`"""
    floor: float
    """in [0, 1]; what the commonest word is worth in a pair or a conflict, as a share of a rare one"""
    forms: float
    """two legal forms of different classes; at most 0.5, so that a form, easily changed, never parts two names alone"""


PERSON: Final = Costs(
    edit=0.26, power=1.35, share=0.36, heard=0.47, consonants=0.11, initial=0.27, short_form=0.36, acronym=0.54,
    joined=0.09, conflict=2.22, missing=0.12, thin=0.25, floor=0.09, forms=0.0,
)  # fmt: skip
ORGANISATION: Final = Costs(
    edit=0.17, power=1.8, share=0.56, heard=0.63, consonants=0.3, initial=0.39, short_form=1.0, acronym=0.36,
    joined=0.1, conflict=1.32, missing=0.9, thin=0.15, floor=1.0, forms=0.5,
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Part:
    """One step of the comparison. ``left`` or ``right`` is empty for what one name alone has; ``cost`` >= 0."""

    left: str
    right: str
    why: str
    cost: float

    def __str__(self) -> str:
        return f"{self.left or '-'} ~ {self.right or '-'}: {self.why}, costs {self.cost:.2f}"


@dataclass(frozen=True, slots=True)
class Comparison:
    """``score`` in [0, 1] and the parts whose costs make it."""

    score: float
    parts: tuple[Part, ...]

    def explain(self) -> str:
        """The comparison in lines for a reviewer, dearest part first."""
        lines = [str(part) for part in sorted(self.parts, key=lambda part: -part.cost)]
        return "\n".join([f"score {self.score:.2f}", *lines])


def compare(left: Name, right: Name) -> Comparison:
    """Score two names. Names of a person and of an organisation are compared as organisations, the stricter reading.

    A name without letters or digits scores 0 against every name, itself included: nothing can be told from it.
    """
    if not left.tokens or not right.tokens:
        return Comparison(0.0, ())
    person = left.kind is Kind.PERSON and right.kind is Kind.PERSON
    return compare_by(left, right, PERSON if person else ORGANISATION)


def compare_by(left: Name, right: Name, costs: Costs) -> Comparison:
    """`compare` under costs of one's own; the names must not be empty."""
    if _order(left) > _order(right):  # symmetry: whichever comes first, they are compared in one order
        turned = compare_by(right, left, costs)
        return Comparison(turned.score, tuple(Part(p.right, p.left, p.why, p.cost) for p in turned.parts))
    parts, ours, theirs = _equal(left.tokens, right.tokens)
    agreed = sum(left.tokens[i].value for i in range(len(left.tokens)) if i not in ours)
    if ours and theirs:
        agreed = _pair_up(left.tokens, right.tokens, ours, theirs, costs, parts, agreed)
    _left_over([left.tokens[i] for i in sorted(ours)], [right.tokens[i] for i in sorted(theirs)], agreed, costs, parts)
    if left.forms and right.forms and left.forms.isdisjoint(right.forms):
        parts.append(Part(" ".join(sorted(left.forms)), " ".join(sorted(right.forms)), "other legal form", costs.forms))
    return Comparison(2.0 ** -sum(part.cost for part in parts), tuple(parts))


def _order(name: Name) -> list[tuple[str, str]]:
    return [(token.text, token.native) for token in name.tokens]


def _worth(token: Token, costs: Costs) -> float:
    return costs.floor + (1 - costs.floor) * token.value


def _equal(left: tuple[Token, ...], right: tuple[Token, ...]) -> tuple[list[Part], set[int], set[int]]:
    """Pair tokens that are the same; the parts, and the positions that stay open on either side."""
    waiting: dict[tuple[str, str], list[int]] = {}
    for j, token in enumerate(right):
        waiting.setdefault((token.text, token.native), []).append(j)
    parts, ours, theirs = [], set(range(len(left))), set(range(len(right)))
    for i, token in enumerate(left):
        found = waiting.get((token.text, token.native))
        if found:
            ours.discard(i)
            theirs.discard(found.pop(0))
            parts.append(Part(token.native or token.text, token.native or token.text, "same", 0.0))
    return parts, ours, theirs


_Link = tuple[bool, float, float, tuple[int, ...], tuple[int, ...], str, float]
"""Whether it is weak, -saving, cost, positions left, positions right, why, value."""


def _pair_up(
    left: tuple[Token, ...],
    right: tuple[Token, ...],
    ours: set[int],
    theirs: set[int],
    costs: Costs,
    parts: list[Part],
    agreed: float,
) -> float:
    """Pair open tokens where that is cheaper than to leave both over. Returns the value that agrees with theirs added.

    Largest saving first, and weak links last and only beside tokens that agree: initials, short acronyms and what is
    half rewritten fit every third name, and so do common words.
    """
    links: list[_Link] = []
    for i in ours:
        for j in theirs:
            link = _token_cost(left[i], right[j], costs)
            if link is not None:
                cost, why, weak = link
                saving = min(_worth(left[i], costs), _worth(right[j], costs)) * costs.conflict - cost
                if saving > 0:
                    links.append((weak, -saving, cost, (i,), (j,), why, min(left[i].value, right[j].value)))
    links += _run_links(left, right, ours, theirs, costs)
    links += [(w, s, c, one, run, why, v) for w, s, c, run, one, why, v in _run_links(right, left, theirs, ours, costs)]
    for weak, _, cost, lefts, rights, why, value in sorted(links):
        if ours.issuperset(lefts) and theirs.issuperset(rights) and (agreed > SUPPORT or not weak):
            ours.difference_update(lefts)
            theirs.difference_update(rights)
            parts.append(Part(_shown(left, lefts), _shown(right, rights), why, cost))
            agreed += value
    return agreed


SUPPORT: Final = 0.5
"""Value that must agree elsewhere before weak links count."""


def _shown(tokens: tuple[Token, ...], positions: tuple[int, ...]) -> str:
    return " ".join(tokens[i].native or tokens[i].text for i in positions)


def _token_cost(left: Token, right: Token, costs: Costs) -> tuple[float, str, bool] | None:
    """Cost of taking two unequal tokens for one, why, and whether that is weak; None where nothing allows it."""
    a, b = left.text, right.text
    if left.native and right.native:  # two characters that are written differently are two names, however read
        return (costs.joined, "same reading", False) if a == b else None
    if a == b:
        return 0.0, "same reading", False
    if len(a) == 1 or len(b) == 1:
        return (costs.initial, "initial", True) if a[0] == b[0] and not (a.isdigit() or b.isdigit()) else None
    if left.abjad != right.abjad:
        cost, edits = _edit_cost(left.key, right.key, costs)
        return costs.consonants + cost, f"consonants, {edits} edits", min(len(left.key), len(right.key)) < 3
    cost, edits = _edit_cost(a, b, costs)
    why = f"{edits} edits"
    if left.key == right.key and len(left.key) > 1:
        cost *= costs.heard
        why += ", sounds alike"
    if costs.short_form < cost and one_person(a, b):
        return costs.short_form, "short form", False
    return cost, why, 2 * edits >= max(len(a), len(b))


def _edit_cost(left: str, right: str, costs: Costs) -> tuple[float, int]:
    edits = OSA.distance(left, right)
    return costs.edit * edits**costs.power + costs.share * edits / max(len(left), len(right), 1), edits


_LONGEST_ACRONYM: Final = 6


def _run_links(
    many: tuple[Token, ...], one: tuple[Token, ...], open_many: set[int], open_one: set[int], costs: Costs
) -> list[_Link]:
    """Links of a run of open neighbours in ``many`` to one token of ``one``: written together, or as an acronym."""
    links: list[_Link] = []
    for run in _runs(sorted(open_many)):
        texts = [many[i].text for i in run]
        written, initials = "".join(texts), "".join(text[0] for text in texts)
        worth = min(sum(_worth(many[i], costs) for i in run), 1.5)
        value = sum(many[i].value for i in run)
        for j in open_one:
            text = one[j].text
            if len(run) <= 3 and abs(len(written) - len(text)) <= 2 and text[0] == written[0]:
                cost, edits = _edit_cost(written, text, costs)
                cost += 0.0 if all(many[i].native for i in run) else costs.joined
                saving = worth * costs.conflict - cost
                if saving > 0 and 3 * edits <= len(written):
                    links.append((False, -saving, cost, run, (j,), "written together", value))
            if text == initials and all(many[i].value > WEAK for i in run) and one[j].value > WEAK:
                saving = worth * costs.conflict - costs.acronym
                if saving > 0:
                    links.append((len(text) < 3, -saving, costs.acronym, run, (j,), "acronym", value))
    return links


def _runs(positions: list[int]) -> list[tuple[int, ...]]:
    """All runs of 2 to 6 neighbouring positions."""
    streaks: list[list[int]] = [[]]
    for position in positions:
        if streaks[-1] and position != streaks[-1][-1] + 1:
            streaks.append([])
        streaks[-1].append(position)
    return [
        tuple(streak[start:end])
        for streak in streaks
        for start in range(len(streak))
        for end in range(start + 2, min(start + _LONGEST_ACRONYM, len(streak)) + 1)
    ]


def _left_over(ours: list[Token], theirs: list[Token], agreed: float, costs: Costs, parts: list[Part]) -> None:
    shown = [" ".join(token.native or token.text for token in side) for side in (ours, theirs)]
    if ours and theirs:
        both = min(sum(_worth(token, costs) for token in side) for side in (ours, theirs))
        parts.append(Part(shown[0], shown[1], "different", both * costs.conflict))
    mine, yours = (sum(token.value for token in side) for side in (ours, theirs))
    if mine != yours:
        cost = abs(mine - yours) * (costs.missing + (costs.thin if agreed < abs(mine - yours) else 0.0))
        parts.append(Part(shown[0] if mine > yours else "", shown[1] if yours > mine else "", "only here", cost))
