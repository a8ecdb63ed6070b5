"""Ordinary reasons why accounts act alike, and what the tests said of each."""

from __future__ import annotations

from typing import Final

from tiergate.response.dossier.document import Table
from tiergate.response.dossier.facts import Evidence, Part
from tiergate.response.dossier.words import nats

LEAST: Final = 0.05
"""Nats below which a test says nothing to speak of."""

NO_DATA: Final = "Not tested: the log did not hold what the test needs."

REASONS: Final[tuple[tuple[str, str, tuple[tuple[str, str], ...]], ...]] = (
    (
        "A class, a benchmark or a test suite: everybody is given one list",
        NO_DATA,
        (("workload", "messages"), ("workload", "repeats")),
    ),
    (
        "People at work with one tool: each has subjects and sittings of their own",
        NO_DATA,
        (("workload", "subject"), ("workload", "minutes")),
    ),
    (
        "An agency or a reseller, whose customers are people: the same tests, with its customers told apart where it "
        "names them",
        NO_DATA,
        (("workload", "subject"), ("workload", "minutes")),
    ),
    (
        "One company, school or office that says so",
        "The accounts declare no organisation in common.",
        (("selection", "declared organisation"),),
    ),
    (
        "One event that sets the hour for all: an outage, a release, a deadline",
        NO_DATA,
        (("workload", "bursts"), ("workload", "variance")),
    ),
    (
        "Accounts that have nothing to do with each other: when some are closed, the others do not take over",
        "Not tested: no part of the group was closed while the rest went on.",
        (("workload", "hand-over"),),
    ),
)
"""An ordinary reason, what is said where its tests did not run, and the tests."""

CHANCE: Final = "Chance: any group on a large platform has something in common"
UNTOLD: Final = "Contractors whose honest work is one shared queue: labelling firms, support desks"


def alternatives(part: Part) -> Table:
    """One row an ordinary reason: the tests of it, and how they came out."""
    held = {(one.family, one.statistic): one for one in part.evidence}
    rows = [_chance(part, held)]
    for reason, otherwise, tests in REASONS:
        found = [held[test] for test in tests if test in held]
        rows.append([reason, *_outcome(found, otherwise)])
    rows.append(
        [
            UNTOLD,
            "No test can tell this apart: it is one queue, and nobody's harm. Only a person can say.",
            "not excluded",
        ]
    )
    return Table(
        head=["ordinary reason", "what was tested, and what came out", "outcome"],
        rows=rows,
        align="lll",
        widths=[5, 9, 3],
    )


def _chance(part: Part, held: dict[tuple[str, str], Evidence]) -> list[str]:
    cost = held.get(("selection", "cost of naming the group"))
    naming = f" {_sentence(cost)}." if cost else ""
    if part.expected is None:
        return [
            CHANCE,
            f"These accounts share an instruction only, so there is no chance to count.{naming}",
            "not tested",
        ]
    outcome = "speaks against this reason" if part.expected < 0.5 else "does not exclude it"
    return [
        CHANCE,
        f"Shuffled copies of the same log: {part.expected:.2g} groups as strong as this one are expected in one look."
        + naming,
        outcome,
    ]


def _outcome(found: list[Evidence], otherwise: str) -> tuple[str, str]:
    if not found:
        return otherwise, "not tested" if otherwise.startswith("Not") else "no sign of it found"
    total = sum(one.log_odds for one in found)
    text = ". ".join(f"{_sentence(one)} ({nats(one.log_odds)} nats)" for one in found)
    if total >= LEAST:
        return f"{text}.", "speaks against this reason"
    if total <= -LEAST:
        return f"{text}.", "speaks for this reason"
    return f"{text}.", "no sign of it found"


def _sentence(one: Evidence) -> str:
    return one.explanation[:1].upper() + one.explanation[1:]
