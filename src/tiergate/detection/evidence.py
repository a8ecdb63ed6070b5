"""Evidence of each account as tokens in six families.

A token is something two accounts can have in common; how much that says is decided later, by how rare it is. Each
family has a *cause*: the ordinary reason why innocent accounts share several of its tokens at once. Users of one
tool share its system prompt, its client and its way of asking; people at one place share addresses; one customer
shares payment and e-mail. Tokens with one cause are one piece of evidence however many there are.

| family | cause | tokens |
| --- | --- | --- |
| identity | customer | payment instrument, e-mail, phone, e-mail domain |
| network | place | address, /24 or /48, autonomous system, sign-up address |
| client | tool | user agent, TLS fingerprint, at use and at sign-up |
| template | tool | blocks of the system prompt; shingles that recur within the account |
| capability | tool | form of request (model, parameters, tools), what is asked for |
| timing | conduct | hours kept and evenness of gaps |
| lifecycle | conduct | week of arrival, use by day against days since arrival, day of turning to a new model |
"""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import scipy.sparse as sp

from tiergate.clock import DAY, HOUR
from tiergate.detection.arrays import distinct
from tiergate.detection.intake import Coded, Traffic
from tiergate.ledger.intents import CAPABILITIES

I64 = npt.NDArray[np.int64]
F64 = npt.NDArray[np.float64]

CAUSES: Final[dict[str, tuple[str, ...]]] = {
    "customer": ("identity",),
    "place": ("network",),
    "tool": ("template", "client", "capability"),
    "conduct": ("timing", "lifecycle"),
}
FAMILIES: Final = tuple(family for families in CAUSES.values() for family in families)

RECURRENT_SHARE: Final = 0.2
"""A shingle is the account's template when it comes up in a fifth of its messages (and at least twice): below
that, chance repeats of phrases begin; campaigns that mix in other traffic stay above it until they are 80% diluted."""

TIMING_MINIMUM: Final = 12
"""Exchanges an account needs before its hours and gaps say anything."""


@dataclass(frozen=True, slots=True)
class Kind:
    """Tokens of one kind: ``holds`` (accounts, tokens) is a boolean CSR matrix of who has what."""

    family: str
    name: str
    holds: sp.csr_array


@dataclass(frozen=True, slots=True)
class Evidence:
    """All tokens of all accounts, with what was missing.

    ``template_of`` (rows-with-template, 2): pairs (exchange row, column of the template kind), for telling which
    exchanges belong to a workload. ``organization`` (accounts,): declared organisation as a code, -1 unknown.
    ``stratum`` (accounts,): plan and volume, within which decoys are permuted. ``lacking``: families without data.
    """

    kinds: tuple[Kind, ...]
    template_of: I64
    organization: I64
    stratum: I64
    lacking: tuple[str, ...]

    def of(self, family: str) -> list[Kind]:
        return [kind for kind in self.kinds if kind.family == family]


def gather(traffic: Traffic, accounts: pa.Table | None, releases: pa.Table | None = None) -> Evidence:
    """Collect the evidence of every account that appears in ``traffic``.

    :param accounts: rows of `ACCOUNT_SCHEMA`, or None when there is no such table.
    :param releases: rows of `MODEL_RELEASE_SCHEMA`, or None.
    """
    builder = _Builder(traffic)
    rows = _AccountRows(traffic, accounts)
    for name in ("payment_hash", "email_hash", "phone_hash", "email_domain"):
        builder.add("identity", name.removesuffix("_hash"), *rows.codes(name))
    _network(builder, traffic, rows)
    _client(builder, traffic, rows)
    template_of = _templates(builder, traffic)
    _capability(builder, traffic)
    _timing(builder, traffic)
    _lifecycle(builder, traffic, rows)
    if releases is not None:
        _pivot(builder, traffic, releases)
    volume = np.bincount(traffic.account, minlength=builder.accounts)
    _, plan = rows.codes("plan")
    octave = np.log2(np.maximum(volume, 1)).astype(np.int64) // 2
    stratum = octave * 64
    stratum[rows.known] += plan[: rows.known.sum()] + 1 if len(plan) == rows.known.sum() else 0
    present = {kind.family for kind in builder.kinds}
    return Evidence(
        kinds=tuple(builder.kinds),
        template_of=template_of,
        organization=_organizations(traffic, rows),
        stratum=stratum,
        lacking=tuple(family for family in FAMILIES if family not in present),
    )


class _Builder:
    """Collects (account, token) pairs and keeps those tokens that at least two accounts have."""

    def __init__(self, traffic: Traffic) -> None:
        self.accounts = len(traffic.account_ids)
        self.kinds: list[Kind] = []

    def add(self, family: str, name: str, account: I64, token: I64) -> I64:
        """Add a kind; returns for each old token number its column, -1 where it was dropped."""
        pair = distinct(account[token >= 0] * (token.max(initial=0) + 1) + token[token >= 0])
        account, token = np.divmod(pair, token.max(initial=0) + 1)
        holders = np.bincount(token) if len(token) else np.zeros(0, np.int64)
        # What everybody has says nothing, and what one account has links nothing.
        kept = np.flatnonzero((holders >= 2) & (holders < self.accounts))
        column = np.full(len(holders), -1, np.int64)
        column[kept] = np.arange(len(kept))
        if len(kept):
            use = column[token] >= 0
            data = np.ones(int(use.sum()), np.float64)
            shape = (self.accounts, len(kept))
            holds = sp.csr_array((data, (account[use], column[token[use]])), shape=shape)
            self.kinds.append(Kind(family, name, holds))
        return column


class _AccountRows:
    """Rows of the accounts table for the accounts that were seen."""

    def __init__(self, traffic: Traffic, accounts: pa.Table | None) -> None:
        index = {name: i for i, name in enumerate(traffic.account_ids)}
        self.known = np.zeros(len(index), bool)
        self._table = accounts
        self._row = np.empty(0, np.int64)
        self._account = np.empty(0, np.int64)
        if accounts is None:
            return
        ids = accounts["account_id"].to_pylist()
        row_of = {index[name]: row for row, name in enumerate(ids) if name in index}
        self._account = np.array(sorted(row_of), np.int64)
        self._row = np.array([row_of[account] for account in self._account.tolist()], np.int64)
        self.known[self._account] = True

    def codes(self, name: str) -> tuple[I64, I64]:
        """Accounts (k,) and the code of their value in column ``name`` (k,), -1 where null."""
        if self._table is None:
            return np.empty(0, np.int64), np.empty(0, np.int64)
        column = self._table[name].take(pa.array(self._row)).combine_chunks().dictionary_encode()
        return self._account, np.asarray(column.indices.fill_null(-1)).astype(np.int64)

    def strings(self, name: str) -> tuple[I64, list[str | None]]:
        if self._table is None:
            return np.empty(0, np.int64), []
        return self._account, self._table[name].take(pa.array(self._row)).to_pylist()

    def created_us(self) -> tuple[I64, I64]:
        if self._table is None:
            return np.empty(0, np.int64), np.empty(0, np.int64)
        created = self._table["created_at"].take(pa.array(self._row)).cast(pa.int64())
        return self._account, np.asarray(created.combine_chunks())


def _network(builder: _Builder, traffic: Traffic, rows: _AccountRows) -> None:
    address = traffic.columns["client_address"]
    builder.add("network", "address", traffic.account, address.code)
    neighbourhoods = _numbered([_neighbourhood(value) for value in address.values])
    block = np.where(address.code >= 0, np.append(neighbourhoods, -1)[address.code], -1)
    builder.add("network", "address block", traffic.account, block)
    builder.add("network", "autonomous system", traffic.account, traffic.asn)
    builder.add("network", "sign-up address", *rows.codes("signup_address"))


def _neighbourhood(address: str) -> str | None:
    """The /24 of an IPv4 or /48 of an IPv6 address: what one subscriber or site is commonly given."""
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:
        return None
    return str(ipaddress.ip_network((parsed, 24 if parsed.version == 4 else 48), strict=False))


def _numbered(values: list[str | None]) -> I64:
    numbers: dict[str, int] = {}
    return np.array([-1 if v is None else numbers.setdefault(v, len(numbers)) for v in values], np.int64)


def _client(builder: _Builder, traffic: Traffic, rows: _AccountRows) -> None:
    agent, tls = traffic.columns["user_agent"], traffic.columns["tls_fingerprint"]
    builder.add("client", "user agent", traffic.account, agent.code)
    builder.add("client", "TLS fingerprint", traffic.account, tls.code)
    both = np.where((agent.code >= 0) & (tls.code >= 0), agent.code * (tls.code.max(initial=0) + 1) + tls.code, -1)
    builder.add("client", "user agent with TLS fingerprint", traffic.account, _dense(both))
    builder.add("client", "sign-up user agent", *rows.codes("signup_user_agent"))
    builder.add("client", "sign-up TLS fingerprint", *rows.codes("signup_tls_fingerprint"))


def _dense(values: I64) -> I64:
    return np.unique(np.append(values, -1), return_inverse=True)[1][:-1] - 1


def _templates(builder: _Builder, traffic: Traffic) -> I64:
    """Blocks of system prompts and recurrent shingles, as one kind; returns (row, column) of each occurrence."""
    offset = traffic.system.distinct
    row = np.concatenate([traffic.system.row, traffic.template.row])
    code = np.concatenate([traffic.system.code, traffic.template.code + offset])
    account = traffic.account[row]
    width = offset + traffic.template.distinct
    if not len(row):
        return np.empty((0, 2), np.int64)
    # A token counts once an exchange (first and last words of a short message can coincide).
    once = distinct(row * width + code)
    row, code = np.divmod(once, width)
    account = traffic.account[row]
    pair, times = np.unique(account * width + code, return_counts=True)
    owner = pair // width
    volume = np.bincount(traffic.account, minlength=builder.accounts)
    recurrent = (times >= RECURRENT_SHARE * volume[owner]) & (times >= np.minimum(2, volume[owner]))
    column = builder.add("template", "template", owner[recurrent], (pair % width)[recurrent])
    if not len(column):
        return np.empty((0, 2), np.int64)
    padded = np.full(width, -1, np.int64)
    padded[: len(column)] = column
    use = padded[code] >= 0
    return np.stack([row[use], padded[code[use]]], axis=1)


def _modal(account: I64, value: I64, accounts: int) -> tuple[I64, I64, F64]:
    """Each account's most frequent value (smallest on a tie), and its share of the account's rows."""
    width = int(value.max(initial=0)) + 1
    pair, times = np.unique(account * width + value, return_counts=True)
    owner = pair // width
    order = np.lexsort((-pair, times, owner))
    last = np.append(owner[order][1:] != owner[order][:-1], True) if len(order) else np.empty(0, bool)
    best = order[last]
    total = np.bincount(account, minlength=accounts)
    return owner[best], pair[best] % width, times[best] / total[owner[best]]


def _capability(builder: _Builder, traffic: Traffic) -> None:
    owner, shape, share = _modal(traffic.account, traffic.shape, builder.accounts)
    builder.add("capability", "form of request", owner[share >= 0.5], shape[share >= 0.5])
    total = np.bincount(traffic.account, minlength=builder.accounts)
    for bit, name in enumerate(CAPABILITIES):
        asks = np.bincount(traffic.account, (traffic.intent >> bit) & 1, minlength=builder.accounts)
        focused = np.flatnonzero((asks >= 0.6 * total) & (total >= 3))
        builder.add("capability", f"asks for {name}", focused, np.zeros(len(focused), np.int64))


def _timing(builder: _Builder, traffic: Traffic) -> None:
    """Hours kept and evenness of gaps, each in few classes; accounts with too little traffic have none."""
    order = np.lexsort((traffic.time_us, traffic.account))
    account, time = traffic.account[order], traffic.time_us[order]
    total = np.bincount(account, minlength=builder.accounts)
    enough = total >= TIMING_MINIMUM
    bins = distinct(account * 8 + (time // (3 * HOUR)) % 8)
    covered = np.bincount(bins // 8, minlength=builder.accounts)
    same = account[1:] == account[:-1]
    gap, owner = np.diff(time)[same].astype(np.float64), account[1:][same]
    number = np.maximum(np.bincount(owner, minlength=builder.accounts), 1)
    mean = np.bincount(owner, gap, minlength=builder.accounts) / number
    square = np.bincount(owner, gap * gap, minlength=builder.accounts) / number
    variation = np.sqrt(np.maximum(square - mean * mean, 0)) / np.maximum(mean, 1)
    # An even hand has variation 1 (exponential gaps); people, who come and go, reach 2 to 6.
    evenness = np.digitize(variation, [0.6, 1.15, 1.5, 2.0, 3.0])
    everyone = np.flatnonzero(enough)
    builder.add("timing", "hours kept", everyone, covered[everyone])
    builder.add("timing", "evenness of gaps", everyone, evenness[everyone])


def _lifecycle(builder: _Builder, traffic: Traffic, rows: _AccountRows) -> None:
    first = np.full(builder.accounts, np.iinfo(np.int64).max)
    last = np.zeros(builder.accounts, np.int64)
    np.minimum.at(first, traffic.account, traffic.time_us)
    np.maximum.at(last, traffic.account, traffic.time_us)
    account, created = rows.created_us()
    start = traffic.time_us.min()
    if len(account):
        builder.add("lifecycle", "week of sign-up", account, (created - created.min()) // (7 * DAY))
    everyone = np.arange(builder.accounts)
    builder.add("lifecycle", "day of first use", everyone, (first - start) // DAY)
    days = distinct(traffic.account * 100_000 + (traffic.time_us - start) // DAY) // 100_000
    active = np.bincount(days, minlength=builder.accounts)
    volume = np.bincount(traffic.account, minlength=builder.accounts)
    span = np.maximum((last - first) // DAY + 1, 1)
    pace = np.log2(np.maximum(volume / span, 0.25)).round().astype(np.int64) + 2
    presence = (4 * active // span).clip(0, 4)
    builder.add("lifecycle", "pace and presence", everyone[volume >= 3], (pace * 5 + presence)[volume >= 3])


def _pivot(builder: _Builder, traffic: Traffic, releases: pa.Table) -> None:
    """Accounts that were there before a model came out and turned to it within a day: the model, once each."""
    models = traffic.columns["request_model"]
    turned = np.full(builder.accounts, -1, np.int64)
    for number, row in enumerate(releases.to_pylist()):
        if row["model"] not in models.values:
            continue
        released = int(row["released_at"].timestamp() * 1_000_000)
        soon = (traffic.time_us >= released) & (traffic.time_us < released + DAY)
        early = np.unique(traffic.account[soon & (models.code == models.values.index(row["model"]))])
        before = np.unique(traffic.account[traffic.time_us < released])
        turned[np.intersect1d(early, before)] = number
    everyone = np.flatnonzero(turned >= 0)
    builder.add("lifecycle", "new model within a day", everyone, turned[everyone])


def _organizations(traffic: Traffic, rows: _AccountRows) -> I64:
    """Declared organisation by account: the accounts table's, else the one its exchanges name."""
    accounts = len(traffic.account_ids)
    coded: Coded = traffic.columns["organization_id"]
    names: list[str | None] = [None] * accounts
    for row in np.unique(traffic.account[coded.code >= 0], return_index=True)[1].tolist():
        at = np.flatnonzero(coded.code >= 0)[row]
        names[traffic.account[at]] = coded.values[coded.code[at]]
    owners, declared = rows.strings("organization_id")
    for owner, name in zip(owners.tolist(), declared, strict=True):
        names[owner] = name or names[owner]
    return _numbered(names)
