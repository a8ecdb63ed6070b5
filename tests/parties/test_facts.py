"""The fact store: nothing that was known is ever lost or changed, imports count whole or not at all."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tiergate.clock import DAY
from tiergate.database import open_database
from tiergate.errors import InputError, LedgerError
from tiergate.parties.fact_rows import Fact, Listing, Party, Stake, cleaned, fact_key, party_id, read_id, shown_id
from tiergate.parties.facts import FactStore
from tiergate.parties.snapshot import Snapshot

PARTIES = [party_id("t", str(n)) for n in range(5)]


@pytest.fixture
def store(tmp_path: Path) -> Iterator[FactStore]:
    engine = open_database(tmp_path / "parties.sqlite")
    yield FactStore(engine)
    engine.dispose()


def stake(key: str, share: int, owner: int = 0, owned: int = 1, **more: object) -> Stake:
    told = {"prong": "shares", "lo_ppm": share, "hi_ppm": share} | more
    return Stake(key=fact_key("t", key), owner=PARTIES[owner], owned=PARTIES[owned], **told)  # type: ignore[arg-type]


def told(snapshot: Snapshot) -> list[tuple[object, ...]]:
    """A snapshot as plain values."""
    held = snapshot.stakes
    arrays = (held.owner, held.owned, held.prong, held.lo_ppm, held.hi_ppm, held.concert, held.chained)
    rows: list[tuple[object, ...]] = list(zip(*(array.tolist() for array in arrays), strict=True))
    rows += [(name, *numbers.tolist()) for name, numbers in snapshot.seeds.items()]
    return [*rows, (snapshot.version, snapshot.size), *(tuple(one) for one in [snapshot.undisclosed.tolist()])]


def test_an_empty_store(store: FactStore) -> None:
    empty = store.as_of(0)
    assert (empty.version, empty.size, len(empty.stakes), empty.seeds) == (0, 0, 0, {})
    assert empty.number(PARTIES[0]) is None
    assert empty.graph_columns()[0]["owner"].tolist() == []


def test_a_correction_replaces_and_a_later_row_takes_over(store: FactStore) -> None:
    store.add([stake("a", 600_000)], source="t", now_us=10)
    store.add([stake("a", 700_000)], source="t", now_us=20)
    store.add([stake("a", 490_000, effective_us=5 * DAY)], source="t", now_us=30)
    assert store.as_of(0).stakes.lo_ppm.tolist() == [700_000]
    assert store.as_of(5 * DAY).stakes.lo_ppm.tolist() == [490_000]
    assert store.as_of(5 * DAY, 29).stakes.lo_ppm.tolist() == [700_000]
    assert store.as_of(5 * DAY, 19).stakes.lo_ppm.tolist() == [600_000]
    assert len(store.as_of(5 * DAY, 9).stakes) == 0
    store.add([stake("a", 0, retracted=True)], source="t", now_us=40)
    assert len(store.as_of(0).stakes) == 0


def test_a_record_is_told_whole(store: FactStore) -> None:
    store.add([stake("a", 1), stake("a", 2, part=1), stake("a", 3, part=1)], source="t", now_us=1)
    assert store.as_of(0).stakes.lo_ppm.tolist() == [1, 3], "what comes twice counts once"
    store.add([stake("a", 4)], source="t", now_us=2)
    assert store.as_of(0).stakes.lo_ppm.tolist() == [4], "a part that is not told again is gone"


def test_what_a_complete_import_lacks_has_ended(store: FactStore) -> None:
    for now, keys, source in ((1, "ab", "t"), (2, "c", "other")):
        with store.importing(source, now_us=now, as_of_us=now * DAY, complete=True) as writer:
            for key in keys:
                writer.add(stake(key, 10))
    with store.importing("t", now_us=3, as_of_us=9 * DAY, complete=True) as writer:
        writer.add(stake("a", 10))
    assert len(store.as_of(8 * DAY).stakes) == 3
    assert len(store.as_of(9 * DAY).stakes) == 2
    assert len(store.as_of(9 * DAY, 2).stakes) == 3


def test_periods_are_half_open(store: FactStore) -> None:
    store.add([stake("a", 1, valid_from_us=10, valid_to_us=20)], source="t", now_us=1)
    assert [len(store.as_of(time).stakes) for time in (9, 10, 19, 20)] == [0, 1, 1, 0]


def test_parties_that_share_an_identifier_are_one(store: FactStore) -> None:
    records = [("lei:1", "reg:1"), ("reg:1",), (), ("lei:2",)]
    facts: list[Fact] = [
        Party(key=fact_key("t", "p", str(n)), party=PARTIES[n], name=f"P{n}", identifiers=identifiers)
        for n, identifiers in enumerate(records)
    ]
    store.add([*facts, stake("a", 5, 0, 1), stake("b", 6, 1, 2)], source="t", now_us=1)
    snapshot = store.as_of(0)
    assert snapshot.size == 3
    assert snapshot.number(PARTIES[0]) == snapshot.number(PARTIES[1]) == snapshot.identified("lei:1")[0]
    assert snapshot.ids_of(0) == PARTIES[:2]
    assert [row["name"] for row in snapshot.records(0)] == ["P0", "P1"]
    assert snapshot.stakes.lo_ppm.tolist() == [6], "a party holds nothing in itself"
    assert (snapshot.named("p2"), snapshot.named("nobody")) == ([1], [])


def test_a_failed_import_leaves_nothing(store: FactStore) -> None:
    def fail() -> None:
        with store.importing("t", now_us=1) as writer:
            writer.add(stake("a", 1))
            writer.flush()
            writer.add(stake("b", 2_000_000))

    with pytest.raises(InputError, match="share is no range"):
        fail()
    assert store.version() == 0
    assert len(store.as_of(0).stakes) == 0


def test_recorded_times_grow_whatever_the_clock_does(store: FactStore) -> None:
    store.add([stake("a", 1)], source="t", now_us=100)
    store.add([stake("b", 1)], source="t", now_us=50)
    assert [one.recorded_at_us for one in store.imports()] == [100, 101]
    assert store.as_of(0).recorded_us == 101


def test_writers_at_once_each_get_a_version(store: FactStore) -> None:
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda n: store.add([stake(str(n), 1)], source="t", now_us=7), range(24)))
    assert [one.number for one in store.imports()] == list(range(1, 25))
    assert len({one.recorded_at_us for one in store.imports()}) == 24
    assert len(store.as_of(0).stakes) == 24


def test_what_a_dead_import_left_is_never_read_and_swept(tmp_path: Path) -> None:
    engine = open_database(tmp_path / "parties.sqlite")
    store = FactStore(engine)
    dead = store.importing("t", now_us=0)
    writer = dead.__enter__()
    writer.add(stake("a", 1))
    writer.flush()
    store.add([stake("b", 2)], source="t", now_us=DAY)
    assert store.as_of(0).stakes.lo_ppm.tolist() == [2]
    store.add([stake("c", 3)], source="t", now_us=2 * DAY)
    with sqlite3.connect(tmp_path / "parties.sqlite") as file:
        assert file.execute("select count(*) from fact_segments").fetchone() == (2,)
    engine.dispose()


def test_damage_is_told(tmp_path: Path) -> None:
    engine = open_database(tmp_path / "parties.sqlite")
    store = FactStore(engine)
    store.add([stake("a", 1)], source="t", now_us=1)
    with sqlite3.connect(tmp_path / "parties.sqlite") as file:
        file.execute("update fact_segments set payload = cast(payload || x'00' as blob)")
    file.close()
    with pytest.raises(LedgerError, match=r"segment 1 .* is damaged"):
        store.as_of(0)
    engine.dispose()


def test_columns_for_a_graph(store: FactStore) -> None:
    prongs = ("shares", "votes", "board", "fund", "role", "unknown")
    facts = [stake(prong, 1_000_000, prong=prong, directness="indirect") for prong in prongs]
    store.add(facts, source="t", now_us=1)
    columns, fact = store.as_of(0).graph_columns()
    assert columns["prong"].tolist() == [0, 0, 1, 1, 2, 2]
    assert columns["lo_ppm"].tolist() == [10**6, 0, 10**6, 0, 10**6, 0], "an unknown interest may be nothing"
    assert columns["indirect"].tolist() == [True] * 4 + [False] * 2
    assert fact.tolist() == [0, 5, 1, 5, 2, 5]
    assert len(columns["undisclosed"]) == 2


_times = st.one_of(st.none(), st.integers(0, 6))
_facts = st.lists(
    st.builds(
        lambda key, share, start, length, effective, retracted, part: stake(
            key, share, valid_from_us=start, valid_to_us=None if length is None else (start or 0) + length,
            effective_us=effective, retracted=retracted, part=part,
        ),
        st.sampled_from("abc"), st.integers(0, 9), _times, _times, _times, st.booleans(), st.integers(0, 1),
    ),
    min_size=1, max_size=4,
)  # fmt: skip
_imports = st.lists(st.tuples(_facts, st.booleans(), st.integers(0, 6), st.integers(0, 3)), min_size=1, max_size=5)


def governed(imports: list[tuple[list[Stake], bool, int, int]], valid_us: int) -> list[int]:
    """What `as_of` must say, one key at a time, from the words of its description."""
    shares = []
    for key in {fact.key for facts, *_ in imports for fact in facts}:
        rows = [
            (number, effective if effective is not None else -1, place, fact)
            for number, (facts, *_) in enumerate(imports)
            for place, fact in enumerate(facts)
            for effective in [fact.effective_us]
            if fact.key == key and (effective is None or effective <= valid_us)
        ]
        if not rows:
            continue
        last = max(row[:2] for row in rows)
        parts = {fact.part: fact for number, effective, _, fact in sorted(rows, key=lambda row: row[:3])
                 if (number, effective) == last}  # fmt: skip
        later = [as_of for _, complete, as_of, _ in imports[last[0] + 1 :] if complete]
        for fact in parts.values():
            ends = [time for time in (fact.valid_to_us, *later[:1]) if time is not None]
            if not fact.retracted and (fact.valid_from_us or 0) <= valid_us < min(ends, default=99):
                shares.append(fact.lo_ppm)
    return sorted(shares)


@settings(max_examples=25, deadline=None)
@given(imports=_imports)
def test_the_past_never_changes_and_says_what_it_should(imports: list[tuple[list[Stake], bool, int, int]]) -> None:
    engine = open_database("sqlite://")
    store = FactStore(engine)
    known: list[tuple[int, list[list[tuple[object, ...]]]]] = []
    now, times = 0, (0, 2, 3, 5, 9)
    for count, (facts, complete, as_of, wait) in enumerate(imports, 1):
        now += wait - 1  # clocks stand still and go back
        with store.importing("t", now_us=now, as_of_us=as_of, complete=complete) as writer:
            for fact in facts:
                writer.add(fact)
        assert store.version() == count
        snapshots = [store.as_of(valid) for valid in times]
        for valid, snapshot in zip(times, snapshots, strict=True):
            assert sorted(snapshot.stakes.lo_ppm.tolist()) == governed(imports[:count], valid)
        known.append((snapshots[0].recorded_us, [told(one) for one in snapshots]))
    for recorded, before in known:
        assert [told(store.as_of(valid, recorded)) for valid in times] == before
    engine.dispose()


def test_bulk_columns_are_the_same_as_rows(store: FactStore) -> None:
    from tiergate.parties.fact_rows import to_batch

    facts = [stake(str(n), n, n % 4, 4) for n in range(250)]
    with store.importing("t", now_us=1) as writer:
        writer.add_batch("stakes", to_batch("stakes", facts))
    assert np.array_equal(store.as_of(0).stakes.lo_ppm, np.arange(250))
    assert store.imports()[0].stakes == 250


def test_seeds_are_sorted_and_each_once(store: FactStore) -> None:
    entries = [(3, "b"), (1, "b"), (3, "b"), (0, "a")]
    store.add(
        [Listing(key=fact_key("t", str(n)), party=PARTIES[p], list=name) for n, (p, name) in enumerate(entries)],
        source="t", now_us=1,
    )  # fmt: skip
    assert {name: numbers.tolist() for name, numbers in store.as_of(0).seeds.items()} == {"a": [2], "b": [0, 1]}


def test_ids_show_nothing_and_read_back() -> None:
    shown = shown_id(party_id("lei", "EXAMPLE"))
    assert "EXAMPLE" not in shown
    assert read_id(shown) == party_id("LEI", "EXAMPLE")
    assert [read_id(text) for text in ("pty_", "pty_" + "g" * 32, "x" * 32, shown + "0")] == [None] * 4
    assert fact_key("a", "bc") != fact_key("ab", "c")


@given(st.text())
def test_cleaned_text_can_be_stored(text: str) -> None:
    found = cleaned(text)
    assert found is None or (found.encode() and found == found.strip() and "\n" not in found)


def test_halves_of_characters_are_replaced() -> None:
    assert cleaned("a\ud800b\x00c") == "a?b c"


def test_tables_are_postgresql_ready() -> None:
    from sqlalchemy.dialects import postgresql
    from sqlalchemy.schema import CreateTable

    from tiergate.parties.facts import METADATA

    made = "".join(str(CreateTable(table).compile(dialect=postgresql.dialect())) for table in METADATA.sorted_tables)
    assert "payload BYTEA NOT NULL" in made
    assert "number BIGSERIAL NOT NULL" in made
    assert "recorded_at_us BIGINT NOT NULL" in made
