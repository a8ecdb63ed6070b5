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
| template | tool | blocks of the system prompt; shingles and words that recur within the account |
| capability | tool | form of request (model, parameters, tools), its length, what is asked for |
| timing | conduct | hours kept and evenness of gaps |
| lifecycle | conduct | week of arrival, use by day against days since arrival, day of turning to a new model |
| subjects | conduct | how coherent its subjects are: a person's are, what a dispatcher deals out is not |
"""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import scipy.sparse as sp

from tiergate.detection.arrays import Ints, distinct
from tiergate.detection.conduct import lifecycle, pivots, subjects, timing
from tiergate.detection.intake import Coded, Traffic
from tiergate.detection.recurrence import templates, vocabulary
from tiergate.ledger.intents import CAPABILITIES

I32 = npt.NDArray[np.int32]
I64 = npt.NDArray[np.int64]
F64 = npt.NDArray[np.float64]

CAUSES: Final[dict[str, tuple[str, ...]]] = {
    "customer": ("identity",),
    "place": ("network",),
    "tool": ("template", "client", "capability"),
    "conduct": ("timing", "lifecycle", "subjects"),
}
FAMILIES: Final = tuple(family for families in CAUSES.values() for family in families)

STRATA: Final = 10
LENGTH_MINIMUM: Final = 5
"""Exchanges an account needs before the mean length of its requests says anything."""


@dataclass(frozen=True, slots=True)
class Kind:
    """Tokens of one kind: ``holds`` (accounts, tokens) is a boolean CSR matrix of who has what."""

    family: str
    name: str
    holds: sp.csr_array


@dataclass(frozen=True, slots=True)
class Evidence:
    """All tokens of all accounts, with what was missing.

    ``template_columns``: for each system, each template and each word code of the traffic its column among the tokens
    of the template family, -1 for none, for telling which exchanges belong to a workload. ``organization``
    (accounts,): declared organisation as a code, -1 unknown.
    ``closed_us`` (accounts,): when it was closed, -1 for never. ``stratum`` (accounts,): tenth by volume, within which
    decoys are permuted: finer strata would hold whole groups, whose identifiers then stay together. ``lacking``:
    families without data.
    """

    kinds: tuple[Kind, ...]
    template_columns: tuple[I32, I32, I32]
    organization: I64
    closed_us: I64
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
    system, template = _templates(builder, traffic)
    owner, word, coherence = vocabulary(traffic)
    words = np.full(traffic.words.distinct, -1, np.int32)
    first = sum(kind.holds.shape[1] for kind in builder.kinds if kind.family == "template")
    column = builder.add("template", "vocabulary", owner, word)
    words[: len(column)] = np.where(column >= 0, column + first, -1)
    _capability(builder, traffic)
    conducts = {
        "timing": timing(traffic),
        "lifecycle": lifecycle(traffic, *rows.created_us()) + (pivots(traffic, releases) if releases else []),
        "subjects": subjects(coherence),
    }
    for family, tokens in conducts.items():
        for name, account, token in tokens:
            builder.add(family, name, account, token)
    volume = np.bincount(traffic.account, minlength=builder.accounts)
    # Ties are in order of account ids, which say nothing.
    rank = np.empty(builder.accounts, np.int64)
    rank[np.argsort(volume, kind="stable")] = np.arange(builder.accounts)
    stratum = rank * STRATA // builder.accounts
    present = {kind.family for kind in builder.kinds}
    return Evidence(
        kinds=tuple(builder.kinds),
        template_columns=(system, template, words),
        organization=_organizations(traffic, rows),
        closed_us=rows.closed_us(),
        stratum=stratum,
        lacking=tuple(family for family in FAMILIES if family not in present),
    )


class _Builder:
    """Collects (account, token) pairs and keeps those tokens that at least two accounts have."""

    def __init__(self, traffic: Traffic) -> None:
        self.accounts = len(traffic.account_ids)
        self.kinds: list[Kind] = []

    def add(self, family: str, name: str, account: Ints, token: Ints) -> I64:
        """Add a kind; returns for each old token number its column, -1 where it was dropped."""
        width = np.int64(token.max(initial=0)) + 1
        pair = distinct(account[token >= 0] * width + token[token >= 0])
        account, token = np.divmod(pair, width)
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

    def closed_us(self) -> I64:
        """When each account (all accounts,) was closed, -1 for never."""
        closed = np.full(len(self.known), -1, np.int64)
        if self._table is not None:
            times = self._table["closed_at"].take(pa.array(self._row)).cast(pa.int64()).fill_null(-1)
            closed[self._account] = np.asarray(times.combine_chunks())
        return closed


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
    width = np.int64(tls.code.max(initial=0)) + 1
    both = np.where((agent.code >= 0) & (tls.code >= 0), agent.code * width + tls.code, -1)
    builder.add("client", "user agent with TLS fingerprint", traffic.account, _dense(both))
    builder.add("client", "sign-up user agent", *rows.codes("signup_user_agent"))
    builder.add("client", "sign-up TLS fingerprint", *rows.codes("signup_tls_fingerprint"))


def _dense(values: Ints) -> I64:
    return np.unique(np.append(values, -1), return_inverse=True)[1][:-1] - 1


def _templates(builder: _Builder, traffic: Traffic) -> tuple[I32, I32]:
    """Recurring blocks of system prompts and shingles, as one kind; returns the column of each system and of each
    template code, -1 where it is none."""
    offset = traffic.system.distinct
    parts = [templates(traffic, traffic.system), templates(traffic, traffic.template)]
    account = np.concatenate([parts[0][0], parts[1][0]])
    token = np.concatenate([parts[0][1], parts[1][1] + offset])
    column = np.full(offset + traffic.template.distinct, -1, np.int32)
    kept = builder.add("template", "template", account, token)
    column[: len(kept)] = kept
    return column[:offset], column[offset:]


def _modal(account: Ints, value: Ints, accounts: int) -> tuple[I64, I64, F64]:
    """Each account's most frequent value (smallest on a tie), and its share of the account's rows."""
    width = int(value.max(initial=0)) + 1
    pair, times = np.unique(account * np.int64(width) + value, return_counts=True)
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
    known = traffic.input_tokens >= 0
    length = np.log2(np.maximum(traffic.input_tokens[known], 1))
    number = np.bincount(traffic.account[known], minlength=builder.accounts)
    mean = np.bincount(traffic.account[known], length, minlength=builder.accounts) / np.maximum(number, 1)
    some = np.flatnonzero(number >= LENGTH_MINIMUM)
    builder.add("capability", "length of requests", some, np.round(2 * mean[some]).astype(np.int64))


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
