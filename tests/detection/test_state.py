"""A state folder: a log read in pieces gives the answer of the whole, whatever happens between."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.detection.conftest import START, Platform, log_batches
from tiergate.clock import DAY
from tiergate.detection.intake import Traffic, take_in
from tiergate.detection.lineage import History
from tiergate.detection.run import DetectionInputs, Parameters, RunSummary, run_detection
from tiergate.detection.state import Part, State
from tiergate.detection.state_manifest import Manifest
from tiergate.detection.state_rows import ROWS_SCHEMA
from tiergate.errors import InputError
from tiergate.ledger.sketches import Sketcher, load_or_create_key
from tiergate.records.read import read_exchanges
from tiergate.records.refused import RefusedRows
from tiergate.records.schema import TEXT_COLUMNS

KEY = bytes(range(32))
QUICK = Parameters(decoys=3)
HISTORY = ["lineage_id", "first_opened_at", "looks", "e_value"]
Split = Callable[[pa.Table], list[pa.Table]]


def quiet(_: str, __: float) -> None:
    pass


def read_file(path: Path, refused: RefusedRows) -> Iterator[pa.RecordBatch]:
    return read_exchanges([path], refused=refused)


def written(tables: Sequence[pa.Table], folder: Path) -> list[Part]:
    folder.mkdir(parents=True, exist_ok=True)
    parts = []
    for number, table in enumerate(tables):
        path = folder / f"part-{number}.parquet"
        pq.write_table(table, path)
        parts.append(Part(path, partial(read_file, path)))
    return parts


def sketches_of(exchanges: pa.Table, key: bytes) -> pa.Table:
    made = Sketcher(key).sketch(exchanges)
    for name, column in zip(made.schema.names, made.columns, strict=True):
        exchanges = exchanges.append_column(name, column)
    return exchanges.drop_columns(list(TEXT_COLUMNS))


def look(state: State, parts: Sequence[Part], accounts: pa.Table, out: Path) -> RunSummary:
    """One call as the command line makes it."""
    with RefusedRows(None) as refused:
        state.take_up(parts, refused, quiet)
        inputs = DetectionInputs(state.batches, accounts, None, refused, [], state.repeated, state.files)
        summary = run_detection(inputs, out, parameters=QUICK, sketch_key=None, progress=quiet, history=state.history)
        state.keep_answer(state.question(str(QUICK)), summary.history, summary.files)
    return summary


@pytest.fixture(scope="module")
def platform() -> Platform:
    made = Platform(31)
    made.people("benign", 120)
    made.people("office", 15, client_address="198.51.100.7")
    made.campaign(25, 30)
    return made


@pytest.fixture(scope="module")
def full(platform: Platform, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The answer from the whole log at once."""
    out = tmp_path_factory.mktemp("full")
    with RefusedRows(None) as refused:
        inputs = DetectionInputs(
            lambda: log_batches(platform.exchange_table()), platform.account_table(), None, refused, []
        )
        summary = run_detection(inputs, out, parameters=QUICK, sketch_key=KEY, progress=quiet)
    assert summary.cases.num_rows
    return out


def by_time(exchanges: pa.Table) -> list[pa.Table]:
    first = np.asarray(exchanges["started_at"].cast(pa.int64())) < START + 7 * DAY
    return [exchanges.filter(pa.array(first)), exchanges.filter(pa.array(~first))]


def dealt(exchanges: pa.Table) -> list[pa.Table]:
    pile = np.arange(len(exchanges)) % 3
    return [exchanges.filter(pa.array(pile == number)) for number in range(3)]


def growing(exchanges: pa.Table) -> list[pa.Table]:
    return [exchanges.slice(0, 1_000), exchanges.slice(0, 2_500), exchanges]


def sketched_in_part(exchanges: pa.Table) -> list[pa.Table]:
    return [sketches_of(exchanges.slice(0, 2_000), KEY), exchanges.slice(1_500)]


@pytest.mark.parametrize("split", [by_time, dealt, growing, sketched_in_part])
def test_looks_along_the_way_end_in_the_answer_of_the_whole(
    split: Split, platform: Platform, full: Path, tmp_path: Path
) -> None:
    accounts = platform.account_table()
    pieces = split(platform.exchange_table())
    for number, part in enumerate(written(pieces, tmp_path / "in")):
        with State.open(tmp_path / "state", KEY) as state:
            summary = look(state, [part], accounts, tmp_path / "out")
            assert summary.run["look"]["number"] == number + 1
    for path in sorted(full.glob("*.parquet")):
        if path.name != "cases.parquet":
            assert path.read_bytes() == (tmp_path / "out" / path.name).read_bytes()
    one, other = (pq.read_table(folder / "cases.parquet") for folder in (full, tmp_path / "out"))
    assert one.drop_columns(HISTORY).equals(other.drop_columns(HISTORY))
    exchanges = summary.run["exchanges"]
    assert exchanges["used"] == len(platform.exchanges)
    assert exchanges["repeated"] == sum(map(len, pieces)) - len(platform.exchanges)


def test_the_case_keeps_its_lineage_and_gathers_evidence(platform: Platform, tmp_path: Path) -> None:
    accounts = platform.account_table()
    for part in written(by_time(platform.exchange_table()), tmp_path / "in"):
        with State.open(tmp_path / "state", KEY) as state:
            case = look(state, [part], accounts, tmp_path / "out").cases.to_pylist()[0]
    assert case["looks"] == 2
    assert case["first_opened_at"] < case["opened_at"]
    rows = pq.read_table(tmp_path / "state" / "looks-000002" / "looks.parquet").to_pylist()
    assert rows[0]["case_id"] == case["lineage_id"]
    assert case["e_value"] == pytest.approx(rows[0]["e"] / 2 + rows[-1]["e"] / 6)


SMALL = Platform(32)
SMALL.people("benign", 12)


def equal(one: Traffic, other: Traffic) -> bool:
    arrays = ("account", "time_us", "asn", "shape", "prompt", "intent", "input_tokens", "output_tokens", "cost_usd")
    lists = ("system", "template", "words")
    return (
        one.exchange_ids.to_pylist() == other.exchange_ids.to_pylist()
        and one.account_ids == other.account_ids
        and all(np.array_equal(getattr(one, name), getattr(other, name)) for name in arrays)
        and all(np.array_equal(getattr(one, name).code, getattr(other, name).code) for name in lists)
        and all(np.array_equal(getattr(one, name).start, getattr(other, name).start) for name in lists)
        and all(one.columns[name].values == other.columns[name].values for name in one.columns)
    )


@settings(max_examples=15, deadline=None)
@given(data=st.data())
def test_any_split_with_any_repeats_is_the_same_traffic(
    data: st.DataObject, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """Also where a repeat is earlier than the exchange that was held, which it then replaces."""
    folder = tmp_path_factory.mktemp("split")
    exchanges = SMALL.exchange_table()
    rows = st.integers(0, len(exchanges) - 1)
    pile = np.array(data.draw(st.lists(st.integers(0, 3), min_size=len(exchanges), max_size=len(exchanges))))
    pieces = [exchanges.filter(pa.array(pile == number)) for number in range(4)]
    for number, moved in enumerate(data.draw(st.tuples(*[st.sampled_from([0, -DAY, DAY])] * 4))):
        again = exchanges.take(pa.array(data.draw(st.lists(rows, max_size=5)), pa.int64()))
        time = pa.array(np.asarray(again["started_at"].cast(pa.int64())) + moved).cast(again["started_at"].type)
        again = again.set_column(again.schema.get_field_index("started_at"), exchanges.schema.field("started_at"), time)
        pieces[number] = pa.concat_tables([pieces[number], again])
    for part in written(pieces, folder / "in"):
        with State.open(folder / "state", KEY) as state, RefusedRows(None) as refused:
            state.take_up([part], refused, quiet)
            assert state.take_up([part], refused, quiet) == 0
            held, repeated = (
                take_in(state.batches(), KEY) if part.path.name == "part-3.parquet" else None,
                state.repeated,
            )
    whole = take_in(log_batches(pa.concat_tables(pieces)), KEY)
    assert held is not None
    assert equal(held, whole)
    assert held.repeated + repeated == whole.repeated


@pytest.fixture
def parts(tmp_path: Path) -> list[Part]:
    return written(dealt(SMALL.exchange_table()), tmp_path / "in")


def filled(folder: Path, parts: Sequence[Part], key: bytes | None = KEY) -> int:
    with State.open(folder, key) as state, RefusedRows(None) as refused:
        state.take_up(parts, refused, quiet)
        return sum(batch.num_rows for batch in state.batches())


KILLED = """
import os, sys
from pathlib import Path
from tests.detection.test_state import KEY, Part, filled, partial, read_file
from tiergate.detection import state
original, seen = state.save, 0
def save(manifest, folder):
    if manifest.segments:
        os._exit(9)
    original(manifest, folder)
state.save = save
path = Path(sys.argv[2])
filled(Path(sys.argv[1]), [Part(path, partial(read_file, path))])
"""


def test_killed_between_segment_and_manifest_it_reads_again(parts: list[Part], tmp_path: Path) -> None:
    folder = tmp_path / "state"
    done = subprocess.run([sys.executable, "-c", KILLED, str(folder), str(parts[0].path)], check=False, timeout=60)
    assert done.returncode == 9
    assert [path.name for path in folder.glob("rows-*")] == ["rows-000001.parquet"]
    with State.open(folder, KEY) as state:
        assert not list(folder.glob("rows-*"))
        assert not list(state.batches())
    assert filled(folder, parts) == len(SMALL.exchanges)


def test_a_part_of_a_segment_is_swept_away(parts: list[Part], tmp_path: Path) -> None:
    folder = tmp_path / "state"
    rows = filled(folder, parts[:1])

    def breaks(_: RefusedRows) -> Iterator[pa.RecordBatch]:
        yield next(iter(parts[1].read(RefusedRows(None))))
        raise KeyboardInterrupt

    with State.open(folder, KEY) as state, RefusedRows(None) as refused, pytest.raises(KeyboardInterrupt):
        state.take_up([Part(parts[1].path, breaks)], refused, quiet)
    assert filled(folder, []) == rows
    assert not list(folder.glob(".*"))
    assert filled(folder, parts) == len(SMALL.exchanges)


def test_an_answer_cut_off_is_given_again_as_the_same_look(
    parts: list[Part], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, accounts = tmp_path / "state", SMALL.account_table()

    def killed(manifest: Manifest, folder: Path) -> None:
        raise KeyboardInterrupt

    with State.open(folder, KEY) as state, RefusedRows(None) as refused:
        state.take_up(parts, refused, quiet)
        with monkeypatch.context() as patch:
            patch.setattr("tiergate.detection.state.save", killed)
            with pytest.raises(KeyboardInterrupt):
                look(state, parts, accounts, tmp_path / "out")
    with State.open(folder, KEY) as state:
        assert not state.repeat_answer(state.question(str(QUICK)), tmp_path / "out")
        assert look(state, parts, accounts, tmp_path / "out").history.count == 1
        assert state.repeat_answer(state.question(str(QUICK)), tmp_path / "again")
    for path in (tmp_path / "out").iterdir():
        assert path.read_bytes() == (tmp_path / "again" / path.name).read_bytes()


def test_refused_rows_are_counted_once(tmp_path: Path) -> None:
    exchanges = SMALL.exchange_table()
    first, second = exchanges.slice(0, 50), exchanges.slice(50)
    names = pa.array(["" if number < 3 else str(number) for number in range(50)])
    parts = written([first.set_column(2, first.schema.field(2), names), second], tmp_path / "in")
    for _ in range(3):
        with State.open(tmp_path / "state", KEY) as state, RefusedRows(None) as refused:
            state.take_up(parts, refused, quiet)
            assert refused.count == 3
            assert sum(refused.by_reason.values()) == 3


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-100])


def flipped(path: Path) -> None:
    data = bytearray(path.read_bytes())
    for at in range(200, 1_200):
        data[at] ^= 0xFF
    path.write_bytes(data)


def spoilt(path: Path) -> None:
    path.write_text('{"format": 1, "files": 7}')


@pytest.mark.parametrize(
    ("name", "damage", "said"),
    [
        ("rows-000001.parquet", cut, "rows-000001.parquet is cut short"),
        ("rows-000001.parquet", Path.unlink, "rows-000001.parquet is missing"),
        ("rows-000001.parquet", flipped, "damaged"),
        ("state.json", spoilt, "state.json"),
        ("state.json", Path.unlink, "no state.json"),
    ],
)
def test_a_damaged_state_says_so(
    name: str, damage: Callable[[Path], None], said: str, parts: list[Part], tmp_path: Path
) -> None:
    filled(tmp_path / "state", parts)
    damage(tmp_path / "state" / name)
    with pytest.raises(InputError, match=said) as raised:
        filled(tmp_path / "state", [])
    assert "restore it from a copy" in str(raised.value)


def test_damaged_looks_say_so(parts: list[Part], tmp_path: Path) -> None:
    filled(tmp_path / "state", parts)
    with State.open(tmp_path / "state", KEY) as state:
        state.keep_answer("question", History.empty().followed([], 0), [])
        with pytest.raises(InputError, match="the answer of look 1 is missing"):
            state.repeat_answer("question", tmp_path / "out")
    cut(tmp_path / "state" / "looks-000001" / "looks.parquet")
    with pytest.raises(InputError, match="look 1: "):
        filled(tmp_path / "state", [])


def test_another_key_is_refused(parts: list[Part], tmp_path: Path) -> None:
    folder = tmp_path / "state"
    filled(folder, parts[:1])
    with pytest.raises(InputError, match="was made under sketch key"):
        State.open(folder, bytes(32))
    with pytest.raises(InputError, match="give that key by --key"):
        filled(folder, parts, key=None)
    foreign = written([sketches_of(SMALL.exchange_table(), bytes(32))], tmp_path / "foreign")
    with pytest.raises(InputError, match="cannot join a state"):
        filled(folder, foreign)
    assert filled(folder, parts) == len(SMALL.exchanges)


def test_without_a_key_it_makes_a_secret_one_and_keeps_no_text(parts: list[Part], tmp_path: Path) -> None:
    folder = tmp_path / "state"
    filled(folder, parts[:1], key=None)
    assert filled(folder, parts, key=None) == len(SMALL.exchanges)
    assert (folder / "key").stat().st_mode & 0o777 == 0o600
    assert not set(ROWS_SCHEMA.names) & set(TEXT_COLUMNS)
    key_id = Sketcher(load_or_create_key(folder / "key")).key_id
    for path in folder.glob("rows-*"):
        held = pq.read_table(path)
        assert held.schema.names == ROWS_SCHEMA.names
        assert held["sketch_key_id"].unique().to_pylist() == [key_id]


def test_one_detection_at_a_time(tmp_path: Path) -> None:
    with State.open(tmp_path / "state", KEY), pytest.raises(InputError, match="another detection is using"):
        State.open(tmp_path / "state", KEY)
    State.open(tmp_path / "state", KEY).__exit__(None, None, None)
