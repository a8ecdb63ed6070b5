"""A spool's files: whatever is cut off or flipped at the end, what was acknowledged before it is read."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.ledger.test_log import abandon, exchange, ids, open_log, rows
from tiergate.errors import LedgerError
from tiergate.ledger import spool as spool_module
from tiergate.ledger.log import INTERRUPTED
from tiergate.ledger.row_sketches import RowSketches
from tiergate.ledger.spool import Spool, Spooled, _frame, _frames, read_spools

PAYLOADS = st.lists(st.tuples(st.sampled_from([1, 2]), st.binary(max_size=50)), max_size=6)


def spooled(name: str) -> Spooled:
    return Spooled(exchange(name), RowSketches())


def names(folder: Path) -> list[str]:
    return [name for batch in read_spools(folder) for name in batch.column("exchange_id").to_pylist()]


@given(PAYLOADS, st.integers(0, 400), st.binary(max_size=30))
def test_frames_are_read_up_to_the_first_that_is_not_whole(
    written: list[tuple[int, bytes]], cut: int, rest: bytes
) -> None:
    data = b"".join(_frame(kind, payload) for kind, payload in written)
    assert list(_frames(data)) == written
    found = list(_frames(data[:cut]))
    assert found == written[: len(found)]
    assert sum(len(_frame(*one)) for one in found) <= cut
    # Bytes behind them that happen to be a frame are as likely as a CRC that happens to fit.
    assert list(_frames(data + rest))[: len(written)] == written


@given(PAYLOADS.filter(bool), st.data())
def test_a_flipped_bit_hides_a_frame_and_makes_none(written: list[tuple[int, bytes]], data: st.DataObject) -> None:
    frames = bytearray(b"".join(_frame(kind, payload) for kind, payload in written))
    place = data.draw(st.integers(0, 8 * len(frames) - 1))
    frames[place // 8] ^= 1 << place % 8
    found = list(_frames(bytes(frames)))
    assert found == written[: len(found)]
    assert len(found) < len(written)


def test_zeros_where_the_power_went_are_no_frames() -> None:
    assert list(_frames(_frame(1, b"x") + bytes(4096))) == [(1, b"x")]


def test_a_write_that_fails_half_way_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    spool, write = Spool(tmp_path, "w"), os.write
    spool.append([spooled("kept")])
    for part in (0, 3, 40):
        with monkeypatch.context() as full:
            full.setattr(spool_module.os, "write", lambda to, data, part=part: write(to, data[:part]))
            with pytest.raises(LedgerError, match="free space"):
                spool.append([spooled("lost")])
            full.setattr(spool_module.os, "write", lambda to, data: (_ for _ in ()).throw(OSError(28, "full")))
            with pytest.raises(LedgerError, match="free space"):
                spool.begin([spooled("lost")])
    assert names(tmp_path) == ["kept"]
    spool.append([spooled("later")])
    assert names(tmp_path) == ["kept", "later"]
    spool.close()
    again = Spool(tmp_path, "w")
    again.settle_begun()
    assert names(tmp_path) == ["kept", "later"]
    again.close()


def test_files_are_filled_and_read_in_order(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(spool_module, "FILE_FRAMES", 10)
    spool, moved = Spool(tmp_path, "w"), []
    for number in range(34):
        spool.append([spooled(f"{number:02d}")])
    assert len(list(tmp_path.glob("*.spool"))) == 4
    spool.end_file()
    while (oldest := spool.read()) is not None:
        table, first, last = oldest
        moved += table.column("exchange_id").to_pylist()
        assert last - first + 1 == table.num_rows
        spool.drop(last)
    assert moved == [f"{number:02d}" for number in range(34)]
    assert not list(tmp_path.glob("*.spool"))
    spool.append([spooled("next")])
    spool.end_file()
    after = spool.read()
    assert after is not None
    assert after[1:] == (35, 35)
    spool.close(remove=True)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("ended", [False, True])
def test_a_stream_outlives_the_files_that_it_began_in(ended: bool, tmp_path: Path) -> None:
    log = open_log(tmp_path)
    log.begin([exchange("long")])
    for number in range(3):
        log.append([exchange(f"{number}")])
        assert log.seal() == 1
    if ended:
        log.append([exchange("long", finish_reason="stop")])
        log.seal()
    abandon(log)
    open_log(tmp_path).close()
    assert ids(tmp_path) == {"0": 1, "1": 1, "2": 1, "long": 1}
    assert rows(tmp_path)["long"]["finish_reason"] == ("stop" if ended else INTERRUPTED)
    assert not list((tmp_path / "spool").iterdir())


def test_sealing_ends_while_others_append(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    log = open_log(tmp_path)
    log.append([exchange("first")])
    drop = Spool.drop

    def append_too(spool: Spool, last: int) -> None:
        log.append([exchange(f"after {last}")])
        drop(spool, last)

    monkeypatch.setattr(Spool, "drop", append_too)
    assert log.seal() == 1
    monkeypatch.undo()
    log.close()
    assert ids(tmp_path) == {"first": 1, "after 1": 1}


def test_every_write_is_synced_where_that_is_asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    synced: list[int] = []
    monkeypatch.setattr(spool_module.os, "fdatasync", synced.append)
    for durable, expected in ((False, 0), (True, 2)):
        log = open_log(tmp_path, durable=durable)
        log.append([exchange("a")])
        log.begin([exchange("b")])
        assert len(synced) == expected
        log.close()
