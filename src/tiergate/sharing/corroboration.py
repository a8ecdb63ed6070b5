"""How many labs stand behind a finding: those that tell of it, met it or agree, less those that disagree.

    score = 1 + (labs that met it or agree) - (labs that disagree)

Who agrees or met it counts for the content that it saw (`Finding.content`) and for none that was told later, or to
others; who disagrees counts whatever is told under that id. A lab counts once, whatever it says how often: by its
newest opinion, and where that is neutral or missing, by whether it met the finding. The word of whoever tells it is the
1, and no more. What was withdrawn counts nothing, and a finding that was withdrawn scores 0.
"""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from tiergate.sharing.finding import Finding, Opinion, Sighting, View

_STANCE = {
    View.STRONGLY_AGREE: 1,
    View.AGREE: 1,
    View.NEUTRAL: 0,
    View.DISAGREE: -1,
    View.STRONGLY_DISAGREE: -1,
}


class Corroboration(msgspec.Struct, frozen=True, kw_only=True):
    """``score`` by the formula above; ``agree``, ``disagree``: other labs that count for and against it."""

    score: int
    agree: int
    disagree: int

    def __str__(self) -> str:
        return f"score {self.score}, {self.agree} agree, {self.disagree} disagree"


def corroboration(finding: Finding, said: Iterable[Sighting | Opinion]) -> Corroboration:
    """What labs make of a finding. ``said``: in any order, also about others, and the same more than once."""
    content = finding.content
    opinions: dict[str, Opinion] = {}
    met: set[str] = set()
    for one in said:
        lab = one.lab.lab_id
        if one.about != finding.finding_id or one.revoked or lab == finding.lab.lab_id:
            continue
        if isinstance(one, Sighting):
            met |= {lab} if one.content == content else set()
        elif lab not in opinions or _order(one) > _order(opinions[lab]):
            opinions[lab] = one
    stances = {
        lab: stance if (stance := _STANCE[one.view]) < 0 or one.content == content else 0
        for lab, one in opinions.items()
    }
    for lab in met:
        stances[lab] = stances.get(lab, 0) or 1
    agree, disagree = (sum(one == way for one in stances.values()) for way in (1, -1))
    return Corroboration(score=0 if finding.revoked else 1 + agree - disagree, agree=agree, disagree=disagree)


def _order(one: Opinion) -> tuple[int, int, str]:
    # Of two at one time the more critical counts, so that the order in which they came does not.
    return one.modified_us, -_STANCE[one.view], one.opinion_id
