"""What was known of parties at one time, numbered, with arrays for arithmetic on who owns whom."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from tiergate.parties.fact_rows import DIRECTNESS, MOST_PARTS, PRONGS, shown_id

if TYPE_CHECKING:
    from tiergate.parties.facts import Import

ALWAYS: Final = np.iinfo(np.int64).min
NEVER: Final = np.iinfo(np.int64).max
_UNKNOWN: Final = PRONGS.index("unknown")
_GRAPH_PRONGS: Final = [
    [PRONGS.index(name) for name in (*names, "unknown")]
    for names in (("shares",), ("votes",), ("board", "control", "consolidation"))
]


@dataclass(frozen=True)
class Stakes:
    """Stakes that held, arrays of one length. ``owner`` and ``owned``: numbers of parties (int32). ``prong``: position
    in `PRONGS` (int8). ``lo_ppm`` and ``hi_ppm``: parts per million (int32). ``concert``: numbers of groups that act
    together (int32), -1 for none. ``indirect``: declared indirect. ``chained``: declared indirect, and all of the
    chain that it adds up is here by itself, so that counting it again would count twice. ``fact``: row of
    `Snapshot.stake_facts` (int64)."""

    owner: NDArray[np.int32]
    owned: NDArray[np.int32]
    prong: NDArray[np.int8]
    lo_ppm: NDArray[np.int32]
    hi_ppm: NDArray[np.int32]
    concert: NDArray[np.int32]
    indirect: NDArray[np.bool_]
    chained: NDArray[np.bool_]
    fact: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.owner)


@dataclass(frozen=True)
class Snapshot:
    """The state from ``valid_us`` until before ``until_us``, when some fact may begin or end by itself (`NEVER` where
    none does), as known at ``recorded_us``, store version ``version``.

    Parties are numbered from 0 to ``size`` - 1. Ids whose records share an identifier have one number. Tables have the
    columns of `SCHEMAS`, with `import`, and `number` where they name a party; ``undisclosed`` and the arrays of
    ``seeds``, by list, are sorted numbers of parties without repeats (int32).
    """

    version: int
    valid_us: int
    until_us: int
    recorded_us: int
    size: int
    imports: Sequence[Import]
    stakes: Stakes
    stake_facts: pa.Table
    party_facts: pa.Table
    listing_facts: pa.Table
    undisclosed_facts: pa.Table
    undisclosed: NDArray[np.int32]
    seeds: dict[str, NDArray[np.int32]]
    ids: pa.Array
    """Ids that facts name, 16 bytes each; `numbers` has their party, in the same order."""
    numbers: NDArray[np.int32]

    def graph_columns(self) -> tuple[dict[str, NDArray[Any]], NDArray[np.int64]]:
        """The stakes as columns of a graph of owners, and for each of them its row of ``stake_facts``.

        ``prong``: 0 economic, 1 votes, 2 control (a board majority, a group's accounts and any other control, bounded
        by 0 or all). An interest of unknown kind could be each of them. Roles, and ties of funds to their managers,
        are neither share nor control and left out. ``undisclosed`` (size,): a source says that it does not say.
        """
        stakes = self.stakes
        rows = [np.flatnonzero(np.isin(stakes.prong, codes)) for codes in _GRAPH_PRONGS]
        row = np.concatenate(rows)
        prong = np.repeat(np.arange(3, dtype=np.int8), [len(one) for one in rows])
        undisclosed = np.zeros(self.size, np.bool_)
        undisclosed[self.undisclosed] = True
        columns: dict[str, NDArray[Any]] = {
            "owner": stakes.owner[row],
            "owned": stakes.owned[row],
            "lo_ppm": np.where(stakes.prong[row] == _UNKNOWN, 0, stakes.lo_ppm[row]).astype(np.int32),
            "hi_ppm": stakes.hi_ppm[row],
            "prong": prong,
            "concert": stakes.concert[row],
            # Control passes on by itself: a declared indirect control is one more edge of it.
            "indirect": stakes.indirect[row] & (prong != 2),
            "undisclosed": undisclosed,
        }
        return columns, stakes.fact[row]

    def number(self, party: bytes) -> int | None:
        """Number of the party with this id; None when no fact names it."""
        at = pc.index(self.ids, pa.scalar(party, pa.binary(16))).as_py()
        return None if at < 0 else int(self.numbers[at])

    def ids_of(self, number: int) -> list[bytes]:
        """All ids of a party, those of its records first."""
        return [self.ids[int(at)].as_py() for at in np.flatnonzero(self.numbers == number)]

    def records(self, number: int) -> list[dict[str, Any]]:
        """What sources say of a party, in the order of their imports."""
        rows: list[dict[str, Any]] = self.party_facts.filter(pc.field("number") == number).to_pylist()
        return rows

    def held(self, number: int, *, of: bool) -> list[dict[str, Any]]:
        """Stakes in a party (``of``) or that it holds, each with the other side's id and name."""
        stakes = self.stakes
        other = stakes.owner if of else stakes.owned
        rows = np.flatnonzero((stakes.owned if of else stakes.owner) == number)
        shown = []
        for row in rows.tolist():
            told = self.records(int(other[row]))
            shown.append(
                {
                    "id": shown_id(self.ids_of(int(other[row]))[0]),
                    "name": next((one["name"] for one in told if one["name"]), None),
                    "prong": PRONGS[stakes.prong[row]],
                    "lo_ppm": int(stakes.lo_ppm[row]),
                    "hi_ppm": int(stakes.hi_ppm[row]),
                    "indirect": bool(stakes.indirect[row]),
                }
            )
        return shown

    def identified(self, identifier: str) -> list[int]:
        """Numbers of parties with this identifier, `scheme:value`: one at most."""
        lists = self.party_facts["identifiers"].combine_chunks()
        rows = pc.list_parent_indices(lists).to_numpy()
        hits = pc.equal(pc.list_flatten(lists), identifier).fill_null(False).to_numpy(zero_copy_only=False)
        return sorted({int(one) for one in self.party_facts["number"].to_numpy()[rows[hits]]})

    def named(self, name: str) -> list[int]:
        """Numbers of parties that a source calls exactly so, now or once, whatever the case."""
        wanted = name.casefold()
        at: set[int] = set()
        for column in ("name", "aliases", "previous_names"):
            values = self.party_facts[column].combine_chunks()
            rows = np.arange(len(values))
            if column != "name":
                rows, values = pc.list_parent_indices(values).to_numpy(), pc.list_flatten(values)
            hits = pc.equal(pc.utf8_lower(values), pa.scalar(wanted)).fill_null(False)
            at.update(np.asarray(rows)[hits.to_numpy(zero_copy_only=False)].tolist())
        numbers = self.party_facts["number"].to_numpy()
        return sorted({int(numbers[row]) for row in at})


def build_snapshot(valid_us: int, imports: Sequence[Import], tables: dict[str, pa.Table]) -> Snapshot:
    """Choose what governs ``valid_us`` among all rows that were recorded, and number the parties.

    :param tables: rows by kind, in the order they were recorded, with the number of their `import`.
    """
    held = {name: _in_effect(table, imports, valid_us) for name, table in tables.items()}
    parties, stakes, listings, undisclosed = (held[n] for n in ("parties", "stakes", "listings", "undisclosed"))
    named = [parties["party"], stakes["owner"], stakes["owned"], listings["party"], undisclosed["party"]]
    lengths = np.cumsum([0, *(len(column) for column in named)])
    encoded = pa.chunked_array([chunk for column in named for chunk in column.chunks], pa.binary(16))
    encoded = encoded.combine_chunks().dictionary_encode()
    ids, codes = encoded.dictionary, encoded.indices.to_numpy(zero_copy_only=False).astype(np.int64)
    party, owner, owned, listed, hidden = (codes[a:b] for a, b in pairwise(lengths))
    numbers = _same_party(len(ids), party, parties["identifiers"])
    size = int(numbers.max()) + 1 if len(numbers) else 0
    seeds = {
        name: np.unique(numbers[listed[_equal(listings["list"], name)]])
        for name in sorted(listings["list"].unique().to_pylist())
    }
    return Snapshot(
        version=imports[-1].number if imports else 0,
        valid_us=valid_us,
        until_us=_unchanged_until(valid_us, imports, tables.values()),
        recorded_us=imports[-1].recorded_at_us if imports else 0,
        size=size,
        imports=imports,
        stakes=_stakes(stakes, numbers[owner], numbers[owned], parties["key"]),
        stake_facts=stakes,
        party_facts=_numbered(parties, numbers[party]),
        listing_facts=_numbered(listings, numbers[listed]),
        undisclosed_facts=_numbered(undisclosed, numbers[hidden]),
        undisclosed=np.unique(numbers[hidden]),
        seeds=seeds,
        ids=ids,
        numbers=numbers,
    )


def _unchanged_until(valid_us: int, imports: Sequence[Import], tables: Iterable[pa.Table]) -> int:
    """The first time after ``valid_us`` that any row names, whether or not it governs."""
    named = [np.array([one.as_of_us for one in imports if one.complete], np.int64)]
    columns = ("valid_from_us", "valid_to_us", "effective_us")
    named += [_times(table, name, NEVER) for table in tables for name in columns]
    return int(min((times[times > valid_us].min(initial=NEVER) for times in named), default=NEVER))


def _in_effect(table: pa.Table, imports: Sequence[Import], valid_us: int) -> pa.Table:
    """The rows that hold: of each key the governing ones, unless their period or a complete import says otherwise."""
    if not table.num_rows:
        return table
    rows = _governing(table, valid_us)
    number = table["import"].to_numpy()[rows]
    ends = np.minimum(_times(table, "valid_to_us", NEVER)[rows], _ended_by(imports)[number])
    holds = (_times(table, "valid_from_us", ALWAYS)[rows] <= valid_us) & (valid_us < ends)
    holds &= ~table["retracted"].to_numpy()[rows]
    return table if len(rows) == table.num_rows and holds.all() else table.take(pa.array(rows[holds]))


def _governing(table: pa.Table, valid_us: int) -> NDArray[np.int64]:
    """Rows that say what is so at ``valid_us``, in the order they were recorded."""
    effective = _times(table, "effective_us", ALWAYS)
    number = table["import"].to_numpy()
    keys = table["key"].combine_chunks().dictionary_encode()
    codes = keys.indices.to_numpy(zero_copy_only=False)
    order = np.arange(table.num_rows)
    if (effective != ALWAYS).any():
        # Within an import what takes effect later is said later, in whatever order the file has it.
        order = np.lexsort((order, effective, number))
        order = order[effective[order] <= valid_us]
    last = _last(codes, order, len(keys.dictionary))
    if "part" not in table.schema.names or len(keys.dictionary) == table.num_rows:
        return _sorted(last, table.num_rows)
    part = table["part"].to_numpy()
    governor = last[codes[order]]
    order = order[(number[order] == number[governor]) & (effective[order] == effective[governor])]
    _, place = np.unique(codes.astype(np.int64) * (MOST_PARTS + 1) + part, return_inverse=True)
    return _sorted(_last(place, order, int(place.max()) + 1), table.num_rows)


def _sorted(rows: NDArray[np.int64], size: int) -> NDArray[np.int64]:
    """Row numbers below ``size`` in order, without the -1."""
    kept = np.zeros(size + 1, np.bool_)
    kept[rows] = True  # -1 marks the place after the last
    return np.flatnonzero(kept[:size])


def _last(codes: NDArray[Any], order: NDArray[np.int64], size: int) -> NDArray[np.int64]:
    """Of the rows in ``order`` the last one with each code; -1 where there is none."""
    last = np.full(size, -1, np.int64)
    last[codes[order]] = order  # where a code comes again, the last one stays
    return last


def _ended_by(imports: Sequence[Import]) -> NDArray[np.int64]:
    """By number of an import, the time at which a later complete import of its source ends what it told."""
    ends = np.full(imports[-1].number + 1, NEVER, np.int64)
    next_complete: dict[str, int] = {}
    for one in reversed(imports):
        ends[one.number] = next_complete.get(one.source, NEVER)
        if one.complete:
            next_complete[one.source] = one.as_of_us
    return ends


def _same_party(size: int, party: NDArray[np.int64], identifiers: pa.ChunkedArray) -> NDArray[np.int32]:
    """Numbers of the ids, equal where records share an identifier, in order of appearance."""
    lists = identifiers.combine_chunks()
    values = pc.list_flatten(lists)
    if not len(values):
        return np.arange(size, dtype=np.int32)
    row = pc.list_parent_indices(lists).to_numpy()
    code = values.dictionary_encode().indices.to_numpy(zero_copy_only=False)
    both = coo_array((np.ones(len(code), np.int8), (party[row], size + code)), shape=(size + len(code),) * 2)
    _, label = connected_components(both, directed=False)
    _, first, numbers = np.unique(label[:size], return_index=True, return_inverse=True)
    rank = np.empty(len(first), np.int32)
    rank[np.argsort(first)] = np.arange(len(first), dtype=np.int32)
    return rank[numbers]


def _stakes(facts: pa.Table, owner: NDArray[np.int32], owned: NDArray[np.int32], party_keys: pa.ChunkedArray) -> Stakes:
    concert = facts["concert"].combine_chunks().dictionary_encode().indices
    kept = owner != owned  # ids that turned out to be one party's own
    fact = np.flatnonzero(kept)
    indirect = facts["directness"].to_numpy() == DIRECTNESS.index("indirect")
    return Stakes(
        owner=owner[kept],
        owned=owned[kept],
        prong=facts["prong"].to_numpy()[kept],
        lo_ppm=facts["lo_ppm"].to_numpy()[kept],
        hi_ppm=facts["hi_ppm"].to_numpy()[kept],
        concert=concert.fill_null(-1).to_numpy(zero_copy_only=False).astype(np.int32)[kept],
        indirect=indirect[kept],
        chained=(indirect & _chained(facts, party_keys))[kept],
        fact=fact,
    )


def _chained(facts: pa.Table, party_keys: pa.ChunkedArray) -> NDArray[np.bool_]:
    """Whether the components of a stake are all here, one of them a stake at least."""
    lists = facts["components"].combine_chunks()
    parts = pc.list_flatten(lists)
    if not len(parts):
        return np.zeros(len(facts), bool)
    row = pc.list_parent_indices(lists).to_numpy()
    is_stake = pc.is_in(parts, facts["key"].combine_chunks()).to_numpy(zero_copy_only=False)
    is_party = pc.is_in(parts, party_keys.combine_chunks()).to_numpy(zero_copy_only=False)
    stakes = np.bincount(row[is_stake], minlength=len(facts))
    missing = np.bincount(row[~(is_stake | is_party)], minlength=len(facts))
    result: NDArray[np.bool_] = (stakes > 0) & (missing == 0)
    return result


def _numbered(table: pa.Table, numbers: NDArray[np.int32]) -> pa.Table:
    return table.append_column("number", pa.array(numbers))


def _equal(column: pa.ChunkedArray, value: str) -> NDArray[np.bool_]:
    result: NDArray[np.bool_] = pc.equal(column, value).to_numpy()
    return result


def _times(table: pa.Table, name: str, absent: int) -> NDArray[np.int64]:
    result: NDArray[np.int64] = table[name].fill_null(absent).to_numpy()
    return result
