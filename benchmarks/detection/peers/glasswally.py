"""Glasswally's fusion of signals by fixed weights (m0rs3c0d3/Glasswally, MIT, 2026), written anew from its rules.

Each signal is a sum of stated points in [0, 1] with a confidence; the composite is the sum of weight * score *
(0.4 + 0.6 * confidence), and 0.08 more in a linked cluster of at least 5 accounts. Eleven of its sixteen signals, 0.81
of its weight, are here.

Left out on purpose: its country uplift of 30 % (and its smaller ones, and its "off hours" that stand for one country's
working day), because nationality is never evidence. Left out because an exchange log does not show them: header order
(half of the fingerprint signal), HTTP/2 settings (0.06), watermark probes (0.04). Left out as minor: prompt-sequence
entropy (0.05), refusal probes (0.02), topic transitions (0.02), clock cadence of bursts, virtual-card prefixes.

Simplified: windows are clock hours or the whole log instead of sliding; its list of script JA3 hashes becomes "a TLS
fingerprint that mostly clients other than browsers present"; its names of hosting companies become AS numbers; a
shared TLS fingerprint links nobody, for it would link everybody; hashed single words stand in for its n-grams.
"""

from __future__ import annotations

from typing import Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
from benchmarks.detection.peers.common import (
    DAY,
    F64,
    HOUR,
    I64,
    account_codes,
    account_index,
    busiest,
    codes,
    components,
    distinct_pairs,
    held_by,
    largest,
    numbers,
    stacked,
    times,
)
from benchmarks.detection.peers.mmd import embed

SOURCE: Final = "Glasswally (2026), https://github.com/m0rs3c0d3/Glasswally"

WEIGHTS: Final = {
    "fingerprint": 0.14,
    "velocity": 0.10,
    "cot": 0.09,
    "embed": 0.08,
    "hydra": 0.08,
    "timing": 0.07,
    "asn": 0.07,
    "role_preamble": 0.06,
    "pivot": 0.05,
    "session_gap": 0.04,
    "token_budget": 0.03,
}
CLUSTER_BONUS, CLUSTER_MEMBERS = 0.08, 5

ELICITATION: Final = (
    r"chain[ -]of[ -]thought|step[ -]by[ -]step|(articulate|walk through|trace) (your|the) (internal )?reasoning"
    r"|(show|write out) (each|every) step|explain your reasoning|internal reasoning|reward model|rubric-based"
    r"|act as an? (judge|grader|evaluator)|censorship[ -]safe|only (in|with) json|reinforcement learning"
)
DOMAINS: Final = (
    r"chain of thought|step by step",
    r"tool_call|tool use|multi-step plan|agent loop",
    r"implement|production-grade|unit test",
    r"computer-use|screenshot|vision agent",
    r"reward model|rubric|reinforcement",
    r"data analyst|statistical rigor",
)
ARCHETYPES: Final = (
    "explain your internal reasoning and thought process step by step",
    "act as a judge and score each response against the rubric for a reward model",
    "implement complete production code with unit tests and error handling",
    "describe every element of the screenshot in detail",
    "plan and execute the task with tools as an autonomous agent step by step",
    "give a comprehensive data analysis with citations and evidence",
    "respond only in json that follows the schema",
    "generate diverse training examples and preference pairs for a dataset",
)
PREAMBLES: Final = r"never refuse|you are an expert|world-class|chain of thought|exhaustive|comprehensive and thorough"
HOSTS: Final = {
    0.20: (16509, 14618, 15169, 396982, 8075, 45102, 132203, 31898),  # large clouds
    0.35: (14061, 63949, 20473, 24940, 16276, 12876, 51167, 60781, 9009, 60068, 212238),  # rented servers
    0.50: (46844, 40676, 30058),  # hosters known for tolerating abuse
}
TOKEN_LIMITS: Final = np.array([1024, 2048, 4096, 8192, 16384, 32768, 65536, 128000, 200000])

Signal = tuple[F64, F64]
"""Score and confidence (accounts,)."""


def score(exchanges: pa.Table, accounts: pa.Table) -> F64:
    """Glasswally's composite without its country terms (accounts,)."""
    names, account = account_index(exchanges)
    n = len(names)
    if not n:
        return np.zeros(0)
    order = np.lexsort((times(exchanges), account))
    exchanges, account = exchanges.take(pa.array(order)), account[order]
    at, count = times(exchanges), np.bincount(account, minlength=n)
    subnet = _subnets(exchanges)
    payment = account_codes(accounts, names, "payment_hash")
    cluster = _clusters(exchanges, accounts, names, account, subnet, payment)
    size = np.bincount(cluster, minlength=n)[cluster]
    signals: dict[str, Signal] = {
        "fingerprint": _fingerprint(exchanges, account, count),
        "velocity": _velocity(exchanges, account, at, n),
        "cot": _elicitation(exchanges, account, count),
        "embed": _archetypes(exchanges, account, n),
        "hydra": _hydra(account, subnet, payment, account_codes(accounts, names, "payment_bin"), cluster, count),
        "timing": _bursts(account, at, n),
        "asn": _hosting(exchanges, account, cluster, n),
        "role_preamble": _preamble(exchanges, account, count),
        "pivot": _pivot(exchanges, account, at, cluster, n),
        "session_gap": _sessions(account, at, n),
        "token_budget": _token_budget(numbers(exchanges, "max_tokens"), account, n),
    }
    fused = np.sum([WEIGHTS[k] * np.clip(s, 0, 1) * (0.4 + 0.6 * c) for k, (s, c) in signals.items()], axis=0)
    composite: F64 = np.minimum(fused + CLUSTER_BONUS * (size >= CLUSTER_MEMBERS), 1.0)
    return composite


def _subnets(exchanges: pa.Table) -> I64:
    address, distinct = codes(exchanges, "client_address")
    place: dict[str, int] = {}
    subnet = [place.setdefault(a.rsplit(".", 1)[0], len(place)) if a.count(".") == 3 else -1 for a in distinct]
    return np.array([*subnet, -1], np.int64)[address]


def _clusters(
    exchanges: pa.Table, accounts: pa.Table, names: list[str], account: I64, subnet: I64, payment: I64
) -> I64:
    own = np.arange(len(names))
    organization = account_codes(accounts, names, "organization_id")
    left, right = stacked(
        [
            distinct_pairs(own, payment),
            distinct_pairs(own, organization),
            distinct_pairs(account, codes(exchanges, "organization_id")[0]),
            distinct_pairs(account, subnet),
        ]
    )
    return components(len(names), left, right)


def _matches(exchanges: pa.Table, column: str, pattern: str) -> npt.NDArray[np.bool_]:
    code, distinct = codes(exchanges, column)
    found = pc.match_substring_regex(pa.array(distinct, pa.string()), pattern, ignore_case=True)
    return np.append(np.asarray(found.to_numpy(zero_copy_only=False), bool), False)[code]


def _share(account: I64, hit: npt.NDArray[np.bool_], count: I64) -> F64:
    return np.bincount(account[hit], minlength=len(count)) / np.maximum(count, 1)


def _spread(group: I64, value: F64, groups: int) -> tuple[I64, F64]:
    """Values and coefficient of variation of each group."""
    count = np.bincount(group, minlength=groups)
    mean = np.bincount(group, value, groups) / np.maximum(count, 1)
    variance = np.bincount(group, (value - mean[group]) ** 2, groups) / np.maximum(count, 1)
    return count, np.where(mean > 0, np.sqrt(variance) / np.where(mean > 0, mean, 1), 0.0)


def _fingerprint(exchanges: pa.Table, account: I64, count: I64) -> Signal:
    n = len(count)
    tls, distinct = codes(exchanges, "tls_fingerprint")
    known = tls >= 0
    browser = _matches(exchanges, "user_agent", "mozilla|chrome|firefox|safari|edge")
    by_browser = np.bincount(tls[known], browser[known], minlength=len(distinct))
    script = np.append(by_browser < 0.5 * np.bincount(tls[known], minlength=len(distinct)), False)[tls] & known
    holder, held = distinct_pairs(account, tls)
    crowded = np.bincount(holder[held_by(held, 10, np.inf)], minlength=n) > 0
    points = 0.15 * _any(account[script & ~browser], n) + 0.50 * _any(account[script & browser], n)
    points = np.where(_any(account[script & browser], n), 0.65, points)
    points += 0.20 * (np.bincount(holder, minlength=n) >= 3) + 0.15 * crowded
    confidence = np.minimum(count / 20, 1)
    return points * (0.4 + 0.6 * confidence), confidence


def _any(account: I64, n: int) -> npt.NDArray[np.bool_]:
    return np.asarray(np.bincount(account, minlength=n) > 0)


def _velocity(exchanges: pa.Table, account: I64, at: I64, n: int) -> Signal:
    width = int(at.max()) // HOUR + 1
    key, window = np.unique(account * width + at // HOUR, return_inverse=True)
    owner, events = key // width, np.bincount(window)
    first = np.searchsorted(window, np.arange(len(key)))
    span = np.maximum((at[first + events - 1] - at[first]) / 1e6, 1.0)
    hourly = events / span * 3_600
    same = window[1:] == window[:-1]
    gaps, gap_spread = _spread(window[1:][same], np.diff(at)[same] / 1e6, len(key))
    regular = np.where(gaps >= 3, 1 - gap_spread, 0.0)
    _, token_spread = _spread(window, np.nan_to_num(numbers(exchanges, "output_tokens")), len(key))
    points = np.where(hourly > 200, 0.45, np.where(hourly > 60, 0.25, 0.0))
    points += np.where(regular > 0.7, 0.30, np.where(regular > 0.5, 0.15, 0.0)) + 0.15 * (token_spread < 0.15)
    confidence = np.minimum(events / 50, 1)
    points = np.where(events >= 5, points * (0.5 + 0.5 * confidence), 0.0)
    return largest(n, owner, points), largest(n, owner, confidence)


def _elicitation(exchanges: pa.Table, account: I64, count: I64) -> Signal:
    asked = _share(account, _matches(exchanges, "prompt_text", ELICITATION), count)
    domain = np.max(
        [_share(account, _matches(exchanges, "prompt_text", pattern), count) for pattern in DOMAINS], axis=0
    )
    points = 0.40 * (asked > 0) + (count >= 5) * (0.35 * (asked >= 0.20) + 0.25 * (domain >= 0.70))
    return points, np.full(len(count), 0.9)


def _archetypes(exchanges: pa.Table, account: I64, n: int) -> Signal:
    code, distinct = codes(exchanges, "prompt_text")
    target = embed(list(ARCHETYPES)).T
    parts = [(embed(distinct[i : i + 8_192]) @ target).max(axis=1) for i in range(0, len(distinct), 8_192)]
    near = np.append(np.concatenate(parts), 0.0)[code] if parts else np.zeros(len(account))
    similarity = largest(n, account, np.where(near >= 0.6, near, 0.0).astype(np.float64))
    return np.maximum(similarity - 0.6, 0) / 0.4, similarity


def _hydra(account: I64, subnet: I64, payment: I64, card: I64, cluster: I64, count: I64) -> Signal:
    n = len(count)
    size = np.bincount(cluster, minlength=n)
    cards = np.bincount(distinct_pairs(cluster, payment)[0], minlength=n)
    subnets = np.bincount(distinct_pairs(cluster[account], subnet)[0], minlength=n)
    points = 0.40 * np.minimum(size / 25, 1) + np.minimum(0.07 * cards, 0.35) + np.minimum(0.03 * subnets, 0.15)
    batch, shared = _most_alike(cluster, card, n), _most_alike(cluster, payment, n)
    points += 0.20 * ((batch >= 3) & (batch >= 0.4 * cards)) + 0.15 * (shared >= 4)
    confidence = np.minimum(np.bincount(cluster, count, minlength=n) / 100, 1)
    return np.where(size >= 3, points, 0.0)[cluster], np.where(size >= 3, confidence, 0.2)[cluster]


def _most_alike(cluster: I64, value: I64, n: int) -> F64:
    known = value >= 0
    if not known.any():
        return np.zeros(n)
    width = int(value.max()) + 1
    key, members = np.unique(cluster[known] * width + value[known], return_counts=True)
    return largest(n, key // width, members.astype(np.float64))


def _bursts(account: I64, at: I64, n: int) -> Signal:
    second = at // 1_000_000
    holder, moment = distinct_pairs(account, second - second.min())
    at_once = np.bincount(moment)
    burst = at_once >= 5
    before = np.concatenate([[0], np.cumsum(burst)])
    prior = before[:-1] - before[np.maximum(np.arange(len(burst)) - 300, 0)]
    points = np.where(burst, np.minimum((at_once - 5) / 7 * 0.5, 0.5) + 0.30 * (prior >= 3), 0.0)
    confidence = np.where(burst, np.minimum(at_once / 12, 1), 0.0)
    return largest(n, holder, points[moment]), largest(n, holder, confidence[moment])


def _hosting(exchanges: pa.Table, account: I64, cluster: I64, n: int) -> Signal:
    number = numbers(exchanges, "client_asn")
    points = np.zeros(n)
    for risk, hosts in HOSTS.items():
        points = np.where(_any(account[np.isin(number, hosts)], n), risk, points)
    size = np.bincount(cluster, minlength=n)
    hosted = np.bincount(cluster, points > 0, minlength=n) / np.maximum(size, 1)
    together = ((size >= 3) & (hosted >= 0.60))[cluster]
    confidence = np.select([points >= 0.5, points >= 0.35, points >= 0.2, together], [0.9, 0.8, 0.6, 0.7], 0.0)
    return points + 0.40 * together, confidence


def _preamble(exchanges: pa.Table, account: I64, count: I64) -> Signal:
    n = len(count)
    system = codes(exchanges, "system_text")[0]
    role = 0.10 * _any(account[_matches(exchanges, "system_text", PREAMBLES)], n)
    holder, held = distinct_pairs(account, system)
    sharers = largest(n, holder, np.bincount(held)[held].astype(np.float64)) if len(held) else np.zeros(n)
    written = np.bincount(account[system >= 0], minlength=n)
    same = _most_alike(account, system, n) / np.maximum(written, 1)
    reuse = np.where(written >= 5, np.select([same >= 0.8, same >= 0.6], [0.35, 0.20], 0.0), 0.0)
    collision = np.select([sharers >= 10, sharers >= 5, sharers >= 3], [0.50, 0.35, 0.18], 0.0)
    points = role + reuse + collision
    return np.where(points >= 0.15, points, 0.0), np.select([collision > 0, reuse > 0], [0.90, 0.75], 0.55)


def _pivot(exchanges: pa.Table, account: I64, at: I64, cluster: I64, n: int) -> Signal:
    model, distinct = codes(exchanges, "request_model")
    switch = np.flatnonzero((account[1:] == account[:-1]) & (model[1:] != model[:-1])) + 1
    if not len(switch):
        return np.zeros(n), np.zeros(n)
    who, bins = account[switch], at[switch] // (6 * HOUR) - at.min() // (6 * HOUR)
    moment = (cluster[who] * len(distinct) + model[switch]) * (int(bins.max()) + 1) + bins
    _, moment = np.unique(moment, return_inverse=True)
    together = np.bincount(distinct_pairs(who, moment.astype(np.int64))[1])[moment]
    points = np.where(together >= 5, np.minimum(0.20 + together / 30 * 0.80, 1.0), 0.20)
    return largest(n, who, points), np.full(n, 0.85)


def _sessions(account: I64, at: I64, n: int) -> Signal:
    new = np.ones(len(at), bool)
    new[1:] = (account[1:] != account[:-1]) | (np.diff(at) >= 120_000_000)
    begin = np.flatnonzero(new)
    end = np.append(begin[1:], len(at)) - 1
    owner = account[begin]
    sessions, size_spread = _spread(owner, (end - begin + 1).astype(np.float64), n)
    same = owner[1:] == owner[:-1]
    _, gap_spread = _spread(owner[1:][same], ((at[begin[1:]] - at[end[:-1]])[same]) / 1e6, n)
    enough = (sessions >= 4) & (np.bincount(account, minlength=n) >= 8)
    points = np.select([gap_spread < 0.05, gap_spread < 0.08, gap_spread < 0.15], [0.55, 0.40, 0.20], 0.0)
    points += 0.25 * ((size_spread < 0.10) & (gap_spread < 0.15)) + 0.10 * (busiest(n, owner, at[begin] // DAY) > 20)
    confidence = np.select([gap_spread < 0.05, gap_spread < 0.08], [0.88, 0.75], 0.55)
    return np.where(enough & (points >= 0.15), points, 0.0), confidence


def _token_budget(limit: F64, account: I64, n: int) -> Signal:
    given = np.isfinite(limit)
    limit, account = limit[given], account[given]
    points, confidence = np.zeros(n), np.full(n, 0.6)
    nearest = TOKEN_LIMITS[np.abs(limit[:, None] - TOKEN_LIMITS).argmin(axis=1)]
    greedy = limit >= 0.9 * nearest
    for who, rows in enumerate(np.split(np.arange(len(limit)), np.searchsorted(account, np.arange(1, n)))):
        if len(rows) < 6:
            continue
        steps = np.unique(limit[rows])
        ratio, step = steps[1:] / np.maximum(steps[:-1], 1), np.diff(steps)
        sweep = 0.0
        if len(steps) >= 4 and ratio.mean() >= 1.5 and ratio.std() < 0.25 * ratio.mean():
            sweep = 0.45
        elif len(steps) >= 4 and step.std() < 0.20 * step.mean():
            sweep = 0.35
        met = (0.30 * (greedy[rows].mean() >= 0.7), sweep, 0.10 * (np.median(limit[rows]) > 2_000))
        points[who] = sum(met) if sum(met) >= 0.20 else 0.0
        confidence[who] = 0.82 if np.count_nonzero(met) >= 2 else 0.60
    return points, confidence
