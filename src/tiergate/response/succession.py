"""Who goes on where a case was stopped: a case that is tied to it, or a single account that shows what it shows.

Both inherit `verify` and never more: an honest customer who looks alike loses a day, and an heir loses its start.

A case is an heir where detection ties it to one under `limit` or stricter (`case_ties`), and either two causes tie
them, or one does and its first exchange came after the stopped case was opened. One cause alone would also tie older
users of a tool that the stopped case used.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import msgspec

from tiergate.detection.families import CAUSES
from tiergate.ledger.verdicts import Action
from tiergate.response.case_files import CaseFile, Found
from tiergate.response.ladder import LADDER, Permitted

INHERITED: Final = Action.VERIFY
STOPPING: Final = frozenset({Action.LIMIT, Action.SUMMARISE, Action.SUSPEND})
LEAST_CAUSES: Final = 2
_CAUSE_OF: Final = {family: cause for cause, families in CAUSES.items() for family in families}


class Tie(msgspec.Struct, frozen=True):
    """What ties a case to another ``lineage``: nats, how many causes, and a sentence for people."""

    lineage: str
    log_odds: float
    causes: int
    explanation: str


def ties_of(rows: list[dict[str, Any]], lineages: Mapping[str, str]) -> dict[str, list[Tie]]:
    """Ties of each case of a look, from rows of `case_ties`. ``lineages``: of each case."""
    found: dict[str, list[Tie]] = {}
    for row in rows:
        for one, other in (("case_a", "case_b"), ("case_b", "case_a")):
            causes = len({_CAUSE_OF[family] for family in row["families"]})
            tie = Tie(lineages[row[other]], row["log_odds"], causes, row["explanation"])
            found.setdefault(row[one], []).append(tie)
    return found


def stops(file: CaseFile, now_us: int) -> bool:
    """Whether a case is under a step that others inherit from."""
    return file.step in STOPPING and (file.step_until_us or 0) > now_us


def inheriting(
    may: Permitted, file: CaseFile, found: Found, ties: list[Tie], files: Mapping[str, CaseFile], now_us: int
) -> Permitted:
    """What a case permits, `verify` at least where it is an heir and people did not decide otherwise.

    :param files: all files as they were before this look.
    """
    decided = file.split_from is not None or (file.ceiling is not None and (file.ceiling_until_us or 0) > now_us)
    if decided or LADDER.index(may.alone) >= LADDER.index(INHERITED):
        return may
    for tie in sorted(ties, key=lambda one: -one.log_odds):
        stopped = files.get(tie.lineage)
        while stopped is not None and stopped.merged_into is not None:
            stopped = files.get(stopped.merged_into)
        if stopped is None or stopped.case_id == file.case_id or not stops(stopped, now_us):
            continue
        if tie.causes >= LEAST_CAUSES or found.first_seen_us > stopped.opened_at_us:
            said = f"goes on where {stopped.case_id} was stopped ({tie.log_odds:.1f} nats): {tie.explanation}"
            return Permitted(INHERITED, None if may.proposed is INHERITED else may.proposed, said)
    return may
