"""Sections of a dossier that repeat what a log holds."""

from __future__ import annotations

from typing import Final

from tiergate.response.dossier.document import Block, Figure, Kind, Pairs, Section, Table, Text
from tiergate.response.dossier.facts import Facts
from tiergate.response.dossier.words import counted, moment, share, whole

MOST_ACCOUNTS: Final = 200
"""Accounts that are listed; all are in the evidence bundle."""
MOST_MODELS: Final = 12
DRAWN: Final = 40
"""Accounts that are drawn with a strip each."""


def observed(facts: Facts) -> Section:
    traffic, found = facts.traffic, facts.record.file.found
    models = list(traffic.models.items())
    named = [f"{model} ({number:,})" for model, number in models[:MOST_MODELS]]
    if len(models) > MOST_MODELS:
        named.append(f"{len(models) - MOST_MODELS} more")
    drawn = min(len(traffic.strips), DRAWN)
    return Section(
        title="What was counted",
        kind=Kind.OBSERVED,
        blocks=[
            Pairs(
                [
                    ("accounts", whole(len(facts.accounts))),
                    (
                        "exchanges charged",
                        f"{traffic.charged:,}: those that belong to the case at 0.5 or more, which is inferred",
                    ),
                    ("all they sent", f"{traffic.exchanges:,} exchanges; what is not charged is not held against them"),
                    ("first and last", f"{moment(found.first_seen_us)} to {moment(found.last_seen_us)} UTC"),
                    ("input tokens", whole(traffic.input_tokens)),
                    ("output tokens", whole(traffic.output_tokens)),
                    ("models asked", ", ".join(named)),
                    ("most asked for", f"{found.capability.replace('_', ' ')} (by patterns in the requests)"),
                ]
            ),
            Text("Identifiers that accounts of the case have in common. Values are not shown."),
            Table(
                head=["kind", "different values", "accounts with one", "accounts that share one", "most on one value"],
                rows=[
                    [one.kind, whole(one.values), whole(one.having), whole(one.sharing), whole(one.most)]
                    for one in traffic.shared
                ],
                align="lrrrr",
                widths=[4, 2, 2, 3, 2],
                empty="none was recorded",
            ),
            Figure("timeline", "All exchanges of the case's accounts, and everyone else's on a scale of its own."),
            Figure(
                "strips",
                f"Charged exchanges of {'each account' if drawn == len(traffic.strips) else _picked(drawn, facts)}, "
                f"by {traffic.bin_name}: a row an account, taller where it sent more.",
            ),
        ],
    )


def _picked(drawn: int, facts: Facts) -> str:
    return f"{drawn} of {len(facts.accounts):,} accounts, evenly picked from the busiest to the least busy"


def accounts(facts: Facts) -> Section:
    listed = facts.accounts[:MOST_ACCOUNTS]
    blocks: list[Block] = [
        Table(
            head=[
                "account",
                "charged",
                "all it sent",
                "first charged, UTC",
                "last charged, UTC",
                "membership (inferred)",
            ],
            rows=[
                [
                    one.account_id,
                    whole(one.charged),
                    whole(one.exchanges),
                    moment(one.first_us),
                    moment(one.last_us),
                    f"{one.membership:.2f}",
                ]
                for one in listed
            ],
            align="crrccr",
            widths=[4, 0, 0, 0, 0, 0],
        )
    ]
    if len(listed) < len(facts.accounts):
        blocks.append(Text(f"The {len(listed)} busiest of {len(facts.accounts):,}; the evidence bundle has all."))
    blocks.append(
        Text(
            "Membership is the probability, 0 to 1, that the account belongs to the case. Steps reach accounts from "
            "one half on."
        )
    )
    return Section(title="Accounts", kind=Kind.OBSERVED, blocks=blocks)


def sample(facts: Facts) -> Section:
    traffic = facts.traffic
    return Section(
        title="Exchanges, a sample",
        kind=Kind.OBSERVED,
        blocks=[
            Text(
                f"{counted(len(traffic.sample), 'exchange')} of {traffic.charged:,} that are charged, picked by no "
                f"person: those with the least SHA-256 of “{facts.seed}:<exchange id>”. Another seed picks others."
            ),
            Table(
                head=["exchange", "time, UTC", "account", "model", "tokens out"],
                rows=[
                    [one.exchange_id, moment(one.at_us), one.account_id, one.model, whole(one.output_tokens)]
                    for one in traffic.sample
                ],
                align="ccclr",
                widths=[6, 0, 4, 3, 0],
            ),
            Text(f"{share(traffic.charged, traffic.exchanges)} of what these accounts sent is charged."),
        ],
    )
