"""Checks a proof of ownership against the stakes, with plain whole numbers and nothing of what found the answer."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any

WHOLE = 1_000_000
ECONOMIC, VOTES, CONTROL = 0, 1, 2

Stake = tuple[int, int, int, int, int, int, bool]
"""owner, owned, lo_ppm, hi_ppm, prong, concert (-1: none), indirect."""


def verify_proof(proof: Any, stakes: Sequence[Stake], listed: Collection[int], test: Any) -> bool:
    """Whether every step of ``proof`` follows under ``test`` from ``stakes``, who is ``listed`` and earlier steps,
    and the last step is about its entity. Takes time linear in stakes and steps, once ``listed`` is a set."""
    concerned = {step.entity for step in proof.steps}
    total: dict[tuple[int, int], int] = {}
    for _, owned, lo, _, prong, _, indirect in stakes:
        if owned in concerned and not indirect:
            total[owned, prong] = total.get((owned, prong), 0) + lo
    proven: set[int] = set()
    for step in proof.steps:
        if not _follows(step, stakes, listed, test, proven, total):
            return False
        proven.add(step.entity)
    return bool(proof.steps) and proof.steps[-1].entity == proof.entity


def _follows(
    step: Any, stakes: Sequence[Stake], listed: Collection[int], test: Any, proven: set[int], total: dict[Any, int]
) -> bool:
    if step.reason == "listed":
        return step.entity in listed and not step.stakes
    numbers = set(step.stakes)
    if not numbers or len(numbers) < len(step.stakes) or not all(0 <= number < len(stakes) for number in numbers):
        return False
    rows = [stakes[number] for number in step.stakes]
    if not all(row[1] == step.entity and row[0] in proven and row[2] > 0 and not row[6] for row in rows):
        return False
    prongs = {row[4] for row in rows}
    if step.reason == "control":
        return bool(test.control) and prongs == {CONTROL}
    if len(prongs) > 1 or not prongs <= {int(prong) for prong in test.counts.value}:
        return False
    holders = {("concert", row[5]) if row[5] >= 0 else ("alone", row[0]) for row in rows}
    if len(holders) > 1 and not test.aggregate:
        return False
    # Lower bounds that add up to more than 100% contradict each other: the excess is taken off.
    share = sum(row[2] for row in rows) - max(0, total[step.entity, prongs.pop()] - WHOLE)
    if step.reason == "presumed":
        return bool(share == test.threshold_ppm and test.equal_presumes_control and not test.at_least)
    return bool(step.reason == "ownership" and share >= test.threshold_ppm + (0 if test.at_least else 1))
