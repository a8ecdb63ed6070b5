"""Evidence of each account as tokens in eight families.

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

from dataclasses import dataclass, field
from typing import Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import scipy.sparse as sp

from tiergate.detection.addresses import neighbourhoods
from tiergate.detection.arrays import Ints, give_back, pairs
from tiergate.detection.columns import ranked
from tiergate.detection.conduct import lifecycle, pivots, subjects, timing
from tiergate.detection.families import FAMILIES
from tiergate.detection.intake import Coded, Traffic
from tiergate.detection.pivot import Release, releases_seen
from tiergate.detection.recurrence import templates, vocabulary
from tiergate.ledger.intents import CAPABILITIES

I32 = npt.NDArray[np.int32]
I64 = npt.NDArray[np.int64]
F64 = npt.NDArray[np.float64]

STRATA: Final = 10
RESELLING_PLANS: Final = ("team", "enterprise")
RESELLING_PATHS: Final = ("reseller", "marketplace", "sales")
"""Who may have end users of their own; elsewhere naming some costs nothing and proves nothing."""

LENGTH_MINIMUM: Final = 5
"""Exchanges an account needs before the mean length of its requests says anything."""


@dataclass(frozen=True, slots=True)
class Kind:
    """Tokens of one kind: ``holds`` (accounts, tokens) is a CSR matrix of ones, who has what."""

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
    decoys are permuted: finer strata would hold whole groups, whose identifiers then stay together. ``releases``:
    new models, and who turned to them. ``lacking``: families without data.
    """

    kinds: tuple[Kind, ...]
    template_columns: tuple[I32, I32, I32]
    organization: I64
    closed_us: I64
    stratum: I64
    lacking: tuple[str, ...]
    speaks_for_others: npt.NDArray[np.bool_] | None = None
    releases: list[Release] = field(default_factory=list)

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
    seen = releases_seen(traffic, releases)
    conducts = {
        "timing": timing(traffic),
        "lifecycle": lifecycle(traffic, *rows.created_us()) + pivots(seen),
        "subjects": subjects(coherence),
    }
    for family, tokens in conducts.items():
        for name, account, token in tokens:
            builder.add(family, name, account, token)
    volume = np.diff(traffic.edge)
    # Ties are in order of account ids, which say nothing.
    rank = np.empty(builder.accounts, np.int64)
    rank[np.argsort(volume, kind="stable")] = np.arange(builder.accounts)
    stratum = rank * STRATA // builder.accounts
    give_back()
    present = {kind.family for kind in builder.kinds}
    return Evidence(
        kinds=tuple(builder.kinds),
        template_columns=(system, template, words),
        organization=_organizations(traffic, rows),
        closed_us=rows.closed_us(),
        stratum=stratum,
        speaks_for_others=rows.speaks_for_others(),
        releases=seen,
        lacking=tuple(family for family in FAMILIES if family not in present),
    )


class _Builder:
    """Collects (account, token) pairs and keeps those tokens that at least two accounts have."""

    def __init__(self, traffic: Traffic) -> None:
        self.accounts = len(traffic.account_ids)
        self.kinds: list[Kind] = []

    def add(self, family: str, name: str, account: Ints, token: Ints) -> I64:
        """Add a kind; returns for each old token number its column, -1 where it was dropped."""
        known = token >= 0
        held = pairs(account[known], token[known], self.accounts)
        holders = np.bincount(held.indices, minlength=held.shape[1])
        # What everybody has says nothing, and what one account has links nothing.
        kept = np.flatnonzero((holders >= 2) & (holders < self.accounts))
        column = np.full(len(holders), -1, np.int64)
        column[kept] = np.arange(len(kept))
        if len(kept):
            use = column[held.indices] >= 0
            indices = column[held.indices[use]].astype(np.int32)
            indptr = np.append(0, np.cumsum(use, dtype=np.int32))[held.indptr]
            shape = (self.accounts, len(kept))
            holds = sp.csr_array((np.ones(len(indices), np.int32), indices, indptr), shape=shape)
            self.kinds.append(Kind(family, name, holds))
        return column


class _AccountRows:
    """Rows of the accounts table for the accounts that were seen."""

    def __init__(self, traffic: Traffic, accounts: pa.Table | None) -> None:
        self._accounts = len(traffic.account_ids)
        if accounts is not None and pc.count_distinct(accounts["account_id"]).as_py() < len(accounts):
            # Of several rows of one account the last counts, in an order that does not depend on the file's.
            accounts = accounts.sort_by([(name, "ascending") for name in accounts.schema.names])
        self._table = accounts
        self._row = np.empty(0, np.int64)
        self._account = np.empty(0, np.int64)
        if accounts is None:
            return
        seen = pc.index_in(accounts["account_id"], value_set=pa.array(traffic.account_ids, pa.string()))
        index = np.asarray(seen.fill_null(-1)).astype(np.int64)
        row_of = np.full(self._accounts, -1, np.int64)
        row_of[index[index >= 0]] = np.flatnonzero(index >= 0)
        self._account = np.flatnonzero(row_of >= 0)
        self._row = row_of[self._account]

    def codes(self, name: str) -> tuple[I64, I64]:
        """Accounts (k,) and the code of their value in column ``name`` (k,), -1 where null."""
        if self._table is None or name not in self._table.schema.names:
            return np.empty(0, np.int64), np.empty(0, np.int64)
        column = self._table[name].take(pa.array(self._row)).combine_chunks().dictionary_encode()
        return self._account, np.asarray(column.indices.fill_null(-1)).astype(np.int64)

    def strings(self, name: str) -> pa.StringArray:
        """Value of each account (all accounts,) in column ``name``, null where there is none."""
        if self._table is None or name not in self._table.schema.names:
            return pa.nulls(self._accounts, pa.string())
        row = np.full(self._accounts, -1, np.int64)
        row[self._account] = self._row
        return self._table[name].take(pa.array(row, mask=row < 0)).combine_chunks()

    def created_us(self) -> tuple[I64, I64]:
        if self._table is None:
            return np.empty(0, np.int64), np.empty(0, np.int64)
        created = self._table["created_at"].take(pa.array(self._row)).cast(pa.int64())
        return self._account, np.asarray(created.combine_chunks())

    def speaks_for_others(self) -> npt.NDArray[np.bool_] | None:
        """Which accounts (all accounts,) may have end users of their own by plan or sign-up path; None without a
        table."""
        if self._table is None:
            return None
        others = np.ones(self._accounts, bool)
        plan = pc.is_in(self.strings("plan"), pa.array(RESELLING_PLANS))
        path = pc.is_in(self.strings("signup_path"), pa.array(RESELLING_PATHS))
        others[self._account] = np.asarray(pc.or_(plan, path))[self._account]
        return others

    def closed_us(self) -> I64:
        """When each account (all accounts,) was closed, -1 for never."""
        closed = np.full(self._accounts, -1, np.int64)
        if self._table is not None:
            times = self._table["closed_at"].take(pa.array(self._row)).cast(pa.int64()).fill_null(-1)
            closed[self._account] = np.asarray(times.combine_chunks())
        return closed


def _network(builder: _Builder, traffic: Traffic, rows: _AccountRows) -> None:
    address = traffic.columns["client_address"]
    account, used = _used(traffic, address.code)
    builder.add("network", "address", account, used)
    builder.add("network", "address block", account, neighbourhoods(address.values)[used])
    builder.add("network", "autonomous system", *_used(traffic, traffic.asn))
    builder.add("network", "sign-up address", *rows.codes("signup_address"))


def _used(traffic: Traffic, code: I32) -> tuple[I32, I32]:
    """Accounts and codes (>= 0) that they used, each pair once: a few for each account instead of one a row."""
    known = code >= 0
    held = pairs(traffic.account[known], code[known], len(traffic.account_ids))
    return np.repeat(np.arange(held.shape[0], dtype=np.int32), np.diff(held.indptr)), held.indices


def _client(builder: _Builder, traffic: Traffic, rows: _AccountRows) -> None:
    agent, tls = traffic.columns["user_agent"], traffic.columns["tls_fingerprint"]
    width = len(tls.values) + 1
    met, combined = ranked((agent.code.astype(np.int64) + 1) * width + tls.code + 1)
    account, both = _used(traffic, met)
    agents, prints = (part[both] - 1 for part in np.divmod(combined, width))
    builder.add("client", "user agent", account, agents)
    builder.add("client", "TLS fingerprint", account, prints)
    joint = np.where((agents >= 0) & (prints >= 0), both, -1)
    builder.add("client", "user agent with TLS fingerprint", account, joint)
    builder.add("client", "sign-up user agent", *rows.codes("signup_user_agent"))
    builder.add("client", "sign-up TLS fingerprint", *rows.codes("signup_tls_fingerprint"))


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


def _modal(traffic: Traffic, value: I32) -> tuple[I64, I64, F64]:
    """Each account's most frequent value (smallest on a tie), and its share of the account's rows."""
    held = pairs(traffic.account, value, len(traffic.account_ids))
    # Every account has a row, so no run is empty.
    most = np.maximum.reduceat(held.data, held.indptr[:-1])
    length = np.diff(held.indptr)
    owner = np.repeat(np.arange(len(length)), length)
    best = np.flatnonzero(held.data == np.repeat(most, length))
    best = best[np.append(True, np.diff(owner[best]) != 0)]
    return owner[best], held.indices[best].astype(np.int64), most / np.diff(traffic.edge)


def _capability(builder: _Builder, traffic: Traffic) -> None:
    owner, shape, share = _modal(traffic, traffic.shape)
    builder.add("capability", "form of request", owner[share >= 0.5], shape[share >= 0.5])
    total = np.diff(traffic.edge)
    for bit, name in enumerate(CAPABILITIES):
        asking = traffic.account[np.flatnonzero((traffic.intent >> bit) & 1)]
        asks = np.bincount(asking, minlength=builder.accounts)
        focused = np.flatnonzero((asks >= 0.6 * total) & (total >= 3))
        builder.add("capability", f"asks for {name}", focused, np.zeros(len(focused), np.int64))
    known = np.flatnonzero(traffic.input_tokens >= 0)
    length = np.log2(np.maximum(traffic.input_tokens[known], 1))
    number = np.bincount(traffic.account[known], minlength=builder.accounts)
    mean = np.bincount(traffic.account[known], length, minlength=builder.accounts) / np.maximum(number, 1)
    some = np.flatnonzero(number >= LENGTH_MINIMUM)
    builder.add("capability", "length of requests", some, np.round(2 * mean[some]).astype(np.int64))


def _organizations(traffic: Traffic, rows: _AccountRows) -> I64:
    """Declared organisation by account: the accounts table's, else that of its earliest exchange to name one."""
    coded: Coded = traffic.columns["organization_id"]
    named = np.flatnonzero(coded.code >= 0)
    code = np.full(len(traffic.account_ids), -1, np.int32)
    # The last write wins, so the earliest exchange is written last.
    code[traffic.account[named[::-1]]] = coded.code[named[::-1]]
    used = coded.values.take(pa.array(code, mask=code < 0))
    declared = rows.strings("organization_id")
    names = pc.if_else(pc.fill_null(pc.not_equal(declared, ""), fill_value=False), declared, used)
    return np.asarray(names.dictionary_encode().indices.fill_null(-1)).astype(np.int64)
