"""The decision log loses nothing that it acknowledged, and shows every change."""

from __future__ import annotations

import errno
import os
import random
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import msgspec
import pytest
import rfc8785
from hypothesis import given
from hypothesis import strategies as st

from tests.ledger.decisions import LOG_KEY, NOW_US, ORIGIN, decided, made_log
from tiergate.errors import InputError, LedgerError, ProofError
from tiergate.ledger import decision_log as log_module
from tiergate.ledger import record_files
from tiergate.ledger.decision_log import DecisionLog
from tiergate.ledger.decision_reader import DecisionReader, Verified, scan, verify_log
from tiergate.ledger.decision_records import (
    FACTS,
    Decided,
    DecisionRecord,
    Opening,
    canonical_value,
    check_opening,
    commit,
    parse_record,
)
from tiergate.ledger.merkle import leaf_hash, verify_consistency, verify_inclusion
from tiergate.ledger.personal import PersonalValues

WRITER = """
import sys
from pathlib import Path
from tests.ledger.decisions import LOG_KEY, NOW_US, ORIGIN, decided
from tiergate.ledger.decision_log import DecisionLog
log = DecisionLog.open(Path(sys.argv[1]), origin=ORIGIN)
n = log.size
while True:
    indexes = log.append([decided(i) for i in range(n, n + 1 + n % 40)])
    n = indexes.stop
    sys.stdout.write(f"{n}\\n")
    sys.stdout.flush()
    if n % 5 == 0:
        log.sign(LOG_KEY, NOW_US)
"""


@pytest.fixture
def small_files(monkeypatch: pytest.MonkeyPatch) -> None:
    """Eight records to a file, so that a small log has several."""
    for module in (record_files, log_module):
        monkeypatch.setattr(module, "FILE_RECORDS", 8)


def verified(folder: Path) -> Verified:
    with closing(DecisionReader(folder)) as reader:
        return verify_log(reader, key=LOG_KEY.public)


def records(folder: Path) -> list[DecisionRecord]:
    with closing(DecisionReader(folder)) as reader:
        return [record for _, record in scan(reader)]


personal = st.dictionaries(
    st.from_regex(r"[A-Za-z0-9_.:/@-]{1,12}", fullmatch=True),
    st.text() | st.integers(-(2**53) + 1, 2**53 - 1) | st.booleans() | st.lists(st.text(), max_size=3),
    max_size=4,
)


@given(
    st.builds(
        Decided,
        time_us=st.integers(0, 2**53 - 1),
        request=st.text(),
        inputs=st.text(),
        policy=st.text(),
        epoch=st.integers(0, 2**53 - 1),
        outcome=st.sampled_from(["ALLOW", "DENY", "REVIEW"]),
        reasons=st.lists(st.text()),
        packs=st.dictionaries(st.from_regex(r"[A-Za-z0-9_.:/@-]{1,12}", fullmatch=True), st.text()),
        personal=personal,
    )
)
def test_records_are_canonical_json_of_rfc_8785(one: Decided) -> None:
    ((text, openings),) = commit([one])
    record = parse_record(text)
    assert rfc8785.dumps(msgspec.to_builtins(record)) == text
    assert {opening.field for opening in openings} == set(one.personal) == set(record.commitments)
    for opening in openings:
        assert (
            opening.value == rfc8785.dumps(one.personal[opening.field]) == canonical_value(one.personal[opening.field])
        )
        check_opening(record, opening)
        with pytest.raises(ProofError, match="not the one"):
            check_opening(record, type(opening)(opening.field, opening.salt, opening.value + b" "))
        with pytest.raises(ProofError, match="not the one"):
            check_opening(record, type(opening)(opening.field, opening.salt + opening.value[:1], opening.value[1:]))


@pytest.mark.parametrize(
    "fields",
    [
        {"time_us": 2**53},
        {"epoch": -(2**60)},
        {"outcome": "MAYBE"},
        {"personal": {"field with spaces": "x"}},
        {"personal": {"score": 0.5}},
        {"personal": {"names": [1]}},
        {"packs": {"\ud800": "1"}},
        {"request": "\ud800"},
        {"reasons": ["x" * (1 << 20)]},
    ],
)
def test_what_has_no_canonical_form_is_not_recorded(fields: dict[str, object], tmp_path: Path) -> None:
    log = DecisionLog.open(tmp_path / "log", origin=ORIGIN)
    with pytest.raises(InputError):
        log.append([decided(0), decided(1, **fields)])
    assert log.size == 0
    assert log.append([decided(0)]) == range(1)
    log.close()


def test_a_log_proves_what_it_holds(tmp_path: Path, small_files: None) -> None:
    log = DecisionLog.open(tmp_path / "log", origin=ORIGIN)
    roots = {}
    reader = DecisionReader(tmp_path / "log")
    for size in (1, 3, 20, 21):
        log.append([decided(n) for n in range(log.size, size)])
        roots[size] = log.sign(LOG_KEY, NOW_US).root
        assert reader.size == size
    assert log.append([]) == range(21, 21)
    log.close()
    for size, root in roots.items():
        assert reader.root(size) == root
        for index in range(size):
            leaf = leaf_hash(reader.record_text(index))
            verify_inclusion(index, size, leaf, reader.inclusion_proof(index, size), root)
            verify_consistency(size, 21, root, roots[21], reader.consistency_proof(size, 21))
    with pytest.raises(InputError, match="no record 21"):
        reader.record(21)
    reader.close()
    assert [record.time_us for record in records(tmp_path / "log")] == [NOW_US + n for n in range(21)]
    assert verified(tmp_path / "log") == Verified(21, 21, roots[21], {"ALLOW": 7, "DENY": 7, "REVIEW": 7}, 42, 0)


def test_nothing_personal_is_in_what_cannot_be_erased(tmp_path: Path) -> None:
    made_log(tmp_path / "log", 30)
    for path in (tmp_path / "log").rglob("*"):
        if path.is_file() and not path.name.startswith("personal"):
            assert b"person-" not in path.read_bytes(), path
        assert path.stat().st_mode & 0o077 == 0 or path.is_dir(), path


def test_erasing_forgets_one_person_and_keeps_the_tree(tmp_path: Path) -> None:
    folder = tmp_path / "log"
    made_log(folder, 30)
    values = PersonalValues(folder / "personal.sqlite")
    before = values.of(3)
    assert values.erase(NOW_US, field="person", value=canonical_value("person-3@example.com")) == 4
    assert values.erase(NOW_US, record=5) == 2
    assert values.erase(NOW_US, record=5) == 0
    assert [one.field for one in values.of(3)] == ["organisation"]
    values.close()
    for path in folder.glob("personal*"):
        held = path.read_bytes()
        assert b"person-3@" not in held
        assert all(one.salt not in held for one in before if one.field == "person")
        assert b"person-4@" in held or path.suffix != ".sqlite"
    found = verified(folder)
    assert (found.records, found.personal, found.erased) == (30, 54, 6)


Change = Callable[[list[Opening]], list[Opening]]


def renamed(held: list[Opening]) -> list[Opening]:
    return [Opening("other", one.salt, one.value) for one in held]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda held: [Opening(one.field, one.salt, b'"someone else"') for one in held], "is not the one"),
        (lambda held: [Opening(one.field, one.salt[:-1], one.value) for one in held], "is not the one"),
        (lambda held: held[:1], "missing, not erased"),
        (renamed, "commits to no field `other`"),
    ],
)
def test_values_that_are_changed_or_vanish_show(tmp_path: Path, change: Change, said: str) -> None:
    made_log(tmp_path, 20)
    with closing(PersonalValues(tmp_path / "personal.sqlite")) as values:
        held = msgspec.msgpack.encode(change(values.of(11)))
        values._database.execute("update openings set held = ? where record = 11", (held,))
    shows(tmp_path, said)


@pytest.mark.parametrize(
    ("statement", "said"),
    [
        ("delete from openings where record = 11", "missing, not erased"),
        ("insert into erased values (11, 'other', 0)", "commits to no field `other`"),
        ("insert into erased values (11, 'person', 0)", "said to be erased, and is kept"),
        ("update openings set held = x'c1' where record = 11", "damaged"),
        ("update openings set held = 'text' where record = 11", "damaged"),
    ],
)
def test_rows_of_values_that_are_changed_show(tmp_path: Path, statement: str, said: str) -> None:
    made_log(tmp_path, 20)
    with closing(PersonalValues(tmp_path / "personal.sqlite")) as values:
        values._database.execute(statement)
    shows(tmp_path, said)


def test_one_flipped_bit_in_a_row_of_values_is_found(tmp_path: Path) -> None:
    made_log(tmp_path, 3)
    with closing(PersonalValues(tmp_path / "personal.sqlite")) as values, closing(DecisionReader(tmp_path)) as reader:
        whole = msgspec.msgpack.encode(values.of(1))
        for at in range(0, 8 * len(whole), 11):
            damaged = bytearray(whole)
            damaged[at // 8] ^= 1 << at % 8
            values._database.execute("update openings set held = ? where record = 1", (bytes(damaged),))
            with pytest.raises(ProofError):
                reader.checked(1)


def shows(folder: Path, said: str) -> None:
    """What is wrong with record 11 is found by reading it alone, and by reading all."""
    with closing(DecisionReader(folder)) as reader:
        for read in (lambda: reader.checked(11), lambda: verify_log(reader)):
            with pytest.raises(ProofError, match=said) as caught:
                read()
            assert caught.value.index == 11


def test_a_record_that_is_not_the_signed_one_shows_where_it_is_read_alone(tmp_path: Path) -> None:
    made_log(tmp_path / "log", 20)
    made_log(tmp_path / "other", 20)
    for name in ("records", "personal.sqlite"):
        (tmp_path / "log" / name).rename(tmp_path / f"old-{name}")
        (tmp_path / "other" / name).rename(tmp_path / "log" / name)
    with closing(DecisionReader(tmp_path / "log")) as reader, pytest.raises(ProofError):
        reader.checked(11)


def test_facts_are_erased_with_any_value_that_they_repeat(tmp_path: Path) -> None:
    log = DecisionLog.open(tmp_path, origin=ORIGIN)
    log.append(
        [decided(n, personal={"person": f"p-{n % 2}", "model": "m", FACTS: f"p-{n % 2} calls m"}) for n in range(6)]
    )
    log.append([decided(6, personal={})])
    log.sign(LOG_KEY, NOW_US)
    log.close()
    with closing(PersonalValues(tmp_path / "personal.sqlite")) as values:
        assert values.erase(NOW_US, field="person", value=canonical_value("p-1")) == 6
        assert values.erase(NOW_US, record=0, field=FACTS) == 1
        assert values.erase(NOW_US, field="person", value=canonical_value("p-1")) == 0
        assert values.erase(NOW_US, field="model", value=canonical_value("p-0")) == 0
        assert [[one.field for one in values.of(n)] for n in (0, 1, 2, 6)] == [
            ["person", "model"], ["model"], ["person", "model", FACTS], [],
        ]  # fmt: skip
        assert [values.row(n)[1] for n in (1, 2, 6)] == [[FACTS, "person"], [], []]
    for path in tmp_path.glob("personal*"):
        assert b"p-1" not in path.read_bytes()
    assert (verified(tmp_path).personal, verified(tmp_path).erased) == (11, 7)


def test_a_log_with_a_row_for_each_value_is_taken_over(tmp_path: Path) -> None:
    made_log(tmp_path, 30)
    path = tmp_path / "personal.sqlite"
    with closing(PersonalValues(path)) as values:
        values.erase(NOW_US, record=5)
        values.erase(NOW_US, record=6, field="person")
        rows = [(n, one.field, one.salt, one.value) for n, held, _ in values.rows() for one in held]
        before = verified(tmp_path)
        values._database.executescript(
            "drop table openings; create table personal (record integer not null, field text not null, "
            "salt blob not null, value blob not null, primary key (record, field)) without rowid;"
        )
        values._database.executemany("insert into personal values (?, ?, ?, ?)", rows)
    log = DecisionLog.open(tmp_path)
    log.append([decided(30)])
    log.sign(LOG_KEY, NOW_US)
    log.close()
    after = verified(tmp_path)
    assert (before.personal, before.erased) == (57, 3)
    assert (after.records, after.personal, after.erased) == (31, 59, 3)


def test_one_flipped_bit_anywhere_is_found_and_located(tmp_path: Path, small_files: None) -> None:
    folder = tmp_path / "log"
    made_log(folder, 9)
    flipped = 0
    for path in sorted(one for one in folder.rglob("*") if one.is_file() and "personal" not in one.name):
        whole = path.read_bytes()
        for at in range(len(whole)):
            damaged = bytearray(whole)
            damaged[at] ^= 1 << random.Random(at).randrange(8)
            path.write_bytes(damaged)
            flipped += 1
            with pytest.raises((ProofError, InputError)) as caught:
                verified_records(folder)
            if path.suffix == ".records":
                assert isinstance(caught.value, ProofError)
                assert caught.value.index == holder(whole, at) + int(path.stem)
            elif path.name == "hashes":
                assert "hash" in str(caught.value)
                assert isinstance(caught.value, ProofError)
                assert caught.value.index is not None
        path.write_bytes(whole)
    assert flipped > 3_000
    verified_records(folder)


def verified_records(folder: Path) -> None:
    with closing(DecisionReader(folder)) as reader:
        for _ in scan(reader, key=LOG_KEY.public):
            pass


def holder(frames: bytes, at: int) -> int:
    """Which record of a file holds the byte ``at``."""
    start = index = 0
    while at >= (start := start + 8 + int.from_bytes(frames[start : start + 4], "big")):
        index += 1
    return index


def test_a_history_that_was_rewritten_whole_is_not_the_signed_one(tmp_path: Path) -> None:
    made_log(tmp_path / "log", 20)
    made_log(tmp_path / "other", 20)  # the same decisions under other salts
    (tmp_path / "other" / "checkpoint").write_bytes((tmp_path / "log" / "checkpoint").read_bytes())
    with pytest.raises(ProofError, match="rewritten"):
        verified(tmp_path / "other")
    with pytest.raises(LedgerError, match="not those that were signed"):
        DecisionLog.open(tmp_path / "other")
    with pytest.raises(LedgerError, match="not those that were signed"):
        DecisionLog.open(tmp_path / "other", accept_loss=True)
    made_log(tmp_path / "short", 19)
    (tmp_path / "short" / "checkpoint").write_bytes((tmp_path / "log" / "checkpoint").read_bytes())
    with pytest.raises(ProofError, match="20 records were signed, and 19"):
        verified(tmp_path / "short")
    for accept_loss in (False, True):
        with pytest.raises(LedgerError, match=r"signed 20 records|20 records were signed"):
            DecisionLog.open(tmp_path / "short", accept_loss=accept_loss)


@pytest.mark.parametrize("signed", [True, False])
def test_whatever_part_of_an_append_a_crash_leaves_is_mended(tmp_path: Path, small_files: None, signed: bool) -> None:
    """Cut the files at every byte that the last append wrote, as a kill would: records first, then hashes."""
    before, after = tmp_path / "before", tmp_path / "after"
    made_log(before, 13, signed=signed)
    shutil.copytree(before, after)
    log = DecisionLog.open(after)
    log.append([decided(n) for n in range(13, 18)])
    log.close()
    written = [path.relative_to(after) for path in sorted(after.rglob("*.records"))] + [Path("hashes")]
    old = {path: (before / path).read_bytes() if (before / path).exists() else b"" for path in written}
    new = {path: (after / path).read_bytes() for path in written}
    for n, path in enumerate(written):
        for length in range(len(old[path]), len(new[path]) + 1, 41):
            crashed = tmp_path / "crashed"
            shutil.rmtree(crashed, ignore_errors=True)
            shutil.copytree(after, crashed)
            for later in written[n:]:
                (crashed / later).write_bytes(old[later])
            (crashed / path).write_bytes(new[path][:length])
            counted = DecisionReader(crashed)
            seen = counted.size
            log = DecisionLog.open(crashed)
            assert 13 <= seen <= log.size <= 18
            assert counted.size == log.size
            counted.close()
            log.append([decided(n) for n in range(log.size, 20)])
            log.sign(LOG_KEY, NOW_US)
            log.close()
            assert verified(crashed).records == 20
            assert [record.time_us for record in records(crashed)] == [NOW_US + n for n in range(20)]


def test_hashes_that_lost_power_are_made_anew(tmp_path: Path, small_files: None) -> None:
    folder = tmp_path / "log"
    made_log(folder, 13)
    log = DecisionLog.open(folder, durable=True)
    log.append([decided(n) for n in range(13, 30)])
    log.close()
    path = folder / "hashes"
    whole = path.read_bytes()
    for lost in (1, 5, 20):
        path.write_bytes(whole[: -32 * lost] + bytes(32 * lost))
        DecisionLog.open(folder).close()
        assert path.read_bytes() == whole
    # Zeros among what was signed are damage, not loss.
    path.write_bytes(bytes(32) + whole[32:])
    with pytest.raises(ProofError, match="record 0 is not the one"):
        verified(folder)


def test_acknowledged_records_that_are_gone_are_not_passed_over(tmp_path: Path, small_files: None) -> None:
    folder = tmp_path / "log"
    made_log(folder, 13)
    log = DecisionLog.open(folder)
    log.append([decided(n) for n in range(13, 18)])
    log.close()
    last = max(folder.rglob("*.records"))
    os.truncate(last, last.stat().st_size - 1)
    with pytest.raises(LedgerError, match=r"record 17 of 18 is missing or damaged; run .* recover"):
        DecisionLog.open(folder)
    with pytest.raises(ProofError, match="record 17 is damaged or missing"):
        verified(folder)
    log = DecisionLog.open(folder, accept_loss=True)
    assert log.append([decided(17)]) == range(17, 18)
    log.close()
    assert verified(folder).records == 18
    # Hashes alone can always be made anew.
    (folder / "hashes").write_bytes(b"")
    with pytest.raises(LedgerError, match="recover"):
        DecisionLog.open(folder)
    DecisionLog.open(folder, accept_loss=True).close()
    assert verified(folder).records == 18


def test_killed_while_appending_it_has_all_that_was_acknowledged(tmp_path: Path) -> None:
    folder = tmp_path / "log"
    seed = random.Random(5)
    acknowledged = 0
    for _ in range(6):
        child = subprocess.Popen([sys.executable, "-c", WRITER, str(folder)], stdout=subprocess.PIPE, text=True)
        assert child.stdout is not None
        lines = [child.stdout.readline()]
        time.sleep(seed.uniform(0.0, 0.3))
        child.send_signal(signal.SIGKILL)
        lines += child.stdout.readlines()
        child.wait()
        child.stdout.close()
        whole = [int(line) for line in lines if line.endswith("\n")]
        acknowledged = max([acknowledged, *whole])
        log = DecisionLog.open(folder, origin=ORIGIN)
        assert log.size >= acknowledged > 0
        log.close()
        found = records(folder)
        assert [record.time_us for record in found] == [NOW_US + n for n in range(len(found))]
    log = DecisionLog.open(folder)
    log.sign(LOG_KEY, NOW_US)
    log.close()
    assert verified(folder).erased == 0


def test_readers_see_a_growing_log_whole(tmp_path: Path) -> None:
    folder = tmp_path / "log"
    child = subprocess.Popen([sys.executable, "-c", WRITER, str(folder)], stdout=subprocess.PIPE, text=True)
    assert child.stdout is not None
    child.stdout.readline()
    drain = threading.Thread(target=child.stdout.read)
    drain.start()
    try:
        reader = DecisionReader(folder)
        sizes = []
        give_up = time.monotonic() + 60
        while (not sizes or sizes[-1] < sizes[0] + 500) and time.monotonic() < give_up:
            sizes.append(size := reader.size)
            index = random.Random(size).randrange(size)
            leaf = leaf_hash(reader.record_text(index))
            verify_inclusion(index, size, leaf, reader.inclusion_proof(index, size), reader.root(size))
            if reader.checkpoint() is not None:
                assert verified(folder).records >= size
        reader.close()
        assert sizes == sorted(sizes)
        assert sizes[-1] >= sizes[0] + 500
        with pytest.raises(LedgerError, match="another process writes"):
            DecisionLog.open(folder)
    finally:
        child.kill()
        child.wait()
        drain.join()
        child.stdout.close()


@pytest.mark.parametrize("durable", [False, True])
def test_threads_append_together_and_each_gets_its_own_places(tmp_path: Path, durable: bool) -> None:
    log = DecisionLog.open(tmp_path / "log", origin=ORIGIN, durable=durable)
    places: dict[int, int] = {}

    def work(start: int) -> None:
        for n in range(start, start + 200, 4):
            places.update(zip(range(n, n + 4), log.append([decided(m) for m in range(n, n + 4)]), strict=True))

    threads = [threading.Thread(target=work, args=(1_000 * n,)) for n in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    log.sign(LOG_KEY, NOW_US)
    log.close()
    assert sorted(places.values()) == list(range(1_600))
    found = records(tmp_path / "log")
    assert all(found[place].time_us == NOW_US + n for n, place in places.items())
    assert verified(tmp_path / "log").personal == 3_200


@pytest.fixture
def full_disk(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[int]]:
    """Writes beyond so many bytes fail, as on a full disk."""
    left = [1 << 40]
    write = os.write

    def limited(file: int, text: bytes) -> int:
        if left[0] <= 0:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        taken = write(file, text[: left[0]])
        left[0] -= taken
        return taken

    monkeypatch.setattr(record_files.os, "write", limited)
    return left


@pytest.mark.parametrize("room", [0, 1, 500, 2_500, 2_700, 2_800])
def test_a_full_disk_takes_all_of_an_append_or_none(tmp_path: Path, full_disk: list[int], room: int) -> None:
    log = DecisionLog.open(tmp_path / "log", origin=ORIGIN)
    log.append([decided(0)])
    full_disk[0] = room
    with pytest.raises(LedgerError, match="No space left"):
        log.append([decided(n) for n in range(1, 6)])
    assert log.size == 1
    full_disk[0] = 1 << 40
    assert log.append([decided(n) for n in range(1, 4)]) == range(1, 4)
    log.sign(LOG_KEY, NOW_US)
    log.close()
    assert verified(tmp_path / "log").records == 4


def test_a_failed_sync_ends_the_writer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    log = DecisionLog.open(tmp_path / "log", origin=ORIGIN, durable=True)
    log.append([decided(0)])

    def fails(_file: int) -> None:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    monkeypatch.setattr(record_files.os, "fdatasync", fails)
    with pytest.raises(LedgerError, match="Input/output"):
        log.append([decided(1)])
    monkeypatch.undo()
    with pytest.raises(LedgerError, match="open it again"):
        log.append([decided(1)])
    log.close()
    log = DecisionLog.open(tmp_path / "log")
    assert log.append([decided(1)]) == range(1, 2)
    log.close()


def test_when_a_checkpoint_is_due(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(log_module, "CHECKPOINT_RECORDS", 10)
    log = DecisionLog.open(tmp_path / "log", origin=ORIGIN)
    assert not log.checkpoint_due(NOW_US)
    with pytest.raises(InputError, match="without records"):
        log.sign(LOG_KEY, NOW_US)
    log.append([decided(0)])
    assert log.checkpoint_due(NOW_US)
    log.sign(LOG_KEY, NOW_US)
    assert not log.checkpoint_due(NOW_US + 10_000_000)
    log.append([decided(1)])
    assert not log.checkpoint_due(NOW_US + 999_999)
    assert log.checkpoint_due(NOW_US + 1_000_000)
    log.append([decided(n) for n in range(9)])
    assert log.checkpoint_due(NOW_US)
    log.close()


def test_a_log_keeps_its_name(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="needs a name"):
        DecisionLog.open(tmp_path / "log")
    made_log(tmp_path / "log", 2)
    with pytest.raises(InputError, match=r"not `example\.com/else`"):
        DecisionLog.open(tmp_path / "log", origin="example.com/else")
    with pytest.raises(InputError, match="not a decision log"):
        DecisionReader(tmp_path)
    (tmp_path / "log" / "log.json").unlink()
    with pytest.raises(LedgerError, match="restore"):
        DecisionLog.open(tmp_path / "log", origin=ORIGIN)
