"""Sections of a dossier that judge: how sure, what speaks for it and against, which ordinary reasons were tested."""

from __future__ import annotations

import math

from tiergate.detection.decoys import LEAST_EXPECTED
from tiergate.response.dossier.alternatives import LEAST, alternatives
from tiergate.response.dossier.document import Block, Figure, Kind, Pairs, Section, Table, Text
from tiergate.response.dossier.facts import Evidence, Facts, Part
from tiergate.response.dossier.words import counted, nats, p_value, probability, usd, whole


def sure(facts: Facts) -> Section:
    found = facts.record.file.found
    return Section(
        title="How sure it is",
        kind=Kind.INFERRED,
        blocks=[
            Table(
                head=["figure", "value", "what it means"],
                rows=[
                    [
                        "confidence",
                        probability(found.confidence),
                        "How likely it is that these accounts work off one queue, and are neither together by chance "
                        "nor an ordinary group. Of a hundred cases stated like this one, about "
                        f"{100 * (1 - found.confidence):.2g} would be mistaken, if what detection assumes holds.",
                    ],
                    [
                        "q-value",
                        f"{found.q_value:.3g}",
                        "The share of mistaken cases to expect among this one and all that the look found stronger.",
                    ],
                    [
                        "e-value",
                        f"{found.e_value:.3g}",
                        "Evidence against chance over all looks, however often one looks: were the accounts together "
                        f"by chance, it would ever reach {found.e_value:.3g} with probability "
                        f"{min(1.0, 1 / found.e_value) if found.e_value else 1.0:.2g} at most. It excludes no ordinary "
                        "reason, and decides no step.",
                    ],
                ],
                align="lrl",
                widths=[2, 0, 9],
            ),
            Text(
                "These figures come from this log and from assumptions that were tuned on simulated platforms. They "
                "are no measured rate of error on real customers: nobody has published one. docs/detection.md lists "
                "every constant that was judged rather than measured.",
                note=True,
            ),
        ],
    )


def weighed(part: Part, facts: Facts) -> list[Section]:
    about = f" ({part.case_id})" if len(facts.parts) > 1 else ""
    speaking = [one for one in part.evidence if one.log_odds >= LEAST]
    against = [one for one in part.evidence if one.log_odds <= -LEAST]
    silent = [one for one in part.evidence if abs(one.log_odds) < LEAST]
    chance = "not counted" if part.expected is None else f"{part.expected:.2g}"
    if part.expected is not None and part.expected <= LEAST_EXPECTED:
        chance += ", the least that is ever claimed"
    drawn = len({row[side] for row in part.links for side in ("account_a", "account_b")})
    number = facts.parts.index(part)
    links: list[Block] = [
        Figure(
            f"graph-{number}",
            f"{drawn:,} of {len(facts.accounts):,} accounts, a point each, joined by the {len(part.links):,} strongest "
            "links, which are all that is kept for pictures. Thicker is stronger. Weaker links are not drawn, so that "
            "pieces may seem apart which are not.",
        ),
        Text(
            "Two accounts are linked when they agree by two independent causes, and by more than chance gives. A link "
            "is a statement about rarity on this platform, not an observed contact."
        ),
    ]
    return [
        Section(
            title=f"What speaks for it, and what against it{about}",
            kind=Kind.INFERRED,
            blocks=[
                Text(
                    "Evidence is weighed in nats, natural logarithms of odds: +0.7 doubles the odds that the accounts "
                    "act as one, +2.3 makes them tenfold, and the same with a minus sign divides them. What is shared "
                    "is weighed per member, tests of the workload for the whole group. Tests that found nothing are "
                    "listed too. A p-value is by permutation; docs/detection.md says which way a small one "
                    "speaks."
                ),
                Figure(f"waterfall-{number}", "From nothing to the whole, family by family. Hatched: speaks against."),
                _evidence(speaking, "for", "nothing that was tested spoke for it"),
                _evidence(against, "against", "nothing that was tested spoke against it"),
                _evidence(silent, "neither", "everything that was tested had a say"),
                Pairs(
                    [
                        ("what they share", f"{nats(part.links_nats)} nats for the group as a whole, 12 at most"),
                        ("their workload", f"{nats(part.workload_nats)} nats"),
                        (
                            "ordinary groups",
                            f"{nats(-part.prior_nats)} nats: how much commoner they are than campaigns",
                        ),
                        ("chance groups", f"{chance} expected in one look"),
                        ("confidence", arithmetic(part)),
                        ("looks", f"{part.looks} saw it"),
                    ]
                ),
            ],
        ),
        Section(
            title=f"Ordinary reasons that were tested{about}",
            kind=Kind.INFERRED,
            blocks=[
                Text("Coordination has innocent causes. Each was put to the tests that could show it."),
                alternatives(part),
            ],
        ),
        Section(title=f"Links{about}", kind=Kind.INFERRED, blocks=links if part.links else links[1:]),
    ]


def arithmetic(part: Part) -> str:
    """How a confidence comes about, so that it can be made again by hand."""
    odds = part.workload_nats - part.prior_nats
    queue = 1 / (1 + math.exp(-odds))
    chance = 1.0 if part.expected is None else 1 / (1 + 2 * part.expected)
    made = f"{queue:.3f}, from {nats(odds)} nats of workload less ordinary groups"
    return f"{made}; times {chance:.3f} for chance; {probability(queue * chance)}"


def _evidence(rows: list[Evidence], direction: str, empty: str) -> Table:
    total = sum(one.log_odds for one in rows)
    words = {"for": "Speaks for it", "against": "Speaks against it", "neither": "Says nothing either way"}[direction]
    return Table(
        caption=f"{words}: {nats(total)} nats in {counted(len(rows), 'finding')}",
        head=["nats", "family", "what was found", "p"],
        rows=[[nats(one.log_odds), one.family, _told(one), p_value(one.p_value)] for one in rows],
        align="rllr",
        widths=[0, 2, 10, 0],
        empty=empty,
    )


def _told(one: Evidence) -> str:
    return f"{one.statistic}: {one.explanation}"


def worth(facts: Facts) -> Section:
    value = facts.traffic.value
    unpriced = value.exchanges - value.priced
    told, high = f"Between {usd(value.low)} and {usd(value.high)}.", "the same, as every charged exchange has a price"
    if usd(value.low) == usd(value.high):
        told = f"{usd(value.recorded)}, all of it recorded and surely of the case."
    if value.recorded is None:
        told = "Unknown: no exchange of the case has a recorded price."
    if unpriced:
        high = f"{usd(value.high)}: {counted(unpriced, 'exchange')} without a price, at the dearest that a token cost"
    return Section(
        title="What it is worth",
        kind=Kind.INFERRED,
        blocks=[
            Text(told),
            Pairs(
                [
                    ("as recorded", f"{usd(value.recorded)} for {value.priced:,} charged exchanges with a price"),
                    ("low", f"{usd(value.low)}: only exchanges that belong to the case at 0.95 or more"),
                    ("high", high),
                    (
                        "tokens",
                        f"{whole(facts.traffic.input_tokens)} in, {facts.traffic.output_tokens:,} out, as recorded",
                    ),
                ]
            ),
            Text(
                "Prices are those that the platform recorded when it answered, not what the answers are worth to "
                "whoever has them; that is not known. Exchanges that are not charged are not counted."
            ),
        ],
    )
