"""Cases: what a cluster that stands out is called, and the tables that say why.

Tables are the public `cases`, `case_accounts` and `case_evidence` formats. A case says that accounts act as one
and how sure that is; what they want with the answers is a suspicion that it names but does not prove.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from tiergate.detection.description import Cluster, Shared, counted
from tiergate.detection.evidence import Evidence
from tiergate.detection.families import CAUSES
from tiergate.detection.findings import Finding
from tiergate.detection.intake import Traffic
from tiergate.detection.pivot import Synchrony
from tiergate.detection.workload import LABEL_TESTS, Statistic
from tiergate.ledger.intents import capability
from tiergate.records.schema import TIME

I64 = npt.NDArray[np.int64]
F64 = npt.NDArray[np.float64]

OPENING_CONFIDENCE: Final = 0.4
"""A finding becomes a case, to be watched, when it is about as likely as not, and see `opens`."""

ACTING_Q: Final = 0.05
SURE: Final = 0.95
SPEAKING: Final = 0.01
"""p-value at which a label test that speaks against a queue holds action back."""

STRONG: Final = 0.99

CASES_SCHEMA: Final = pa.schema(
    [
        ("case_id", pa.string()),
        ("opened_at", TIME),
        ("first_seen", TIME),
        ("last_seen", TIME),
        ("accounts", pa.int64()),
        ("exchanges", pa.int64()),
        ("output_tokens", pa.int64()),
        ("value_usd", pa.float64()),
        ("capability", pa.string()),
        ("confidence", pa.float64()),
        ("q_value", pa.float64()),
        ("recommended_action", pa.string()),
        ("summary", pa.string()),
        # Filled by `lineage.told`: what earlier looks at the same platform say of the case.
        ("lineage_id", pa.string()),
        ("first_opened_at", TIME),
        ("looks", pa.int64()),
        ("e_value", pa.float64()),
        # What the score and the confidence are made of.
        ("links_nats", pa.float64()),
        ("workload_nats", pa.float64()),
        ("prior_nats", pa.float64()),
        ("expected", pa.float64()),
    ]
)
CASE_ACCOUNTS_SCHEMA: Final = pa.schema(
    [
        ("case_id", pa.string()),
        ("account_id", pa.string()),
        ("membership", pa.float64()),
        ("first_linked_at", TIME),
        ("campaign_exchanges", pa.int64()),
        ("exchanges", pa.int64()),
        ("campaign_output_tokens", pa.int64()),
        ("output_tokens", pa.int64()),
    ]
)
CASE_EVIDENCE_SCHEMA: Final = pa.schema(
    [
        ("case_id", pa.string()),
        ("family", pa.string()),
        ("statistic", pa.string()),
        ("value", pa.float64()),
        ("log_odds", pa.float64()),
        ("direction", pa.string()),
        ("explanation", pa.string()),
        ("p_value", pa.float64()),
    ]
)
CASE_EXCHANGES_SCHEMA: Final = pa.schema(
    [("case_id", pa.string()), ("exchange_id", pa.string()), ("membership", pa.float64())]
)
CHARGED: Final = 0.5
"""Probability from which an exchange of a member is charged to the case."""


def opens(finding: Finding, confidence: float) -> bool:
    """Whether a finding becomes a case. Where the tests of its workload have full power to answer, their answer must be
    for a queue: what is linked and more likely an ordinary group is not put before a person."""
    answered = finding.power == 1
    return finding.score > 0 and confidence >= OPENING_CONFIDENCE and (finding.queue > 0 or not answered)


@dataclass(frozen=True, slots=True)
class Case:
    """A finding that stands out, with its rates.

    ``accounts`` (n,): members with an exchange that is charged, and their ``membership`` (n,); ``rows``: exchanges
    (ascending) of theirs that are charged, each with its ``row_membership``; ``statistics``: the finding's, with
    permutation p-values; ``expected``: chance clusters at or above its score; ``prior``: nats that ordinary reasons had
    for themselves before its workload; ``pivot``: how it answered a new model, if it could.
    """

    case_id: str
    finding: Finding
    accounts: I64
    membership: F64
    confidence: float
    q_value: float
    rows: I64
    row_membership: F64
    statistics: list[Statistic]
    expected: float = 1.0
    prior: float = 0.0
    pivot: Synchrony | None = None

    @property
    def action(self) -> str:
        """What to do first: more is asked of a case before more is recommended, a workload in common above all."""
        worded = max((one.gain for one in self.finding.cluster.shared["tool"] if one.family == "template"), default=0.0)
        if self.q_value > ACTING_Q or self.confidence < SURE or worded < 1 or not self.finding.linked:
            return "watch"
        # A class on one subject and a team in office hours look dealt out by what they ask, and not by when.
        if any(one.log_odds < 0 and one.p_value <= SPEAKING for one in self.statistics if one.name in LABEL_TESTS):
            return "watch"
        if self.confidence < STRONG:
            return "verify"
        customer = max((one.gain for one in self.finding.cluster.shared["customer"]), default=0.0)
        return "suspend" if customer >= 1 else "limit"


def name_case(accounts: I64, traffic: Traffic) -> str:
    """An id that the same accounts always get: BLAKE2b of the sorted account ids, 96 bits."""
    members = "\n".join(traffic.account_ids[account] for account in accounts)
    return "case_" + hashlib.blake2b(members.encode(), digest_size=12).hexdigest()


def tables(cases: list[Case], traffic: Traffic, evidence: Evidence) -> tuple[pa.Table, pa.Table, pa.Table]:
    """The tables `cases`, `case_accounts` and `case_evidence`."""
    heads, members, reasons = [], [], []
    for case in cases:
        heads.append(_head(case, traffic))
        members.extend(_members(case, traffic))
        reasons.extend(_reasons(case, evidence))
    return (
        pa.Table.from_pylist(heads, CASES_SCHEMA),
        pa.Table.from_pylist(members, CASE_ACCOUNTS_SCHEMA),
        pa.Table.from_pylist(reasons, CASE_EVIDENCE_SCHEMA),
    )


def _head(case: Case, traffic: Traffic) -> dict[str, object]:
    rows = case.rows
    wanted, share = capability(traffic.intent[rows])
    cost = float(traffic.cost_usd[rows].sum())
    accounts, start, end = (
        len(case.accounts),
        traffic.time_us[rows[0]],
        traffic.time_us[rows[-1]],
    )
    workload = sum(one.log_odds for one in case.finding.statistics)
    days = max((end - start) / 86_400e6, 1 / 24)
    return {
        "case_id": case.case_id,
        "opened_at": int(traffic.time_us[-1]),
        "first_seen": int(start),
        "last_seen": int(end),
        "accounts": accounts,
        "exchanges": len(rows),
        "output_tokens": int(traffic.output_tokens[rows].sum()),
        "value_usd": cost or None,
        "capability": wanted,
        "confidence": case.confidence,
        "q_value": case.q_value,
        "recommended_action": case.action,
        "summary": f"{accounts} accounts act as one: {len(rows):,} exchanges in {days:.1f} days, "
        f"{len(rows) / accounts / days:.1f} a day each, {share:.0%} of them {_wanted(wanted)}; "
        f"they have in common {_common(case.finding.cluster)}",
        "links_nats": case.finding.score - workload,
        "workload_nats": workload,
        "prior_nats": case.prior,
        "expected": case.expected if case.finding.linked else None,
    }


def _wanted(name: str) -> str:
    return "without one capability in focus" if name == "general" else f"asking for {name.replace('_', ' ')}"


def _common(cluster: Cluster) -> str:
    names = [one.kind for cause, some in cluster.shared.items() for one in counted(cause, some) if one.gain >= 0.3]
    return " and ".join([", ".join(names[:-1]), names[-1]] if len(names) > 1 else names)


def _members(case: Case, traffic: Traffic) -> list[dict[str, object]]:
    rows = case.rows
    owner = traffic.account[rows]
    exchanges = np.bincount(owner, minlength=len(traffic.account_ids))
    sent = np.bincount(traffic.account, minlength=len(traffic.account_ids))
    got = np.bincount(traffic.account, traffic.output_tokens, len(sent))
    charged = np.bincount(owner, traffic.output_tokens[rows], len(sent))
    first = {int(account): int(rows[i]) for account, i in zip(*np.unique(owner, return_index=True), strict=True)}
    return [
        {
            "case_id": case.case_id,
            "account_id": traffic.account_ids[account],
            "membership": float(membership),
            "first_linked_at": int(traffic.time_us[first[account]]) if account in first else int(traffic.time_us[-1]),
            "campaign_exchanges": int(exchanges[account]),
            "exchanges": int(sent[account]),
            "campaign_output_tokens": int(charged[account]),
            "output_tokens": int(got[account]),
        }
        for account, membership in zip(case.accounts.tolist(), case.membership.tolist(), strict=True)
    ]


def _reasons(case: Case, evidence: Evidence) -> list[dict[str, object]]:
    cluster = case.finding.cluster
    rows: list[tuple[str, str, float, float, str]] = []
    for cause, families in CAUSES.items():
        shared = {one.family: one for one in counted(cause, cluster.shared[cause])}
        for family in families:
            if family in shared:
                one = shared[family]
                rows.append((family, one.kind, one.sharing, one.gain, _sharing(one, len(cluster.members))))
            elif family in evidence.lacking:
                rows.append((family, "not available", 0.0, 0.0, f"the input has no {family} evidence to look at"))
            elif not cluster.shared[cause] or cause == "conduct":
                text = f"nothing of {family} is shared beyond what chance would bring"
                rows.append((family, "nothing shared", 0.0, 0.0, text))
            else:
                held = cluster.shared[cause][0].family
                text = f"one {cause} explains {family} as well as {held}; only {held}, the stronger, is counted"
                rows.append((family, "counted once", 0.0, 0.0, text))
    size = len(cluster.members)
    text = f"any {size} accounts have something in common: singling these out costs {cluster.cost:.1f} nats each"
    rows.append(("selection", "cost of naming the group", float(size), -cluster.cost, text))
    if cluster.same_organization:
        cost = -cluster.same_organization * (cluster.cost - 1)
        text = f"{cluster.same_organization:.0%} of the accounts declare one organisation, an open reason to act as one"
        rows.append(("selection", "declared organisation", cluster.same_organization, cost, text))
    names = ("family", "statistic", "value", "log_odds", "explanation")
    made: list[dict[str, object]] = [
        dict(zip(names, row, strict=True)) | {"direction": _direction(row[3]), "p_value": None} for row in rows
    ]
    made += [
        {
            "family": "workload",
            "statistic": one.name,
            "value": one.value,
            "log_odds": one.log_odds,
            "direction": _direction(one.log_odds),
            "explanation": _tested(one),
            "p_value": one.p_value if one.p_value == one.p_value else None,
        }
        for one in case.statistics
    ]
    if case.pivot is not None:
        text = (
            f"{case.pivot.share:.0%} of those who could turned to {case.pivot.model} within a day of its release, "
            f"{case.pivot.usual:.0%} of customers of like volume; counted with lifecycle, so it adds nothing here"
        )
        together = {"value": case.pivot.share, "p_value": case.pivot.p_value, "explanation": text}
        made.append({"family": "workload", "statistic": "pivot", "log_odds": 0.0, "direction": "neither"} | together)
    return [{"case_id": case.case_id} | row for row in made]


def exchange_table(cases: list[Case], traffic: Traffic) -> pa.Table:
    """The table `case_exchanges`: which exchanges are charged to each case, and how surely."""
    parts = [
        pa.table(
            {
                "case_id": pa.array([case.case_id] * len(case.rows), pa.string()),
                "exchange_id": traffic.exchange_ids.take(pa.array(case.rows)),
                "membership": case.row_membership,
            },
            CASE_EXCHANGES_SCHEMA,
        )
        for case in cases
    ]
    return pa.concat_tables([CASE_EXCHANGES_SCHEMA.empty_table(), *parts])


def _direction(log_odds: float) -> str:
    return "for" if log_odds > 0 else "against" if log_odds < 0 else "neither"


def _sharing(one: Shared, members: int) -> str:
    return (
        f"{one.sharing:.0%} of the {members} accounts share their {one.kind} with others of the group; "
        f"the most common one is held by {one.holders} of them and by {one.rate:.2%} of all accounts"
    )


def _times(ratio: float) -> str:
    return f"{ratio:,.0f}" if ratio >= 1000 else f"{ratio:.3g}"


def _tested(one: Statistic) -> str:
    ratio = float(np.exp(np.clip(one.value, -20, 20)))
    if one.name in LABEL_TESTS:
        usual = float(np.exp(np.clip(one.mean, -20, 20)))
        return (
            f"two exchanges of one account share {LABEL_TESTS[one.name]} {_times(ratio)} times as often as two of "
            f"different accounts (1 if one queue is dealt out; {_times(usual)} in random groups of accounts here)"
        )
    if one.name == "messages":
        return (
            f"two exchanges of one account's day carry the same message {_times(ratio)} times as often as two of "
            "different accounts (far below 1 if each account runs one list; more says nothing)"
        )
    if one.name == "repeats":
        return f"{one.value:.0%} of the exchanges come from a list in common, which a fifth of the members send"
    if one.name == "bursts":
        return f"the rate in common varies by {np.sqrt(one.value):.0%} (beyond 200%, something outside sets the hour)"
    if one.name == "hand-over":
        return f"when part of the group was closed, the load of the rest became {_times(ratio)} times what it was"
    return (
        f"the pooled hourly rate varies {_times(ratio)} times as much as the accounts' rates add up to "
        "(1 if independent)"
    )
