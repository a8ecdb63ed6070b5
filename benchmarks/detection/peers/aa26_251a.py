"""The indicators of the joint advisory AA26-251A (NSA, CISA, FBI) as rules, each met or not.

The advisory names indicators without thresholds; those below are this benchmark's, set once. Where it says
"anomalous" or "maximum", the platform's own distribution sets the bar. Score: number of rules met, ties broken by
the busiest day.

Not implemented, because an exchange log cannot show them: failover between pathways when blocked (other platforms'
traffic), harnesses that measure response quality (what the client does with the answer), and automated metadata
sanitisation except where an account's clients name no user agent on a platform where others do.
"""

from __future__ import annotations

from typing import Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from benchmarks.detection.peers.common import (
    DAY,
    F64,
    HOUR,
    I64,
    account_index,
    account_values,
    busiest,
    codes,
    distinct_pairs,
    largest,
    numbers,
    times,
)

SOURCE: Final = (
    "NSA, CISA and FBI, advisory AA26-251A (2026), https://www.cisa.gov/news-events/cybersecurity-advisories/aa26-251a"
)

USAGE_RATIO: Final = 10.0  # times the median usage of the same plan
NEW_DAYS: Final = 7  # from sign-up to first use
FULL_USE: Final = 0.8  # of the busiest day, reached on the first day
ADDRESSES, AGENTS = 8, 4  # of one credential
QUIET_HOURS, RHYTHM_EXCHANGES = 4, 24  # longest quiet stretch of the day; exchanges needed to tell
REPEATS, SAME_SHARE = 10, 0.5  # of one text, by whomever; share of an account's exchanges with such texts
RETARGET_SHARE: Final = 0.5  # of the exchanges in the 24 h after a release
AGGREGATORS: Final = ("openrouter", "litellm", "one-api", "new-api", "proxy", "relay", "gateway", "aggregat", "portkey")


def score(exchanges: pa.Table, accounts: pa.Table) -> F64:
    """Number of rules met (accounts,), plus less than one for the busiest day."""
    names, account = account_index(exchanges)
    n, at = len(names), times(exchanges)
    if not n:
        return np.zeros(0)
    daily = busiest(n, account, at // DAY)
    plan = np.array([str(value) for value in account_values(accounts, names, "plan")])
    met = [
        _usage_ratio(numbers(exchanges, "cost_usd"), account, plan),
        _new_at_maximum(account_values(accounts, names, "created_at"), account, at, daily),
        _enterprise_throughput(plan, daily),
        _shared_credential(exchanges, account, n),
        _no_human_rhythm(account, at, n),
        _identical_prompts(exchanges, account, n),
        _retarget(exchanges, account, at, n),
        _aggregator(exchanges, account, n),
    ]
    rules: F64 = np.sum(met, axis=0) + daily / (daily.max() + 1)
    return rules


def _usage_ratio(cost: F64, account: I64, plan: npt.NDArray[np.str_]) -> F64:
    known = np.ones(len(cost)) if np.isnan(cost).all() else np.nan_to_num(cost)  # without prices: exchanges
    spent = np.bincount(account, known, minlength=len(plan))
    middle = {name: np.median(spent[plan == name]) for name in np.unique(plan)}
    return (spent > USAGE_RATIO * np.array([middle[name] for name in plan])).astype(np.float64)


def _new_at_maximum(created: list[str | int | None], account: I64, at: I64, daily: F64) -> F64:
    first = np.full(len(daily), np.iinfo(np.int64).max)
    np.minimum.at(first, account, at)
    opening = np.bincount(account[at < first[account] + DAY], minlength=len(daily))
    new = np.array([c is not None and int(c) > f - NEW_DAYS * DAY for c, f in zip(created, first, strict=True)])
    at_full_use = (opening >= FULL_USE * daily) & (opening >= np.quantile(daily, 0.9))
    return (new & at_full_use).astype(np.float64)


def _enterprise_throughput(plan: npt.NDArray[np.str_], daily: F64) -> F64:
    enterprise = plan == "enterprise"
    bar = np.quantile(daily[enterprise], 0.9) if enterprise.sum() >= 5 else np.quantile(daily, 0.99)
    return (~np.isin(plan, ["enterprise", "team"]) & (daily > bar)).astype(np.float64)


def _shared_credential(exchanges: pa.Table, account: I64, n: int) -> F64:
    credential, distinct = codes(exchanges, "credential_id")
    credential = np.where(credential < 0, len(distinct) + account, credential)
    owner = np.zeros(len(distinct) + n, np.int64)
    owner[credential] = account
    met = np.zeros(n)
    for column, most in (("client_address", ADDRESSES), ("user_agent", AGENTS)):
        holder, _ = distinct_pairs(credential, codes(exchanges, column)[0])
        met = np.maximum(met, largest(n, owner, np.bincount(holder, minlength=len(owner)).astype(np.float64)) >= most)
    return met


def _no_human_rhythm(account: I64, at: I64, n: int) -> F64:
    active = np.zeros((n, 24), bool)
    active[account, at // HOUR % 24] = True
    quiet, run = np.zeros(n, np.int64), np.zeros(n, np.int64)
    for hour in range(48):  # twice round the clock, so that a night across midnight is one stretch
        run = np.where(active[:, hour % 24], 0, run + 1)
        quiet = np.maximum(quiet, run)
    return ((quiet <= QUIET_HOURS) & (np.bincount(account, minlength=n) >= RHYTHM_EXCHANGES)).astype(np.float64)


def _identical_prompts(exchanges: pa.Table, account: I64, n: int) -> F64:
    prompt, distinct = codes(exchanges, "prompt_text")
    if not distinct:
        return np.zeros(n)
    sent = np.bincount(prompt[prompt >= 0], minlength=len(distinct))
    same = (prompt >= 0) & (sent[prompt] >= REPEATS)
    count = np.bincount(account[same], minlength=n)
    return ((count >= SAME_SHARE * np.bincount(account, minlength=n)) & (count >= REPEATS)).astype(np.float64)


def _retarget(exchanges: pa.Table, account: I64, at: I64, n: int) -> F64:
    model, distinct = codes(exchanges, "request_model")
    met = np.zeros(n)
    for number in range(len(distinct)):
        released = at[model == number].min()  # first seen: the advisory's release, as far as the log tells
        if released < at.min() + DAY:
            continue
        after = (at >= released) & (at < released + DAY)
        total = np.bincount(account[after], minlength=n)
        moved = np.bincount(account[after & (model == number)], minlength=n)
        before = np.bincount(account[at < released], minlength=n)
        met = np.maximum(met, (moved > 0) & (moved >= RETARGET_SHARE * total) & (before > 0))
    return met


def _aggregator(exchanges: pa.Table, account: I64, n: int) -> F64:
    agent, distinct = codes(exchanges, "user_agent")
    named = np.array([any(word in text.lower() for word in AGGREGATORS) for text in distinct] + [False])
    stripped = (agent < 0) & (np.mean(agent < 0) < 0.1)
    count = np.bincount(account, named[agent] | stripped, minlength=n)
    return (count >= 0.5 * np.bincount(account, minlength=n)).astype(np.float64)
