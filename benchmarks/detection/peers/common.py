"""What the peers share: accounts in one order, columns as integer codes, distinct pairs, components."""

from __future__ import annotations

import re
from typing import Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from scipy import sparse
from scipy.sparse.csgraph import connected_components

I64 = npt.NDArray[np.int64]
F64 = npt.NDArray[np.float64]

HOUR: Final = 3_600_000_000
DAY: Final = 24 * HOUR
OPENING_WORDS: Final = 8


def account_index(exchanges: pa.Table) -> tuple[list[str], I64]:
    """The distinct accounts, sorted, and the place of each exchange's account among them (rows,)."""
    code, distinct = codes(exchanges, "account_id")
    names = sorted(distinct)
    place = {name: position for position, name in enumerate(names)}
    return names, np.array([place[name] for name in distinct], np.int64)[code]


def codes(table: pa.Table, name: str) -> tuple[I64, list[str]]:
    """A column (rows,) as places in the list of its distinct values; -1 where null or where there is no column."""
    if name not in table.schema.names or not table.num_rows:
        return np.full(table.num_rows, -1, np.int64), []
    column = table[name].combine_chunks()
    array = pa.concat_arrays(column.chunks) if isinstance(column, pa.ChunkedArray) else column
    encoded = array.dictionary_encode()
    return np.asarray(encoded.indices.fill_null(-1)).astype(np.int64), encoded.dictionary.to_pylist()


def account_values(accounts: pa.Table, names: list[str], column: str) -> list[str | int | None]:
    """A column of accounts in the order of ``names``; null where the table lacks the account."""
    if column not in accounts.schema.names:
        return [None] * len(names)
    values = accounts[column]
    if pa.types.is_timestamp(values.type):
        values = values.cast(pa.timestamp("us", tz="UTC")).cast(pa.int64())
    known = dict(zip(accounts["account_id"].to_pylist(), values.to_pylist(), strict=True))
    return [known.get(name) for name in names]


def account_codes(accounts: pa.Table, names: list[str], column: str) -> I64:
    """A column of accounts in the order of ``names``, as codes; -1 where nothing is known."""
    place: dict[str | int, int] = {}
    values = account_values(accounts, names, column)
    return np.array([-1 if v is None else place.setdefault(v, len(place)) for v in values], np.int64)


def times(exchanges: pa.Table) -> I64:
    """Microseconds since the epoch (rows,)."""
    stamps = exchanges["started_at"].cast(pa.timestamp("us", tz="UTC")).cast(pa.int64())
    return np.asarray(stamps.to_numpy()).astype(np.int64)


def numbers(table: pa.Table, name: str) -> F64:
    """A numeric column (rows,), NaN where null or absent."""
    if name not in table.schema.names:
        return np.full(table.num_rows, np.nan)
    return np.asarray(table[name].cast(pa.float64()).to_numpy(), np.float64)


def openings(exchanges: pa.Table, words: int = OPENING_WORDS) -> I64:
    """Code of each prompt's first words (rows,), case and numbers aside; -1 without text."""
    prompt, distinct = codes(exchanges, "prompt_text")
    place: dict[str, int] = {}
    opening = np.full(len(distinct) + 1, -1, np.int64)  # the last stands for null, which is coded -1
    for position, text in enumerate(distinct):
        head = re.sub(r"\d+", "0", " ".join(text[:400].split(None, words)[:words]).lower())
        opening[position] = place.setdefault(head, len(place))
    return opening[prompt]


def distinct_pairs(left: I64, right: I64) -> tuple[I64, I64]:
    """The distinct pairs of known (not negative) codes, in order."""
    known = (left >= 0) & (right >= 0)
    if not known.any():
        return np.empty(0, np.int64), np.empty(0, np.int64)
    width = int(right.max()) + 1
    key = np.unique(left[known] * width + right[known])
    return key // width, key % width


def held_by(right: I64, least: int, most: float) -> npt.NDArray[np.bool_]:
    """Of distinct pairs, those whose right side is in at least ``least`` and at most ``most`` of them."""
    if not len(right):
        return np.zeros(0, bool)
    holders = np.bincount(right)[right]
    kept: npt.NDArray[np.bool_] = (holders >= least) & (holders <= most)
    return kept


def components(n: int, left: I64, right: I64) -> I64:
    """Component (n,) of each left node in the bipartite graph of pairs."""
    size = n + (int(right.max()) + 1 if len(right) else 0)
    graph = sparse.coo_matrix((np.ones(len(left), np.int8), (left, right + n)), shape=(size, size))
    return connected_components(graph, directed=False)[1][:n].astype(np.int64)


def stacked(parts: list[tuple[I64, I64]]) -> tuple[I64, I64]:
    """Lists of pairs as one, right sides renumbered so that no two lists share any."""
    left, right, used = [np.empty(0, np.int64)], [np.empty(0, np.int64)], 0
    for a, b in parts:
        left.append(a)
        right.append(b + used)
        used += int(b.max()) + 1 if len(b) else 0
    return np.concatenate(left), np.concatenate(right)


def largest(n: int, group: I64, value: F64) -> F64:
    """Largest value (n,) in each group; 0 for a group without any."""
    out = np.zeros(n)
    np.maximum.at(out, group, value)
    return out


def busiest(n: int, account: I64, bin_of_time: I64) -> F64:
    """Exchanges (n,) in each account's busiest bin."""
    if not len(account):
        return np.zeros(n)
    start = int(bin_of_time.min())
    width = int(bin_of_time.max()) - start + 1
    key, count = np.unique(account * width + (bin_of_time - start), return_counts=True)
    return largest(n, key // width, count.astype(np.float64))
