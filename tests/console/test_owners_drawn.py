"""A graph of owners, drawn: nothing is left out, nothing lies on anything else."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from tiergate.console.admission.drawing import HEIGHT, WIDTH, draw
from tiergate.parties.neighbours import Owners, Party, Said, Tie

SAID = Said(source="s", as_of_us=0)


@st.composite
def graphs(draw_: st.DrawFn) -> Owners:
    """A party and those above it, each holding one that was there before, some of them others too."""
    above = draw_(st.lists(st.integers(0, 30), max_size=30))
    steps = {"pty_0": 0}
    pairs = []
    for number, below in enumerate(above, 1):
        owned = f"pty_{below % number}"
        steps[f"pty_{number}"] = steps[owned] + 1
        pairs.append((f"pty_{number}", owned))
    names = list(steps)
    more = draw_(st.lists(st.tuples(st.sampled_from(names), st.sampled_from(names)), max_size=8))
    pairs += [(a, b) for a, b in more if a != b and steps[a] <= steps[b] + 1]
    prongs = st.sampled_from(["shares", "votes", "control", "unknown"])
    ties = [Tie(owner=a, owned=b, prong=draw_(prongs), lo_ppm=0, hi_ppm=500_000, indirect=False, said=SAID)
            for a, b in pairs]  # fmt: skip
    parties = [
        Party(party_id=one, name=one, kind=None, incorporated_in=None, headquarters=None, lists=(), undisclosed=False)
        for one in names
    ]
    return Owners(parties=parties, steps=steps, ties=ties, more={})


@given(graphs())
def test_every_party_has_a_place_of_its_own_and_every_pair_an_edge(owners: Owners) -> None:
    drawn = draw(owners)
    assert {node.party.party_id for node in drawn.nodes} == set(owners.steps)
    assert len(drawn.edges) == len({(tie.owner, tie.owned) for tie in owners.ties})
    heights = {}
    for node in drawn.nodes:
        assert 0 <= node.x <= drawn.width - WIDTH
        assert 0 <= node.y <= drawn.height - HEIGHT
        heights.setdefault(node.y, []).append(node.x)
        # Who is further away stands higher.
        assert node.root == (node.y == max(one.y for one in drawn.nodes))
    for across in heights.values():
        assert all(right - left >= WIDTH for left, right in pairwise(sorted(across)))
