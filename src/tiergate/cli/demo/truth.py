"""Comparing cases with what a simulated world knows about its accounts."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping

from tiergate.cli.cases import CasesFolder
from tiergate.cli.report import Truth
from tiergate.cli.terminal import say

FOUND_SHARE = 0.9


def compare(found: CasesFolder, population_of: Mapping[str, str], campaigns: frozenset[str], world: str) -> Truth:
    """How many accounts of each population are in a case to act on; campaigns first, then the larger populations."""
    in_any = set().union(*(case.account_ids for case in found.cases))
    acted = [case for case in found.cases if case.facts["recommended_action"] != "watch"]
    inside = set().union(*(case.account_ids for case in acted))
    watched = sum(population_of[account] not in campaigns for account in in_any - inside)
    sizes = Counter(population_of.values())
    hits = Counter(population_of[account] for account in inside)
    order = sorted(sizes, key=lambda name: (name not in campaigns, -sizes[name], name))
    return Truth(world, [(name, sizes[name], hits[name]) for name in order], campaigns, watched)


def say_truth(truth: Truth) -> bool:
    """Print the comparison; true when the campaigns were found and nobody else would be touched."""
    say(f"Against the truth of the simulated world ({truth.world}):")
    well = True
    for name, accounts, inside in truth.populations:
        campaign = name in truth.campaigns
        right = inside >= FOUND_SHARE * accounts if campaign else inside == 0
        well &= right
        wanted = "the campaign" if campaign else "innocent"
        verdict = "" if right else "   <- not as it should be"
        say(f"  {inside:>4} of {accounts:>4} in a case above watch   {name.replace('_', ' ')} ({wanted}){verdict}")
    if truth.watched:
        say(f"  {truth.watched:>4} innocent accounts are in a case to be watched: nothing happens to them")
    return well
